"""Which training images leak, and which generated images give it away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.measures.accumulation import Accumulation, accumulation
from ecotone.measures.neighbours import GAP_RATIO, Neighbours
from ecotone.measures.scores import copy_scores, gap_ratios
from ecotone.measures.search import TopK
from ecotone.populations.sources import Items

__all__ = ["Leaks", "generated_table", "holdout_table", "leaks", "training_table"]


@dataclass(frozen=True)
class Leaks:
    """Different training images leaked, of how many copies, and how many more there would be.

    Args:
        copies: generated images that are copies by the gap ratio.
        unique: different training images (clusters of near duplicates) that they are copies of.
        curve: of different images against samples drawn.
    """

    copies: int
    unique: int
    curve: Accumulation


def leaks(neighbours: Neighbours, *, seed: int) -> Leaks | None:
    """Return how many different training images leaked; None where no copy can stand out."""
    ratios = gap_ratios(neighbours.generated)
    if ratios is None:
        return None
    copied = ratios < GAP_RATIO
    kinds = neighbours.clusters[neighbours.generated.index[copied]]
    _, counts = np.unique(kinds.numpy(), return_counts=True)
    return Leaks(
        copies=int(copied.sum()),
        unique=len(counts),
        curve=accumulation(
            counts.tolist(),
            len(copied),
            seed=seed,
            most=len(neighbours.clusters.unique()),
        ),
    )


def training_table(
    *,
    neighbours: Neighbours,
    training: Items,
    generated: Items,
    to_generated: TopK,
    p_values: Float64[Tensor, " n"] | None,
) -> pl.DataFrame:
    """Return the risk of every training image, the highest first.

    One row an image. ``rank`` counts from 1: most copies first, then the smallest gap ratio of a
    generated image whose nearest it is, then the nearest generated image. ``copies`` are generated
    images that are copies of it or of a near duplicate of it; ``gap_ratio`` the smallest among
    generated images nearest to these, absent where there is none; ``distance`` that to its nearest
    generated image, ``nearest_generated``; ``p_value`` the share of held-out images at least as
    near to a generated one, absent without a holdout; ``duplicates`` how many other training images
    are near duplicates of it, ``cluster`` which they are; ``group`` where there are groups.

    Args:
        neighbours: of the generated images.
        training: the training set.
        generated: the samples.
        to_generated: nearest generated image of every training image.
        p_values: of every training image, see :func:`ecotone.measures.membership.membership_test`.
    """
    n, clusters = len(training.ids), neighbours.clusters
    near, ratios = neighbours.generated, gap_ratios(neighbours.generated)
    kinds = clusters[near.index]
    size = int(clusters.max()) + 1
    copies, least = torch.zeros(size, dtype=torch.int64), torch.full((size,), torch.inf).double()
    if ratios is not None:
        copies = torch.bincount(kinds[ratios < GAP_RATIO], minlength=size)
        least = least.scatter_reduce(0, kinds, ratios, "amin")
    ratio = [value if value < np.inf else None for value in least[clusters].tolist()]
    columns: dict[str, object] = {
        "training": list(training.ids),
        "copies": copies[clusters].numpy(),
        "gap_ratio": pl.Series(ratio, dtype=pl.Float64),
        "distance": to_generated.distances[:, 0].cpu().numpy(),
        "nearest_generated": [generated.ids[i] for i in to_generated.indices[:, 0].tolist()],
        "p_value": pl.Series(
            [None] * n if p_values is None else p_values.tolist(), dtype=pl.Float64
        ),
        "duplicates": (torch.bincount(clusters)[clusters] - 1).numpy(),
        "cluster": clusters.numpy(),
    }
    if training.groups is not None:
        columns["group"] = list(training.groups)
    table = pl.DataFrame(columns).sort(
        ["copies", "gap_ratio", "distance"],
        descending=[True, False, False],
        nulls_last=True,
        maintain_order=True,
    )
    return table.insert_column(0, pl.Series("rank", np.arange(1, n + 1)))


def holdout_table(*, neighbours: Neighbours, holdout: Items) -> pl.DataFrame:
    """Return the same scores of held-out images, in the place of generated ones.

    They are what scores of an honest generator look like. One row an image: ``holdout``, its id,
    and the scores, in the order of the set.

    Raises:
        ValueError: for neighbours without a holdout.
    """
    scores = copy_scores(neighbours)
    if neighbours.holdout is None:
        raise ValueError("there is no holdout")
    columns = {
        name: score.holdout.numpy() for name, score in scores.items() if score.holdout is not None
    }
    return pl.DataFrame({"holdout": list(holdout.ids), **columns})


def generated_table(*, neighbours: Neighbours, generated: Items, training: Items) -> pl.DataFrame:
    """Return what each generated image looks like, the most like a copy first.

    One row an image: ``rank``, ``generated``, ``copy`` by the gap ratio, the scores of
    :data:`ecotone.measures.scores.SCORES` that can be had, ``nearest_training`` and, where
    there is a holdout, ``distance_holdout``, that to the nearest held-out image.
    """
    near, scores = neighbours.generated, copy_scores(neighbours)
    ratios = scores["gap_ratio"].generated if "gap_ratio" in scores else None
    columns: dict[str, object] = {
        "generated": list(generated.ids),
        "copy": pl.Series(
            [None] * len(near.index) if ratios is None else (ratios < GAP_RATIO).tolist(),
            dtype=pl.Boolean,
        ),
        **{name: score.generated.numpy() for name, score in scores.items()},
        "nearest_training": [training.ids[i] for i in near.index.tolist()],
    }
    if neighbours.generated_to_holdout is not None:
        columns["distance_holdout"] = neighbours.generated_to_holdout.distances[:, 0].numpy()
    by = [name for name in ("gap_ratio", "distance") if name in columns]
    table = pl.DataFrame(columns).sort(by, maintain_order=True)
    return table.insert_column(0, pl.Series("rank", np.arange(1, len(near.index) + 1)))
