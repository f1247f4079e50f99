"""A study's tables: tidy, typed, the same bytes for the same runs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core import Reading, RecordError
from ecotone.core.records import canonical_json, write_atomic
from ecotone.studies.design import Cell, Scalar
from ecotone.studies.run_config import RunConfig
from ecotone.studies.samples import compare_twins
from ecotone.studies.store import RunFolder, RunRecord

__all__ = ["ENDS", "NUMBERS", "factor_types", "write_table", "write_tables"]

NUMBERS = {
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "samples": pl.Int64,
}
ENDS = {
    "run": pl.String,
    "status": pl.String,
    "steps": pl.Int64,
    "failed_step": pl.Int64,
    "reason": pl.String,
}
FACTS = {
    "batch_size": pl.Int64,
    "images": pl.Int64,
    "parameters": pl.Int64,
    "twin_of": pl.Int64,
}


def write_tables(path: Path, cells: Sequence[Cell], folders: Sequence[RunFolder]) -> None:
    """Write results.parquet, runs.parquet and references.parquet from the run folders.

    - ``results``: one row per run, step and measure; factors, ``seed``, ``step``, ``measure``,
      ``value``, ``low``, ``high``, ``samples``. A reading that could not be had has no row.
    - ``references``: the same for the perfect memorizer and the holdout, with ``reference`` for
      ``step``.
    - ``runs``: one row per run; factors, ``seed``, ``run``, ``status``, ``steps``,
      ``failed_step``, ``reason``, ``batch_size``, ``images`` (in the training set, mirror images
      among them), ``parameters`` (of the model) and ``twin_of``, the seed of the run that it is to
      be held against.

    Where a run has a twin, what the two agree in stands among the readings of both.

    Args:
        path: the study's folder.
        cells: of its design, in order.
        folders: of the cells.
    """
    results: list[dict[str, Any]] = []
    references: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    shared = _shared(cells, folders)
    for cell, folder in zip(cells, folders, strict=True):
        lead = {**cell.factors, "seed": cell.config.seed}
        try:
            trajectory, standards = folder.readings(), folder.references()
        except RecordError:  # a harmed run has nothing to tell until it is done again
            trajectory, standards = {}, {}
        record = folder.record() or RunRecord("unfinished", steps=max(trajectory, default=0))
        config, facts = cell.config, folder.facts()
        assert isinstance(config, RunConfig)
        known = {
            "batch_size": config.training.batch_size,
            "images": facts and facts.images,
            "parameters": facts and facts.parameters,
            "twin_of": config.twin_of,
        }
        runs.append({**lead, "run": folder.identity, **asdict(record), **known})
        for step, readings in trajectory.items():
            both = shared.get(folder.identity, {}).get(step, {})
            results += _rows(lead | {"step": step}, readings | both)
        for name, readings in standards.items():
            references += _rows(lead | {"reference": name}, readings)
    lead_types = {**factor_types(cell.factors for cell in cells), "seed": pl.Int64}
    write_table(path / "results.parquet", results, {**lead_types, "step": pl.Int64, **NUMBERS})
    write_table(
        path / "references.parquet", references, {**lead_types, "reference": pl.String, **NUMBERS}
    )
    write_table(path / "runs.parquet", runs, {**lead_types, **ENDS, **FACTS})


def _shared(
    cells: Sequence[Cell], folders: Sequence[RunFolder]
) -> dict[str, dict[int, dict[str, Reading]]]:
    """Return, by run and step, what a run and its twin agree in."""
    places = {
        (canonical_json(dict(cell.factors)), cell.config.seed): (cell.config, folder)
        for cell, folder in zip(cells, folders, strict=True)
    }
    found: dict[str, dict[int, dict[str, Reading]]] = {}
    for cell, folder in zip(cells, folders, strict=True):
        twin = getattr(cell.config, "twin_of", None)
        other = places.get((canonical_json(dict(cell.factors)), twin)) if twin is not None else None
        # A twin's own twin would share its training set.
        if other is not None and getattr(other[0], "twin_of", None) is None:
            both = compare_twins(other[1].samples, folder.samples)
            found[folder.identity] = found[other[1].identity] = both
    return found


def write_table(path: Path, rows: list[dict[str, Any]], types: Mapping[str, Any]) -> None:
    """Write rows to a parquet file: whole, and the same bytes for the same rows."""
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=dict(types), orient="row").write_parquet(buffer)
    write_atomic(path, buffer.getvalue())


def _rows(lead: Mapping[str, Any], readings: Mapping[str, Reading]) -> list[dict[str, Any]]:
    return [
        {
            **lead,
            "measure": measure,
            "value": reading.value,
            "low": reading.low,
            "high": reading.high,
            "samples": reading.n,
        }
        for measure, reading in readings.items()
    ]


def factor_types(cells: Iterable[Mapping[str, Scalar]]) -> dict[str, Any]:
    """Return a column type for every factor: whole numbers, numbers, truth values or text."""
    levels: dict[str, list[Scalar]] = {}
    for cell in cells:
        for name, level in cell.items():
            levels.setdefault(name, []).append(level)
    types: dict[str, Any] = {}
    for name, values in levels.items():
        if all(isinstance(value, bool) for value in values):
            types[name] = pl.Boolean
        elif all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            types[name] = pl.Int64
        elif all(isinstance(value, int | float) for value in values):
            types[name] = pl.Float64
        else:
            types[name] = pl.String
    return types
