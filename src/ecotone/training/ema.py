"""A running average of a model's weights whose memory grows with training time."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from ecotone.core import ConfigError

__all__ = ["Ema", "power_exponent"]


def power_exponent(width: float) -> float:
    """Return the exponent γ of the power-function average of a given relative width.

    The average over weights θ(τ), τ ≤ t, has density ∝ τ^γ; its standard deviation relative to t
    is σ_rel = √((γ+1) / ((γ+2)² (γ+3))) (Karras et al. 2024, "Analyzing and improving the training
    dynamics of diffusion models", §3.1). A width relative to the time trained treats every
    decade of a log-spaced trajectory alike, where a fixed half-life lags early or forgets late.

    Raises:
        ConfigError: for a width outside (0, 0.288), where no γ ≥ 0 exists.

    >>> round(power_exponent(0.10), 2)
    6.94
    """
    if not 0 < width < 12**-0.5:
        raise ConfigError(
            f"ema_width = {width} must lie above 0 and below 0.288",
            hint="set training.ema_width=0.05",
        )
    inverse = width**-2
    # (γ+2)²(γ+3) = (γ+1)/σ_rel² as a cubic in γ; its largest real root is the answer.
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return float(max(root.real for root in roots if abs(root.imag) < 1e-9))


class Ema:
    """Averages a model's parameters by β_t = (1 − 1/t)^(γ+1); buffers are copied.

    Args:
        model: to be averaged; the average starts as a copy of it, which the first update replaces.
        width: relative width of the average, see :func:`power_exponent`.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> ema = Ema(model, width=0.05)
    >>> _ = model.weight.data.fill_(3.0)
    >>> ema.update(model, step=1)
    >>> float(ema.model.weight)
    3.0
    """

    def __init__(self, model: nn.Module, width: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.exponent = power_exponent(width)
        self._averages: list[Tensor] = list(self.model.parameters())

    @torch.no_grad()
    def update(self, model: nn.Module, *, step: int) -> None:
        """Take in the weights after a step (the first step is 1)."""
        keep = (1.0 - 1.0 / step) ** (self.exponent + 1.0)
        # All parameters in one call, which on a GPU is a kernel or two; the numbers are a loop's.
        current: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(self._averages, current, 1.0 - keep)  # type: ignore[reportCallIssue]
        _copy(self.model.buffers(), model.buffers())


def _copy(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
