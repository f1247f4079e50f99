"""The stochastic sampler: add a little noise, then step down."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch
from ecotone.samplers.base import Estimate, Noise
from ecotone.samplers.solvers import Heun

__all__ = ["Stochastic"]


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
