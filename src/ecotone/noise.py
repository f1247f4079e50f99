"""Noise levels: sampling schedules, training distributions, and what other papers call them.

A level is sigma, the standard deviation of the noise added to a sample, in the units of the data
(the variance-exploding form of Karras et al. 2022, "EDM"). Other forms are written as
x_t = α_t x0 + s_t z; dividing by α_t turns them into x0 + σz with σ = s_t/α_t, which is what the
conversions below compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError

__all__ = [
    "LogNormalLevels",
    "alpha_bar_from_sigma",
    "edm_weight",
    "generalization_from_factor",
    "generalization_from_sigma",
    "karras_levels",
    "log_snr_from_sigma",
    "sigma_from_alpha_bar",
    "sigma_from_generalization",
    "sigma_from_log_snr",
    "sigma_from_time",
    "time_from_sigma",
]


def karras_levels(
    steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0
) -> Float64[Tensor, " levels"]:
    """Return the noise levels that a sampler of so many steps passes through, then 0.

    σ_i = (σ_max^{1/ρ} + i/(steps−1) · (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ for i = 0 … steps−1, and
    σ_steps = 0 (Karras et al. 2022, eq. 5). The two ends are exact, not rounded. One step goes
    straight from σ_max to 0.

    Args:
        steps: 1 or more.
        sigma_min: the last level before 0, above 0.
        sigma_max: the first level, above ``sigma_min``.
        rho: how strongly the steps shorten towards low noise, above 0; 1 spaces them evenly.

    Returns:
        ``steps + 1`` decreasing levels, float64, on the CPU.

    Raises:
        ConfigError: for values out of these ranges.

    >>> karras_levels(3, 1.0, 9.0, rho=2.0).tolist()
    [9.0, 4.0, 1.0, 0.0]
    """
    if steps < 1:
        raise ConfigError(f"steps = {steps} is too few", hint="give 1 step or more")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ConfigError(
            f"sigma_min = {sigma_min} and sigma_max = {sigma_max} do not span a range",
            hint="give 0 < sigma_min < sigma_max, such as 0.002 and 80",
        )
    if not 0 < rho < math.inf:
        raise ConfigError(f"rho = {rho} is out of range", hint="give a rho above 0, such as 7")
    start, end = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (start + share * (end - start)) ** rho
    levels[-1] = sigma_min
    levels[0] = sigma_max
    return torch.cat([levels, levels.new_zeros(1)])


@dataclass(frozen=True, slots=True)
class LogNormalLevels:
    """The noise levels that training draws: ln σ ~ N(log_mean, log_std²).

    The defaults are those of Karras et al. 2022, Table 1 (P_mean, P_std), for data of standard
    deviation 0.5.

    Args:
        log_mean: mean of ln σ.
        log_std: standard deviation of ln σ, 0 or more.

    Raises:
        ConfigError: for values that are not finite, or a negative ``log_std``.

    >>> LogNormalLevels(log_mean=0.0, log_std=0.0).draw(2, torch.Generator()).tolist()
    [1.0, 1.0]
    """

    log_mean: float = -1.2
    log_std: float = 1.2

    def __post_init__(self) -> None:
        if not (math.isfinite(self.log_mean) and 0 <= self.log_std < math.inf):
            raise ConfigError(
                f"log_mean = {self.log_mean}, log_std = {self.log_std} is no distribution",
                hint="give a finite log_mean and a log_std of 0 or more, such as -1.2 and 1.2",
            )

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Draw n independent levels, float32, on the generator's device."""
        z = torch.randn(n, generator=generator, device=generator.device, dtype=torch.float32)
        return torch.exp(self.log_mean + self.log_std * z)


def edm_weight(sigma: Float[Tensor, "*shape"], sigma_data: float) -> Float[Tensor, "*shape"]:
    """Return λ(σ) = (σ² + σ_data²) / (σ σ_data)², the weight of the denoising loss at a level.

    It gives every level the same expected loss, 1, at initialization (Karras et al. 2022, Table 1).

    >>> edm_weight(torch.tensor([1.0]), sigma_data=0.5).item()
    5.0
    """
    return 1 / sigma**2 + 1 / sigma_data**2


def sigma_from_time(time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return σ = sqrt(e^{2t} − 1) for time t ≥ 0 of the Ornstein–Uhlenbeck process.

    There α = e^{−t} and s² = 1 − e^{−2t} (variance preserving).

    >>> round(time_from_sigma(sigma_from_time(torch.tensor(2.0))).item(), 6)
    2.0
    """
    return torch.expm1(2 * time).sqrt()


def time_from_sigma(sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return t = ½ ln(1 + σ²), the inverse of :func:`sigma_from_time`."""
    return torch.log1p(sigma**2) / 2


def sigma_from_log_snr(log_snr: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return σ = e^{−λ/2} for a log signal-to-noise ratio λ = ln(α²/s²), in nats.

    The ratio counts the signal per unit of data variance.

    >>> sigma_from_log_snr(torch.tensor(0.0)).item()
    1.0
    """
    return torch.exp(-log_snr / 2)


def log_snr_from_sigma(sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return λ = −2 ln σ, the inverse of :func:`sigma_from_log_snr`."""
    return -2 * torch.log(sigma)


def sigma_from_alpha_bar(alpha_bar: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return σ = sqrt((1 − ᾱ)/ᾱ) for DDPM's ᾱ, between 0 and 1 (Ho et al. 2020, eq. 4).

    There α² = ᾱ and s² = 1 − ᾱ.

    >>> sigma_from_alpha_bar(torch.tensor(0.5)).item()
    1.0
    """
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_from_sigma(sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return ᾱ = 1/(1 + σ²), the inverse of :func:`sigma_from_alpha_bar`.

    ᾱ itself cannot tell levels below about sqrt(ε) of its dtype from 0 (3e−4 in float32).
    """
    return 1 / (1 + sigma**2)


def sigma_from_generalization(
    generalization: Float[Tensor, "*shape"], time: float
) -> Float[Tensor, "*shape"]:
    """Return σ = sqrt(g(1 − e^{−2T})), the one level of a one-step model with parameter g.

    That model denoises y = e^{−T} x + sqrt(l(1 − e^{−2T})) ξ, where the factor l scales the noise
    of the Ornstein–Uhlenbeck process at time T, and g = l e^{2T} is what is printed of it. Divided
    by e^{−T} the noise has variance σ² = l(e^{2T} − 1) = g(1 − e^{−2T}).

    >>> round(sigma_from_generalization(torch.tensor(1.0), time=2.0).item() ** 2, 5)
    0.98168
    """
    return (-math.expm1(-2 * time) * generalization).sqrt()


def generalization_from_sigma(
    sigma: Float[Tensor, "*shape"], time: float
) -> Float[Tensor, "*shape"]:
    """Return g = σ²/(1 − e^{−2T}), the inverse of :func:`sigma_from_generalization`.

    >>> sigma = sigma_from_generalization(torch.tensor(3.0), time=1.0)
    >>> round(generalization_from_sigma(sigma, time=1.0).item(), 5)
    3.0
    """
    return sigma**2 / -math.expm1(-2 * time)


def generalization_from_factor(
    factor: Float[Tensor, "*shape"], time: float
) -> Float[Tensor, "*shape"]:
    """Return g = l e^{2T} for the factor l of :func:`sigma_from_generalization`.

    At l = 1 the noise is that of the process itself, and σ that of :func:`sigma_from_time`.

    >>> round(generalization_from_factor(torch.tensor(1.0), time=2.0).item(), 4)
    54.5981
    """
    return factor * math.exp(2 * time)
