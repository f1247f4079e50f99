"""A block of replicates of a linear study, from its configuration to its sealed folder."""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch

from ecotone.denoisers.linear import LINEAR
from ecotone.populations import POPULATIONS, Population
from ecotone.populations.exact import ExactPopulation
from ecotone.studies.events import Event
from ecotone.studies.linear_config import LinearConfig
from ecotone.studies.linear_replicate import replicate
from ecotone.studies.replicated_run import execute_replicates
from ecotone.studies.store import RunFolder

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

    Args:
        config: complete, see :meth:`LinearConfig.completed`.
        folder: of the run.
        should_stop: asked after every replicate; when true, what is done is saved and the run
            stops.
    """
    torch.set_num_threads(config.threads)
    population = POPULATIONS.create(config.population.kind, config.population.options)
    assert isinstance(population, ExactPopulation)
    yield from execute_replicates(
        config,
        folder,
        lambda index: replicate(config, population, index),
        save_every=SAVED_EVERY,
        should_stop=should_stop,
    )
