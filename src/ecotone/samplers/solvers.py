"""Solvers of the probability-flow equation dx/dσ = (x − D(x; σ))/σ: no noise is added."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ecotone.core.shapes import Batch
from ecotone.samplers.base import Advance, Estimate, Noise, Sampler

__all__ = ["Euler", "Heun", "Multistep"]


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
class Multistep(Sampler):
    """DPM-Solver++(2M), of order 2 with one evaluation a step (Lu et al. 2022, Alg. 2).

    With h = ln(σ/σ') for the step from σ to σ', and h₋ for the step before, it extrapolates the
    denoised sample to D + (D − D₋) h/(2 h₋) and takes Euler's step with it; the first step and the
    last, to 0, are Euler's. At the few evaluations that watching a training run can afford it errs
    less than Heun's method. The fields are those of :class:`Sampler`, with more steps.

    >>> Multistep(steps=18).evaluations
    18
    """

    steps: int = 48

    @property
    def evaluations(self) -> int:
        """How many times the denoiser is called for one sample."""
        return self.steps

    def begin(self) -> Advance:
        """Return what takes the steps of one batch, and remembers the last of them."""
        before: tuple[Tensor, float] | None = None

        def advance(estimate: Estimate, x: Batch, sigma: float, lower: float, _: Noise) -> Batch:
            nonlocal before
            clean = ahead = estimate(x, sigma)
            if before is not None and lower > 0:
                earlier, above = before
                ratio = math.log(sigma / lower) / math.log(above / sigma)
                ahead = clean + (clean - earlier) * (ratio / 2)
            before = clean, sigma
            return _euler(x, ahead, sigma, lower)

        return advance

    def advance(
        self, estimate: Estimate, x: Batch, sigma: float, lower: float, noise: Noise
    ) -> Batch:
        """Take a first step, which has none before it."""
        return self.begin()(estimate, x, sigma, lower, noise)
