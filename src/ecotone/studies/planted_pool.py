"""What is near to what in sets of images that are chosen among the rows of one pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.measures.distinct import Proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.search import TopK

__all__ = ["PooledEvidence", "choose"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PooledEvidence(Evidence):
    """Evidence on some rows of a pool, whose nearest real images were listed once for all of them.

    Args:
        chosen: the rows of the pool that ``generated`` holds.
        pooled: the nearest rows of the pool of each training and of each held-out image.
    """

    chosen: Int64[Tensor, " samples"]
    pooled: tuple[TopK, TopK]

    @cached_property
    def to_generated(self) -> tuple[TopK, TopK | None]:
        """Nearest generated image of each training image and of each held-out one."""
        assert self.holdout is not None
        training, holdout = self.pooled
        return self._chosen(self.training, training), self._chosen(self.holdout, holdout)

    def _chosen(self, images: Shaped[Tensor, "n ..."], listed: TopK) -> TopK:
        """Return the nearest of the chosen rows; where none is listed they are searched."""
        last = max(int(listed.indices.max()), int(self.chosen.max()))
        place = torch.full((last + 1,), -1)
        place[self.chosen] = torch.arange(len(self.chosen))
        places = place[listed.indices]
        there = places >= 0
        first = there.int().argmax(dim=1, keepdim=True)
        distances, indices = listed.distances.gather(1, first), places.gather(1, first)
        rest = (~there.any(dim=1)).nonzero()[:, 0]
        if len(rest):
            distances[rest], indices[rest] = self.search(images[rest], self.generated, 1)
        return TopK(distances, indices)


def choose(neighbours: Neighbours, rows: Int64[Tensor, " n"]) -> Neighbours:
    """Return the neighbours of some of the generated images.

    >>> from ecotone.measures import neighbours
    >>> images = torch.tensor([[0.0], [4.0], [10.0]])
    >>> found = choose(neighbours(generated=images + 1, training=images), torch.tensor([2, 0]))
    >>> found.generated.index.tolist()
    [2, 0]
    """
    found, to_holdout = neighbours.generated, neighbours.generated_to_holdout
    return replace(
        neighbours,
        generated=Proximity(
            distance=found.distance[rows],
            index=found.index[rows],
            distinct_distance=_rows(found.distinct_distance, rows),
            distinct_index=_rows(found.distinct_index, rows),
            listed=TopK(found.listed.distances[rows], found.listed.indices[rows]),
        ),
        generated_to_holdout=None
        if to_holdout is None
        else TopK(to_holdout.distances[rows], to_holdout.indices[rows]),
    )


def _rows(values: Tensor | None, rows: Int64[Tensor, " n"]) -> Tensor | None:
    return None if values is None else values[rows]
