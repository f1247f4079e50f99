"""Noise levels: sampling schedules, training distributions, and what other papers call them.

A level is sigma, the standard deviation of the noise added to a sample, in the units of the data
(the variance-exploding form of Karras et al. 2022, "EDM"). Other forms are written as
x_t = α_t x0 + s_t z; dividing by α_t turns them into x0 + σz with σ = s_t/α_t, which is what the
conversions below compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError

__all__ = [
    "LogNormalLevels",
    "Prediction",
    "alpha_bar_from_sigma",
    "ddpm_alpha_bars",
    "ddpm_levels",
    "ddpm_weight",
    "edm_weight",
    "generalization_from_factor",
    "generalization_from_sigma",
    "index_from_sigma",
    "karras_levels",
    "log_snr_from_sigma",
    "sigma_from_alpha_bar",
    "sigma_from_generalization",
    "sigma_from_index",
    "sigma_from_log_snr",
    "sigma_from_time",
    "time_from_sigma",
]

Prediction = Literal["edm", "epsilon", "v", "x0"]
"""What a network is trained to predict: EDM's mixture of signal and noise
(:mod:`ecotone.denoisers.precondition`), or, on DDPM's levels, the noise, v = αz − s x0, or the
clean sample (:mod:`ecotone.denoisers.ddpm`)."""


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


def ddpm_alpha_bars() -> Float64[Tensor, " steps"]:
    """Return DDPM's ᾱ_t for t = 0 … 999, falling from 0.9999 to 4e−5.

    ᾱ_t = Π_{i ≤ t} (1 − β_i), with β growing linearly from 1e−4 to 0.02 (Ho et al. 2020, § 4; they
    count t from 1).

    Returns:
        1,000 decreasing numbers, float64.

    >>> ddpm_alpha_bars()[[0, 999]].tolist()
    [0.9999, 4.03...e-05]
    """
    return (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)


def ddpm_levels() -> Float64[Tensor, " steps"]:
    """Return the 1,000 levels that DDPM trains on, σ_t = sqrt((1 − ᾱ_t)/ᾱ_t), rising with t.

    >>> [round(level, 4) for level in ddpm_levels()[[0, 999]].tolist()]
    [0.01, 157.4073]
    """
    return sigma_from_alpha_bar(ddpm_alpha_bars())


def ddpm_weight(sigma: Float[Tensor, "*shape"], prediction: Prediction) -> Float[Tensor, "*shape"]:
    """Return the weight of |D − x0|² that makes it the squared error of what is predicted.

    - ``epsilon``: 1/σ², as D − x0 = −σ(F − z); the mean over the levels is DDPM's simple loss (Ho
      et al. 2020, eq. 14).
    - ``v``: (1 + σ²)/σ², as D − x0 = −s(F − v) with s² = σ²/(1 + σ²) (Salimans and Ho 2022,
      app. D).
    - ``x0``: 1.

    Raises:
        ConfigError: for ``edm``, whose weight depends on the data.

    >>> sigma = torch.tensor([0.5])
    >>> [ddpm_weight(sigma, prediction).item() for prediction in ("epsilon", "v", "x0")]
    [4.0, 5.0, 1.0]
    """
    if prediction == "epsilon":
        return 1 / sigma**2
    if prediction == "v":
        return 1 + 1 / sigma**2
    if prediction == "x0":
        return torch.ones_like(sigma)
    raise ConfigError(
        f"the prediction {prediction!r} has no weight of DDPM's",
        hint="use edm_weight for edm, or give one of epsilon, v, x0",
    )


def index_from_sigma(
    sigma: Float[Tensor, "*shape"], levels: Float64[Tensor, " steps"]
) -> Float64[Tensor, "*shape"]:
    """Return the index t, from 0 to ``steps − 1``, at which a ladder of levels reaches σ.

    Between two levels t is linear in ln σ; below the first it is 0, above the last ``steps − 1``.

    Args:
        sigma: of any shape.
        levels: two or more, rising, such as :func:`ddpm_levels`, on the same device.

    >>> levels = torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)
    >>> index_from_sigma(torch.tensor([0.0, 2.0, 8.0, 99.0]), levels)
    tensor([0.0000, 0.5000, 1.5000, 2.0000], dtype=torch.float64)
    """
    logs = levels.log()
    here = sigma.double().log().clamp(logs[0], logs[-1])
    above = torch.searchsorted(logs, here).clamp(1, len(logs) - 1)
    low, high = logs[above - 1], logs[above]
    return above - 1 + (here - low) / (high - low)


def sigma_from_index(
    index: Float[Tensor, "*shape"], levels: Float64[Tensor, " steps"]
) -> Float64[Tensor, "*shape"]:
    """Return the level at an index that need not be whole, the inverse of :func:`index_from_sigma`.

    >>> levels = torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)
    >>> [round(level, 6) for level in sigma_from_index(torch.tensor([0.5, 2.0]), levels).tolist()]
    [2.0, 16.0]
    """
    index = index.double().clamp(0, len(levels) - 1)
    below = index.floor().long().clamp(max=len(levels) - 2)
    logs = levels.log()
    return torch.lerp(logs[below], logs[below + 1], index - below).exp()


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
