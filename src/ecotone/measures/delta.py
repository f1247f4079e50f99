"""The sign of Δ: whether a generated Gaussian is nearer to its training set or to the original.

Δ = E(training) − E(original) is read as generalization above 0 and as copying below. The two
distances share nearly all of their value, so what they share is taken out before they are
subtracted, and no sign is left to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.measures.overlaps import overlaps
from ecotone.measures.signed_logs import Signed, minus, plus
from ecotone.populations.normal import Normal

__all__ = ["delta", "delta_of", "positive_share"]


def delta(
    *,
    generated: Sequence[Normal],
    training: KernelDensity,
    original: KernelDensity | ExactDensity,
    tolerance: float = 1e-6,
) -> Float64[Tensor, " models"]:
    """Return Δ · (4π std²)^(d/2) of each Gaussian, Δ = E(training) − E(original).

    Self terms and ∫ p_G² are the same in both distances and cancel by algebra, not by subtraction:

        Δ · (4π std²)^(d/2) = (R_T − R_O) − (c_T − c_O),

    with R of :class:`KernelDensity` and c of :func:`overlaps`. For an original that is a density,
    R_O is its ∫ p² in this unit less 1: 0 where its covariance is std² I. Published prefactors
    differ by one factor, so the sign is the published one where the Gaussians passed are.

    R takes most of the time and often weighs nothing, so it is had as closely as asked, from bounds
    first. The sign is right whatever the tolerance, up to the rounding of float64 in the logarithms
    of R and c; it is 0 only for a tie. A size beyond float64 is returned as the nearest to it.

    Args:
        generated: the Gaussians.
        training: what they were fitted to.
        original: fresh points of the population, or its density, with the same std.
        tolerance: relative error of Δ that bounds on R may leave; infinite for signs alone.

    Raises:
        ConfigError: for two stds, or a tolerance that is not above 0.
        DataError: for dimensions that differ, or a Gaussian that is not finite.

    >>> training = torch.tensor([[-1.1], [0.2], [0.9]], dtype=torch.float64)
    >>> unit = Normal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    >>> models = [unit, Normal(unit.mean + 3, unit.variances)]
    >>> delta(
    ...     generated=models,
    ...     training=KernelDensity(training, std=1.0),
    ...     original=KernelDensity(training + 3, std=1.0),
    ... ).sign()  # nearer to the training set, nearer to the original
    tensor([-1.,  1.], dtype=torch.float64)
    """
    _check_pair(training, original)
    return delta_of(
        overlaps(generated, training),
        overlaps(generated, original),
        training=training,
        original=original,
        tolerance=tolerance,
    )


def delta_of(
    log_training: Float64[Tensor, " models"],
    log_original: Float64[Tensor, " models"],
    *,
    training: KernelDensity,
    original: KernelDensity | ExactDensity,
    tolerance: float = 1e-6,
) -> Float64[Tensor, " models"]:
    """Return :func:`delta` of models whose overlaps are known, whatever they are.

    The overlap of a mixture is the weighted mean of those of its components, for instance.

    Args:
        log_training: log c of each with the training set.
        log_original: log c of each with the original.
        training: what they were fitted to.
        original: fresh points of the population, or its density, with the same std.
        tolerance: relative error of Δ that bounds on R may leave; infinite for signs alone.

    Raises:
        ConfigError: for two stds, or a tolerance that is not above 0.
        DataError: for dimensions that differ.
    """
    _check_pair(training, original)
    if not tolerance > 0:
        raise ConfigError(
            f"tolerance = {tolerance} is not above 0",
            hint="give 1e-6, or infinity for signs alone",
        )
    crosses = [
        minus(from_original, from_training)
        for from_original, from_training in zip(
            log_original.tolist(), log_training.tolist(), strict=True
        )
    ]
    fixed = Signed(0, -math.inf)
    sums = [training]
    if isinstance(original, KernelDensity):
        sums.append(original)
    else:
        fixed = minus(0.0, original.log_square)
    while True:
        bounds = [density.pair_bounds() for density in sums]
        lows, highs = bounds[0], bounds[1] if len(sums) > 1 else (-math.inf, -math.inf)
        loosest = max(sums, key=lambda density: minus(*density.pair_bounds()[::-1]).log)
        results = []
        for cross in crosses:
            low = plus(minus(lows[0], highs[1]), fixed, cross)
            high = plus(minus(lows[1], highs[0]), fixed, cross)
            close = low.sign == high.sign != 0 and abs(high.log - low.log) <= tolerance
            if not close and not loosest.pair_sum.exact:
                loosest.pair_sum.tighten()
                break
            middle = Signed(low.sign, 0.5 * (low.log + high.log)) if low.sign else low
            results.append(middle.value())
        else:
            return torch.tensor(results, dtype=torch.float64)


def positive_share(deltas: Float64[Tensor, " runs"]) -> Reading:
    """Return P(Δ > 0): the share of independent runs with Δ above 0, ties counting one half.

    mean[1(Δ > 0) + ½ · 1(Δ = 0)] with Wilson's interval. It depends on how many points stand for
    the original (a set as large as the training set gives about one half, a smaller one less), so
    say that number beside it.

    Raises:
        DataError: for no run, or a Δ that is not a number.

    >>> print(positive_share(torch.tensor([3.0, -1.0, 0.0, 2.0], dtype=torch.float64)))
    0.625 [0.2194, 0.9081] share, n=4
    """
    n = len(deltas)
    if n < 1 or bool(deltas.isnan().any()):
        raise DataError(
            "a share of positive differences needs runs" if n < 1 else "a difference is NaN",
            hint="give one finite difference a run",
        )
    successes = float((deltas > 0).sum()) + 0.5 * float((deltas == 0).sum())
    low, high = wilson(successes, n)
    return Reading(
        successes / n,
        n=n,
        unit="share",
        higher_is="less copying",
        low=low,
        high=high,
        how={"interval": "Wilson", "ties": "one half"},
    )


def _check_pair(training: KernelDensity, original: KernelDensity | ExactDensity) -> None:
    if training.std != original.std:
        raise ConfigError(
            f"the training set has std = {training.std} and the original {original.std}",
            hint="give both the population's",
        )
    if training.dimension != original.dimension:
        raise DataError(
            f"the training set has {training.dimension} dimensions and the original "
            f"{original.dimension}",
            hint="compare in one space",
        )
