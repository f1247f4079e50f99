"""Δ by single coordinates: what an ideal sampler and a perfect copier are expected to get.

Each set of N points has in each coordinate the kernel density of width ε = s/N, s the coordinate's
standard deviation, and Δ is the mean over coordinates of the squared distance of the generated
set's density to the training set's, less that to the original set's. With Gaussian coordinates all
expectations of φ(u; v) = exp(−u²/2v)/√(2πv) over differences u of points are φ(0; 2s² + v), so that
mean and variance of Δ are finite sums. Derived in docs/onset.md.

Even an ideal sampler, which has no preference, has E Δ ≠ 0 unless N_T = N_O: P(Δ > 0) differs from
a half without any copying.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from scipy.stats import norm

__all__ = ["CoordinateTheory"]


@dataclass(frozen=True)
class CoordinateTheory:
    """Sizes of the three sets, drawn from a population of independent Gaussian coordinates.

    Args:
        training: N_T, 2 or more.
        originals: N_O, 2 or more.
        generated: N_G, 1 or more.
        std: s of every coordinate, above 0.

    >>> null = CoordinateTheory(training=45, originals=10_000, generated=10)
    >>> null.ideal_delta < 0, null.copier_delta < null.ideal_delta
    (True, True)
    >>> CoordinateTheory(training=50, originals=50, generated=10).ideal_positive(100)
    0.5
    """

    training: int
    originals: int
    generated: int
    std: float = 1.0

    def __post_init__(self) -> None:
        if min(self.training, self.originals) < 2 or self.generated < 1 or not self.std > 0:
            raise ValueError(f"a set is too small, or std not above 0: {self}")

    @property
    def ideal_delta(self) -> float:
        """E Δ of samples that are fresh points of the population, in units of 1/std's.

        Σ ± over the two sets S of (1 − 1/N_S) φ(0; 2s² + 2ε_S²) − 2φ(0; 2s² + ε_G² + ε_S²); about
        −(1/N_T − 1/N_O)/(2√π s).
        """
        return self._ideal(self.training) - self._ideal(self.originals)

    @property
    def copier_delta(self) -> float:
        """E Δ of samples each of which is a training point.

        The ideal sampler's, less (2/N_T)[φ(0; ε_G² + ε_T²) − φ(0; 2s² + ε_G² + ε_T²)].
        """
        own = self._width(self.generated) + self._width(self.training)
        met = _height(own) - _height(2 * self.std**2 + own)
        return self.ideal_delta - 2 / self.training * met

    @property
    def ideal_variance(self) -> float:
        """Variance of the ideal sampler's Δ in one coordinate, exactly (Hoeffding's decomposition).

        The parts of a pair's kernel that depend on both its points, on one of them and on neither
        are uncorrelated. Those of single points nearly cancel, as all three sets have one law.
        """
        g, total = self.generated, 0.0
        for size in (self.training, self.originals):
            within, across = 2 * self._width(size), self._width(g) + self._width(size)
            total += 2 * (size - 1) / size**3 * self._pair(within)
            total += 4 / (g * size) * self._pair(across)
            total += self._single([(2 * (1 - 1 / size), within), (-2, across)]) / size
        total += (
            self._single(
                [
                    (-2, self._width(g) + self._width(self.training)),
                    (2, self._width(g) + self._width(self.originals)),
                ]
            )
            / g
        )
        return total

    def ideal_positive(self, coordinates: int) -> float:
        """Return P(Δ > 0) of the ideal sampler, Δ being the mean of independent coordinates.

        Φ(E Δ/√(variance/coordinates)): coordinates enough for a normal mean, some tens.

        Args:
            coordinates: how many, 1 or more.
        """
        return float(norm.cdf(self.ideal_delta / math.sqrt(self.ideal_variance / coordinates)))

    def _width(self, size: int) -> float:
        """Return ε²."""
        return (self.std / size) ** 2

    def _ideal(self, size: int) -> float:
        spread, own = 2 * self.std**2, self._width(size)
        within = (1 - 1 / size) * _height(spread + 2 * own)
        return within - 2 * _height(spread + self._width(self.generated) + own)

    def _pair(self, width: float) -> float:
        """Return the variance of φ(x − y; v) less that of its two single-point parts."""
        spread = 2 * self.std**2
        # φ(u; v)² = φ(u; v/2)/(2√(πv)).
        square = _height(spread + width / 2) / (2 * math.sqrt(math.pi * width))
        return square - 2 * self._covariance(width, width) - _height(spread + width) ** 2

    def _single(self, terms: list[tuple[float, float]]) -> float:
        """Return the variance of Σ a h_v(x), h_v(x) = E φ(x − y; v) over y."""
        return sum(a * b * self._covariance(v, w) for (a, v), (b, w) in product(terms, terms))

    def _covariance(self, first: float, second: float) -> float:
        """Return Cov(h_v(x), h_w(x)): h_v = φ(x; s² + v), and ∫ of three Gaussians at 0."""
        s = self.std**2
        a, b = s + first, s + second
        product_ = 1 / (2 * math.pi * math.sqrt(a * b + s * (a + b)))
        return product_ - _height(s + a) * _height(s + b)


def _height(variance: float) -> float:
    """Return φ(0; v)."""
    return 1 / math.sqrt(2 * math.pi * variance)
