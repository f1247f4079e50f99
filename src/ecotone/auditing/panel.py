"""Where measures disagree: what each of them says of the same samples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from ecotone.auditing.record import DisagreementRecord
from ecotone.measures.detectors import DETECTORS, OF_DISTRIBUTIONS
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.scores import copy_scores

__all__ = ["agreement", "detected"]


def detected(evidence: Evidence, some: Evidence, *, level: float) -> list[DisagreementRecord]:
    """Return what every detector says by itself, at the whole level of the audit.

    They are here to be compared, not to be counted: that one of so many rings by chance is likely.

    Args:
        evidence: of all images.
        some: of as many as distributions are compared by.
        level: of the audit.
    """
    found = []
    for name, detector in DETECTORS.items():
        said = detector(some if name in OF_DISTRIBUTIONS else evidence)
        if said is None:
            continue
        found.append(
            DisagreementRecord(
                name=name,
                about=(detector.__doc__ or "").splitlines()[0],
                statistic=said.statistic,
                p_value=said.p_value,
                says_copying=None if said.p_value is None else said.p_value <= level,
            )
        )
    return found


def agreement(neighbours: Neighbours) -> dict[str, dict[str, float]]:
    """Return Spearman's rank correlation of the scores of generated images, score by score.

    Scores that do not vary correlate with none and are left out.
    """
    scores = {
        name: rankdata(score.generated.numpy())
        for name, score in copy_scores(neighbours).items()
        if len(score.generated.unique()) > 1
    }
    table: dict[str, dict[str, float]] = {name: {name: 1.0} for name in scores}
    for one, other in combinations(scores, 2):
        rank = float(np.corrcoef(scores[one], scores[other])[0, 1])
        table[one][other] = table[other][one] = rank
    return table
