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
from ecotone.training.ema import Ema
from ecotone.training.execution import Execution
from ecotone.training.objective import Objective, objective_of
from ecotone.training.plan import Batches, Plan

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["DivergenceError", "ExhaustedError", "TrainingError", "TrainingState", "train"]


class TrainingError(EcotoneError):
    """A run that cannot go on.

    Args:
        step: the step at which it happened.
        reason: what happened.
        hint: what to change.
    """

    def __init__(self, step: int, reason: str, *, hint: str) -> None:
        super().__init__(f"step {step}: {reason}", hint=hint)
        self.step = step
        self.reason = reason


class DivergenceError(TrainingError):
    """A run whose loss is no longer a number."""


class ExhaustedError(TrainingError):
    """A run for which the device has too little memory, even one image at a time."""


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

    def align(self) -> None:
        """Lay the average and the moments out in memory as the weights are.

        AdamW, fused, walks along memory and not along indices: moments in another layout, such as
        a checkpoint's, would be taken for those of other weights.
        """
        averages = self.ema.model.parameters()
        for weight, average in zip(self.model.parameters(), averages, strict=True):
            average.data = torch.empty_like(weight).copy_(average.data)
            moments = self.optimizer.state.get(weight, {})
            for name in moments.keys() & {"exp_avg", "exp_avg_sq"}:
                moments[name] = torch.empty_like(weight).copy_(moments[name])


def train(
    state: TrainingState,
    training: Float[Tensor, " n *shape"],
    plan: Plan,
    *,
    sigma_data: float,
    seed: int,
    execution: Execution | None = None,
    accelerator: Accelerator | None = None,
) -> Iterator[Step]:
    """Train from ``state.step`` to ``plan.steps``, yielding after every step.

    Minimizes E[w(σ) |D(x0 + σz; σ) − x0|²], per dimension, by AdamW; the levels σ that are drawn
    and their weight w follow from what the model predicts, see
    :func:`~ecotone.training.objective.objective_of`. Which images, noise levels and noise a step
    sees depend on the seed and the step alone, so training from a saved state goes on to the same
    bytes.

    Where the device has too little memory for a batch, the step is tried again with half as many
    images at a time, their gradients added up: the same step but for rounding (and for which
    channels dropout drops). Later steps keep to that.

    Args:
        state: changed in place.
        training: the training set; kept on the model's device.
        plan: the dials.
        sigma_data: standard deviation of the data.
        seed: of the run.
        execution: precision, layout and compilation; plain float32 where None.
        accelerator: for training on several devices: each process takes its share of the same
            batch, so the gradients are those of one device to rounding. Without it the loop is
            plain PyTorch, which small models want.

    Yields:
        A :class:`~ecotone.core.Step` after each step, with the weights and their average updated.

    Raises:
        DivergenceError: where the loss or the gradient is not finite, before the weights change.
        ExhaustedError: where one image at a time is too much for the device's memory.
        ConfigError: where a batch does not divide by the number of processes.
    """
    rank, processes = 0, 1
    execution = execution or Execution()
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
    objective = objective_of(state.model, plan, sigma_data=sigma_data)
    parameters = list(state.model.parameters())
    random_layers = any(isinstance(m, nn.Dropout) and m.p > 0 for m in state.model.modules())
    network.train()
    step = _Step(execution.prepare(network), objective, execution, accelerator)
    state.align()
    while state.step < plan.steps:
        index = state.step + 1
        drawn = _draw(data, batches, plan, objective, seed, index, mine)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(index)
        loss = None
        while loss is None:
            with torch.random.fork_rng() if random_layers else nullcontext():
                if random_layers:
                    torch.manual_seed(derive(seed, "dropout", index, rank))
                optimizer.zero_grad(set_to_none=True)
                loss = step.gradients(*drawn, index=index)
        if accelerator is not None:
            loss = cast("Tensor", accelerator.reduce(loss, reduction="mean"))
        norm = nn.utils.clip_grad_norm_(parameters, plan.gradient_clip, foreach=True)
        told, length = loss.item(), norm.item()
        if not (math.isfinite(told) and math.isfinite(length)):
            raise DivergenceError(
                index,
                f"the loss is {told} and its gradient's norm {length}",
                hint="lower training.learning_rate or training.gradient_clip",
            )
        optimizer.step()
        state.step = index
        state.ema.update(state.model, step=index)
        yield Step(index, told, length, plan.rate(index), index * plan.batch_size)


class _Step:
    """Computes a step's loss and gradients, in as many parts as memory makes needful.

    Args:
        network: what to call.
        objective: what is minimized.
        execution: how.
        accelerator: as for :func:`train`.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        execution: Execution,
        accelerator: Accelerator | None,
    ) -> None:
        self.network, self.objective = network, objective
        self.execution, self.accelerator = execution, accelerator
        self.most = execution.micro_batch

    def gradients(
        self, clean: Tensor, sigma: Tensor, noise: Tensor, *, index: int
    ) -> Tensor | None:
        """Add the gradients of a batch's mean loss to those of the parameters.

        Returns:
            The loss, detached; None where memory ran out, after which half as many images are
            taken at a time and the step is to be tried again.

        Raises:
            ExhaustedError: where memory ran out at one image.
        """
        size = len(clean)
        most = size if self.most is None else self.most
        try:
            total = clean.new_zeros(())
            for rows in range(0, size, most):
                part = slice(rows, rows + most)
                loss = self._loss(clean[part], sigma[part], noise[part])
                share = loss * (len(clean[part]) / size)
                if self.accelerator is None:
                    share.backward()
                else:
                    self.accelerator.backward(share)
                total = total + share.detach()
        except torch.OutOfMemoryError as error:
            if most == 1:
                raise ExhaustedError(
                    index,
                    f"out of memory with one image at a time ({str(error).splitlines()[0]})",
                    hint="lower model.width, or set training.device to one with more memory",
                ) from error
            self.most = (min(most, size) + 1) // 2
        else:
            return total
        # Out of the handler, which holds on to what was being computed.
        if clean.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _loss(self, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        level = sigma.view(-1, *[1] * (clean.ndim - 1))
        noisy = self.execution.arrange(clean + level * noise)
        with self.execution.autocast(clean.device):
            estimate = self.network(noisy, sigma)
        return (self.objective.weight(sigma) * _per_image(estimate - clean)).mean()


def _draw(
    data: Tensor,
    batches: Batches,
    plan: Plan,
    objective: Objective,
    seed: int,
    index: int,
    mine: slice,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return this process's share of a step's images, noise levels and noise."""
    random = torch_generator(seed, "training", index)
    sigma = objective.draw(plan.batch_size, random).to(data.dtype)
    noise = torch.randn((plan.batch_size, *data.shape[1:]), generator=random, dtype=data.dtype)
    chosen = data[batches.at(index)[mine].to(data.device)]
    return chosen, sigma[mine].to(data.device), noise[mine].to(data.device)


def _per_image(difference: Tensor) -> Float[Tensor, " batch"]:
    return difference.square().flatten(1).mean(1)
