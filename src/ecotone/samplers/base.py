"""What a sampler is: noise levels to walk down, and how to take a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ecotone.core.shapes import Batch
from ecotone.noise import karras_levels

__all__ = ["Advance", "Estimate", "Noise", "Sampler"]

Estimate = Callable[[Tensor, float], Tensor]
"""The denoiser at one level for the whole batch: (x, sigma) to x0."""

Noise = Callable[[], Tensor]
"""Draws this step's standard normal noise, in the state's shape."""

Advance = Callable[[Estimate, Tensor, float, float, Noise], Tensor]
"""Takes one step; the arguments are those of :meth:`Sampler.advance`."""


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

    def begin(self) -> Advance:
        """Return what takes the steps of one batch, in order; it may remember the last ones."""
        return self.advance
