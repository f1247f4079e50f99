"""Halves of the training set, for audits without a holdout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.core.seeds import generator
from ecotone.measures.duplicates import exact_duplicates
from ecotone.measures.subsets import shuffled

__all__ = ["divide"]


def divide(
    images: Shaped[Tensor, " n *shape"], groups: Sequence[str] | None, seed: int
) -> tuple[Int64[Tensor, " first"], Int64[Tensor, " second"]]:
    """Return the indices of two halves of a set, by chance and without regard to its order.

    Of exact duplicates only the first is in either. Groups are never divided: they are dealt in a
    random order, each to the half that has fewer images.

    Args:
        images: the training set.
        groups: of each image, or None.
        seed: for the order.

    >>> first, second = divide(torch.tensor([[1.0], [2.0], [1.0], [3.0], [4.0]]), None, 0)
    >>> sorted([*first.tolist(), *second.tolist()])
    [0, 1, 3, 4]
    """
    unique = exact_duplicates(images) == torch.arange(len(images))
    if groups is None:
        order = shuffled(images, seed, "halves")
        order = order[unique[order]]
        return order[0::2].sort().values, order[1::2].sort().values
    names = sorted(set(groups))
    place = {name: index for index, name in enumerate(names)}
    member = np.array([place[group] for group in groups])
    halves: tuple[list[int], list[int]] = ([], [])
    for group in generator(seed, "halves of groups").permutation(len(names)):
        rows = np.flatnonzero((member == group) & unique.numpy()).tolist()
        min(halves, key=len).extend(rows)
    first, second = (torch.tensor(sorted(half), dtype=torch.int64) for half in halves)
    return first, second
