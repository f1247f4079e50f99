"""Carrying out a block of replicates, from its configuration to its sealed folder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch

from ecotone.core import RecordError
from ecotone.studies.events import Event
from ecotone.studies.replicated_config import ReplicatedConfig
from ecotone.studies.store import RunFolder, RunRecord

__all__ = ["execute_replicates"]


def execute_replicates(
    config: ReplicatedConfig,
    folder: RunFolder,
    replicate: Callable[[int], Any],
    *,
    save_every: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, None]:
    """Carry out a block of replicates, or what is left of it, yielding events.

    A run killed at any moment and executed again ends with the same bytes.

    Args:
        config: complete.
        folder: of the run.
        replicate: returns the values of a replicate, which JSON can hold, from its number; they
            must depend on that and the configuration alone.
        save_every: replicates between one save and the next.
        should_stop: asked after every replicate; when true, what is done is saved and the run
            stops.
    """
    torch.set_num_threads(config.threads)
    numbers = [str(config.first + index) for index in range(config.replicates)]
    folder.tidy()
    folder.begin(config)
    try:
        done = {number: value for number, value in folder.values().items() if number in numbers}
    except RecordError:
        done = {}
    yield Event("started", folder.identity, len(done), config.length)
    unsaved = 0
    for number in numbers:
        if number in done:
            continue
        done[number] = replicate(int(number))
        unsaved += 1
        stopping = should_stop() and len(done) < len(numbers)
        if unsaved == save_every or stopping:
            folder.write_values(done)
            unsaved = 0
        yield Event("step", folder.identity, len(done), config.length, f"replicate {number}")
        if stopping:
            yield Event("stopped", folder.identity, len(done), config.length)
            return
    folder.write_values({number: done[number] for number in numbers})
    folder.seal(RunRecord("finished", config.length))
    yield Event("finished", folder.identity, config.length, config.length)
