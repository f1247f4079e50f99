"""Squared distances of a generated Gaussian to its training set and to the original.

Both stand as kernel densities. Two such distances must not be subtracted from one another: see
:mod:`ecotone.measures.delta`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from ecotone.core.errors import ConfigError, nearest
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.measures.overlaps import overlaps
from ecotone.measures.signed_logs import Signed, log_sum, minus
from ecotone.populations.normal import Normal

__all__ = [
    "VARIANTS",
    "ExactDensity",
    "KernelDensity",
    "SquaredDistance",
    "distance",
    "log_distance",
    "overlaps",
]

VARIANTS = ("exact", "as_published")
"""Ways to value a squared distance."""


@dataclass(frozen=True, slots=True)
class SquaredDistance:
    """E = ∫ (p_G − p_S)² = T1 + T2 − T3, each term as a natural logarithm.

    E is a density squared, integrated: per unit of volume, so its size says little by itself.
    """

    log_t1: float
    """Of ∫ p_G²: infinite for a singular covariance, −infinite where the variant omits it."""
    log_t2: float
    """Of ∫ p_S²."""
    log_t3: float
    """Of 2 ∫ p_G p_S."""
    sign: int
    """Of E: 1, 0 where it is lost in rounding; −1 only where the variant omits T1."""
    log_value: float
    """Of |E|; −infinite where it is lost in rounding."""


def distance(
    generated: Normal, reference: KernelDensity | ExactDensity, variant: str = "exact"
) -> SquaredDistance:
    """Return the squared distance between a Gaussian's density and a reference's.

    "exact": with C the Gaussian's covariance, ε the kernel's bandwidth and R and c as
    :class:`KernelDensity` and :func:`overlaps` have them,

        log T1 = −(d/2) log 4π − ½ log det C,
        log T2 = −(d/2) log(4π std²) + log(1 + R),
        log T3 = −(d/2) log(4π std²) + log c.

    E is at least 0. Where T1 + T2 and T3 agree to about 1e-15 of their logarithms, E is below
    rounding and is returned as 0; just above that its last digits are lost, so two such distances
    must not be subtracted: that is what :func:`~ecotone.measures.delta.delta` is for.

    "as_published": what the published script for linear diffusion models returns, T2' − T3', with
    2π under each root where (2π)^d belongs and without T1:

        log T2' = −½ log 2π − (d/2) log(2ε²) − log n + log(1 + R),
        log T3' = log 2 − ½ log 2π − ½ log det(C + ε² I) + log mean_i exp(−q_i/2).

    Both are (2π)^((d−1)/2) times the exact ones. The script's covariance AᵀA, in place of AAᵀ,
    comes in by passing that Gaussian. Left out are its clip of determinants below e^−25 to 0,
    which makes T3' infinite, and its float32, in which T2' overflows from d = 256 on.

    Args:
        generated: the Gaussian.
        reference: points under a kernel, or a density.
        variant: one of :data:`VARIANTS`.

    Raises:
        ConfigError: for an unknown variant, or for a density where points were published.
        DataError: for a Gaussian of another dimension, or one that is not finite.

    >>> import torch
    >>> unit = Normal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    >>> distance(unit, ExactDensity(unit, std=1.0)).sign
    0
    >>> wide = Normal(unit.mean, 4 * unit.variances)
    >>> found = distance(wide, ExactDensity(unit, std=1.0))
    >>> round(math.exp(found.log_value), 6)  # (1/2 + 1 − 2 √(2/5)) / √(4π)
    0.066317
    """
    if variant not in VARIANTS:
        raise ConfigError(
            f"variant = {variant!r} is not a way to value distances",
            hint=nearest(variant, VARIANTS),
        )
    published = variant == "as_published"
    if published and not isinstance(reference, KernelDensity):
        raise ConfigError(
            "the published distance compares with points, not with a density",
            hint="give a KernelDensity, or variant = 'exact'",
        )
    d = reference.dimension
    log_c = float(overlaps([generated], reference)[0])
    unit = -0.5 * d * math.log(4 * math.pi * reference.std**2)
    if isinstance(reference, KernelDensity):
        log_r = reference.pair_sum.log_value - math.log(len(reference.points))
        log_square = log_sum(0.0, log_r)
    else:
        log_square = reference.log_square
    if published:
        unit += 0.5 * (d - 1) * math.log(2 * math.pi)
    log_t1 = -math.inf if published else _log_square(generated)
    log_t2, log_t3 = unit + log_square, unit + log_c
    value = minus(log_sum(log_t1, log_t2), log_t3)
    size = d + sum(abs(log) for log in (log_t2, log_t3, log_t1) if math.isfinite(log))
    lost = math.log(4 * sys.float_info.epsilon * size)
    if value.log < lost + log_t3 or (value.sign < 0 and not published):
        value = Signed(0, -math.inf)
    return SquaredDistance(log_t1, log_t2, log_t3, value.sign, value.log)


def log_distance(
    generated: Normal, reference: KernelDensity, *, log_overlap: float, tolerance: float = 1e-9
) -> float:
    """Return log(E (4π std²)^(d/2)) of a Gaussian whose overlap is known, in nats.

    E (4π std²)^(d/2) = (4π std²)^(d/2) ∫ p_G² + 1 + R − c, as in :func:`distance`; R is had as
    closely as it matters.

    Args:
        generated: the Gaussian.
        reference: points under a kernel.
        log_overlap: its log c, see :func:`overlaps`.
        tolerance: of the logarithm.

    Returns:
        Infinity for a singular covariance, −infinity where E is lost in rounding.
    """
    unit = 0.5 * reference.dimension * math.log(4 * math.pi * reference.std**2)
    log_square = unit + _log_square(generated)
    while math.isfinite(log_square):
        low, high = (
            minus(log_sum(log_square, log_sum(0.0, bound)), log_overlap)
            for bound in reference.pair_bounds()
        )
        close = low.sign > 0 and high.log - low.log <= tolerance
        if close or not reference.pair_sum.tighten():
            return 0.5 * (low.log + high.log) if low.sign > 0 else -math.inf
    return log_square


def _log_square(normal: Normal) -> float:
    """Return log ∫ p² of a Gaussian: infinite where its covariance is singular."""
    return -0.5 * (len(normal.mean) * math.log(4 * math.pi) + normal.log_determinant)
