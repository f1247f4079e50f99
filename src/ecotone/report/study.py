"""A study folder as the page reads it: checked tables, and which factor the lines stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core.errors import RecordError
from ecotone.core.records import read_json
from ecotone.report.text import clean

__all__ = ["Condition", "Study", "experiment", "read_study"]

RESULT_COLUMNS = ("seed", "step", "measure", "value", "low", "high", "samples")
RUN_COLUMNS = ("seed", "run", "status", "steps", "failed_step", "reason")
RUN_FACTS = ("batch_size", "images", "parameters", "twin_of")
"""Columns of runs that tell of a run what no factor does; older studies lack them."""
REFERENCE_COLUMNS = ("seed", "reference", "measure", "value", "low", "high", "samples")

_NUMBERS = {"seed", "step", "value", "low", "high", "samples", "steps", "failed_step"}


@dataclass(frozen=True)
class Condition:
    """One combination of the factors that the lines do not stand for.

    Args:
        values: factor to value; empty where no other factor varies.
    """

    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The combination as text: ``"weight_decay = 0.1, model = unet"``; may be empty."""
        return ", ".join(f"{clean(name)} = {clean(value)}" for name, value in self.values.items())

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a table that were had under this condition."""
        for name, value in self.values.items():
            frame = frame.filter(pl.col(name).eq_missing(pl.lit(value, dtype=frame[name].dtype)))
        return frame


@dataclass(frozen=True)
class Study:
    """What a study folder holds.

    Args:
        folder: where it is.
        about: the content of ``study.json``.
        results: readings by factors, seed, step and measure.
        runs: one row a run.
        references: readings of the perfect memorizer and of the holdout; None where there are none.
        factors: names of the factor columns, ``n`` first.
        axis: the factor whose levels are drawn as lines: ``n`` where it varies.
        conditions: combinations of the other varying factors.
    """

    folder: Path
    about: Mapping[str, Any]
    results: pl.DataFrame
    runs: pl.DataFrame
    references: pl.DataFrame | None
    factors: tuple[str, ...]
    axis: str
    conditions: tuple[Condition, ...]

    @property
    def title(self) -> str:
        """The study's title, or its name, or its folder's."""
        return clean(self.about.get("title") or self.about.get("name") or self.folder.name)

    @property
    def varying(self) -> tuple[str, ...]:
        """The factors to tell runs apart by: ``n``, and whatever else has two levels or more."""
        return tuple(name for name in self.factors if name == "n" or self.runs[name].n_unique() > 1)

    def levels(self, condition: Condition) -> list[Any]:
        """Return the levels of the axis factor under a condition, in order."""
        values = condition.of(self.runs)[self.axis].unique().to_list()
        return sorted(values, key=lambda value: (value is None, value))


def experiment(folder: Path) -> str:
    """Return what kind of experiment a study folder holds: ``"training"`` or ``"linear"``.

    Raises:
        RecordError: where there is no study there.
    """
    if not folder.is_dir():
        raise RecordError(f"there is no study folder {folder}", hint="name a folder a study wrote")
    about = read_json(folder / "study.json")
    kind = about.get("experiment") if isinstance(about, dict) else None
    return kind if isinstance(kind, str) else "training"


def read_study(folder: Path) -> Study:
    """Read and check a study folder.

    Raises:
        RecordError: where a table is missing, truncated, lacks a column or holds no reading; the
            file is named.
    """
    folder = Path(folder)
    again = "start the study again with the same --out: runs that are whole are kept"
    if not folder.is_dir():
        raise RecordError(f"there is no study folder {folder}", hint="name a folder a study wrote")
    about = read_json(folder / "study.json")
    if not isinstance(about, dict):
        raise RecordError(f"{folder / 'study.json'} holds no study", hint=again)
    results = _read_table(folder / "results.parquet", RESULT_COLUMNS, again)
    runs = _read_table(folder / "runs.parquet", RUN_COLUMNS, again)
    references = None
    if (folder / "references.parquet").exists():
        references = _read_table(folder / "references.parquet", REFERENCE_COLUMNS, again)
    factors = [name for name in runs.columns if name not in (*RUN_COLUMNS, *RUN_FACTS)]
    factors.sort(key=lambda name: name != "n")
    for file, table in (("results", results), ("references", references)):
        missing = [f for f in factors if table is not None and f not in table.columns]
        if missing:
            raise RecordError(f"{folder / f'{file}.parquet'} lacks the factor {missing[0]!r}")
    results = results.filter(pl.col("value").is_finite())
    if results.is_empty() or runs.is_empty():
        raise RecordError(
            f"{folder / 'results.parquet'} holds no reading, so there is nothing to report",
            hint="let the study reach its first measured step, then ask for the report again",
        )
    axis = _axis(runs, factors)
    return Study(
        folder=folder,
        about=about,
        results=results,
        runs=runs.sort([*factors, "seed"]),
        references=references,
        factors=tuple(factors),
        axis=axis,
        conditions=_conditions(runs, [name for name in factors if name != axis]),
    )


def _read_table(path: Path, columns: Sequence[str], hint: str) -> pl.DataFrame:
    """Read a parquet file and check its columns."""
    if not path.is_file():
        raise RecordError(f"there is no file {path}", hint=hint)
    try:
        table = pl.read_parquet(path.read_bytes())
    except (OSError, pl.exceptions.PolarsError) as error:
        detail = str(error).splitlines()[0]
        raise RecordError(f"cannot read {path}: {detail}", hint=f"delete it and {hint}") from error
    for column in (*columns, "n"):
        if column not in table.columns:
            raise RecordError(f"{path} lacks the column {column!r}", hint=f"delete it and {hint}")
        if column in _NUMBERS and not table[column].dtype.is_numeric():
            if table[column].null_count() < table.height:
                kind = table[column].dtype
                raise RecordError(f"{path}: column {column!r} is {kind}, not a number")
            table = table.with_columns(pl.col(column).cast(pl.Float64))
    return table


def _axis(runs: pl.DataFrame, factors: Sequence[str]) -> str:
    """Return n where it varies, else the first factor that does, else n."""
    return next((name for name in factors if runs[name].n_unique() > 1), "n")


def _conditions(runs: pl.DataFrame, others: Sequence[str]) -> tuple[Condition, ...]:
    """Return the combinations of the other factors that occur, sorted."""
    varying = [name for name in others if runs[name].n_unique() > 1]
    if not varying:
        return (Condition({}),)
    rows = runs.select(varying).unique().sort(varying).iter_rows(named=True)
    return tuple(Condition(row) for row in rows)
