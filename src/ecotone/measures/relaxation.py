"""When noise has made a population Gaussian: its relaxation time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from scipy.special import ndtri
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.readings import Reading
from ecotone.core.seeds import derive, normal, sample_seeds
from ecotone.populations.base import Population
from ecotone.populations.mixtures import Mixture
from ecotone.populations.normal import Normal

__all__ = ["HasLogDensity", "gaussian_divergence", "matched_normal", "relaxation_time"]

_LATEST = 50.0
_PRECISION = 1e-6
_DRAWS_FOR_MOMENTS = 20_000


@runtime_checkable
class HasLogDensity(Protocol):
    """A population whose noised density is known, as far as it must be known here."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        ...

    def draw(self, n: int, seed: int) -> Float[Tensor, " n *shape"]:
        """Return n samples."""
        ...

    def log_density(
        self, x: Float[Tensor, " batch *shape"], sigma: Float[Tensor, " batch"]
    ) -> Float64[Tensor, " batch"]:
        """Return the log density of x = x0 + sigma·z."""
        ...


def matched_normal(population: HasLogDensity, *, seed: int) -> Normal:
    """Return the Gaussian with a population's mean and covariance.

    For a Gaussian population that is itself, for a mixture Σ_k w_k N(m_k, Σ_k) it has the mean
    m = Σ w_k m_k and the covariance Σ w_k (Σ_k + (m_k − m)(m_k − m)ᵀ), and for any other the
    moments of 20,000 draws, which make a divergence from it too large by about (d + 3)/80,000 nats
    per dimension.

    Args:
        population: any.
        seed: of the draws, where they are needed.

    >>> pair = Mixture(means=[[-3.0], [3.0]], std=0.5)
    >>> matched_normal(pair, seed=0).variances  # 9 between and 0.25 within
    tensor([9.2500], dtype=torch.float64)
    """
    own = getattr(population, "normal", None)
    if isinstance(own, Normal):
        return own
    if isinstance(population, Mixture):
        means = torch.stack([part.mean for part in population.components])
        mean = population.weights @ means
        apart = (means - mean) * population.weights.sqrt()[:, None]
        covariance = apart.T @ apart
        for weight, part in zip(population.weights, population.components, strict=True):
            covariance += weight * _covariance(part)
    else:
        x = population.draw(_DRAWS_FOR_MOMENTS, derive(seed, "moments")).flatten(1).double()
        mean = x.mean(0)
        covariance = (x - mean).T @ (x - mean) / len(x)
    variances, basis = torch.linalg.eigh(covariance)
    return Normal(mean, variances.clamp(min=0), basis)


def gaussian_divergence(
    population: Population | HasLogDensity, *, time: float, samples: int = 4096, seed: int = 0
) -> Reading | None:
    """Return how far a population, noised for a time, is from a Gaussian.

    KL(p_t ‖ N(m_t, C_t))/d in nats per dimension, where p_t is the population's density after a
    time t of the Ornstein–Uhlenbeck process and m_t, C_t are its own mean and covariance. No
    Gaussian is nearer. As KL does not depend on scale, it is had from x0 + σz with σ² = e^{2t} − 1:
    the mean over samples of the difference of log densities, with a normal interval. The same
    samples and noise serve all times.

    Args:
        population: any; without a ``log_density`` there is no reading.
        time: t, 0 or more.
        samples: to average over, 2 or more.
        seed: of the samples and the noise.

    Returns:
        The divergence, or None where the density is not known, or none (as of points at t = 0).
        Slightly below 0 where chance has it so.

    Raises:
        ConfigError: for values out of range.

    >>> from ecotone.populations.gaussian import Gaussian
    >>> gaussian_divergence(Gaussian(dimension=3), time=0.5).value
    0.0
    """
    _check(samples)
    if not 0 <= time < math.inf:
        raise ConfigError(f"time = {time} is out of range", hint="give 0 or more")
    if not isinstance(population, HasLogDensity):
        return None
    mean, error = _divergence(population, samples, seed)(time)
    if not math.isfinite(mean):
        return None
    half = float(ndtri(0.975)) * error
    return Reading(
        mean,
        n=samples,
        unit="nats per dimension",
        higher_is="neither",
        low=mean - half,
        high=mean + half,
        how={"time": time, "seed": seed, "interval": "normal"},
    )


def relaxation_time(
    population: Population | HasLogDensity,
    *,
    tolerance: float = 0.01,
    samples: int = 4096,
    seed: int = 0,
) -> Reading | None:
    """Return t_R, the time after which a population's noised data are Gaussian.

    The first time t of the Ornstein–Uhlenbeck process, x_t = e^{−t} x0 + sqrt(1 − e^{−2t}) z, when
    :func:`gaussian_divergence` is at most ``tolerance``. Noise on a density and on its matched
    Gaussian brings the two nearer (data processing), so the divergence falls with t, and once
    within tolerance it stays there. Time depends on the units of the data: twice the data relax
    about ln 2 later.

    The interval holds the times at which the tolerance lies within the divergence's own 95 % normal
    interval; at the crossing this is the delta method.

    Args:
        population: any; without a ``log_density`` there is no reading.
        tolerance: largest divergence of data called Gaussian, in nats per dimension, above 0.
        samples: to average over, 2 or more.
        seed: of the samples and the noise.

    Returns:
        t_R, 0 for a Gaussian population; None where the density is not known, or where the data are
        still not Gaussian at t = 50.

    Raises:
        ConfigError: for values out of range.

    >>> from ecotone.populations.gaussian import Gaussian
    >>> relaxation_time(Gaussian(dimension=3)).value
    0.0
    """
    _check(samples)
    if not 0 < tolerance < math.inf:
        raise ConfigError(
            f"tolerance = {tolerance} is out of range", hint="give a number above 0, such as 0.01"
        )
    if not isinstance(population, HasLogDensity):
        return None
    divergence = cache(_divergence(population, samples, seed))
    z = float(ndtri(0.975))
    low, value, high = (_crossing(divergence, tolerance, shift) for shift in (-z, 0.0, z))
    if low is None or value is None or high is None:
        return None
    return Reading(
        value,
        n=samples,
        unit="time of the Ornstein-Uhlenbeck process",
        higher_is="neither",
        low=min(low, value),
        high=max(high, value),
        how={"tolerance": tolerance, "seed": seed, "interval": "normal, inverted"},
    )


def _covariance(part: Normal) -> Float64[Tensor, "d d"]:
    if part.basis is None:
        return part.variances.diag()
    low_rank = (part.basis * (part.variances - part.floor)) @ part.basis.T
    return low_rank + part.floor * torch.eye(len(part.mean), dtype=torch.float64)


def _check(samples: int) -> None:
    if samples < 2:
        raise ConfigError(f"samples = {samples} is too few", hint="give 2 or more")


def _divergence(
    population: HasLogDensity, samples: int, seed: int
) -> Callable[[float], tuple[float, float]]:
    """Return a function of time: the divergence per dimension, and its standard error."""
    gaussian = matched_normal(population, seed=seed)
    d = math.prod(population.shape)
    clean = population.draw(samples, seed).double()
    seeds = sample_seeds(samples, seed, "relaxation")
    noise = normal(seeds, population.shape, dtype=torch.float64)

    def at(time: float) -> tuple[float, float]:
        if isinstance(getattr(population, "normal", None), Normal):
            return 0.0, 0.0
        sigma = math.sqrt(math.expm1(2 * time))
        x, levels = clean + sigma * noise, clean.new_full((samples,), sigma)
        logs = population.log_density(x, levels) - gaussian.log_density(x.flatten(1), levels)
        return float(logs.mean()) / d, float(logs.std()) / (d * math.sqrt(samples))

    return at


def _crossing(
    divergence: Callable[[float], tuple[float, float]], tolerance: float, shift: float
) -> float | None:
    """Return when the divergence, ``shift`` standard errors up, first comes down to tolerance."""

    def excess(time: float) -> float:
        mean, error = divergence(time)
        return math.inf if not math.isfinite(mean) else mean + shift * error - tolerance

    if excess(0.0) <= 0:
        return 0.0
    # The first of growing times that is late enough, so that the crossing is not one of chance.
    earlier, later = 0.0, 0.125
    while excess(later) > 0:
        if later == _LATEST:
            return None
        earlier, later = later, min(1.5 * later, _LATEST)
    while later - earlier > _PRECISION * later:
        middle = (earlier + later) / 2
        earlier, later = (middle, later) if excess(middle) > 0 else (earlier, middle)
    return later
