"""Every way to tell copying from none, as a number and, where there is one, a test.

The benchmark of planted copies holds them all against the truth; the audit asks those that it shows
to see most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from ecotone.core.alarm import copying_p_value
from ecotone.measures.authenticity import authenticity_ratios
from ecotone.measures.closest_record import closest_record_test, standing_out
from ecotone.measures.data_copying import data_copying_of
from ecotone.measures.evidence import Evidence
from ecotone.measures.exceedance import exceedance
from ecotone.measures.fair_spaces import fair_space
from ecotone.measures.frechet import frechet_distance
from ecotone.measures.membership import membership_test
from ecotone.measures.neighbours import GAP_RATIO
from ecotone.measures.penalized import cosine_distances
from ecotone.measures.subsets import shuffled

__all__ = ["DETECTORS", "OF_DISTRIBUTIONS", "Detection", "Detector"]


class Detection(NamedTuple):
    """What one detector says of one set of generated images."""

    statistic: float
    """The higher, the more copying."""
    p_value: float | None
    """Chance of so much or more from an honest generator; None where the measure has no test."""


Detector = Callable[[Evidence], Detection | None]
"""Returns None where it has nothing to go by, such as a holdout."""


def gap_ratio(evidence: Evidence) -> Detection | None:
    """Copies by the gap ratio 1/3, more among generated than among held-out images (Fisher)."""
    scores = evidence.scores.get("gap_ratio")
    if scores is None or scores.holdout is None:
        return None
    return _fisher(scores.generated < GAP_RATIO, scores.holdout < GAP_RATIO)


def calibrated(evidence: Evidence) -> Detection | None:
    """Copies by the calibrated distance, more among generated than held-out images (Fisher)."""
    scores = evidence.scores.get("calibrated")
    if scores is None or scores.holdout is None:
        return None
    return _fisher(scores.generated < 1, scores.holdout < 1)


def authenticity(evidence: Evidence) -> Detection | None:
    """Images that are not authentic, more among generated than among held-out ones (Fisher)."""
    ratios = authenticity_ratios(evidence.neighbours)
    if ratios is None or ratios.holdout is None:
        return None
    return _fisher(ratios.generated <= 1, ratios.holdout <= 1)


def data_copying(evidence: Evidence) -> Detection | None:
    """Generated images nearer to the training set than held-out ones, cell by cell (C_T)."""
    found = data_copying_of(evidence)
    return None if found is None else Detection(-found.statistic, found.p_value)


def _fisher(generated: torch.Tensor, holdout: torch.Tensor) -> Detection:
    copied, n, floor, m = int(generated.sum()), len(generated), int(holdout.sum()), len(holdout)
    return Detection(copied / n - floor / m, copying_p_value(copied, n, floor, m))


def _beyond(score: str) -> Detector:
    def detector(evidence: Evidence) -> Detection | None:
        scores = evidence.scores.get(score)
        if scores is None or scores.holdout is None:
            return None
        found = exceedance(generated=scores.generated, holdout=scores.holdout)
        return Detection(found.count / found.n, found.p_value)

    named = "calibrated distance" if score == "calibrated" else score.replace("_", " ")
    detector.__doc__ = f"Images whose {named} is below the holdout's 1 % quantile (exact test)."
    return detector


def closest_record(evidence: Evidence) -> Detection | None:
    """Images nearer to the training set than labels by chance make them (permutation test)."""
    test = closest_record_test(evidence.neighbours, seed=evidence.seed)
    return None if test is None else Detection(test.share - test.expected, test.p_value)


def standing_out_record(evidence: Evidence) -> Detection | None:
    """Closest record among images whose nearest stands out from its surroundings (permutations)."""
    if evidence.holdout is None:
        return None
    test = closest_record_test(
        evidence.neighbours, weights=standing_out(evidence.neighbours), seed=evidence.seed
    )
    return (
        Detection(0.0, 1.0) if test is None else Detection(test.share - test.expected, test.p_value)
    )


def membership(evidence: Evidence) -> Detection | None:
    """Training images nearer to generated ones than held-out images are (Mann–Whitney)."""
    of_training, of_holdout = evidence.to_generated
    if of_holdout is None:
        return None
    found = membership_test(
        training=of_training.distances[:, 0], holdout=of_holdout.distances[:, 0]
    )
    return Detection(found.auc, found.p_value)


def likelihood(evidence: Evidence) -> Detection | None:
    """Training images likelier than held-out ones around generated ones (permutation test)."""
    found = evidence.likelihood
    return None if found is None else Detection(-found.gap.value, found.p_value)


def memorization_distance(evidence: Evidence) -> Detection | None:
    """Cosine distance to the nearest training image, over held-out images' (as in MiFID)."""
    found = cosine_distances(evidence)
    if found.holdout is None:
        return None
    return Detection(float(found.holdout.mean() - found.generated.mean()), None)


def frechet_difference(evidence: Evidence) -> Detection | None:
    """Fréchet distance to the holdout less that to as many training images."""
    holdout, seed = evidence.holdout, evidence.seed
    if holdout is None or min(len(evidence.generated), len(holdout), len(evidence.training)) < 2:
        return None
    size = min(len(evidence.training), len(holdout))
    space = fair_space(evidence, "training", "holdout")
    generated = space(evidence.generated)
    ours, theirs = (
        frechet_distance(
            generated=generated, reference=space(images[shuffled(images, seed, "frechet")[:size]])
        )
        for images in (evidence.training, holdout)
    )
    return Detection(theirs - ours, None)


DETECTORS: Mapping[str, Detector] = {
    "gap_ratio": gap_ratio,
    "calibrated": calibrated,
    "authenticity": authenticity,
    "distance_quantile": _beyond("distance"),
    "gap_ratio_quantile": _beyond("gap_ratio"),
    "calibrated_quantile": _beyond("calibrated"),
    "authenticity_quantile": _beyond("authenticity"),
    "closest_record": closest_record,
    "standing_out_record": standing_out_record,
    "membership": membership,
    "data_copying": data_copying,
    "likelihood": likelihood,
    "memorization_distance": memorization_distance,
    "frechet_difference": frechet_difference,
}
"""Every detector by name."""

OF_DISTRIBUTIONS = frozenset({"likelihood", "memorization_distance", "frechet_difference"})
"""Detectors that compare distributions, for which some of many images will do."""
