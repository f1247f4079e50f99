"""Which training images are, or nearly are, the same image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ecotone.measures.search import TopK, within

__all__ = ["digests", "exact_duplicates", "near_duplicates"]


def exact_duplicates(images: Shaped[Tensor, " n *shape"]) -> Int64[Tensor, " n"]:
    """Return, for each image, the index of the first image that equals it.

    >>> exact_duplicates(torch.tensor([[1.0], [2.0], [1.0], [-0.0], [0.0]])).tolist()
    [0, 1, 0, 3, 3]
    """
    first: dict[bytes, int] = {}
    labels = [first.setdefault(digest, index) for index, digest in enumerate(digests(images))]
    return torch.tensor(labels, dtype=torch.int64)


def digests(images: Shaped[Tensor, " n *shape"]) -> list[bytes]:
    """Return a hash (BLAKE2b) of each image's values; equal images, and no others, share theirs.

    >>> first, second = digests(torch.tensor([[-0.0], [0.0]]))
    >>> first == second
    True
    """
    flat = images.detach().reshape(len(images), -1).cpu()
    if flat.is_floating_point() and flat.dtype != torch.float64:
        flat = flat.float()
    # Adding zero turns -0.0, which equals 0.0 but has other bytes, into 0.0.
    return [hashlib.blake2b((row + 0).numpy().tobytes(), digest_size=16).digest() for row in flat]


def near_duplicates(
    images: Shaped[Tensor, " n *shape"],
    *,
    exact: Int64[Tensor, " n"],
    others: TopK,
    threshold: float,
) -> Int64[Tensor, " n"]:
    """Return a cluster for each image: two at ``threshold`` or less of each other share theirs.

    Clusters are the connected components of that relation, so a chain of near duplicates is one
    cluster. They are numbered in the order of their first images.

    Args:
        images: of any shape.
        exact: see :func:`exact_duplicates`.
        others: the nearest of those images that are not exact duplicates, for every image.
        threshold: distance in the units of the images, 0 or more.

    >>> from ecotone.measures.search import nearest
    >>> line = torch.tensor([[0.0], [1.0], [1.1], [0.0]])
    >>> exact = exact_duplicates(line)
    >>> others = nearest(line, line, 1, passing_over=(exact, exact))
    >>> near_duplicates(line, exact=exact, others=others, threshold=0.2).tolist()
    [0, 1, 1, 0]
    """
    n = len(images)
    labels = exact.cpu().numpy()
    rows, places = (others.distances <= threshold).cpu().nonzero(as_tuple=True)
    columns = others.indices.cpu()[rows, places]
    labels = _joined(labels, [(rows.numpy(), columns.numpy())])
    # Where all that are listed are near, more may be: these lists are completed.
    full = (others.distances[:, -1].cpu() <= threshold) & (exact.cpu() == torch.arange(n))
    open_ended = full.nonzero()[:, 0]
    if len(open_ended):
        queries = images[open_ended.to(images.device)]
        found = (
            (open_ended[pairs.rows.cpu()].numpy(), pairs.columns.cpu().numpy())
            for pairs in within(queries, images, threshold)
        )
        labels = _joined(labels, found)
    order, first = np.unique(labels, return_index=True)
    rank = np.empty(len(order), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(order))
    return torch.from_numpy(rank[np.searchsorted(order, labels)])


def _joined(labels: np.ndarray, edges: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return labels after joining those of both ends of each edge, one batch at a time."""
    for rows, columns in edges:
        ends = (labels[rows], labels[columns])
        graph = coo_array((np.ones(len(rows), dtype=bool), ends), shape=(len(labels),) * 2)
        _, components = connected_components(graph, directed=False)
        labels = components[labels]
    return labels
