"""Samplers: from pure noise to samples, through any denoiser, one seed per sample.

All three walk down Karras et al. 2022's noise levels (:func:`ecotone.noise.karras_levels`). The
deterministic two solve the probability-flow equation dx/dσ = (x − D(x; σ))/σ; the stochastic one
also adds fresh noise and takes it off again.

The default numbers of steps keep the standard deviation of a Gaussian population of 0.5 to about
1 % (Heun, Stochastic) and 3 % (Euler). EDM's own 18 steps of Heun make it 5 % too wide, which a
distance between distributions would put down to the denoiser.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.registry import Registry
from ecotone.core.seeds import normal
from ecotone.core.shapes import Batch
from ecotone.denoisers.base import Denoiser
from ecotone.noise import karras_levels

__all__ = ["SAMPLERS", "Euler", "Heun", "Sampler", "Stochastic", "sample", "sample_batches"]

Estimate = Callable[[Tensor, float], Tensor]
"""The denoiser at one level for the whole batch: (x, sigma) to x0."""

Noise = Callable[[], Tensor]
"""Draws this step's standard normal noise, in the state's shape."""


@dataclass(frozen=True)
class Sampler(ABC):
    """The levels to walk down, and how to take one step from a level to the next.

    Args:
        steps: 1 or more.
        sigma_min: the last level before 0.
        sigma_max: the level to start from.
        rho: how strongly the steps shorten towards low noise.

    Raises:
        ConfigError: for values out of range; see :func:`ecotone.noise.karras_levels`.
    """

    steps: int = 32
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        self.levels()

    def levels(self) -> list[float]:
        """Return the ``steps + 1`` levels, from ``sigma_max`` to 0."""
        return karras_levels(self.steps, self.sigma_min, self.sigma_max, self.rho).tolist()

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """How many times the denoiser is called for one sample."""

    @abstractmethod
    def advance(
        self, estimate: Estimate, x: Batch, sigma: float, lower: float, noise: Noise
    ) -> Batch:
        """Return the state at the level ``lower``, from the state x at the level ``sigma``."""


def _euler(x: Tensor, clean: Tensor, sigma: float, lower: float) -> Tensor:
    # The same as x + (lower − σ)(x − D)/σ, and exactly D at lower = 0.
    return clean + (lower / sigma) * (x - clean)


@dataclass(frozen=True)
class Euler(Sampler):
    """Euler's method for the probability-flow equation, of order 1: one evaluation a step.

    Its steps are those of DDIM without noise (Song et al. 2021, eq. 13). The fields are those of
    :class:`Sampler`, with more steps.

    >>> Euler(steps=10).evaluations
    10
    """

    steps: int = 100

    @property
    def evaluations(self) -> int:
        """How many times the denoiser is called for one sample."""
        return self.steps

    def advance(
        self,
        estimate: Estimate,
        x: Batch,
        sigma: float,
        lower: float,
        noise: Noise,  # noqa: ARG002
    ) -> Batch:
        """Take one step."""
        return _euler(x, estimate(x, sigma), sigma, lower)


@dataclass(frozen=True)
class Heun(Sampler):
    """Heun's method for the probability-flow equation, of order 2 (Karras et al. 2022, Alg. 1).

    Two evaluations a step, one in the last. The fields are those of :class:`Sampler`.

    >>> Heun(steps=18).evaluations
    35
    """

    @property
    def evaluations(self) -> int:
        """How many times the denoiser is called for one sample."""
        return 2 * self.steps - 1

    def advance(
        self,
        estimate: Estimate,
        x: Batch,
        sigma: float,
        lower: float,
        noise: Noise,  # noqa: ARG002
    ) -> Batch:
        """Take one step."""
        clean = estimate(x, sigma)
        predicted = _euler(x, clean, sigma, lower)
        if lower == 0:
            return predicted
        slope = (x - clean) / sigma
        slope_there = (predicted - estimate(predicted, lower)) / lower
        return x + (lower - sigma) * (slope + slope_there) / 2


@dataclass(frozen=True)
class Stochastic(Heun):
    """EDM's stochastic sampler (Karras et al. 2022, Alg. 2): add a little noise, then step down.

    A step at σ within [s_min, s_max] first raises the level to σ(1 + γ) by adding noise, with
    γ = min(s_churn/steps, √2 − 1), and then takes Heun's step from there. With ``s_churn`` 0 it is
    :class:`Heun`. The fields are those of :class:`Sampler` and these:

    Args:
        s_churn: how much noise to add over all steps, 0 or more.
        s_min: the lowest level to add noise at.
        s_max: the highest level to add noise at.
        s_noise: standard deviation of the noise added. 1 keeps samples and level in agreement;
            EDM takes 1.003 to 1.007 with networks, which take off slightly too much noise.

    Raises:
        ConfigError: for values out of range.

    >>> Stochastic(steps=18).evaluations
    35
    """

    steps: int = 64
    s_churn: float = 20.0
    s_min: float = 0.05
    s_max: float = 50.0
    s_noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("s_churn", "s_min", "s_noise"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} = {value} is out of range", hint="give 0 or more")
        if not self.s_max >= self.s_min:
            raise ConfigError(
                f"s_min = {self.s_min} and s_max = {self.s_max} do not span a range",
                hint="give s_min of s_max or less",
            )

    def advance(
        self, estimate: Estimate, x: Batch, sigma: float, lower: float, noise: Noise
    ) -> Batch:
        """Add noise, and take one step."""
        if self.s_churn > 0 and self.s_min <= sigma <= self.s_max:
            raised = sigma * (1 + min(self.s_churn / self.steps, math.sqrt(2) - 1))
            x = x + math.sqrt(raised**2 - sigma**2) * self.s_noise * noise()
            sigma = raised
        return super().advance(estimate, x, sigma, lower, noise)


SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    {
        "euler": "ecotone.samplers:Euler",
        "heun": "ecotone.samplers:Heun",
        "stochastic": "ecotone.samplers:Stochastic",
    },
)
"""Samplers by name, built from a user's options: ``SAMPLERS.create("heun", {"steps": 18})``."""


def sample(
    denoiser: Denoiser,
    sampler: Sampler,
    *,
    seeds: Sequence[int],
    shape: Sequence[int],
    batch_size: int = 256,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Batch:
    """Generate one sample per seed.

    Sample i depends on ``seeds[i]`` and the settings alone: other seeds, their order and the batch
    size change it by no more than rounding does. Levels are float64; the state has ``dtype``. A
    module is sampled in evaluation mode and left as it was; no gradients are kept.

    Args:
        denoiser: any, on ``device``.
        sampler: any.
        seeds: one per sample, of the noise to start from and of any added later.
        shape: of one sample.
        batch_size: how many samples to work on at once.
        device: the CPU where None.
        dtype: of the samples, float32 or float64; torch's default where None.

    Returns:
        (len(seeds), *shape).

    Raises:
        ConfigError: for a batch size below 1.
        DataError: where the denoiser returns NaN or infinity; the level is named.
        ValueError: where it returns another shape than it was given.

    >>> def to_nothing(x, sigma):
    ...     return torch.zeros_like(x)
    >>> sample(to_nothing, Euler(steps=2), seeds=[1, 2, 3], shape=(2,)).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    how = {"shape": shape, "batch_size": batch_size, "device": device, "dtype": dtype}
    batches = sample_batches(denoiser, sampler, seeds=seeds, **how)
    return torch.cat([torch.empty((0, *shape), device=device, dtype=dtype), *batches])


def sample_batches(
    denoiser: Denoiser,
    sampler: Sampler,
    *,
    seeds: Sequence[int],
    shape: Sequence[int],
    batch_size: int = 256,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[Batch]:
    """Yield the samples of :func:`sample` batch by batch, each as soon as it is finished."""
    if batch_size < 1:
        raise ConfigError(f"batch_size = {batch_size} is too small", hint="give 1 or more")
    for start in range(0, len(seeds), batch_size):
        part = seeds[start : start + batch_size]
        yield _sample_batch(denoiser, sampler, part, tuple(shape), device, dtype)


@torch.no_grad()
def _sample_batch(
    denoiser: Denoiser,
    sampler: Sampler,
    seeds: Sequence[int],
    shape: tuple[int, ...],
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Tensor:
    def draw(index: int) -> Tensor:
        return normal(seeds, shape, index=index, dtype=dtype, device=device)

    def estimate(x: Tensor, sigma: float) -> Tensor:
        clean = denoiser(x, x.new_full((len(x),), sigma))
        if clean.shape != x.shape:
            raise ValueError(f"the denoiser returned {clean.shape} for a batch of {x.shape}")
        if not bool(clean.isfinite().all()):
            raise DataError(
                f"the denoiser returned NaN or infinity at sigma = {sigma:.4g}",
                hint="lower the learning rate, or sample an earlier checkpoint",
            )
        return clean

    with _evaluating(denoiser):
        x = sampler.sigma_max * draw(0)
        for step, (sigma, lower) in enumerate(pairwise(sampler.levels()), start=1):
            x = sampler.advance(estimate, x, sigma, lower, lambda step=step: draw(step))
    return x


@contextmanager
def _evaluating(denoiser: Denoiser) -> Iterator[None]:
    """Switch a module's dropout off, and afterwards every part back to the mode it was in."""
    modules = denoiser.modules() if isinstance(denoiser, nn.Module) else ()
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
