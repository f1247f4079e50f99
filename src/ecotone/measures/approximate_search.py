"""Approximate search in the place of an exact one, with a record of what it missed."""

from __future__ import annotations

import torch
from torch import Tensor

from ecotone.core.readings import Reading
from ecotone.measures.approximate import approximate_nearest
from ecotone.measures.search import Labels, Progress, TopK

__all__ = ["ApproximateSearch"]

_SPARE = 16
"""References listed beyond those asked for where some are passed over."""


class ApproximateSearch:
    """Finds near references by an index, and keeps how often the nearest one was found.

    It stands where :func:`ecotone.measures.search.nearest` does. References that are to be passed
    over are left out of longer lists; where more than 16 were, a list may end early.

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
        wanted = k if passing_over is None else min(len(references), k + _SPARE)
        found, recall = approximate_nearest(
            queries, references, wanted, seed=self.seed, progress=progress
        )
        self.recalls.append(recall)
        if passing_over is None:
            return found
        labels = passing_over[1].to(found.indices.device)[found.indices.clamp_min(0)]
        own = labels == passing_over[0].to(labels.device)[:, None]
        distances = found.distances.masked_fill(own, torch.inf)
        indices = found.indices.masked_fill(own, -1)
        order = distances.argsort(dim=1, stable=True)[:, :k]
        return TopK(distances.gather(1, order), indices.gather(1, order))

    @property
    def recall(self) -> Reading | None:
        """The least recall of any search; None before the first."""
        return min(self.recalls, key=lambda reading: reading.value, default=None)
