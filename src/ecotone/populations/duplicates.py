"""Copies planted on purpose, so that a measure of copying can be held against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import generator, normal, sample_seeds
from ecotone.populations.base import Split

__all__ = ["PlantedCopies", "plant_copies", "plant_duplicates"]


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
    _check_noise(noise, needed=near > 0)
    order = generator(seed, "duplicates").permutation(split.n)
    sources, places = order[:planted], order[planted : 2 * planted]
    training = split.training.clone()
    training[torch.from_numpy(places)] = split.training[torch.from_numpy(sources)]
    training[torch.from_numpy(places[exact:])] += noise * _noise(split.training, near, seed)
    ids, pairs = list(split.training_ids), []
    for rank, (source, place) in enumerate(zip(sources, places, strict=True)):
        ids[place] = f"{split.training_ids[source]}+{'exact' if rank < exact else 'near'}"
        pairs.append((ids[place], split.training_ids[source]))
    return replace(split, training=training, training_ids=tuple(ids)), tuple(pairs)


@dataclass(frozen=True, eq=False)
class PlantedCopies:
    """Images of which some are known to be copies.

    Args:
        images: all of them, in the order they came in.
        rows: which of the images are copies, ascending.
        sources: which training item each of those is a copy of.
    """

    images: Float[Tensor, " n *shape"]
    rows: Int64[Tensor, " copies"]
    sources: Int64[Tensor, " copies"]


def plant_copies(
    *,
    generated: Float[Tensor, " n *shape"],
    training: Float[Tensor, " t *shape"],
    share: float,
    seed: int,
    noise: float = 0.0,
) -> PlantedCopies:
    """Replace a share of generated images by copies of training items drawn with replacement.

    round(share · n) images, chosen at random, are replaced. A copy is its source plus
    noise · N(0, I), not clipped.

    Args:
        generated: images to replace some of.
        training: items to copy.
        share: of images to replace, between 0 and 1.
        seed: chooses images and items, and draws the noise.
        noise: standard deviation added to each copy, 0 or more.

    Raises:
        ConfigError: for a share or noise out of range.

    >>> planted = plant_copies(
    ...     generated=torch.zeros(10, 2), training=torch.ones(3, 2), share=0.3, seed=0
    ... )
    >>> int(planted.images.sum(1).count_nonzero()), len(planted.rows)
    (3, 3)
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share = {share} is not a share", hint="give a number from 0 to 1")
    _check_noise(noise, needed=False)
    copies = round(share * len(generated))
    random = generator(seed, "copies")
    rows = torch.from_numpy(random.permutation(len(generated))[:copies]).sort().values
    sources = torch.from_numpy(random.integers(len(training), size=copies))
    images = generated.clone()
    images[rows] = (training[sources] + noise * _noise(training, copies, seed)).to(images.dtype)
    return PlantedCopies(images, rows, sources)


def _noise(like: Tensor, n: int, seed: int) -> Tensor:
    return normal(sample_seeds(n, seed, "copy noise"), like.shape[1:], dtype=like.dtype)


def _check_noise(noise: float, *, needed: bool) -> None:
    if not 0 <= noise < math.inf or (needed and noise == 0):
        raise ConfigError(
            f"noise = {noise} is out of range for near copies",
            hint="give a standard deviation above 0" if needed else "give 0 or more",
        )
