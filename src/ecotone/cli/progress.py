"""Progress of a study in a terminal: bars where there is one, plain lines where there is none."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ecotone.studies import Event, StudyDesign

__all__ = ["TimeUp", "until", "watch"]


class TimeUp(Exception):  # noqa: N818 - nothing went wrong
    """The minutes that a study was given are over."""


def until(events: Iterable[Event], minutes: float | None) -> Iterator[Event]:
    """Pass events on until the time is up.

    Raises:
        TimeUp: after so many minutes.
    """
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    for event in events:
        yield event
        if time.monotonic() >= end:
            raise TimeUp


def watch(design: StudyDesign, events: Iterable[Event]) -> tuple[tuple[str, ...], dict[str, Event]]:
    """Show a study's events as they come.

    Returns:
        The identities of all runs, and the last event of those that did not finish.
    """
    console = Console(stderr=True)
    watcher = (_Bars if console.is_terminal else _Lines)(design, console)
    ends = watcher.show(events)
    return tuple(watcher.labels), ends


class _Watcher(ABC):
    """Keeps count of the runs; what is shown is up to those who inherit.

    Args:
        design: the study.
        console: where to show it.
    """

    def __init__(self, design: StudyDesign, console: Console) -> None:
        self.console = console
        self.total = len(design.cells)
        self.finished = 0
        self._labels = [
            ", ".join(f"{name}={level}" for name, level in cell.factors.items())
            + (f", {cell.config.part}" if len(design.cells) > len(design.summary()) else "")
            for cell in design.cells
        ]
        self.labels: dict[str, str] = {}

    def show(self, events: Iterable[Event]) -> dict[str, Event]:
        """Show every event; return the ends of the runs that did not finish."""
        unfinished: dict[str, Event] = {}
        for event in events:
            # Every run is announced once before any starts, in the order of the design.
            if event.kind == "estimated":
                self.console.print(event.detail.capitalize(), markup=False, highlight=False)
                continue
            if event.kind in {"already", "waiting"}:
                self.labels[event.run] = self._labels[len(self.labels)]
            if event.kind in {"already", "finished", "failed"}:
                self.finished += 1
            if event.kind in {"failed", "crashed"}:
                unfinished[event.run] = event
            self.told(event)
        return unfinished

    @abstractmethod
    def told(self, event: Event) -> None:
        """Show one event."""


class _Lines(_Watcher):
    """One line at a run's start and end and at every tenth of it, for logs."""

    def __init__(self, design: StudyDesign, console: Console) -> None:
        super().__init__(design, console)
        self._tenths: dict[str, int] = {}

    def told(self, event: Event) -> None:
        label = self.labels[event.run]
        if event.kind == "step":
            tenth = 10 * event.step // event.steps
            if tenth > self._tenths.get(event.run, 0):
                self._tenths[event.run] = tenth
                self._say(f"{label}: step {event.step}/{event.steps}, {event.detail}")
        elif event.kind == "started" and event.step:
            self._say(f"{label}: goes on from step {event.step}")
        elif event.kind in {"already", "finished", "failed", "crashed", "stopped"}:
            told = {"already": "finished earlier", "stopped": "saved"}.get(event.kind, event.kind)
            detail = f" ({event.detail})" if event.detail else ""
            self._say(f"{label}: {told}{detail}; {self.finished}/{self.total} runs")

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Bars(_Watcher):
    """A bar for the study, and two for each run at work: its steps and its measurements."""

    def show(self, events: Iterable[Event]) -> dict[str, Event]:
        self._tasks: dict[str, tuple[TaskID, TaskID]] = {}
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        with Progress(*columns, console=self.console) as self._progress:
            self._study = self._progress.add_task("study", total=self.total, detail="runs")
            return super().show(events)

    def told(self, event: Event) -> None:
        progress, label = self._progress, self.labels[event.run]
        if event.kind == "started":
            steps = progress.add_task(
                label, total=event.steps, completed=event.step, detail="steps"
            )
            measured = progress.add_task("  measuring", total=None, detail="")
            self._tasks[event.run] = (steps, measured)
        elif event.kind == "step":
            steps, measured = self._tasks[event.run]
            progress.update(steps, completed=event.step, detail=event.detail)
            progress.update(measured, detail="")
        elif event.kind == "measuring":
            done, total = (int(part) for part in event.detail.split("/"))
            _, measured = self._tasks[event.run]
            progress.update(
                measured, completed=done, total=total, detail=f"sampling at step {event.step}"
            )
        elif event.kind in {"finished", "failed", "crashed", "stopped"}:
            for task in self._tasks.pop(event.run, ()):
                progress.remove_task(task)
            progress.console.print(f"{label}: {event.kind} {event.detail}", markup=False)
        progress.update(self._study, completed=self.finished)
