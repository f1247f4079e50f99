"""The multi-step linear model: ridge and sampler, by deterministic equivalents.

With a covariance ridge c the Wiener filter run to the end generates N(x̄, S + cI), S the unbiased
covariance of n points. For a population of any spectrum, S is replaced in traces and determinants
by what they tend to as d, n → ∞ (Silverstein and Bai 1995). For an isotropic one, any sampler turns
each eigenvalue of S by itself, and expectations are integrals over the Marchenko–Pastur law.
Derived in docs/onset.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from ecotone.theory.base import root
from ecotone.theory.marchenko_pastur import expectation
from ecotone.theory.plug_in import (
    expected_log_det,
    kl_generated_population,
    kl_population_generated,
)

__all__ = ["SampledTheory", "WienerTheory", "equivalent"]

Vector = Float64[np.ndarray, " d"]


def equivalent(
    variances: Float64[np.ndarray, " d"], shift: Float64[np.ndarray, " d"], freedom: float
) -> tuple[float, float]:
    """Return E log det(S + M) and E tr Σ(S + M)^{−1} for νS ~ Wishart(ν, Σ), d and ν large.

    Σ and M are diagonal in the same basis. With δ ≥ 0 from δ = (1/ν) tr Σ(M + Σ/(1 + δ))^{−1},

        log det(S + M) ≈ log det(M + Σ/(1 + δ)) + ν log(1 + δ) − νδ/(1 + δ),
        tr Σ(S + M)^{−1} ≈ νδ.

    For M = cI, κ = c(1 + δ) solves κ − (κ/ν) tr Σ(Σ + κ)^{−1} = c. Any ν > 0, below d or above.

    Args:
        variances: diagonal of Σ, above 0.
        shift: diagonal of M, above 0.
        freedom: ν.

    >>> far = equivalent(np.ones(3), np.full(3, 2.0), 1e9)
    >>> [round(value, 6) for value in far]  # 3 log 3 and 3/3
    [3.295837, 1.0]
    """

    def excess(delta: float) -> float:
        return float((variances / (shift + variances / (1 + delta))).sum()) / freedom - delta

    delta = root(excess, 0.0, float((variances / shift).sum()) / freedom)
    log_det = float(np.log(shift + variances / (1 + delta)).sum())
    log_det += freedom * (math.log1p(delta) - delta / (1 + delta))
    return log_det, freedom * delta


class WienerTheory:
    """What the Wiener model is predicted to generate, sampled to the end.

    Args:
        variances: eigenvalues of the population's covariance, above 0.
        ridge: c, 0 or more, in the same units.

    >>> theory = WienerTheory(np.ones(100), ridge=0.1)
    >>> theory.kl_population_generated(50) < theory.kl_population_generated(20)
    True
    """

    def __init__(self, variances: Float64[np.ndarray, " d"], *, ridge: float = 0.0) -> None:
        if not (variances > 0).all() or not 0 <= ridge < math.inf:
            raise ValueError("a variance is not above 0, or the ridge is negative or infinite")
        self.variances, self.ridge = variances, ridge
        self.dimension = len(variances)

    def kl_generated_population(self, n: float) -> float | None:
        """Return E KL(generated ‖ population) in nats; None where it is infinite.

        ½[c tr Σ^{−1} + d/n + log det Σ − E log det(S + c)]; exact without a ridge.
        """
        if self.ridge == 0:
            return kl_generated_population(n, dimension=self.dimension)
        if n < 2:
            return None
        log_det, _ = self._with(self.ridge, n)
        added = self.ridge * float((1 / self.variances).sum())
        return 0.5 * (added + self.dimension / n - (log_det - self._own))

    def kl_population_generated(self, n: float) -> float | None:
        """Return E KL(population ‖ generated) in nats; None where it is infinite.

        ½[(1 + 1/n) E tr Σ(S + c)^{−1} − d + E log det(S + c) − log det Σ]; exact without a ridge.
        """
        if self.ridge == 0:
            return kl_population_generated(n, dimension=self.dimension)
        if n < 2:
            return None
        log_det, trace = self._with(self.ridge, n)
        return 0.5 * ((1 + 1 / n) * trace - self.dimension + log_det - self._own)

    def log_affinity(self, n: float) -> float | None:
        """Return log ∫√(p q) with the population, of a typical fit; −∞ at n ≤ d without a ridge.

        (d/2) log 2 + ¼ log det Σ + ¼ log det(S + c) − ½ log det(Σ + S + c)
        − (1/4n) tr Σ(Σ + S + c)^{−1}.
        """
        d = self.dimension
        if n < 2:
            return None
        if self.ridge > 0:
            bare, _ = self._with(self.ridge, n)
        elif n <= d:
            return -math.inf
        else:
            unit = expected_log_det(d, n - 1)
            if unit is None:
                return None
            bare = self._own + unit
        both, trace = self._with(self.variances + self.ridge, n)
        return d / 2 * math.log(2) + (self._own + bare) / 4 - both / 2 - trace / (4 * n)

    def affinity(self, n: float) -> float | None:
        """Return the affinity per dimension, (∫√(p q))^{1/d}."""
        log = self.log_affinity(n)
        return None if log is None else math.exp(log / self.dimension)

    def hellinger_squared(self, n: float) -> float | None:
        """Return H² = 1 − ∫√(p q), of a typical fit."""
        log = self.log_affinity(n)
        return None if log is None else -math.expm1(log)

    @property
    def _own(self) -> float:
        """The log determinant of Σ."""
        return float(np.log(self.variances).sum())

    def _with(self, shift: Vector | float, n: float) -> tuple[float, float]:
        return equivalent(self.variances, shift + np.zeros(self.dimension), n - 1)


class SampledTheory:
    """What a Wiener model is predicted to generate by a given sampler, on isotropic data.

    Where the sampler generates variance f(λ) from an eigenvalue λ of S, and moves the mean to
    (1 − a)x̄, an expectation over S is d E f under Marchenko–Pastur at γ = d/(n − 1). Where that of
    the plug-in Gaussian, f(λ) = λ, is known exactly, it only adds the difference.

    Args:
        dimension: d.
        generated: f, in units of the population's variance, of arrays.
        start: a(λ), the share of the starting noise that is left at the end, likewise.

    >>> plug_in = SampledTheory(100, lambda x: x, lambda x: 0 * x)
    >>> exact = kl_generated_population(300, dimension=100)
    >>> abs(plug_in.kl_generated_population(300) - exact) < 1e-9
    True
    """

    def __init__(
        self,
        dimension: int,
        generated: Callable[[np.ndarray], np.ndarray],
        start: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.dimension, self.generated, self.start = dimension, generated, start

    def kl_generated_population(self, n: float) -> float | None:
        """Return E KL(generated ‖ population) in nats; None for n ≤ d.

        Exact plug-in value + (d/2) E[f − λ − log(f/λ) + ((1 − a)² − 1)/n].
        """
        exact = kl_generated_population(n, dimension=self.dimension)
        if exact is None:
            return None

        def more(x: np.ndarray) -> np.ndarray:
            made = self.generated(x)
            return made - x - np.log(made / x) + ((1 - self.start(x)) ** 2 - 1) / n

        return exact + self._half(more, n)

    def kl_population_generated(self, n: float) -> float | None:
        """Return E KL(population ‖ generated) in nats; None for n ≤ d + 2.

        Exact plug-in value + (d/2) E[1/f − 1/λ + log(f/λ) + ((1 − a)²/f − 1/λ)/n].
        """
        exact = kl_population_generated(n, dimension=self.dimension)
        if exact is None:
            return None

        def more(x: np.ndarray) -> np.ndarray:
            made = self.generated(x)
            moved = ((1 - self.start(x)) ** 2 / made - 1 / x) / n
            return 1 / made - 1 / x + np.log(made / x) + moved

        return exact + self._half(more, n)

    def affinity(self, n: float) -> float | None:
        """Return the affinity per dimension of a typical fit with the population; None for n ≤ d.

        That of the plug-in Gaussian times the exponential of
        E[¼ log(f/λ) − ½ log((1 + f)/(1 + λ)) + ¼(1/(1 + λ) − (1 − a)²/(1 + f))/n].
        """
        if n <= self.dimension + 1:
            return None
        plug_in = WienerTheory(np.ones(self.dimension)).affinity(n)
        if plug_in is None:
            return None

        def more(x: np.ndarray) -> np.ndarray:
            made = self.generated(x)
            moved = (1 / (1 + x) - (1 - self.start(x)) ** 2 / (1 + made)) / n
            return np.log(made / x) / 4 - np.log((1 + made) / (1 + x)) / 2 + moved / 4

        return plug_in * math.exp(expectation(more, self.dimension / (n - 1)))

    def hellinger_squared(self, n: float) -> float | None:
        """Return H² = 1 − ∫√(p q), of a typical fit; None for n ≤ d."""
        affinity = self.affinity(n)
        return None if affinity is None else -math.expm1(self.dimension * math.log(affinity))

    def wasserstein2_squared(self, n: float) -> float | None:
        """Return E W₂² to the population, in units of its variance: d E[(√f − 1)² + (1 − a)²/n].

        Below n = d too, where a share of all λ is 0. None for n < 2.

        >>> plug_in = SampledTheory(100, lambda x: x, lambda x: 0 * x)
        >>> plug_in.wasserstein2_squared(50) > plug_in.wasserstein2_squared(200)
        True
        """
        if n < 2:
            return None

        def apart(x: np.ndarray) -> np.ndarray:
            return (np.sqrt(self.generated(x)) - 1) ** 2 + (1 - self.start(x)) ** 2 / n

        return self.dimension * expectation(apart, self.dimension / (n - 1))

    def _half(self, function: Callable[[np.ndarray], np.ndarray], n: float) -> float:
        ratio = self.dimension / (n - 1)
        return 0.5 * self.dimension * expectation(function, ratio) if ratio < 1 else math.nan
