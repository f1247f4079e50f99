"""Which images count as one: near duplicates, and images of one group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.measures.duplicates import exact_duplicates, near_duplicates
from ecotone.measures.search import Search, nearest
from ecotone.measures.subsets import shuffled

__all__ = ["different_images", "group_units", "near_duplicate_units"]


def near_duplicate_units(
    images: Shaped[Tensor, " n *shape"], threshold: float, *, search: Search = nearest
) -> Int64[Tensor, " n"]:
    """Return a number for each image; two within a distance of each other share theirs.

    What :class:`ecotone.measures.Reference` does with the training set, for other images.

    >>> near_duplicate_units(torch.tensor([[0.0], [0.1], [9.0]]), 0.5).tolist()
    [0, 0, 1]
    """
    same = exact_duplicates(images).to(images.device)
    others = search(images, images, 1, passing_over=(same, same))
    return near_duplicates(images, exact=same.cpu(), others=others, threshold=threshold)


def different_images(
    images: Shaped[Tensor, " n *shape"], threshold: float, *, search: Search = nearest
) -> Int64[Tensor, " different"]:
    """Return one image of each cluster of near duplicates, whichever comes first by a hash.

    So neither the order of the images nor what they look like decides which one it is.

    >>> different_images(torch.tensor([[0.0], [0.1], [9.0]]), 0.5).shape
    torch.Size([2])
    """
    clusters = near_duplicate_units(images, threshold, search=search)
    order = shuffled(images, 0, "different images")
    _, first = np.unique(clusters[order].numpy(), return_index=True)
    return order[torch.from_numpy(first)].sort().values


def group_units(groups: Sequence[str] | None) -> Int64[Tensor, " n"] | None:
    """Return a number for each image, those of one group sharing theirs; None without groups.

    >>> group_units(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    if groups is None:
        return None
    _, numbers = np.unique(np.array(groups), return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64))
