"""Carrying out a study: what is left of it, in as many processes as there are cores for."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from ecotone.core import ConfigError
from ecotone.core.allocator import keep_freed_memory
from ecotone.populations import POPULATIONS, Population
from ecotone.studies.config import ExperimentConfig
from ecotone.studies.design import StudyDesign
from ecotone.studies.events import Event
from ecotone.studies.experiments import EXPERIMENTS
from ecotone.studies.store import RunFolder, StudyFolder

__all__ = ["default_workers", "run_study"]

_ENDS = {"finished", "failed", "stopped", "crashed"}

Job = tuple[ExperimentConfig, RunFolder]
Events = Generator[Event, None, None]


def default_workers(design: StudyDesign) -> int:
    """Return how many runs fit side by side: cores by threads a run; one where a GPU is used."""
    import torch

    configs = [cell.config for cell in design.cells]
    if torch.cuda.is_available() and any(config.on_gpu for config in configs):
        return 1
    return max(1, min(len(configs), _cores() // max(config.threads for config in configs)))


def run_study(
    design: StudyDesign, out: Path, *, workers: int | None = None, estimate: bool = False
) -> Events:
    """Carry out every run of a study that is not finished, yielding events; then write its tables.

    Closing the generator, or an interrupt while it waits, lets every worker save its run's state
    and stop; in this process a run is left at its last checkpoint. Calling it again goes on from
    there. Finished runs are never repeated, nor are failed ones, which would fail again.

    Args:
        design: the study.
        out: its folder.
        workers: runs side by side, each in a process of its own; 0 carries them out one after
            another in this process; as many as the cores allow where None.
        estimate: first measure a few steps and yield how long the study will take, where its kind
            of experiment can tell.

    Raises:
        ConfigError: before anything is written, where the data cannot give a run its images, or
            where workers × threads exceed the cores.
        RecordError: where the folder holds another study or cannot be written to.
    """
    keep_freed_memory()
    folder = StudyFolder(out, design)
    configs = [cell.config for cell in design.cells]
    populations: dict[str, Population] = {}
    identities = _identities(configs, populations)
    if workers is None:
        workers = default_workers(design)
    threads = max(config.threads for config in configs)
    if workers * threads > _cores() and workers > 1:
        raise ConfigError(
            f"{workers} workers of {threads} threads exceed this machine's {_cores()} cores",
            hint=f"give --workers {max(1, _cores() // threads)}",
        )
    with folder.lock():
        folder.write_design()
        jobs: list[Job] = []
        for config, identity in zip(configs, identities, strict=True):
            run = folder.run(identity)
            record, steps = run.record(), config.length
            done = record is not None and record.done
            yield Event("already" if done else "waiting", identity, 0, steps)
            if record is None:
                if (run.path / "run.json").exists():
                    run.discard()  # harmed since it ended: this run alone is done again
                jobs.append((config, run))
            elif not done:
                # It would fail again at the same step.
                told = f"step {record.failed_step}: {record.reason}"
                yield Event("failed", identity, record.steps, steps, told)
        tell = EXPERIMENTS[design.form.kind].tell_time if estimate and jobs else None
        if tell is not None:
            told = tell([config for config, _ in jobs], populations, max(1, workers))
            yield Event("estimated", "", 0, 0, told)
        events = _in_processes(jobs, workers) if workers else _in_turn(jobs)
        try:
            with closing(events):
                yield from events
        finally:
            runs = [folder.run(identity) for identity in identities]
            EXPERIMENTS[design.form.kind].write_tables(out, design.cells, runs)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _identities(
    configs: Sequence[ExperimentConfig], populations: dict[str, Population]
) -> list[str]:
    """Return every run's identity, having tried that the data give it its images."""
    identities = []
    for config in configs:
        key = config.population.model_dump_json()
        if key not in populations:
            tenant = config.population
            populations[key] = POPULATIONS.create(tenant.kind, tenant.options)
        fingerprint = EXPERIMENTS[config.kind].check(config, populations[key])
        identities.append(config.identity(fingerprint))
    return identities


def _in_turn(jobs: Sequence[Job]) -> Events:
    for config, folder in jobs:
        yield from EXPERIMENTS[config.kind].execute(config, folder)


class _Worker:
    """A worker process and the thread that hears it.

    Args:
        events: where its events, and None when it has ended, are put beside the worker itself.
        threads: CPU threads it may use.
    """

    def __init__(self, events: queue.SimpleQueue[tuple[_Worker, Event | None]], threads: int):
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self.job: Job | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ecotone.studies.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # sums on a GPU in one order
            },
            start_new_session=True,  # an interrupt reaches the study, which lets the runs save
            text=True,
            bufsize=1,
        )

        def hear() -> None:
            assert self.process.stdout is not None
            try:
                for line in self.process.stdout:
                    events.put((self, Event(**json.loads(line))))
            except (ValueError, TypeError):
                self.process.kill()  # what it says is no event, as where it was cut off
            finally:
                events.put((self, None))

        self._hearing = threading.Thread(target=hear, daemon=True)
        self._hearing.start()

    def give(self, job: Job) -> None:
        """Hand it a run."""
        self.job = job
        config, folder = job
        order = {
            "experiment": config.kind,
            "config": config.model_dump(mode="json"),
            "folder": str(folder.path),
        }
        self._tell(order)

    def stop(self) -> None:
        """Ask it to save and stop its run."""
        self._tell({"stop": True})

    def end(self) -> None:
        """End the process; it has no run, or may lose what came after its last checkpoint."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self._hearing.join()
        self.process.stdout.close()
        self._log.close()

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the process ended with code {self.process.wait()}"

    def _tell(self, order: dict) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; the listening thread says so


def _in_processes(jobs: Sequence[Job], count: int) -> Events:
    """Carry out jobs in worker processes, yielding their events as they come."""
    waiting = list(reversed(jobs))
    heard: queue.SimpleQueue[tuple[_Worker, Event | None]] = queue.SimpleQueue()
    threads = max((config.threads for config, _ in jobs), default=1)
    workers: set[_Worker] = set()

    def start() -> None:
        worker = _Worker(heard, threads)
        worker.give(waiting.pop())
        workers.add(worker)

    try:
        while waiting and len(workers) < count:
            start()
        while workers:
            worker, event = heard.get()
            if event is None:
                workers.discard(worker)
                if worker.job is not None:
                    config, folder = worker.job
                    words = worker.last_words()
                    yield Event("crashed", folder.identity, 0, config.length, words)
                worker.end()
                if waiting:
                    start()
                continue
            yield event
            if event.kind in _ENDS:
                worker.job = None
                if waiting:
                    worker.give(waiting.pop())
                else:
                    workers.discard(worker)
                    worker.end()
    finally:
        # Reached with workers left only when interrupted: let each save its state.
        for worker in workers:
            worker.stop()
        while any(worker.job for worker in workers):
            worker, event = heard.get()
            if event is None or event.kind in _ENDS:
                worker.job = None
        for worker in workers:
            worker.end()
