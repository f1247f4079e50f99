"""Onsets of every run in a study's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ecotone.core.errors import DataError
from ecotone.laws.onset import Onset, tau_gen, tau_mem

__all__ = ["factors", "need", "onsets"]

SHARE = "copied_share_gap_ratio"
FLOOR = "copied_share_gap_ratio_floor"
DISTANCE = "frechet_holdout"

_OF_A_READING = ("step", "measure", "value", "low", "high", "samples")
_OF_AN_ONSET: Mapping[str, type[pl.DataType]] = {
    "onset": pl.String,
    "status": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "bound": pl.Float64,
}
_OF_A_RUN = (
    "run",
    "steps",
    "failed_step",
    "reason",
    "batch_size",
    "images",
    "parameters",
    "twin_of",
)


def factors(frame: pl.DataFrame) -> list[str]:
    """Return a table's factor columns: those that are neither the seed nor part of a record.

    >>> factors(pl.DataFrame({"n": [16], "model": ["unet"], "seed": [0], "step": [1]}))
    ['n', 'model']
    >>> factors(pl.DataFrame({"n": [16], "seed": [0], "run": ["a"], "images": [32]}))
    ['n']
    """
    known = {"seed", *_OF_A_READING, *_OF_AN_ONSET, *_OF_A_RUN}
    return [column for column in frame.columns if column not in known]


def onsets(
    results: pl.DataFrame, runs: pl.DataFrame | None = None, *, seed: int = 0
) -> pl.DataFrame:
    """Return when each run turned.

    Args:
        results: one row a reading, as in results.parquet: any factor columns, ``seed``, ``step``,
            ``measure``, ``value``, ``low``, ``high``, ``samples``.
        runs: one row a run, as in runs.parquet: the same factor columns, ``seed``, ``status``. A
            run that did not finish and had not turned is censored: for tau_mem at its last
            measured step, for tau_gen at the step where it came near its best so far. A run that
            is not listed counts as finished.
        seed: of the bootstrap intervals.

    Returns:
        Two rows a run (fewer where an onset cannot be had: too few measured steps), sorted by
        factors and seed: the factor columns, ``seed``, ``onset`` ("tau_mem" or "tau_gen"),
        ``status``, and in optimizer steps ``value``, ``low``, ``high`` (null where open) and
        ``bound`` (null where observed).

    Raises:
        DataError: for a column that is missing, or two rows for one step of a measure of a run.

    >>> step, share = [10, 100, 1000], [0.0, 0.0, 0.3]
    >>> rows = {"n": [32] * 6, "seed": [0] * 6, "step": step * 2, "samples": [500] * 6}
    >>> rows |= {"measure": [SHARE] * 3 + [FLOOR] * 3, "value": share + [0.0] * 3}
    >>> rows |= {"low": [None] * 6, "high": [None] * 6}
    >>> onsets(pl.DataFrame(rows)).select("n", "onset", "status").rows()
    [(32, 'tau_mem', 'observed')]
    """
    need(results, ("seed", *_OF_A_READING), "results")
    keys = [*factors(results), "seed"]
    finished: dict[tuple[object, ...], bool] = {}
    if runs is not None:
        need(runs, (*keys, "status"), "runs")
        finished = {row[:-1]: row[-1] == "finished" for row in runs.select(*keys, "status").rows()}

    relevant = results.filter(pl.col("measure").is_in([SHARE, FLOOR, DISTANCE]))
    rows: list[tuple[object, ...]] = []
    for key, run in relevant.partition_by(keys, as_dict=True, maintain_order=True).items():
        curves = {
            measure: run.filter(pl.col("measure") == measure)
            for measure in (SHARE, FLOOR, DISTANCE)
        }
        found: tuple[Onset | None, ...] = (
            tau_mem(curves[SHARE], curves[FLOOR], seed=seed),
            tau_gen(curves[DISTANCE], finished=finished.get(key, True), seed=seed),
        )
        rows.extend(
            (*key, turn.name, turn.status, turn.value, turn.low, turn.high, turn.bound)
            for turn in found
            if turn is not None
        )
    schema = {column: results.schema[column] for column in keys} | dict(_OF_AN_ONSET)
    return pl.DataFrame(rows, schema=schema, orient="row").sort(*keys, maintain_order=True)


def need(frame: pl.DataFrame, columns: Sequence[str], table: str) -> None:
    """Refuse a table that lacks a column.

    Args:
        frame: the table.
        columns: that it must have.
        table: what it is called: "results", "runs" or "onsets".

    Raises:
        DataError: for the first one missing.
    """
    for column in columns:
        if column not in frame.columns:
            raise DataError(
                f"the table of {table} has no column {column!r}",
                hint=f"give one shaped like {table}.parquet (it has {', '.join(frame.columns)})",
            )
