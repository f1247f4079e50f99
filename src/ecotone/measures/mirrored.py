"""Nearest references where an image and its mirror image count as the same.

Generators that were trained on images flipped at random copy half of them the other way round.
"""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.search import Labels, Progress, Search, TopK, nearest

__all__ = ["mirrored_nearest"]


def mirrored_nearest(
    queries: Shaped[Tensor, "queries ..."],
    references: Shaped[Tensor, "references ..."],
    k: int,
    *,
    passing_over: Labels | None = None,
    progress: Progress | None = None,
    names: tuple[str, str] = ("queries", "references"),
    search: Search = nearest,
) -> TopK:
    """Return the k nearest references of each image or of its mirror image, exactly.

    The distance is min(|x − y|, |mirrored x − y|), which is the same from y to x. Both searches
    list k references, and the k nearest of both are among them. Left and right are the ends of the
    last axis. All else is as in ``search``, at twice the cost.

    Raises:
        DataError: as ``search`` does, and for what is no image (channels, height, width).

    >>> left = torch.tensor([[[[1.0, 0.0]]]])
    >>> mirrored_nearest(left, left.flip(-1), 1).distances.tolist()
    [[0.0]]
    """
    if queries.ndim != 4:
        raise DataError(
            f"{names[0]} of shape {tuple(queries.shape[1:])} have no left and right",
            hint="give images (channels, height, width), or search without mirroring",
        )

    def half(index: int) -> Progress | None:
        told = progress
        if told is None:
            return None
        return lambda done, total: told(index * total + done, 2 * total)

    found = [
        search(images, references, k, passing_over=passing_over, progress=half(index), names=names)
        for index, images in enumerate((queries, queries.flip(-1)))
    ]
    distances = torch.cat([each.distances for each in found], dim=1)
    indices = torch.cat([each.indices for each in found], dim=1)
    # Nearest first, and of equally near ones the first: by index, then stably by distance.
    order = indices.argsort(dim=1, stable=True)
    order = order.gather(1, distances.gather(1, order).argsort(dim=1, stable=True))
    distances, indices = distances.gather(1, order), indices.gather(1, order)
    # A reference may be in both lists; its second place, the farther one, is given up.
    by_index = indices.argsort(dim=1, stable=True)
    ordered = indices.gather(1, by_index)
    again = torch.zeros_like(ordered, dtype=torch.bool)
    again[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    twice = torch.zeros_like(again).scatter(1, by_index, again)
    distances = distances.masked_fill(twice, torch.inf)
    indices = indices.masked_fill(twice, -1)
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return TopK(distances.gather(1, order), indices.gather(1, order))
