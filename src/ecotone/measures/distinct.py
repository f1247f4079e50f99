"""The nearest reference, and the nearest of another kind than that."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from ecotone.measures.search import Search, TopK, nearest

__all__ = ["LISTED", "Proximity", "proximity"]

LISTED = 4
"""Nearest references listed first; where all are of one kind, more are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Proximity:
    """How near each of n images is to a set of references, such as the training set.

    Args:
        distance: to the nearest reference, Euclidean, in the units of the images.
        index: of that reference; of equally near ones the first.
        distinct_distance: to the nearest reference of another kind (cluster of near duplicates)
            than the nearest's; None where some image has none, as all references are of one kind.
        distinct_index: of that reference.
        listed: the nearest references of each image, nearest first; as many as were asked for.
    """

    distance: Float64[Tensor, " n"]
    index: Int64[Tensor, " n"]
    distinct_distance: Float64[Tensor, " n"] | None
    distinct_index: Int64[Tensor, " n"] | None
    listed: TopK


def proximity(
    images: Shaped[Tensor, "n ..."],
    references: Shaped[Tensor, "m ..."],
    *,
    kinds: Int64[Tensor, " m"],
    listed: TopK,
    among: bool = False,
    search: Search = nearest,
) -> Proximity:
    """Return the nearest reference of each image, and the nearest of another kind.

    Args:
        images: queries.
        references: on the images' device.
        kinds: a number for each reference, on the CPU; those of one kind share theirs.
        listed: some of the nearest references of each image.
        among: whether the images are the references themselves and, in ``listed``, passed over;
            then an image is never its own neighbour.
        search: finds nearest references where the list holds one kind alone; that which the list
            is from.

    >>> import torch
    >>> points = torch.tensor([[0.0], [0.1], [5.0]])
    >>> listed = nearest(points[:1], points, 1)
    >>> found = proximity(points[:1], points, kinds=torch.tensor([0, 0, 1]), listed=listed)
    >>> found.index.tolist(), found.distinct_index.tolist()
    ([0], [2])
    """
    listed = TopK(listed.distances.cpu(), listed.indices.cpu())
    distances, indices = listed
    distance, index = distances[:, 0].clone(), indices[:, 0].clone()
    if len(kinds.unique()) < 2:
        return Proximity(distance, index, None, None, listed)
    kind = kinds[index]
    other = (kinds[indices] != kind[:, None]) & (indices >= 0)
    place = other.int().argmax(dim=1, keepdim=True)
    distinct_distance = distances.gather(1, place)[:, 0]
    distinct_index = indices.gather(1, place)[:, 0]
    rest = (~other.any(dim=1)).nonzero()[:, 0]
    if len(rest):
        device = references.device
        found = search(
            images[rest.to(images.device)],
            references,
            2 if among else 1,
            passing_over=(kind[rest].to(device), kinds.to(device)),
        )
        found = TopK(found.distances.cpu(), found.indices.cpu())
        # Where its own kind is not passed over, an image among the references finds itself first.
        itself = (found.indices[:, :1] == rest[:, None]).long() * among
        distinct_distance[rest] = found.distances.gather(1, itself)[:, 0]
        distinct_index[rest] = found.indices.gather(1, itself)[:, 0]
        if (distinct_index < 0).any():
            # An image whose own kind and its nearest's are all there are.
            return Proximity(distance, index, None, None, listed)
    return Proximity(distance, index, distinct_distance, distinct_index, listed)
