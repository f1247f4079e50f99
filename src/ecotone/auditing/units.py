"""Which real images count as one: near duplicates, and images of one group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ecotone.measures.duplicates import exact_duplicates, near_duplicates
from ecotone.measures.search import Search, nearest

__all__ = ["joined", "near_duplicate_units"]


def near_duplicate_units(
    images: Shaped[Tensor, " n *shape"], threshold: float, *, search: Search = nearest
) -> Int64[Tensor, " n"]:
    """Return a number for each image; two within a distance of each other share theirs.

    What :class:`ecotone.measures.Reference` does with the training set, for the holdout.

    >>> near_duplicate_units(torch.tensor([[0.0], [0.1], [9.0]]), 0.5).tolist()
    [0, 0, 1]
    """
    same = exact_duplicates(images).to(images.device)
    others = search(images, images, 1, passing_over=(same, same))
    return near_duplicates(images, exact=same.cpu(), others=others, threshold=threshold)


def joined(units: Int64[Tensor, " n"], groups: Sequence[str] | None) -> Int64[Tensor, " n"]:
    """Return units that also hold together what is of one group.

    >>> joined(torch.tensor([0, 0, 1, 2]), ["a", "b", "b", "c"]).tolist()
    [0, 0, 0, 1]
    """
    if groups is None:
        return units
    names = sorted(set(groups))
    place = {name: index for index, name in enumerate(names)}
    member = np.array([place[group] for group in groups])
    own = units.numpy()
    size = int(own.max()) + 1
    total = size + len(names)
    # A bipartite graph of units and groups; what hangs together is one.
    links = coo_array((np.ones(len(own)), (own, size + member)), shape=(total, total))
    _, label = connected_components(links, directed=False)
    _, number = np.unique(label[own], return_inverse=True)
    return torch.from_numpy(number.astype(np.int64))
