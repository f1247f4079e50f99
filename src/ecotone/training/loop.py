"""Training as a generator of steps; the caller decides when to measure, save or stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecotone.core import ConfigError, EcotoneError, Step
from ecotone.core.seeds import derive, torch_generator
from ecotone.noise import edm_weight
from ecotone.training.ema import Ema
from ecotone.training.plan import Batches, Plan

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["DivergenceError", "TrainingState", "train"]


class DivergenceError(EcotoneError):
    """A run that cannot go on: its loss is no longer a number.

    Args:
        step: the step at which it happened.
        reason: what happened.
    """

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(
            f"step {step}: {reason}", hint="lower training.learning_rate or training.gradient_clip"
        )
        self.step = step
        self.reason = reason


class TrainingState:
    """Everything that changes while a model trains: weights, their average, moments, the step.

    Args:
        model: the denoiser to train, on the device it will train on.
        plan: the dials.

    Attributes:
        step: how many steps have been taken.
        ema: the average of the weights; ``ema.model`` is the denoiser to sample and measure.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self.model = model
        self.ema = Ema(model, plan.ema_width)
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=plan.learning_rate,
            betas=(plan.beta1, plan.beta2),
            weight_decay=plan.weight_decay,
            fused=True,
        )

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device


def train(
    state: TrainingState,
    training: Float[Tensor, " n *shape"],
    plan: Plan,
    *,
    sigma_data: float,
    seed: int,
    accelerator: Accelerator | None = None,
) -> Iterator[Step]:
    """Train from ``state.step`` to ``plan.steps``, yielding after every step.

    Minimizes the EDM objective E[λ(σ) |D(x0 + σz; σ) − x0|²], per dimension, with ln σ normal and
    λ(σ) = (σ² + σ_data²)/(σ σ_data)² (Karras et al. 2022, Table 1), by AdamW. Which images, noise
    levels and noise a step sees depend on the seed and the step alone, so training from a saved
    state goes on to the same bytes.

    Args:
        state: changed in place.
        training: the training set; kept on the model's device.
        plan: the dials.
        sigma_data: standard deviation of the data.
        seed: of the run.
        accelerator: for training on several devices: each process takes its share of the same
            batch, so the gradients are those of one device to rounding. Without it the loop is
            plain PyTorch, which small models want.

    Yields:
        A :class:`~ecotone.core.Step` after each step, with the weights and their average updated.

    Raises:
        DivergenceError: where the loss or the gradient is not finite, before the weights change.
        ConfigError: where a batch does not divide by the number of processes.
    """
    rank, processes = 0, 1
    network: nn.Module = state.model
    optimizer: Any = state.optimizer
    if accelerator is not None:
        rank, processes = accelerator.process_index, accelerator.num_processes
        network, optimizer = accelerator.prepare(network, optimizer)
    if plan.batch_size % processes:
        raise ConfigError(
            f"training.batch_size = {plan.batch_size} does not divide by {processes} processes",
            hint=f"set training.batch_size={plan.batch_size // processes * processes or processes}",
        )
    mine = slice(rank, None, processes)
    data = training.to(state.device)
    batches = Batches(len(training), plan.batch_size, seed)
    parameters = list(state.model.parameters())
    random_layers = any(isinstance(m, nn.Dropout) and m.p > 0 for m in state.model.modules())
    network.train()
    while state.step < plan.steps:
        index = state.step + 1
        clean, sigma, noise = _draw(data, batches, plan, seed, index, mine)
        level = sigma.view(-1, *[1] * (clean.ndim - 1))
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(index)
        with torch.random.fork_rng() if random_layers else nullcontext():
            if random_layers:
                torch.manual_seed(derive(seed, "dropout", index, rank))
            estimate = network(clean + level * noise, sigma)
            loss = (edm_weight(sigma, sigma_data) * _per_image(estimate - clean)).mean()
            optimizer.zero_grad(set_to_none=True)
            if accelerator is None:
                loss.backward()
            else:
                accelerator.backward(loss)
                loss = cast("Tensor", accelerator.reduce(loss.detach(), reduction="mean"))
        norm = nn.utils.clip_grad_norm_(parameters, plan.gradient_clip, foreach=True)
        told, length = loss.item(), norm.item()
        if not (math.isfinite(told) and math.isfinite(length)):
            raise DivergenceError(index, f"the loss is {told} and its gradient's norm {length}")
        optimizer.step()
        state.step = index
        state.ema.update(state.model, step=index)
        yield Step(index, told, length, plan.rate(index), index * plan.batch_size)


def _draw(
    data: Tensor, batches: Batches, plan: Plan, seed: int, index: int, mine: slice
) -> tuple[Tensor, Tensor, Tensor]:
    """Return this process's share of a step's images, noise levels and noise."""
    random = torch_generator(seed, "training", index)
    sigma = plan.levels.draw(plan.batch_size, random).to(data.dtype)
    noise = torch.randn((plan.batch_size, *data.shape[1:]), generator=random, dtype=data.dtype)
    chosen = data[batches.at(index)[mine].to(data.device)]
    return chosen, sigma[mine].to(data.device), noise[mine].to(data.device)


def _per_image(difference: Tensor) -> Float[Tensor, " batch"]:
    return difference.square().flatten(1).mean(1)
