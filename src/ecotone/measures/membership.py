"""Whether an attacker with the generated images could tell training images from held-out ones.

Distances in the other direction: from real images to the nearest generated one. They say which
training images leak, as an image is at risk where something generated lies nearer to it than to
nearly all images that were never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.evidence import Evidence

__all__ = ["Membership", "auc_interval", "membership", "membership_test"]

FALSE_POSITIVE_RATE = 0.01
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Membership:
    """How well nearness to generated images tells training images from held-out ones.

    Args:
        auc: P(a training image lies nearer than a held-out one) + ½ P(as near).
        low: lower end of its 95 % interval.
        high: upper end.
        p_value: of the Mann–Whitney test that training images lie no nearer.
        p_values: of each training image: (1 + #{held-out images as near or nearer})/(m + 1).
    """

    auc: float
    low: float
    high: float
    p_value: float
    p_values: NDArray[np.float64]


def membership_test(
    *, training: Float64[Tensor, " n"], holdout: Float64[Tensor, " m"]
) -> Membership:
    """Compare the distances from real images to the nearest generated one.

    Training and held-out images that were told apart by chance are exchangeable if the generator
    knows neither, so the Mann–Whitney test (with its correction for ties) holds for any generator.

    Args:
        training: distance of each training image to the nearest generated image.
        holdout: the same of each held-out image.

    >>> import torch
    >>> ours, theirs = torch.arange(9.0).double(), torch.arange(9.0).double() + 20
    >>> found = membership_test(training=ours, holdout=theirs)
    >>> found.auc, found.p_value < 1e-3, float(found.p_values[0])
    (1.0, True, 0.1)
    """
    ours, theirs = training.numpy(), holdout.numpy()
    n, m = len(ours), len(theirs)
    test = mannwhitneyu(theirs, ours, alternative="greater", method="asymptotic")
    auc = float(test.statistic) / (n * m)
    # All distances tied have no spread to test; nothing is then told apart.
    p_value = float(test.pvalue) if np.isfinite(test.pvalue) else 1.0
    as_near = np.searchsorted(np.sort(theirs), ours, side="right")
    low, high = auc_interval(auc, n, m)
    return Membership(auc, low, high, p_value, (1 + as_near) / (m + 1))


def auc_interval(auc: float, n: int, m: int) -> tuple[float, float]:
    """Return a 95 % interval for an AUC (Hanley & McNeil 1982), by inverting its standard error.

    se² = [A(1−A) + (n−1)(Q1−A²) + (m−1)(Q2−A²)]/(nm), Q1 = A/(2−A), Q2 = 2A²/(1+A). The bounds
    are the A's whose z·se reaches the value seen, so that they stay in [0, 1] and do not collapse
    at its ends.

    Args:
        auc: seen, in [0, 1].
        n: of the first kind, 1 or more.
        m: of the second.

    >>> [round(bound, 3) for bound in auc_interval(0.5, 100, 100)]
    [0.421, 0.579]
    >>> auc_interval(1.0, 50, 50)[0] < 1.0
    True
    """
    grid = np.linspace(0.0, 1.0, 20_001)
    q1, q2 = grid / (2 - grid), 2 * grid**2 / (1 + grid)
    variance = grid * (1 - grid) + (n - 1) * (q1 - grid**2) + (m - 1) * (q2 - grid**2)
    inside = np.abs(grid - auc) <= _Z * np.sqrt(np.maximum(variance, 0) / (n * m)) + 1e-12
    kept = grid[inside]
    # The value seen may lie between two points of the grid.
    return min(float(kept[0]), auc), max(float(kept[-1]), auc)


def membership(evidence: Evidence) -> dict[str, Reading]:
    """Return the AUC of membership inference and its true-positive rate at 1 % false positives.

    The attacker ranks images by their distance to the nearest generated one. The rate is the share
    of training images nearer than the j-th nearest of m held-out ones, j = ⌊0.01(m + 1)⌋; absent
    below 99 held-out images. Nothing without a holdout.
    """
    of_training, of_holdout = evidence.to_generated
    if of_holdout is None:
        return {}
    ours, theirs = of_training.distances[:, 0], of_holdout.distances[:, 0]
    test = membership_test(training=ours, holdout=theirs)
    n, m = len(ours), len(theirs)
    how = {"distance": "Euclidean", "holdout_images": m}
    readings = {
        "membership_auc": Reading(
            test.auc,
            n=n,
            unit="AUC",
            higher_is="more copying",
            low=test.low,
            high=test.high,
            how={**how, "p_value": test.p_value, "interval": "Hanley and McNeil, inverted"},
        )
    }
    rank = int(FALSE_POSITIVE_RATE * (m + 1) * (1 + 1e-12))
    if rank:
        count = int((ours < theirs.kthvalue(rank).values).sum())
        low, high = wilson(count, n)
        readings["membership_true_positive_rate"] = Reading(
            count / n,
            n=n,
            unit="share",
            higher_is="more copying",
            low=low,
            high=high,
            how={**how, "false_positive_rate": rank / (m + 1), "interval": "Wilson"},
        )
    return readings
