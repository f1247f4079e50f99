"""Relaxation times against quadrature, and the laws that a divergence from Gaussian keeps."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import bisect
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.measures.relaxation import (
    HasLogDensity,
    gaussian_divergence,
    matched_normal,
    relaxation_time,
)
from ecotone.populations.digits import Digits
from ecotone.populations.gaussian import Gaussian, LowRank
from ecotone.populations.mixtures import Mixture

GAUSSIANS = {
    "isotropic": Gaussian(dimension=3, mean=2.0),
    "power law": Gaussian(dimension=5, spectrum=1.5, rotation_seed=1),
    "low rank": LowRank(dimension=6, intrinsic_dimension=2, noise=0.1),
    "no density": LowRank(dimension=6, intrinsic_dimension=2, noise=0.0),
}


def pair(m: float, d: int, std: float = 0.5) -> Mixture:
    """Half at +m and half at −m along the diagonal."""
    row = [m / math.sqrt(d)] * d
    return Mixture(means=[row, [-value for value in row]], std=std)


def quadrature(m: float, std: float, time: float) -> float:
    """KL of ½N(m, s²) + ½N(−m, s²) from N(0, m² + s²), s² = std² + e^{2t} − 1, in nats.

    Across the line through the means both are the same Gaussian, so this is all there is in any
    dimension.
    """
    s = math.sqrt(std**2 + math.expm1(2 * time))
    total = math.sqrt(m**2 + s**2)

    def integrand(x: float) -> float:
        log_p = (
            -((x - m) ** 2) / (2 * s * s) + math.log1p(math.exp(-2 * x * m / s**2)) - math.log(2)
        )
        log_p -= math.log(s)
        log_q = -(x**2) / (2 * total**2) - math.log(total)
        return 2 * math.exp(log_p) / math.sqrt(2 * math.pi) * (log_p - log_q)

    # Twice the right half, as both are symmetric.
    return quad(integrand, 0, m + 12 * s, epsabs=1e-12, limit=200, points=[m])[0]


@pytest.mark.parametrize("d", [1, 20])
@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_the_divergence_is_that_of_quadrature(d: int, time: float) -> None:
    reading = gaussian_divergence(pair(2.0, d), time=time, samples=5000, seed=1)
    assert reading is not None
    assert reading.high is not None
    error = (reading.high - reading.value) / 1.96
    assert abs(reading.value - quadrature(2.0, 0.5, time) / d) < 4 * error
    assert error < 0.05 * quadrature(2.0, 0.5, 0.0) / d


def test_the_interval_covers_the_relaxation_time() -> None:
    m, std, d, tolerance = 2.0, 0.5, 2, 0.02
    truth = bisect(lambda t: quadrature(m, std, t) / d - tolerance, 0.01, 5)
    assert isinstance(truth, float)
    readings = [
        relaxation_time(pair(m, d, std), tolerance=tolerance, samples=500, seed=seed)
        for seed in range(24)
    ]
    covered, widths = 0, []
    for reading in readings:
        assert reading is not None
        assert reading.low is not None
        assert reading.high is not None
        covered += reading.low <= truth <= reading.high
        widths.append(reading.high - reading.low)
    assert covered >= 20  # 22.8 of 24 expected; fewer than 20 have a chance below 1 %.
    assert max(widths) < 0.5 * truth
    mean = sum(reading.value for reading in readings if reading is not None) / 24
    assert mean == pytest.approx(truth, abs=4 * max(widths) / 4 / math.sqrt(24))


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_a_gaussian_has_relaxed_from_the_start(name: str) -> None:
    reading = relaxation_time(GAUSSIANS[name], samples=10)
    assert reading is not None
    assert (reading.value, reading.low, reading.high) == (0.0, 0.0, 0.0)


def test_one_component_is_a_gaussian() -> None:
    """Not told that it is one, it is found to be within rounding of its matched normal."""
    covariance = [[2.0, 0.5], [0.5, 1.0]]
    mixture = Mixture(means=[[1.0, 3.0]], covariances=[covariance])
    reading = gaussian_divergence(mixture, time=0.0, samples=500)
    assert reading is not None
    assert abs(reading.value) < 1e-12


def test_noise_and_closeness_bring_it_down() -> None:
    mixture = Mixture(components=3, dimension=4, separation=5.0, seed=2)
    values = []
    for time in (0.0, 0.2, 0.5, 1.0, 2.0, 4.0):
        reading = gaussian_divergence(mixture, time=time, samples=1000)
        assert reading is not None
        values.append(reading.value)
    assert values[:4] == sorted(values[:4], reverse=True)
    assert values[3] > 10 * max(map(abs, values[4:]))


def value(population: HasLogDensity, tolerance: float = 0.01) -> float:
    reading = relaxation_time(population, tolerance=tolerance, samples=1000)
    assert reading is not None
    return reading.value


def test_what_is_further_apart_or_judged_more_strictly_relaxes_later() -> None:
    times = [value(pair(m, 2)) for m in (0.5, 1.0, 2.0, 4.0)]
    assert times == sorted(times)
    strict = [value(pair(2.0, 2), tolerance=tolerance) for tolerance in (0.1, 0.03, 0.01, 0.003)]
    assert strict == sorted(strict)
    assert len({*times}) == len({*strict}) == 4


def test_twice_the_data_relax_the_log_of_two_later() -> None:
    """σ at the crossing scales with the data, and t = ½ log(1 + σ²)."""
    once, twice = value(pair(20.0, 2, std=2.0)), value(pair(40.0, 2, std=4.0))
    ratio = math.sqrt(math.expm1(2 * twice) / math.expm1(2 * once))
    assert ratio == pytest.approx(2, rel=1e-3)
    assert twice - once == pytest.approx(math.log(2), abs=1e-2)


def test_moments_of_a_mixture_are_those_of_its_draws() -> None:
    mixture = Mixture(
        weights=[0.2, 0.8],
        means=[[0.0, 3.0], [1.0, -1.0]],
        covariances=[[[1.0, 0.4], [0.4, 2.0]], [[0.5, 0.0], [0.0, 0.1]]],
        std=1.5,
    )
    matched, n = matched_normal(mixture, seed=0), 20_000
    x = mixture.draw(n, seed=3).double()
    assert matched.basis is not None
    covariance = (matched.basis * matched.variances) @ matched.basis.T
    torch.testing.assert_close(matched.mean, x.mean(0), rtol=0, atol=4 * 2.5 / math.sqrt(n))
    torch.testing.assert_close(covariance, x.T.cov(), rtol=0.05, atol=0.05)


class Points:
    """A mixture that does not say so, and has no density at t = 0."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture, self.shape = mixture, mixture.shape

    def draw(self, n: int, seed: int) -> Tensor:
        return self.mixture.draw(n, seed)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.mixture.log_density(x, sigma).where(sigma > 0, math.inf)


def test_any_density_will_do_even_without_one_at_the_start() -> None:
    mixture = pair(2.0, 3)
    told, untold = value(mixture), value(Points(mixture))
    assert untold == pytest.approx(told, rel=0.05)
    assert untold != told  # Its moments are those of draws.
    assert gaussian_divergence(Points(mixture), time=0.0, samples=10) is None


def test_images_may_have_any_shape() -> None:
    flat = Mixture(components=2, dimension=12, seed=1)
    images = Mixture(components=2, shape=[3, 2, 2], seed=1)
    assert value(images) == pytest.approx(value(flat), abs=0.02)


def test_nothing_is_read_off_an_unknown_density() -> None:
    assert relaxation_time(Digits()) is None
    assert gaussian_divergence(Digits(), time=1.0) is None


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_wrong_tolerance_is_named(tolerance: float) -> None:
    with pytest.raises(ConfigError, match="tolerance = "):
        relaxation_time(pair(1.0, 1), tolerance=tolerance)


def test_wrong_times_and_counts_are_named() -> None:
    with pytest.raises(ConfigError, match="time = -1"):
        gaussian_divergence(pair(1.0, 1), time=-1.0)
    with pytest.raises(ConfigError, match="samples = 1"):
        relaxation_time(pair(1.0, 1), samples=1)
