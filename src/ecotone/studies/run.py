"""One training run, from its configuration to its sealed folder; resumes where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import lru_cache

import torch
from torch import Tensor, nn

from ecotone.core import ConfigError, DataError, Reading, RecordError
from ecotone.core.records import content_hash
from ecotone.core.seeds import derive
from ecotone.denoisers import MODELS
from ecotone.features import FEATURES, FeatureSpace
from ecotone.measures.fair_spaces import fitted_alike
from ecotone.populations import POPULATIONS, Population, Split, plant_duplicates
from ecotone.populations.mirrored import mirrored
from ecotone.samplers import SAMPLERS
from ecotone.studies.config import Tenant
from ecotone.studies.events import Event
from ecotone.studies.gallery import write_gallery
from ecotone.studies.run_config import RunConfig
from ecotone.studies.samples import read_samples
from ecotone.studies.store import RunFacts, RunFolder, RunRecord
from ecotone.studies.work import Clock, Work, copies
from ecotone.training import (
    Judge,
    Monitor,
    TrainingError,
    TrainingState,
    load_checkpoint,
    measuring_steps,
)

__all__ = ["check_run", "execute_run", "split_of"]


@lru_cache(maxsize=1)
def _population(tenant: str) -> Population:
    """Return the population of a tenant's JSON; a worker's runs mostly share theirs."""
    named = Tenant.model_validate_json(tenant)
    return POPULATIONS.create(named.kind, named.options)


def split_of(config: RunConfig, population: Population) -> Split:
    """Return a run's training set and holdout, planted duplicates and mirror images included."""
    seed = derive(config.shared_seed, "split")
    if config.twin_of is None:
        split = population.split(config.n, config.holdout, seed)
    else:
        both = population.split(2 * config.n, config.holdout, seed)
        split = Split(
            both.training[config.n :], both.holdout, both.training_ids[config.n :], both.holdout_ids
        )
    planted = config.duplicates
    if planted.exact or planted.near:
        split, _ = plant_duplicates(
            split,
            exact=planted.exact,
            near=planted.near,
            noise=planted.noise,
            seed=derive(config.seed, "duplicates"),
        )
    return mirrored(split) if config.flips else split


def check_run(config: RunConfig, population: Population) -> str:
    """Try that everything a run is made of can be had, without carrying anything out.

    Returns:
        A fingerprint of the data, and of an encoder's weights where there is one.

    Raises:
        EcotoneError: for a split that the data cannot give, a model that does not fit them, or an
            option that its tenant refuses.
    """
    split = split_of(config, population)
    with torch.device("meta"):
        _model(config, split, sigma_data=1.0)
    SAMPLERS.create(config.sampler.kind, config.sampler.options)
    features = _features(config, split)
    try:
        torch.zeros(1, device=config.training.device)
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"training.device = {config.training.device} cannot be used: {error}",
            hint="set training.device=cpu",
        ) from error
    data = population.fingerprint
    # An encoder's description has hashes of its files: others at the same path are another run's.
    return content_hash(data, features.describe()) if getattr(features, "costly", False) else data


def execute_run(
    config: RunConfig, folder: RunFolder, *, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Event, None, None]:
    """Carry out a run, or what is left of it, yielding events.

    Everything random depends on the configuration and the step, and the state on disk is always
    one that the undisturbed run passed through, so that a run killed at any moment and executed
    again ends with the same bytes.

    Args:
        config: complete, see :meth:`RunConfig.completed`.
        folder: of the run.
        should_stop: asked after every step; when true, the state is saved and the run stops.
    """
    torch.set_num_threads(config.training.threads)
    steps = config.training.steps
    population = _population(config.population.model_dump_json())
    split = split_of(config, population)
    device = torch.device(config.training.device)
    if device.type == "cuda":
        # The same bytes each time; an operation that cannot do so warns. The workers' environment
        # has what cuBLAS wants for it.
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
    sigma_data = float(split.training.double().std())
    monitor = _monitor(config, split, sigma_data, device)
    due = frozenset(
        measuring_steps(
            steps,
            cost=monitor.cost,
            batch_size=config.training.batch_size,
            share=config.monitor.share,
            first=config.monitor.first,
            per_decade=config.monitor.per_decade,
        )
    )
    state, trajectory, samples = _resume(config, folder, split, sigma_data, device, due)
    work = Work(config, folder, split, monitor, due, state, trajectory, samples, Clock(folder))
    yield Event("started", folder.identity, state.step, steps)
    try:
        stopped = yield from work.train(sigma_data, should_stop)
        if stopped:
            return
        write_gallery(folder.gallery, work.at_the_end(), split, value_range=population.value_range)
    except (TrainingError, DataError, torch.OutOfMemoryError) as failure:
        yield Event("failed", folder.identity, state.step, steps, work.failed(failure))
        return
    if work.alarmed:
        reason = work.why_stopped()
        folder.seal(RunRecord("stopped", state.step, reason=reason))
        yield Event("finished", folder.identity, state.step, steps, reason)
        return
    folder.seal(RunRecord("finished", steps))
    yield Event("finished", folder.identity, steps, steps)


def _resume(
    config: RunConfig,
    folder: RunFolder,
    split: Split,
    sigma_data: float,
    device: torch.device,
    due: frozenset[int],
) -> tuple[TrainingState, dict[int, dict[str, Reading]], dict[int, Tensor]]:
    """Return the state, readings and samples of the last checkpoint, or of a run not yet begun.

    A run whose files are harmed, or do not fit one another, is begun again.
    """

    def fresh() -> TrainingState:
        with torch.random.fork_rng():
            torch.manual_seed(derive(config.seed, "initial weights"))
            model = _model(config, split, sigma_data)
        return TrainingState(model.to(device), config.training)

    state = fresh()
    folder.tidy()
    folder.begin(config)
    if folder.checkpoint.exists():
        try:
            load_checkpoint(folder.checkpoint, state, identity=folder.identity)
            trajectory = folder.readings(up_to=state.step)
            samples = read_samples(folder.samples, up_to=state.step)
            whole = trajectory.keys() == {step for step in due if step <= state.step}
            whole &= not config.monitor.keep or samples.keys() == trajectory.keys()
            if config.monitor.stop == "onset" and not folder.safe.exists():
                looks = len(due)
                whole &= all(copies(readings, looks=looks) for readings in trajectory.values())
            if whole and folder.references() and folder.facts():
                return state, trajectory, samples
        except RecordError:
            pass
        state = fresh()
    folder.discard()
    folder.begin(config)
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    folder.write_facts(RunFacts(images=split.n, parameters=parameters))
    return state, {}, {}


def _model(config: RunConfig, split: Split, sigma_data: float) -> nn.Module:
    shape = tuple(split.training.shape[1:])
    return MODELS.create(
        config.model.kind, config.model.options, shape=shape, sigma_data=sigma_data
    )


def _monitor(config: RunConfig, split: Split, sigma_data: float, device: torch.device) -> Monitor:
    judge = Judge(
        training=split.training,
        holdout=split.holdout,
        features=_features(config, split),
        measures=config.monitor.measures,
        sigma_data=sigma_data,
        seed=config.seed,
    )
    sampler = SAMPLERS.create(config.sampler.kind, config.sampler.options)
    return Monitor(
        judge,
        sampler=sampler,
        samples=config.monitor.samples,
        device=device,
        seed=config.shared_seed,
        execution=config.training.execution,
    )


def _features(config: RunConfig, split: Split) -> FeatureSpace:
    """Return the feature space of a run, fitted to what its samples are held against."""
    space = FEATURES.create(config.monitor.features.kind, config.monitor.features.options)
    return fitted_alike(space, [split.training, split.holdout], seed=config.seed)
