"""A training run at work: what it does at each step, and what it writes down."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecotone.core import Reading
from ecotone.core.alarm import copying_alarm
from ecotone.populations import Split
from ecotone.studies.events import Event
from ecotone.studies.run_config import RunConfig
from ecotone.studies.samples import write_samples
from ecotone.studies.store import RunFolder, RunRecord
from ecotone.training import (
    Measurement,
    Monitor,
    TrainingError,
    TrainingState,
    save_checkpoint,
    train,
)

__all__ = ["Clock", "Work", "copies"]


class Clock:
    """Adds up wall time for the record; nothing is decided by it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._since = time.perf_counter()

    def _lap(self) -> float:
        now = time.perf_counter()
        lap, self._since = now - self._since, now
        return lap

    def trained(self) -> None:
        """Count the time since the last lap as training."""
        self._folder.add_time(training=self._lap(), measuring=0.0)

    def measured(self) -> None:
        """Count the time since the last lap as measuring."""
        self._folder.add_time(training=0.0, measuring=self._lap())


@dataclass
class Work:
    """A run at work.

    Args:
        config: complete.
        folder: of the run.
        split: training set and holdout.
        monitor: what measures.
        due: the steps to measure after.
        state: changed in place.
        trajectory: readings so far, by step.
        samples: what was generated so far, by step, where it is to be kept.
        clock: of the run.

    Attributes:
        alarmed: whether the stopping policy has seen copying.
        last: the last measurement made here, if any.
    """

    config: RunConfig
    folder: RunFolder
    split: Split
    monitor: Monitor
    due: frozenset[int]
    state: TrainingState
    trajectory: dict[int, dict[str, Reading]]
    samples: dict[int, Tensor]
    clock: Clock
    last: Measurement | None = None

    def __post_init__(self) -> None:
        self.alarmed = self._alarms(*self.trajectory.values())

    def _alarms(self, *readings: Mapping[str, Reading]) -> bool:
        """Tell whether the stopping policy sees copying in any of some measurements."""
        looks = len(self.due)
        return self.config.monitor.stop == "onset" and any(
            copies(each, looks=looks) for each in readings
        )

    def train(
        self, sigma_data: float, should_stop: Callable[[], bool]
    ) -> Generator[Event, None, bool]:
        """Train and measure, yielding events, to the last step or an alarm.

        Returns:
            Whether it was asked to stop before.
        """
        config, folder, state = self.config, self.folder, self.state
        steps = config.training.steps
        if not folder.references():
            references = {
                "perfect_memorizer": self.monitor.perfect_memorizer().readings,
                "holdout": self.monitor.holdout_as_generated().readings,
            }
            folder.write_references(references)
            self.clock.measured()
        if self.alarmed:
            return False
        told_every = max(1, steps // 200)
        every = config.training.checkpoint_every or steps
        for step in train(
            state,
            self.split.training,
            config.training,
            sigma_data=sigma_data,
            seed=config.seed,
            execution=config.training.execution,
        ):
            if step.index % told_every == 0:
                yield Event("step", folder.identity, step.index, steps, f"loss {step.loss:.3f}")
            if step.index in self.due:
                done = f"{len(self.trajectory)}/{len(self.due)}"
                yield Event("measuring", folder.identity, step.index, steps, done)
                self.measure(step.index)
            stopping, ending = should_stop(), step.index == steps or self.alarmed
            if step.index % every == 0 or ending or stopping:
                save_checkpoint(folder.checkpoint, state, identity=folder.identity)
                self.clock.trained()
            if ending:
                break
            if stopping:
                yield Event("stopped", folder.identity, step.index, steps)
                return True
        return False

    def measure(self, step: int) -> None:
        """Measure, and write down what was seen."""
        self.clock.trained()
        self.last = self.monitor.measure(self.state.ema.model, step)
        self.trajectory[step] = self.last.readings
        self.folder.write_readings(self.trajectory)
        if self.config.monitor.keep:
            self.samples[step] = self.last.generated[: self.config.monitor.keep]
            write_samples(self.folder.samples, self.samples)
        self.alarmed = self._alarms(self.last.readings)
        if self.config.monitor.stop == "onset" and not self.alarmed:
            save_checkpoint(self.folder.safe, self.state, identity=self.folder.identity)
        self.clock.measured()

    def at_the_end(self) -> Measurement:
        """Return the measurement of the last step, drawn once more where it was before a stop."""
        if self.last is None or self.last.step != self.state.step:
            # Weights laid out as in training round as they did.
            self.config.training.execution.arrange_weights(self.state.model)
            self.state.align()
            self.last = self.monitor.measure(self.state.ema.model, self.state.step)
        return self.last

    def why_stopped(self) -> str:
        """Return when copying was seen, and which weights were kept."""
        safe = max((step for step in self.trajectory if step < self.state.step), default=None)
        kept = f"safe.safetensors is of step {safe}" if safe else "no measured step was safe"
        return f"copying was seen at step {self.state.step}; {kept}"

    def failed(self, failure: Exception) -> str:
        """Write down that the run cannot go on; return why."""
        step, reason = self.state.step, str(failure).splitlines()[0]
        if isinstance(failure, TrainingError):
            step, reason = failure.step, failure.reason
        elif isinstance(failure, torch.OutOfMemoryError):
            reason = f"out of memory while measuring ({reason})"
        self.folder.seal(RunRecord("failed", self.state.step, step, reason))
        return str(failure) if isinstance(failure, TrainingError) else reason


def copies(readings: Mapping[str, Reading], *, looks: int) -> bool:
    """Tell whether one measurement says that copying has begun; see :mod:`ecotone.core.alarm`."""
    share = readings.get("copied_share_gap_ratio")
    floor = readings.get("copied_share_gap_ratio_floor")
    if share is None or floor is None:
        return False
    return copying_alarm(
        round(share.value * share.n),
        share.n,
        round(floor.value * floor.n),
        floor.n,
        looks=looks,
    )
