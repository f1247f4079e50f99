"""Approximate search in the place of an exact one, with a record of what it missed."""

from __future__ import annotations

from torch import Tensor

from ecotone.core.readings import Reading
from ecotone.measures.approximate import approximate_nearest
from ecotone.measures.search import Labels, Progress, TopK

__all__ = ["ApproximateSearch"]


class ApproximateSearch:
    """Finds near references by an index, and keeps how often the nearest one was found.

    It stands where :func:`ecotone.measures.search.nearest` does.

    Args:
        seed: see :func:`ecotone.measures.approximate.approximate_nearest`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.recalls: list[Reading] = []
        """Of every search so far."""

    def __call__(
        self,
        queries: Tensor,
        references: Tensor,
        k: int,
        *,
        passing_over: Labels | None = None,
        progress: Progress | None = None,
        names: tuple[str, str] = ("queries", "references"),
    ) -> TopK:
        """Return near references, nearest first; inf and −1 where fewer were found."""
        del names
        found, recall = approximate_nearest(
            queries, references, k, seed=self.seed, passing_over=passing_over, progress=progress
        )
        self.recalls.append(recall)
        return found

    @property
    def recall(self) -> Reading | None:
        """The least recall of any search; None before the first."""
        return min(self.recalls, key=lambda reading: reading.value, default=None)
