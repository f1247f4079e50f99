"""How many generated images look more like copies than nearly all held-out ones do.

Any score of an image will do, as the holdout says what is usual: the test is exact for every score
and every distribution (conformal prediction: Vovk et al. 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from ecotone.core.alarm import copying_p_value

__all__ = ["Exceedance", "exceedance", "rank_for"]


@dataclass(frozen=True)
class Exceedance:
    """Generated images below a threshold that the holdout sets.

    Args:
        count: generated images whose score is below the threshold.
        n: generated images.
        rank: the threshold is the rank-th smallest score of the holdout.
        m: held-out images.
        threshold: that score.
        p_value: chance of so many or more if generated and held-out images are exchangeable.
    """

    count: int
    n: int
    rank: int
    m: int
    threshold: float
    p_value: float

    @property
    def false_positive_rate(self) -> float:
        """Chance that one image that is exchangeable with the holdout's falls below."""
        return self.rank / (self.m + 1)


def rank_for(rate: float, m: int) -> int:
    """Return the rank of the threshold among m held-out scores for a false-positive rate.

    floor(rate · (m + 1)), and 1 at least: with few held-out images the rate is as low as they
    allow, 1/(m + 1).

    >>> rank_for(0.01, 500), rank_for(0.01, 30)
    (5, 1)
    """
    # 0.01 · 100 must be 1 although 0.01 is not a float64.
    return max(1, min(m, math.floor(rate * (m + 1) * (1 + 1e-12))))


def exceedance(
    *, generated: Float64[Tensor, " n"], holdout: Float64[Tensor, " m"], rate: float = 0.01
) -> Exceedance:
    """Return how many generated scores lie below a low quantile of the holdout's, and its p-value.

    With K the number of n generated scores below the j-th smallest of m held-out ones, and all
    n + m exchangeable, K has the negative hypergeometric distribution:
    P(K ≥ k) = P(at most j − 1 of the k + j − 1 smallest are held out). Where scores tie with the
    threshold they do not count, and P is an upper bound.

    Args:
        generated: a score an image; the smaller, the more like a copy.
        holdout: the same of held-out images.
        rate: false-positive rate of a single image, in (0, 1), see :func:`rank_for`.

    Raises:
        ValueError: for no scores, or a rate out of range.

    >>> import torch
    >>> found = exceedance(generated=torch.zeros(3).double(), holdout=torch.ones(3).double())
    >>> found.count, round(found.p_value, 12)  # 1 of C(6, 3) orders
    (3, 0.05)
    """
    n, m = len(generated), len(holdout)
    if not n or not m or not 0 < rate < 1:
        raise ValueError(f"{n} generated and {m} held-out scores at rate={rate} say nothing")
    rank = rank_for(rate, m)
    threshold = float(holdout.kthvalue(rank).values)
    count = int((generated < threshold).sum())
    return Exceedance(
        count=count,
        n=n,
        rank=rank,
        m=m,
        threshold=threshold,
        p_value=copying_p_value(count, n, rank - 1, m),
    )
