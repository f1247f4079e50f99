"""The folder of a planted-copy benchmark as its page reads it: checked tables and what varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core.errors import RecordError
from ecotone.core.records import read_json
from ecotone.report.study import Condition
from ecotone.report.text import clean

__all__ = ["NULL", "PlantedStudy", "read_planted_study"]

NULL = "none"
"""What stands for a transform where nothing was planted."""

AGAIN = "start the study again with the same --out: runs that are whole are kept"

_COLUMNS: Mapping[str, type[pl.DataType]] = {
    "generated": pl.Int64,
    "transform": pl.String,
    "share": pl.Float64,
    "copies": pl.Int64,
    "detector": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "samples": pl.Int64,
}


@dataclass(frozen=True)
class PlantedStudy:
    """What the folder of a planted-copy benchmark holds.

    Args:
        folder: where it is.
        about: the content of ``study.json``.
        results: one row a reading.
        runs: one row a block of replicates; None where there is no such file.
        factors: names of the factor columns.
        conditions: the combinations of factors that vary.
    """

    folder: Path
    about: Mapping[str, Any]
    results: pl.DataFrame
    runs: pl.DataFrame | None
    factors: tuple[str, ...]
    conditions: tuple[Condition, ...]

    @property
    def title(self) -> str:
        """The study's title, or its name, or its folder's."""
        return clean(self.about.get("title") or self.about.get("name") or self.folder.name)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of images that were judged, ascending."""
        return tuple(self.results["generated"].unique().sort().to_list())

    @cached_property
    def transforms(self) -> tuple[str, ...]:
        """What was done to copies, in the order of the study."""
        names = self.results["transform"].unique(maintain_order=True).to_list()
        return tuple(name for name in names if name != NULL)

    @cached_property
    def detectors(self) -> tuple[str, ...]:
        """The detectors that were asked, in the order of the study."""
        powers = self.results.filter(
            pl.col("measure").is_in(["detected", "detected_calibrated", "false_positive_rate"])
        )
        return tuple(powers["detector"].unique(maintain_order=True).to_list())

    def config(self, condition: Condition) -> Mapping[str, Any]:
        """Return the configuration of one condition's runs; empty where it is not written down."""
        cells = self.about.get("cells")
        for cell in cells if isinstance(cells, list) else []:
            factors = cell.get("factors", {})
            if all(factors.get(name) == value for name, value in condition.values.items()):
                return cell.get("config", {})
        return {}


def read_planted_study(folder: Path) -> PlantedStudy:
    """Read and check the folder of a planted-copy benchmark.

    Raises:
        RecordError: where a table is missing, truncated, lacks a column, has two rows for one
            reading, or holds none; the file is named.
    """
    about = read_json(folder / "study.json")
    results = _read(folder / "results.parquet", _COLUMNS)
    if results.is_empty():
        raise RecordError(f"{folder / 'results.parquet'} holds no reading yet", hint=AGAIN)
    factors = tuple(name for name in results.columns if name not in _COLUMNS)
    keys = [*factors, "generated", "transform", "share", "detector", "measure"]
    twice = results.filter(results.select(keys).is_duplicated())
    if not twice.is_empty():
        raise RecordError(
            f"{folder / 'results.parquet'} has two rows for {twice['measure'][0]!r} of one set",
            hint=f"delete it and {AGAIN}",
        )
    runs = None
    if (folder / "runs.parquet").exists():
        runs = _read(folder / "runs.parquet", {"status": pl.String})
    varying = [name for name in factors if results[name].n_unique() > 1]
    rows = results.select(varying).unique(maintain_order=True).iter_rows(named=True)
    conditions = tuple(Condition(row) for row in rows) if varying else (Condition({}),)
    return PlantedStudy(folder, about, results, runs, factors, conditions)


def _read(path: Path, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Read a parquet file, and check its columns and their types."""
    if not path.is_file():
        raise RecordError(f"there is no file {path}", hint=AGAIN)
    try:
        table = pl.read_parquet(path.read_bytes())
    except (OSError, pl.exceptions.PolarsError) as error:
        detail = str(error).splitlines()[0]
        raise RecordError(f"cannot read {path}: {detail}", hint=f"delete it and {AGAIN}") from error
    for column, kind in columns.items():
        if column not in table.columns:
            raise RecordError(f"{path} lacks the column {column!r}", hint=f"delete it and {AGAIN}")
        if table[column].dtype != kind and table[column].null_count() < table.height:
            raise RecordError(
                f"{path}: column {column!r} is {table[column].dtype}, not {kind}",
                hint=f"delete it and {AGAIN}",
            )
    return table
