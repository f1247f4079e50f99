"""What generated Gaussians are compared with: points under a kernel, or a density."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.measures.pair_sums import PairSum
from ecotone.populations.normal import Normal

__all__ = ["ExactDensity", "KernelDensity"]

_SAME = 1e-10
"""Variances that differ by less, relatively, are one variance."""


@dataclass(frozen=True, eq=False)
class KernelDensity:
    """The mean of N(x_i, ε² I) over n points, with ε = std · n^(−1/d).

    This bandwidth makes n ε^d = std^d, so the terms i = j of ∫ p² are (4π std²)^(−d/2) for every n,
    which is ∫ p² of N(0, std² I) itself. In that unit

        ∫ p² = 1 + R,    R = (1/n) Σ_{i≠j} exp(−|x_i − x_j|²/(4 ε²)).

    In many dimensions ε hardly falls as n grows (d = 100, n = 10⁴: ε² = 0.83 std²), so this is a
    blurred population, not the population: see :class:`ExactDensity`.

    Args:
        points: (n, d), float64, finite, n of 2 or more.
        std: standard deviation of a coordinate of the population, above 0.

    Raises:
        ConfigError: for a std that is not finite and above 0.
        DataError: for fewer than two points, or a value that is not finite.

    >>> density = KernelDensity(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), std=2.0)
    >>> density.log_variance == 0.0  # ε = 2 / 2
    True
    >>> round(density.pair_sum.log_value, 4)  # log of 2 exp(−2²/4), so R = 1/e
    -0.3069
    """

    points: Float64[Tensor, "n d"]
    std: float = field(kw_only=True)

    def __post_init__(self) -> None:
        _check_std(self.std)
        n, d = self.points.shape
        if n < 2 or d < 1:
            raise DataError(
                f"{n} points of {d} dimensions are no kernel density",
                hint="give at least two points of at least one dimension",
            )
        if not all(bound.isfinite() for bound in torch.aminmax(self.points)):
            raise DataError(
                "points hold a value that is not finite", hint="remove NaN and infinite values"
            )

    @property
    def dimension(self) -> int:
        """Of the points."""
        return self.points.shape[1]

    @property
    def log_variance(self) -> float:
        """Logarithm of ε²."""
        n, d = self.points.shape
        return 2 * math.log(self.std) - 2 / d * math.log(n)

    @cached_property
    def pair_sum(self) -> PairSum:
        """The sum n R, as a logarithm: bounds at once, exact on demand. Had once, and kept."""
        return PairSum(self.points, math.exp(self.log_variance))

    def pair_bounds(self) -> tuple[float, float]:
        """Return bounds on log R, as close as they were had so far."""
        low, high = self.pair_sum.bounds()
        return low - math.log(len(self.points)), high - math.log(len(self.points))


@dataclass(frozen=True, eq=False)
class ExactDensity:
    """An original given by its density, as infinitely many points would give it.

    Args:
        normal: N(m, Σ) of full rank.
        std: the unit: the std of the kernel densities it is compared with.

    Raises:
        ConfigError: for a std that is not finite and above 0.
        DataError: for a covariance without full rank, whose ∫ p² is infinite.

    >>> unit = Normal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    >>> ExactDensity(unit, std=1.0).log_square
    0.0
    >>> ExactDensity(unit, std=2.0).log_square == 3 * math.log(2)
    True
    """

    normal: Normal
    std: float = field(kw_only=True)

    def __post_init__(self) -> None:
        _check_std(self.std)
        if not float(self.spectrum.min()) > 0:
            raise DataError(
                "the original's covariance has no full rank, so the square of its density has no "
                "finite integral",
                hint="give noise of some variance to every direction, or compare with points",
            )

    @property
    def dimension(self) -> int:
        """Of the density."""
        return len(self.normal.mean)

    @property
    def log_square(self) -> float:
        """Logarithm of ∫ p² in units of (4π std²)^(−d/2); exactly 0 for Σ = std² I."""
        shares = self.spectrum / self.std**2
        shares = torch.where((shares - 1).abs() < _SAME, 1.0, shares)
        return -0.5 * float(shares.log().sum()) + 0.0

    @property
    def isotropic(self) -> float | None:
        """The variance of every direction, or None where they differ."""
        least, greatest = (float(bound) for bound in torch.aminmax(self.spectrum))
        return greatest if greatest - least <= _SAME * greatest else None

    @cached_property
    def spectrum(self) -> Float64[Tensor, " d"]:
        """All eigenvalues."""
        variances = self.normal.variances
        beyond = len(self.normal.mean) - len(variances)
        return torch.cat([variances, variances.new_full((beyond,), self.normal.floor)])


def _check_std(std: float) -> None:
    if not 0 < std < math.inf:
        raise ConfigError(
            f"std = {std} is not finite and above 0",
            hint="give the standard deviation of a coordinate of the population",
        )
