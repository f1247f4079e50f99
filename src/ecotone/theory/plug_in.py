"""The plug-in Gaussian: what a linear model generates that has learned mean and covariance.

Its divergence from a Gaussian population is known exactly in expectation (Wishart moments) and the
same for every population covariance of full rank. Derived in docs/onset.md.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma

from ecotone.theory.marchenko_pastur import expectation

__all__ = [
    "expected_log_det",
    "kl_generated_population",
    "kl_generated_population_limit",
    "kl_population_generated",
    "kl_population_generated_limit",
    "overlap",
]


def expected_log_det(dimension: int, freedom: float) -> float | None:
    """Return E log det(W/ν) for W ~ Wishart(ν, I) in d dimensions; None unless ν > d − 1.

    Σ_{i=1}^d ψ((ν − i + 1)/2) + d log(2/ν).

    >>> expected_log_det(2, 1) is None
    True
    """
    if not freedom > dimension - 1:
        return None
    i = np.arange(1, dimension + 1)
    return float(digamma((freedom - i + 1) / 2).sum()) + dimension * math.log(2 / freedom)


def kl_generated_population(n: float, *, dimension: int, known_mean: bool = False) -> float | None:
    """Return E KL(N(x̄, S) ‖ population) in nats, S the unbiased covariance of n points.

    ½[d/n − E log det], the determinant that of n − 1 degrees of freedom; without d/n and with n of
    them where the mean is known.

    Args:
        n: size of the training set.
        dimension: d.
        known_mean: whether the population's mean is used in place of the training set's.

    Returns:
        None for n ≤ d, where S is singular (with a known mean, n < d).

    >>> round(kl_generated_population(1000, dimension=100), 3)
    2.667
    """
    log_det = expected_log_det(dimension, n if known_mean else n - 1)
    if log_det is None:
        return None
    return 0.5 * ((0.0 if known_mean else dimension / n) - log_det)


def kl_population_generated(n: float, *, dimension: int, known_mean: bool = False) -> float | None:
    """Return E KL(population ‖ N(x̄, S)) in nats.

    ½[νd(1 + 1/n)/(ν − d − 1) − d + E log det] with ν = n − 1; without 1/n and with ν = n where the
    mean is known.

    Args:
        n: size of the training set.
        dimension: d.
        known_mean: whether the population's mean is used in place of the training set's.

    Returns:
        None for ν ≤ d + 1, where it is infinite.

    >>> kl_population_generated(102, dimension=100) is None
    True
    """
    freedom = n if known_mean else n - 1
    log_det = expected_log_det(dimension, freedom)
    if log_det is None or freedom <= dimension + 1:
        return None
    moved = 1.0 if known_mean else 1 + 1 / n
    return 0.5 * (freedom * dimension * moved / (freedom - dimension - 1) - dimension + log_det)


def kl_generated_population_limit(ratio: float) -> float:
    """Return the limit of KL(generated ‖ population)/d for d, n → ∞ at γ = d/n < 1.

    ½[1 + ((1 − γ)/γ) log(1 − γ)] = γ/4 + γ²/12 + …
    """
    _below_one(ratio)
    return 0.5 * (1 + (1 - ratio) / ratio * math.log1p(-ratio))


def kl_population_generated_limit(ratio: float) -> float:
    """Return the limit of KL(population ‖ generated)/d for d, n → ∞ at γ = d/n < 1.

    ½[1/(1 − γ) − 2 − ((1 − γ)/γ) log(1 − γ)] = γ/4 + 5γ²/12 + …
    """
    _below_one(ratio)
    return 0.5 * (1 / (1 - ratio) - 2 - (1 - ratio) / ratio * math.log1p(-ratio))


def overlap(n: float, *, dimension: int) -> float:
    """Return how alike two plug-in models of disjoint training sets generate from one noise.

    tr(S₁^½ S₂^½)/d → (E √x)² under Marchenko–Pastur at γ = d/n, for isotropic data of variance 1
    and n points each: 1 where both have learned the population, and 0 where they share nothing.

    Args:
        n: size of each of the two training sets.
        dimension: d.

    >>> overlap(50, dimension=100) < overlap(800, dimension=100) < 1
    True
    """
    return expectation(np.sqrt, dimension / n) ** 2


def _below_one(ratio: float) -> None:
    if not 0 < ratio < 1:
        raise ValueError(f"ratio = {ratio} is not in (0, 1)")
