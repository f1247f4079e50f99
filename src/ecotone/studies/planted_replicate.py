"""One replicate of the planted-copy benchmark: sets are drawn, copies planted, detectors asked.

What is dear is had once for all that a replicate judges: the training set's and the holdout's own
neighbours, and those of every fresh image and every copy. A set of generated images is then a
choice among these rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy.stats import rankdata
from torch import Tensor

from ecotone.core.seeds import derive
from ecotone.features import FEATURES
from ecotone.measures.calibrated import NEAREST
from ecotone.measures.detectors import DETECTORS
from ecotone.measures.evidence import Evidence
from ecotone.measures.mirrored import mirrored_nearest
from ecotone.measures.neighbours import Reference
from ecotone.measures.search import Search, nearest
from ecotone.populations import Population, plant_copies
from ecotone.studies.planted_config import NULL, PlantedConfig
from ecotone.studies.planted_pool import PooledEvidence, choose

__all__ = ["Judged", "Sets", "planted_sets", "ranking", "replicate"]


LISTED = 64
"""Rows of the pool listed for each real image; where none is in a set, the set is searched."""


class Judged(NamedTuple):
    """One set of generated images, as rows of all that a replicate holds."""

    generated: int
    """How many images."""
    transform: str
    share: float
    chosen: Int64[Tensor, " generated"]
    copies: int
    """How many of them are copies."""


class Sets(NamedTuple):
    """What a replicate judges, and against what."""

    training: Tensor
    holdout: Tensor
    pool: Tensor
    """Fresh images, and after them the copies of every set."""
    judged: list[Judged]


def replicate(config: PlantedConfig, population: Population, index: int) -> list[dict]:
    """Draw, plant and judge once, for every number of images, transform and share.

    Args:
        config: complete.
        population: that ``config`` names.
        index: number of the replicate; it names the streams of random numbers.

    Returns:
        For each set judged: ``generated``, ``transform``, ``share``, ``copies``; ``detections``,
        statistic and p-value by detector; and ``rankings``, area under the ROC curve and average
        precision by score. What cannot be had is absent, or None.
    """
    seed = derive(config.seed, "planted", index)
    training, holdout, pool, judged = planted_sets(config, population, seed)
    search: Search = mirrored_nearest if config.mirrored else nearest
    reference = Reference(training=training, holdout=holdout, listed=NEAREST + 1, search=search)
    neighbours = reference.neighbours(pool)
    training_listed, holdout_listed = (
        search(images, pool, min(LISTED, len(pool))) for images in (training, holdout)
    )
    pooled = (training_listed, holdout_listed)
    features = FEATURES.create(config.features.kind, config.features.options).fit(holdout)
    sigma_data = float(training.double().std())
    found = []
    for one in judged:
        evidence = PooledEvidence(
            generated=pool[one.chosen],
            training=training,
            holdout=holdout,
            neighbours=choose(neighbours, one.chosen),
            features=features,
            denoiser=None,
            sigma_data=sigma_data,
            seed=derive(seed, "evidence"),
            search=search,
            chosen=one.chosen,
            pooled=pooled,
        )
        # Copies are the rows past the fresh images.
        planted = one.chosen >= max(config.generated)
        found.append(
            {
                "generated": one.generated,
                "transform": one.transform,
                "share": one.share,
                "copies": one.copies,
                "detections": dict(_detections(config, evidence)),
                "rankings": dict(_rankings(evidence, planted)) if one.copies else {},
            }
        )
    return found


def planted_sets(config: PlantedConfig, population: Population, seed: int) -> Sets:
    """Return the sets of one replicate, in the space that distances are taken in.

    Fresh images come from the holdout's side of the split, so that no group that the training set
    holds is among them. Those of a smaller set are among those of a larger; in each, the copies of
    a smaller share are among those of a larger.
    """
    most = max(config.generated)
    split = population.split(config.n, config.holdout + most, derive(seed, "split"))
    training, held = split.training, split.holdout
    holdout, fresh = held[: config.holdout], held[config.holdout :]
    judged, copies, start = [], [], most
    for size in config.generated:
        judged.append(Judged(size, NULL, 0.0, torch.arange(size), 0))
        for label, transform in config.labels.items():
            planted = plant_copies(
                generated=fresh[:size],
                training=training,
                share=config.shares[-1],
                seed=derive(seed, "plant"),
                transform=transform.kind,
                options=transform.options,
                value_range=population.value_range,
            )
            copies.append(planted.images[planted.rows])
            for share in config.shares:
                count, chosen = round(share * size), torch.arange(size)
                chosen[planted.rows[:count]] = torch.arange(start, start + count)
                judged.append(Judged(size, label, share, chosen, count))
            start += len(planted.rows)
    pool = torch.cat([fresh, *copies])
    if config.distance.kind != "pixels":
        space = FEATURES.create(config.distance.kind, config.distance.options).fit(holdout)
        training, holdout, pool = (space(images).float() for images in (training, holdout, pool))
    return Sets(training, holdout, pool, judged)


def ranking(
    scores: Float64[Tensor, " n"], planted: Bool[Tensor, " n"]
) -> tuple[float, float] | None:
    """Return how well a score, small for copies, ranks planted images before honest ones.

    The area under the ROC curve, P(a copy scores less than an honest image) + ½ P(they tie), and
    average precision Σ_k (R_k − R_{k−1}) P_k over the distinct scores.

    Returns:
        Both, or None where all are copies or none is, or some have no score.

    >>> scores = torch.tensor([0.1, 0.9, 0.2, 0.8], dtype=torch.float64)
    >>> ranking(scores, torch.tensor([True, False, False, True]))
    (0.75, 0.8333333333333333)
    """
    copies, honest = int(planted.sum()), int((~planted).sum())
    if not copies or not honest or scores.isnan().any():
        return None
    truth = planted.numpy()
    ranks = rankdata(scores.numpy())
    auc = 1 - (ranks[truth].sum() - copies * (copies + 1) / 2) / (copies * honest)
    # Tied scores are called together: what counts is the last of each group.
    order = np.argsort(ranks, kind="stable")
    last = np.append(np.diff(ranks[order]) > 0, True)
    found = truth[order].cumsum()[last]
    precision = found / (np.flatnonzero(last) + 1)
    average = float((np.diff(found, prepend=0) / copies * precision).sum())
    return float(auc), average


def _detections(
    config: PlantedConfig, evidence: Evidence
) -> Iterator[tuple[str, list[float | None]]]:
    for name in config.detectors:
        detection = DETECTORS[name](evidence)
        if detection is not None and math.isfinite(detection.statistic):
            yield name, [detection.statistic, detection.p_value]


def _rankings(
    evidence: Evidence, planted: Bool[Tensor, " n"]
) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, scores in evidence.scores.items():
        told = ranking(scores.generated, planted)
        if told is not None:
            yield name, told
