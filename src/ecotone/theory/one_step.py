"""The one-step linear model on isotropic Gaussian data: KL divergences and affinity.

The model regresses x on y = x + √g' η, by least squares with an intercept, and generates
N(μ, C) with C = (v̄ + g') B Bᵀ. In units of the population's standard deviation its only parameter
is g' = σ²/std², and r = 1/(1 + g'). Its slope is B = rI + √(1 − r) G W^{−1/2}, with G standard
normal and W the scatter of y, so that C follows from random-matrix laws. Derived in docs/onset.md.

Two sizes matter: at n = d the slope gets full rank; at n = (1 + g')d the disc of its eigenvalues
lets go of 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from ecotone.theory.base import root
from ecotone.theory.marchenko_pastur import quadrature
from ecotone.theory.plug_in import expected_log_det

__all__ = ["OneStepTheory"]


@dataclass(frozen=True)
class OneStepTheory:
    """What the one-step model is predicted to generate.

    Args:
        dimension: d.
        noise: g', the variance of the noise it regresses with over that of a coordinate.

    >>> theory = OneStepTheory(dimension=100, noise=1 - math.exp(-4))
    >>> round(theory.kept, 5), round(theory.detached, 1)
    (0.50462, 198.2)
    """

    dimension: int
    noise: float

    def __post_init__(self) -> None:
        if self.dimension < 1 or not 0 < self.noise < math.inf:
            raise ValueError(f"dimension = {self.dimension} or noise = {self.noise} is not above 0")

    @property
    def kept(self) -> float:
        """The share of the variance generated from infinitely many points, r = 1/(1 + g').

        >>> OneStepTheory(2, 3.0).kept
        0.25
        """
        return 1 / (1 + self.noise)

    @property
    def detached(self) -> float:
        """(1 + g') d: above it, no eigenvalue of B is near 0."""
        return (1 + self.noise) * self.dimension

    def log_det(self, n: float) -> float | None:
        """Return (1/d) E log det C; None for n ≤ d, where it is −∞.

        C = BBᵀ/r and log|det B|² = log|det(rW^½ + √(1 − r)G)|² − log det W. The last is known
        exactly. The other is, for d, n → ∞ and with x under Marchenko–Pastur at d/(n − 1),

            E log((n − 1)rx + w²) − w²/((1 − r)d),  E[1/((n − 1)rx + w²)] = 1/((1 − r)d)

        per dimension, w² > 0, and w = 0 for n > (1 + g')d, where all is log r. To this the next
        order is added: for n > (1 + g')d it is (1/d) log(1 − t), t = g'd/(n − d). Below, it is
        what the formula lacks without signal, r = 0, when all is exact:
        (1/d)Σψ(i/2) + log 2 − log d + 1; by simulation it is the same for all n in that range.
        Between the two, the larger is taken.

        >>> OneStepTheory(100, 1.0).log_det(100) is None
        True
        """
        d, r, freedom = self.dimension, self.kept, n - 1
        scatter = expected_log_det(d, freedom) if freedom >= d else None
        if scatter is None:
            return None
        lacking = float(digamma(np.arange(1, d + 1) / 2).mean()) + math.log(2 / d) + 1
        t = self.noise * d / (n - d)
        if t < 1:
            return math.log(r) + max(math.log1p(-t) / d, lacking)
        x, weights = quadrature(d / freedom)
        scale = (1 - r) * d

        def excess(square: float) -> float:
            return float(weights @ (1 / (freedom * r * x + square))) - 1 / scale

        square = 0.0 if excess(0.0) <= 0 else root(excess, 0.0, scale)
        level = float(weights @ np.log(freedom * r * x + square)) - square / scale
        return level - math.log(freedom) - scatter / d + lacking

    def kl_generated_population(self, n: float) -> float | None:
        """Return E KL(generated ‖ population) in nats; None for n ≤ d + 2.

        ½[tr C + |μ − m|² − d − log det C], with E tr C = rd + (1 − r)d²/(n − d − 2) and
        E|μ − m|² = (1/n)[d + g'd(r² + r(1 − r)d/(n − d − 2))].

        >>> theory = OneStepTheory(100, 1.0)
        >>> theory.kl_generated_population(1e9) > theory.floor_generated_population
        True
        """
        d, r, g = self.dimension, self.kept, self.noise
        log_det = self.log_det(n)
        if log_det is None or n <= d + 2:
            return None
        spread = d / (n - d - 2)
        trace = d * (r + (1 - r) * spread)
        moved = d / n * (1 + g * (r * r + r * (1 - r) * spread))
        return 0.5 * (trace + moved - d - d * log_det)

    def kl_population_generated(self, n: float) -> float | None:
        """Return the typical (median) KL(population ‖ generated) in nats; None for n ≤ (1 + g')d.

        Its expectation is infinite at every n, as B may come arbitrarily near to a singular
        matrix. Below (1 + g')d it is of order d², which is all that is known.
        """
        d, r, g = self.dimension, self.kept, self.noise
        if n <= self.detached:
            return None
        inverse = (n - d) / (r * (n - self.detached))
        moved = d / n * (inverse + g * r)  # as BᵀC⁻¹B = r I/std²
        return 0.5 * (d * (inverse - 1 + math.log(r)) + moved)

    def log_affinity(self, n: float) -> float | None:
        """Return (1/d) log of the affinity ∫√(p q) with the population; −∞ for n ≤ d.

        ½ log 2 + ¼ L₀ − ½ L₁ − (1/4nd) tr[(C + I)^{−1} E(μ − m)(μ − m)ᵀ n], with
        L_c = (1/d) E log det(C + c); L₀ is :meth:`log_det`, L₁ :meth:`log_det_shifted`.
        """
        if n <= self.dimension:
            return -math.inf
        bare = self.log_det(n)
        if bare is None:
            return None
        shifted, resolvent = self.log_det_shifted(n, 1.0)
        r = self.kept
        moved = ((1 - r) + r * resolvent) / (4 * n)
        return 0.5 * math.log(2) + bare / 4 - shifted / 2 - moved

    def affinity(self, n: float) -> float | None:
        """Return the affinity per dimension, (∫√(p q))^{1/d}: 0 for n ≤ d, 1 for equal Gaussians.

        >>> theory = OneStepTheory(100, 1.0)
        >>> theory.affinity(50), theory.affinity(1e9) < theory.floor_affinity
        (0.0, True)
        """
        log = self.log_affinity(n)
        return None if log is None else math.exp(log)

    def hellinger_squared(self, n: float) -> float | None:
        """Return H² = 1 − ∫√(p q), of a typical fit; 1 for n ≤ d."""
        log = self.log_affinity(n)
        return None if log is None else -math.expm1(self.dimension * log)

    def log_det_shifted(self, n: float, shift: float) -> tuple[float, float]:
        """Return (1/d) E log det(C + c) and its derivative in c, (1/d) E tr(C + c)^{−1}.

        Deterministic equivalents for d, n → ∞ at n > d: with D = (1 − r)d/((n − 1)(1 + g')x), x
        under Marchenko–Pastur at d/(n − 1), and e² = c/(1 + g'), the fixed point

            δ = E[D/(e²(1 + δ̃D) + r²/(1 + δ))],  δ̃ = E[1/(e²(1 + δ) + r²/(1 + δ̃D))],

        gives log c + E log(1 + δ̃D + r²/(e²(1 + δ))) + log(1 + δ) − e²δδ̃.

        Args:
            n: size of the training set, above d.
            shift: c, above 0.

        Raises:
            ValueError: for n ≤ d or c ≤ 0.
        """
        d, r = self.dimension, self.kept
        if n <= d or shift <= 0:
            raise ValueError(f"n = {n} is not above d = {d}, or shift = {shift} not above 0")
        x, weights = quadrature(d / (n - 1))
        noise = (1 - r) * d * r / ((n - 1) * x)
        square = shift * r
        first = self._fixed_point(weights, noise, square)
        one = 1 + first
        second = self._second(weights, noise, square, first)
        grown = 1 + second * noise
        signal = r * r / (square * one)
        value = math.log(shift) + float(weights @ np.log(grown + signal))
        value += math.log(one) - square * first * second
        # At the fixed point the derivative in c is that at fixed δ and δ̃.
        slope = (1 - float(weights @ (signal / (grown + signal)))) / shift - r * first * second
        return value, slope

    @property
    def floor_generated_population(self) -> float:
        """What KL(generated ‖ population) falls to for n → ∞: (d/2)(r − 1 − log r).

        >>> OneStepTheory(100, 0.98168).floor_generated_population > 9.4
        True
        """
        r = self.kept
        return 0.5 * self.dimension * (r - 1 - math.log(r))

    @property
    def floor_population_generated(self) -> float:
        """What KL(population ‖ generated) falls to for n → ∞: (d/2)(1/r − 1 + log r)."""
        r = self.kept
        return 0.5 * self.dimension * (1 / r - 1 + math.log(r))

    @property
    def floor_affinity(self) -> float:
        """What the affinity per dimension rises to for n → ∞: √2 r^{1/4}/√(1 + r)."""
        r = self.kept
        return math.sqrt(2) * r**0.25 / math.sqrt(1 + r)

    def _second(self, weights: np.ndarray, noise: np.ndarray, square: float, first: float) -> float:
        """Return δ̃ for a given δ: the root of its own equation, which has one."""
        signal = self.kept**2

        def excess(second: float) -> float:
            own = square * (1 + first) + signal / (1 + second * noise)
            return float(weights @ (1 / own)) - second

        return root(excess, 0.0, 1 / (square * (1 + first)))

    def _fixed_point(self, weights: np.ndarray, noise: np.ndarray, square: float) -> float:
        """Return δ."""
        signal = self.kept**2

        def excess(first: float) -> float:
            second = self._second(weights, noise, square, first)
            own = square * (1 + second * noise) + signal / (1 + first)
            return float(weights @ (noise / own)) - first

        return root(excess, 0.0, float(weights @ noise) / square)
