"""A block of replicates of a linear study, from its configuration to its sealed folder."""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch

from ecotone.core import RecordError
from ecotone.denoisers.linear import LINEAR
from ecotone.populations import POPULATIONS, Population
from ecotone.populations.exact import ExactPopulation
from ecotone.studies.events import Event
from ecotone.studies.linear_config import LinearConfig
from ecotone.studies.linear_replicate import replicate
from ecotone.studies.store import RunFolder, RunRecord

__all__ = ["check_run", "execute_run"]

SAVED_EVERY = 5
"""Replicates between one save and the next."""


def check_run(config: LinearConfig, population: Population) -> str:
    """Try that a block can be had: what :meth:`LinearConfig.completed` did not check.

    Returns:
        The population's fingerprint.

    Raises:
        EcotoneError: for an option that the model refuses.
    """
    LINEAR.create(config.model.kind, config.model.options)
    return population.fingerprint


def execute_run(
    config: LinearConfig, folder: RunFolder, *, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Event, None, None]:
    """Carry out a block of replicates, or what is left of it, yielding events.

    A replicate depends on the configuration and its number alone, so that a run killed at any
    moment and executed again ends with the same bytes.

    Args:
        config: complete, see :meth:`LinearConfig.completed`.
        folder: of the run.
        should_stop: asked after every replicate; when true, what is done is saved and the run
            stops.
    """
    torch.set_num_threads(config.threads)
    population = POPULATIONS.create(config.population.kind, config.population.options)
    assert isinstance(population, ExactPopulation)
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
        done[number] = replicate(config, population, int(number))
        unsaved += 1
        stopping = should_stop() and len(done) < len(numbers)
        if unsaved == SAVED_EVERY or stopping:
            folder.write_values(done)
            unsaved = 0
        yield Event("step", folder.identity, len(done), config.length, f"replicate {number}")
        if stopping:
            yield Event("stopped", folder.identity, len(done), config.length)
            return
    folder.write_values({number: done[number] for number in numbers})
    folder.seal(RunRecord("finished", config.length))
    yield Event("finished", folder.identity, config.length, config.length)
