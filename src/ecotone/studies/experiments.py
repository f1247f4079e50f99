"""The kinds of experiment that a study can repeat over its factors."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ecotone.populations import Population
from ecotone.studies import (
    estimate,
    linear_run,
    linear_tables,
    planted_run,
    planted_tables,
    run,
    tables,
)
from ecotone.studies.design import Cell
from ecotone.studies.events import Event
from ecotone.studies.linear_config import LinearConfig
from ecotone.studies.planted_config import PlantedConfig
from ecotone.studies.run_config import RunConfig
from ecotone.studies.store import RunFolder

__all__ = ["EXPERIMENTS", "Experiment"]


@runtime_checkable
class Execute(Protocol):
    """Carries out a run, or what is left of it, yielding events; see :func:`.run.execute_run`."""

    def __call__(
        self, config: Any, folder: RunFolder, *, should_stop: Callable[[], bool] = ...
    ) -> Generator[Event, None, None]:
        """Carry it out."""
        ...


@dataclass(frozen=True)
class Experiment:
    """What a study needs to know of an experiment, beside the form of its configuration.

    Args:
        check: tries that a run can be had, and raises where it cannot; nothing is written. Returns
            a fingerprint of all that the run depends on beside its configuration.
        execute: carries a run out, or what is left of it; killed at any moment and called again
            it ends with the same bytes.
        write_tables: writes the study's tables from its run folders.
        tell_time: says how long runs will take, in a sentence, from their configurations, the
            populations by the JSON of their tenant, and the number of workers; or None.
    """

    check: Callable[[Any, Population], str]
    execute: Execute
    write_tables: Callable[[Path, Sequence[Cell], Sequence[RunFolder]], None]
    tell_time: Callable[[Sequence[Any], Mapping[str, Population], int], str] | None = None


EXPERIMENTS: dict[str, Experiment] = {
    RunConfig.kind: Experiment(
        run.check_run, run.execute_run, tables.write_tables, estimate.tell_time
    ),
    LinearConfig.kind: Experiment(
        linear_run.check_run, linear_run.execute_run, linear_tables.write_tables
    ),
    PlantedConfig.kind: Experiment(
        planted_run.check_run, planted_run.execute_run, planted_tables.write_tables
    ),
}
"""Experiments by the name that a study's ``experiment`` says."""
