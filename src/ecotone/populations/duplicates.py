"""Duplicates planted among training items, so that what they do can be studied."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import generator, normal, sample_seeds
from ecotone.populations.base import Split

__all__ = ["plant_duplicates"]


def plant_duplicates(
    split: Split, *, exact: int, near: int, noise: float, seed: int
) -> tuple[Split, tuple[tuple[str, str], ...]]:
    """Replace some training items by duplicates of other training items, n staying as it is.

    No item is duplicated twice, and none of a pair is replaced by another. A near duplicate is its
    source plus noise · N(0, I); it is not clipped to a range of values, so the noise has exactly
    that standard deviation.

    Args:
        split: to plant into; the holdout stays as it is.
        exact: how many exact duplicates.
        near: how many near duplicates.
        noise: standard deviation of a near duplicate, above 0 where there are any.
        seed: chooses the items and draws the noise.

    Returns:
        The new split, and a pair (id of the duplicate, id of its source) for each. A duplicate's
        id is its source's with ``+exact`` or ``+near``.

    Raises:
        ConfigError: for negative counts, more than n/2 duplicates, or near duplicates without
            noise.

    >>> items = torch.arange(8.0)[:, None]
    >>> split = Split(items[:6], items[6:], tuple("abcdef"), tuple("gh"))
    >>> planted, pairs = plant_duplicates(split, exact=1, near=1, noise=0.1, seed=0)
    >>> planted.n, len(pairs), pairs[0][0] == pairs[0][1] + "+exact"
    (6, 2, True)
    """
    planted = exact + near
    if exact < 0 or near < 0 or 2 * planted > split.n:
        raise ConfigError(
            f"cannot plant {exact} exact and {near} near duplicates among {split.n} training items",
            hint=f"give counts of 0 or more that add up to {split.n // 2} or less",
        )
    if not 0 <= noise < math.inf or (near > 0 and noise == 0):
        raise ConfigError(
            f"noise = {noise} is out of range for near duplicates",
            hint="give a standard deviation above 0" if near else "give 0 or more",
        )
    order = generator(seed, "duplicates").permutation(split.n)
    sources, places = order[:planted], order[planted : 2 * planted]
    training = split.training.clone()
    training[torch.from_numpy(places)] = split.training[torch.from_numpy(sources)]
    drawn = normal(sample_seeds(near, seed, "copy noise"), training.shape[1:], dtype=training.dtype)
    training[torch.from_numpy(places[exact:])] += noise * drawn
    ids, pairs = list(split.training_ids), []
    for rank, (source, place) in enumerate(zip(sources, places, strict=True)):
        ids[place] = f"{split.training_ids[source]}+{'exact' if rank < exact else 'near'}"
        pairs.append((ids[place], split.training_ids[source]))
    return replace(split, training=training, training_ids=tuple(ids)), tuple(pairs)
