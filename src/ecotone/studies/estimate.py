"""How long a study of training runs will take, told from a few measured steps."""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ecotone.core.records import canonical_json
from ecotone.core.seeds import torch_generator
from ecotone.core.wording import percent
from ecotone.denoisers import MODELS
from ecotone.measures.probe import evaluations
from ecotone.populations import Population
from ecotone.samplers import SAMPLERS
from ecotone.studies.run_config import RunConfig
from ecotone.training import (
    Execution,
    TrainingError,
    TrainingState,
    measuring_steps,
    train,
)

__all__ = ["Pace", "makespan", "measure_pace", "seconds_of", "tell_time"]

_STEPS = 12
_LONG = 5.0
"""Seconds after which what was measured is enough to tell."""


@dataclass(frozen=True)
class Pace:
    """How fast a model trains and denoises on this machine.

    Args:
        step: seconds a training step.
        image: seconds to denoise one image, in batches as large as sampling's.
    """

    step: float
    image: float


def pace_key(config: RunConfig, shape: Sequence[int]) -> str:
    """Return what a run's pace depends on: runs that agree in it are measured once."""
    training = config.training.model_dump(mode="json")
    of = ("batch_size", "device", "threads", "precision", "channels_last", "micro_batch")
    record = {
        "shape": list(shape),
        "model": config.model.model_dump(mode="json"),
        "samples": config.monitor.samples,
        **{name: training[name] for name in of},
    }
    return canonical_json(record)


def measure_pace(config: RunConfig, shape: Sequence[int]) -> Pace:
    """Train for a few steps on noise and denoise one batch; return how long they took.

    Nothing of it is kept: the run itself starts from its own seed. Compilation is left out, as it
    would take longer than all the rest.

    Args:
        config: of the run, complete.
        shape: of one item of its data.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        return _measure(config, shape)
    finally:
        torch.set_num_threads(before)
        if config.training.device.startswith("cuda"):
            torch.cuda.empty_cache()  # the runs' own processes want it


def _measure(config: RunConfig, shape: Sequence[int]) -> Pace:
    device = torch.device(config.training.device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS.create(
            config.model.kind, config.model.options, shape=tuple(shape), sigma_data=0.5
        )
    state = TrainingState(model.to(device), config.training)
    images = torch.randn(
        config.training.batch_size, *shape, generator=torch_generator(0, "estimate")
    )
    execution = config.training.execution
    plain = Execution(
        execution.precision, execution.channels_last, micro_batch=execution.micro_batch
    )
    # The learning rate costs no time, and a small one cannot make the loss diverge.
    plan = config.training.model_copy(update={"steps": _STEPS, "learning_rate": 1e-6})
    took: list[float] = []
    start = time.perf_counter()
    for _ in train(state, images, plan, sigma_data=0.5, seed=0, execution=plain):
        now = time.perf_counter()
        took.append(now - start)
        start = now
        if sum(took) > _LONG:
            break
    # The first steps set up memory and kernels.
    step = statistics.median(took[len(took) // 2 :])
    batch = torch.randn(min(config.monitor.samples, 256), *shape, device=device)
    sigma = torch.ones(len(batch), device=device)
    with torch.no_grad(), execution.autocast(device):
        spent = []
        for _ in range(2):
            start = time.perf_counter()
            float(state.ema.model(batch, sigma).sum())
            spent.append(time.perf_counter() - start)
            if spent[-1] > _LONG:
                break
    return Pace(step, spent[-1] / len(batch))


def seconds_of(config: RunConfig, pace: Pace) -> tuple[float, float]:
    """Return how long a run's steps take at a pace, and how long what its measurements ask for."""
    sampler = SAMPLERS.create(config.sampler.kind, config.sampler.options)
    monitor, training = config.monitor, config.training
    cost = monitor.samples * sampler.evaluations
    if {"denoising", "memorizer"} & set(monitor.measures):
        images = config.n * (2 if config.flips else 1)
        cost += evaluations(training=images, holdout=config.holdout)
    due = measuring_steps(
        training.steps,
        cost=cost,
        batch_size=training.batch_size,
        share=monitor.share,
        first=monitor.first,
        per_decade=monitor.per_decade,
    )
    return training.steps * pace.step, len(due) * cost * pace.image


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of several jobs ends that so many workers take in order.

    >>> makespan([3.0, 1.0, 1.0, 1.0], workers=2)
    3.0
    """
    free = [0.0] * max(1, workers)
    for job in seconds:
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def tell_time(
    configs: Sequence[RunConfig], populations: Mapping[str, Population], workers: int
) -> str:
    """Return how long runs will take side by side, in a sentence, from measured steps.

    Args:
        configs: of the runs that are left, complete, in the order they are carried out.
        populations: by the JSON of their tenant.
        workers: runs side by side.
    """
    paces: dict[str, Pace] = {}
    seconds, measuring = [], 0.0
    for config in configs:
        shape = populations[config.population.model_dump_json()].shape
        key = pace_key(config, shape)
        try:
            paces[key] = paces.get(key) or measure_pace(config, shape)
        except (TrainingError, torch.OutOfMemoryError) as error:
            return f"how long it will take cannot be told: {error}"
        taken = seconds_of(config, paces[key])
        seconds.append(sum(taken))
        measuring += taken[1]
    steps = sorted({f"{pace.step:.3g}" for pace in paces.values()}, key=float)
    span = steps[0] if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    runs = "1 run" if len(configs) == 1 else f"{len(configs)} runs"
    side = f", {workers} at a time" if workers > 1 and len(configs) > 1 else ""
    long, share = _spoken(makespan(seconds, workers)), percent(measuring / sum(seconds))
    return f"about {long} for {runs}{side}; a step takes {span} s, and measuring {share} of it all"


def _spoken(seconds: float) -> str:
    """Return a duration as one says it.

    >>> _spoken(40.0), _spoken(800.0), _spoken(9000.0), _spoken(400000.0)
    ('1 minute', '13 minutes', '2.5 hours', '4.6 days')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
