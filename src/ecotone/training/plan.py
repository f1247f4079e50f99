"""What a training run does, in numbers: the optimizer's dials and the order of the data."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ecotone.core.seeds import generator
from ecotone.noise import LogNormalLevels

__all__ = ["Batches", "Plan"]


class Plan(BaseModel):
    """The dials of one training run.

    Args:
        steps: optimizer steps.
        batch_size: images a step.
        learning_rate: of AdamW, constant after the warm-up.
        warmup_steps: over which the learning rate rises linearly from 0.
        weight_decay: decoupled (AdamW).
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        gradient_clip: largest Euclidean norm of the gradient.
        ema_width: relative width of the weight average, see :func:`ecotone.training.ema`.
        sigma_log_mean: mean of ln σ over training noise levels (EDM's P_mean).
        sigma_log_std: standard deviation of ln σ (EDM's P_std).

    >>> Plan(steps=10).batch_size
    32
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_width: float = Field(default=0.05, gt=0, lt=0.288)
    sigma_log_mean: float = -1.2
    sigma_log_std: float = Field(default=1.2, gt=0)

    @property
    def levels(self) -> LogNormalLevels:
        """The distribution of noise levels trained on."""
        return LogNormalLevels(self.sigma_log_mean, self.sigma_log_std)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step (the first is 1)."""
        return self.learning_rate * min(1.0, step / max(1, self.warmup_steps))


class Batches:
    """Which images each step sees: epochs in random order, one after another, without a state.

    The order of epoch e depends on the seed and e alone, so a resumed run needs no record of it.

    Args:
        n: number of training images.
        batch_size: images a step; may exceed n.
        seed: of the run.

    >>> batches = Batches(n=3, batch_size=2, seed=0)
    >>> first_epoch_and_a_half = torch.cat([batches.at(step) for step in (1, 2)])
    >>> sorted(first_epoch_and_a_half[:3].tolist())
    [0, 1, 2]
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size = n, batch_size

        @lru_cache(maxsize=2 + batch_size // n)
        def order(epoch: int) -> NDArray[np.int64]:
            return generator(seed, "epoch", epoch).permutation(n)

        self._order = order

    def at(self, step: int) -> Int[Tensor, " batch"]:
        """Return the indices of the images that a step sees (the first step is 1)."""
        start = (step - 1) * self.batch_size
        stop = start + self.batch_size
        epochs = range(start // self.n, (stop - 1) // self.n + 1)
        orders = np.concatenate([self._order(epoch) for epoch in epochs])
        offset = start - epochs[0] * self.n
        return torch.from_numpy(orders[offset : offset + self.batch_size])
