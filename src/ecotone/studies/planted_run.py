"""A block of replicates of the planted-copy benchmark, from its configuration to its folder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import lru_cache

import torch

from ecotone.core.records import content_hash
from ecotone.features import FEATURES
from ecotone.measures.mirrored import mirrored_nearest
from ecotone.populations import POPULATIONS, Population
from ecotone.populations.planted import TRANSFORMS
from ecotone.studies.config import Tenant
from ecotone.studies.events import Event
from ecotone.studies.planted_config import PlantedConfig
from ecotone.studies.replicated_run import execute_replicates
from ecotone.studies.store import RunFolder

__all__ = ["check_run", "execute_run"]


@lru_cache(maxsize=1)
def _population(tenant: str) -> Population:
    """Return the population of a tenant's JSON; a worker's blocks share theirs."""
    named = Tenant.model_validate_json(tenant)
    return POPULATIONS.create(named.kind, named.options)


def check_run(config: PlantedConfig, population: Population) -> str:
    """Try that a block can be had: the split, mirroring, each transform, the feature spaces.

    Returns:
        A fingerprint of the data, and of an encoder's weights where there is one.

    Raises:
        EcotoneError: for a split that the data cannot give, a transform that they cannot have, or
            an option that its tenant refuses.
    """
    split = population.split(config.n, config.holdout + max(config.generated), 0)
    if config.mirrored:
        mirrored_nearest(split.holdout[:1], split.training[:1], 1)
    for tenant in config.transforms:
        TRANSFORMS.create(tenant.kind, tenant.options)(
            split.training[:1],
            fresh=split.holdout[:1],
            seeds=(0,),
            value_range=population.value_range,
        )
    spaces = [
        FEATURES.create(tenant.kind, tenant.options).fit(split.holdout)
        for tenant in (config.distance, config.features)
    ]
    # An encoder's description has hashes of its files: others at the same path are another run's.
    encoders = [space.describe() for space in spaces if getattr(space, "costly", False)]
    return content_hash(population.fingerprint, *encoders) if encoders else population.fingerprint


def execute_run(
    config: PlantedConfig, folder: RunFolder, *, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Event, None, None]:
    """Carry out a block of replicates, or what is left of it, yielding events.

    Args:
        config: complete, see :meth:`PlantedConfig.completed`.
        folder: of the run.
        should_stop: asked after every replicate.
    """
    # Imported here: studies of other kinds need not wait for the detectors.
    from ecotone.studies.planted_replicate import replicate

    torch.set_num_threads(config.threads)
    population = _population(config.population.model_dump_json())
    yield from execute_replicates(
        config,
        folder,
        lambda index: replicate(config, population, index),
        save_every=1,
        should_stop=should_stop,
    )
