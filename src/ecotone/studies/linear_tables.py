"""A linear study's tables: shares and means over replicates, and the replicates themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ecotone.core import Reading, RecordError
from ecotone.core.intervals import mean_interval, median_interval
from ecotone.core.records import canonical_json
from ecotone.measures.delta import positive_share
from ecotone.studies.design import Cell, Scalar
from ecotone.studies.linear_config import LinearConfig
from ecotone.studies.store import RunFolder, RunRecord
from ecotone.studies.tables import ENDS, NUMBERS, factor_types, write_table

__all__ = ["MEDIANS", "SIGNS", "summary", "write_tables"]

SIGNS = {
    "delta_sign": "p_delta_positive",
    "delta_sign_null": "p_delta_positive_null",
    "delta_sign_density": "p_delta_positive_density",
}
"""Signs of Δ by replicate, and the share of positive ones that they make."""

MEDIANS = {"kl_population_generated"}
"""Measures whose mean over replicates is infinite."""

_UNITS = {
    "affinity": "affinity per dimension",
    "hellinger_squared": "squared Hellinger distance",
    "kl_generated_population": "nats",
    "kl_population_generated": "nats",
    "wasserstein2_squared": "squared data units",
}

Replicates = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Size of the training set, variant and measure to value."""


def write_tables(path: Path, cells: Sequence[Cell], folders: Sequence[RunFolder]) -> None:
    """Write results.parquet, replicates.parquet and runs.parquet from the run folders.

    - ``results``: one row per combination of factors, ``n``, ``variant`` and ``measure``;
      ``value``, ``low``, ``high`` and ``samples``, the replicates it was had from. A measure that
      is infinite or cannot be had has no row.
    - ``replicates``: the value of each replicate, with ``replicate``.
    - ``runs``: one row per block of replicates; factors, ``first``, ``replicates``, ``run``,
      ``status``, ``steps`` (replicates done), ``failed_step``, ``reason``.

    Args:
        path: the study's folder.
        cells: of its design, in order.
        folders: of the cells.
    """
    raw: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    gathered: dict[str, tuple[dict[str, Scalar], dict[tuple[int, str, str], list[float]]]] = {}
    for cell, folder in zip(cells, folders, strict=True):
        config = cell.config
        assert isinstance(config, LinearConfig)
        lead = {name: level for name, level in cell.factors.items() if name != "n"}
        try:
            replicates = folder.values()
        except RecordError:  # a harmed run has nothing to tell until it is done again
            replicates = {}
        record = folder.record() or RunRecord("unfinished", steps=len(replicates))
        block = {"first": config.first, "replicates": config.replicates}
        runs.append({**lead, **block, "run": folder.identity, **asdict(record)})
        _, values = gathered.setdefault(canonical_json(lead), (lead, {}))
        for index in sorted(replicates, key=int):
            for n, variants in replicates[index].items():
                for variant, measures in variants.items():
                    for measure, value in measures.items():
                        values.setdefault((int(n), variant, measure), []).append(value)
                        row = {"n": int(n), "replicate": int(index), "variant": variant}
                        raw.append({**lead, **row, "measure": measure, "value": value})
    results = [
        {**lead, "n": n, "variant": variant, **_row(measure, reading)}
        for lead, values in gathered.values()
        for (n, variant, kind), numbers in sorted(values.items())
        for measure, reading in [summary(kind, numbers)]
    ]
    leads = {name: kind for name, kind in _types(cells).items() if name != "n"}
    lead_types = {**leads, "n": pl.Int64}
    write_table(path / "results.parquet", results, {**lead_types, "variant": pl.String, **NUMBERS})
    write_table(
        path / "replicates.parquet",
        raw,
        {
            **lead_types,
            "replicate": pl.Int64,
            "variant": pl.String,
            "measure": pl.String,
            "value": pl.Float64,
        },
    )
    blocks = {"first": pl.Int64, "replicates": pl.Int64}
    write_table(path / "runs.parquet", runs, {**leads, **blocks, **ENDS})


def summary(measure: str, values: Sequence[float]) -> tuple[str, Reading]:
    """Return what replicates say together: a share with Wilson's interval, a mean, or a median.

    P(Δ>0) counts a tie as one half.

    >>> name, reading = summary("delta_sign", [1.0, -1.0, 1.0, 0.0])
    >>> name, reading.value
    ('p_delta_positive', 0.625)
    >>> summary("affinity", [0.25, 0.75])[1].value
    0.5
    """
    n = len(values)
    if measure in SIGNS:
        return SIGNS[measure], positive_share(torch.tensor(values, dtype=torch.float64))
    if measure in MEDIANS:
        value, interval = median_interval(values)
    else:
        value, interval = sum(values) / n, mean_interval(values)
    low, high = (None, None) if interval is None else interval
    unit = _UNITS.get(measure, "nats")
    return measure, Reading(value, n=n, unit=unit, higher_is="neither", low=low, high=high)


def _row(measure: str, reading: Reading) -> dict[str, Any]:
    return {
        "measure": measure,
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "samples": reading.n,
    }


def _types(cells: Sequence[Cell]) -> dict[str, Any]:
    return factor_types(cell.factors for cell in cells)
