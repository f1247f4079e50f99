"""A run's averaged weights, for other programs."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ecotone.core import RecordError
from ecotone.core.records import read_json
from ecotone.denoisers import MODELS
from ecotone.denoisers.pipelines import save_pipeline
from ecotone.populations import POPULATIONS, Population
from ecotone.studies.config import parse
from ecotone.studies.run import split_of
from ecotone.studies.run_config import RunConfig
from ecotone.studies.store import RunFolder
from ecotone.training import TrainingState, load_checkpoint

__all__ = ["export_run", "load_run"]


def load_run(run: Path, *, safe: bool = False) -> tuple[nn.Module, Population]:
    """Return a run's denoiser, with its averaged weights, and the population of its data.

    Args:
        run: the run's folder.
        safe: the last weights before copying was seen, of a run with ``monitor.stop = onset``; the
            last of all otherwise.

    Raises:
        RecordError: where there is no such run or no such checkpoint, or where it is harmed.
        EcotoneError: where the data that it was trained on cannot be had any more.
    """
    folder = RunFolder(run)
    if not (run / "config.json").is_file():
        raise RecordError(f"{run} is no run's folder", hint="name one like DIR/runs/NAME")
    config = parse(RunConfig, read_json(run / "config.json"), where=str(run / "config.json"))
    checkpoint = folder.safe if safe else folder.checkpoint
    if not checkpoint.is_file():
        hint = "set monitor.stop=onset in its study" if safe else "let the study go on"
        raise RecordError(f"there is no file {checkpoint}", hint=hint)
    population = POPULATIONS.create(config.population.kind, config.population.options)
    split = split_of(config, population)
    model = MODELS.create(
        config.model.kind,
        config.model.options,
        shape=tuple(split.training.shape[1:]),
        sigma_data=float(split.training.double().std()),
    )
    state = TrainingState(model, config.training)
    load_checkpoint(checkpoint, state, identity=folder.identity)
    return state.ema.model, population


def export_run(run: Path, out: Path, *, safe: bool = False) -> None:
    """Write a run's averaged weights as a ``diffusers.DDPMPipeline``.

    Args:
        run: the run's folder.
        out: the pipeline's folder.
        safe: as for :func:`load_run`.

    Raises:
        RecordError: as :func:`load_run`.
        ConfigError: for a model that such a pipeline cannot hold, see
            :func:`~ecotone.denoisers.pipelines.save_pipeline`.
    """
    model, population = load_run(run, safe=safe)
    save_pipeline(model, out, value_range=population.value_range)
