"""A linear study's folder as its page reads it: checked tables, axis, lines and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core.errors import RecordError
from ecotone.core.records import read_json
from ecotone.report.study import Condition
from ecotone.report.text import clean, number, shortened

__all__ = ["AGAIN", "LinearStudy", "named", "read_linear_study", "symbol"]

AGAIN = "start the study again with the same --out: runs that are whole are kept"

RESULT_COLUMNS = ("dimension", "n", "originals", "variant", "measure", "value", "low", "high")
REPLICATE_COLUMNS = ("dimension", "n", "replicate", "variant", "measure", "value")
KINDS: Mapping[str, type[pl.DataType]] = {
    "dimension": pl.Int64,
    "n": pl.Int64,
    "originals": pl.Int64,
    "samples": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
INTRINSIC = "population.intrinsic_dimension"
STEPS = "model.steps"

SYMBOLS = {"dimension": "d", "originals": "N_O", INTRINSIC: "k", "n": "n"}


def symbol(factor: str) -> str:
    """Return a factor as written in figures: its usual letter, or the last part of its path.

    >>> symbol("originals"), symbol("population.spectrum")
    ('N_O', 'spectrum')
    """
    return SYMBOLS.get(factor) or clean(factor.rpartition(".")[2])


def named(factor: str, value: object) -> str:
    """Return a factor's level as written in figures.

    >>> named("dimension", 100), named("originals", 10000), named("model.sampler", "heun")
    ('d = 100', 'N_O = 10,000', 'sampler = heun')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{symbol(factor)} = {number(value, 9)}"
    return f"{symbol(factor)} = {shortened(value)}"


@dataclass(frozen=True)
class LinearStudy:
    """What the folder of a linear study holds.

    Args:
        folder: where it is.
        about: the content of ``study.json``.
        results: one row a cell, variant and measure, with ``x`` and, where the intrinsic dimension
            k varies, ``x_intrinsic`` = n/k.
        replicates: the values behind them; None where there is no such file.
        runs: one row a batch of replicates; None where there is no such file.
        factors: names of the factor columns.
        x: the factor along the horizontal axis: ``"n"`` (drawn as n/d) or one that varies at
            fixed n.
        lines: the factor whose levels are drawn as lines.
        conditions: combinations of the other varying factors.
    """

    folder: Path
    about: Mapping[str, Any]
    results: pl.DataFrame
    replicates: pl.DataFrame | None
    runs: pl.DataFrame | None
    factors: tuple[str, ...]
    x: str
    lines: str
    conditions: tuple[Condition, ...]

    @property
    def title(self) -> str:
        """The study's title, or its name, or its folder's."""
        return clean(self.about.get("title") or self.about.get("name") or self.folder.name)

    @property
    def x_label(self) -> str:
        """What the horizontal axis says."""
        return "training samples per dimension, n/d" if self.x == "n" else clean(self.x)

    @property
    def others(self) -> tuple[str, ...]:
        """The varying factors that are neither axis nor lines."""
        return tuple(self.conditions[0].values)

    @property
    def colours(self) -> int:
        """How many levels drawings have to tell apart by colour."""
        return max(len(self.all_levels()), len(self.conditions))

    def levels(self, condition: Condition) -> list[Any]:
        """Return the levels of the lines' factor under a condition, in order."""
        return _ordered(condition.of(self.results), self.lines)

    def all_levels(self) -> list[Any]:
        """Return the levels of the lines' factor under any condition, in order."""
        return _ordered(self.results, self.lines)

    def of(self, condition: Condition, level: Any) -> pl.DataFrame:
        """Return the results of one line."""
        return Condition({**condition.values, self.lines: level}).of(self.results)

    def cells(self, condition: Condition, level: Any) -> list[Mapping[str, Any]]:
        """Return the configurations behind one line, as ``study.json`` keeps them."""
        wanted = {**condition.values, self.lines: level}
        return [
            cell
            for cell in self.about.get("cells") or ()
            if isinstance(cell, dict)
            and isinstance(cell.get("config"), dict)
            and all(
                name not in (cell.get("factors") or {}) or cell["factors"][name] == value
                for name, value in wanted.items()
            )
        ]


def read_linear_study(folder: Path) -> LinearStudy:
    """Read and check the folder of a linear study.

    Raises:
        RecordError: where a table is missing, truncated, lacks a column or holds no reading; the
            file is named.
    """
    about = read_json(folder / "study.json")
    if not isinstance(about, dict):
        raise RecordError(f"{folder / 'study.json'} holds no study", hint=AGAIN)
    results = _read(folder / "results.parquet", (*RESULT_COLUMNS, "samples"))
    known = {*RESULT_COLUMNS, "samples"}
    others = [name for name in results.columns if name not in known]
    factors = ("dimension", "n", "originals", *others)
    results = results.filter(
        pl.col("value").is_finite() & (pl.col("n") > 0) & (pl.col("dimension") > 0)
    )
    if results.is_empty():
        raise RecordError(
            f"{folder / 'results.parquet'} holds no reading, so there is nothing to report",
            hint="let the study finish its first replicates, then ask for the report again",
        )
    keys = [*factors, "variant", "measure"]
    twice = results.filter(pl.struct(keys).is_duplicated())
    if not twice.is_empty():
        raise RecordError(
            f"{folder / 'results.parquet'} has two rows for {twice['measure'][0]!r} of one cell",
            hint=f"delete it and {AGAIN}",
        )
    x = _x(results, factors)
    varying = [name for name in factors if name not in ("n", x) and results[name].n_unique() > 1]
    lines = _lines(results, varying)
    replicates = None
    if (folder / "replicates.parquet").exists():
        replicates = _read(folder / "replicates.parquet", (*REPLICATE_COLUMNS, *factors))
    runs = None
    if (folder / "runs.parquet").exists():
        runs = _read(folder / "runs.parquet", ("status",))
    return LinearStudy(
        folder=folder,
        about=about,
        results=_with_x(results, x),
        replicates=replicates,
        runs=runs,
        factors=factors,
        x=x,
        lines=lines,
        conditions=_conditions(results, [name for name in varying if name != lines]),
    )


def _read(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Read a parquet file, check its columns, and give numbers their types."""
    if not path.is_file():
        raise RecordError(f"there is no file {path}", hint=AGAIN)
    try:
        table = pl.read_parquet(path.read_bytes())
    except (OSError, pl.exceptions.PolarsError) as error:
        detail = str(error).splitlines()[0]
        raise RecordError(f"cannot read {path}: {detail}", hint=f"delete it and {AGAIN}") from error
    for column in columns:
        if column not in table.columns:
            raise RecordError(f"{path} lacks the column {column!r}", hint=f"delete it and {AGAIN}")
        if column in KINDS:
            kind = table[column].dtype
            if not kind.is_numeric() and table[column].null_count() < table.height:
                raise RecordError(f"{path}: column {column!r} is {kind}, not a number")
            table = table.with_columns(pl.col(column).cast(KINDS[column]))
    return table


def _x(results: pl.DataFrame, factors: Sequence[str]) -> str:
    """Return n where it varies within some combination; else a number that does at fixed n."""

    def moves(name: str) -> bool:
        rest = [factor for factor in factors if factor != name]
        counts = results.group_by(rest).agg(pl.col(name).n_unique().alias("levels"))
        return int(counts["levels"].max() or 0) > 1  # type: ignore[arg-type]

    if moves("n"):
        return "n"
    numbers = [name for name in factors if results[name].dtype.is_numeric() and name != "n"]
    # What is most naturally an axis comes first.
    numbers.sort(key=lambda name: (name != STEPS, name in ("dimension", "originals")))
    return next((name for name in numbers if moves(name)), "n")


def _lines(results: pl.DataFrame, varying: Sequence[str]) -> str:
    """Return the dimension where it varies or nothing does; else numbers, and of many levels."""
    if not varying or "dimension" in varying:
        return "dimension"
    return max(varying, key=lambda f: (results[f].dtype.is_numeric(), results[f].n_unique()))


def _with_x(results: pl.DataFrame, x: str) -> pl.DataFrame:
    """Return the results with the places of their rows along the horizontal axis."""
    if x != "n":
        return results.with_columns(pl.col(x).cast(pl.Float64).alias("x"))
    results = results.with_columns((pl.col("n") / pl.col("dimension")).alias("x"))
    known = results.get_column(INTRINSIC, default=pl.Series([], dtype=pl.Null))
    if known.n_unique() < 2 or not known.dtype.is_numeric():
        return results
    intrinsic = pl.when(pl.col(INTRINSIC) > 0).then(pl.col(INTRINSIC))
    return results.with_columns((pl.col("n") / intrinsic).alias("x_intrinsic"))


def _ordered(table: pl.DataFrame, factor: str) -> list[Any]:
    """Return a factor's levels, those that are null last."""
    values = table[factor].unique().to_list()
    return sorted(values, key=lambda value: (value is None, 0 if value is None else value))


def _conditions(results: pl.DataFrame, varying: Sequence[str]) -> tuple[Condition, ...]:
    """Return the combinations of the other factors that occur, sorted."""
    if not varying:
        return (Condition({}),)
    rows = results.select(varying).unique().sort(varying).iter_rows(named=True)
    return tuple(Condition(row) for row in rows)
