"""The Hellinger distance as the first paper's script has it, beside the exact one.

Its kernel distances are the variant ``as_published`` of :mod:`ecotone.measures.kernel_density`.
"""

from __future__ import annotations

import math

import torch

from ecotone.measures.gaussians import log_affinity
from ecotone.populations.normal import Normal

__all__ = ["published_hellinger_squared"]

_CLIP = -25.0
"""Determinants below e^−25 count as 0."""


def published_hellinger_squared(published: Normal, population: Normal) -> float | None:
    """Return 1 − ∫√(pq) with each determinant that is e^−25 or less set to 0.

    The script takes AᵀA for the covariance that a linear model generates, where A Aᵀ is right: pass
    the former. As a generated determinant falls like r^d (r = 0.505 at the paper's settings), the
    clip makes the distance 1 for every size of the training set from d = 37 on.

    Args:
        published: N(μ, AᵀA).
        population: what it is compared with.

    Returns:
        Between 0 and 1; None where the script divides 0 by 0.

    >>> unit = Normal(torch.zeros(60, dtype=torch.float64), torch.ones(60, dtype=torch.float64))
    >>> near = Normal(unit.mean, 0.6 * unit.variances)
    >>> published_hellinger_squared(near, unit), published_hellinger_squared(unit, unit)
    (1.0, 0.0)
    """
    of_generated, of_population = published.log_determinant, population.log_determinant
    if min(of_generated, of_population) > _CLIP:
        return max(0.0, -math.expm1(log_affinity(published, population)))
    total = torch.linalg.eigvalsh(published.covariance() + population.covariance())
    return None if float(total.clamp(min=0).log().sum()) <= _CLIP else 1.0
