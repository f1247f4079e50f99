"""Training time in steps, in epochs, and in images seen."""

from __future__ import annotations

from typing import Literal

import polars as pl

from ecotone.core.errors import DataError
from ecotone.laws.tables import factors, need

__all__ = ["CLOCKS", "Clock", "batch_factors", "beside", "per_step", "unstopped"]

Clock = Literal["steps", "epochs", "images"]

CLOCKS: tuple[Clock, ...] = ("steps", "epochs", "images")
"""Optimizer steps; passes over the training set, steps · batch size / n, a mirror image counting as
its image; images drawn, repeats counted, steps · batch size."""


def per_step(clock: Clock) -> pl.Expr:
    """Return how far a clock goes in one step, from the columns ``batch_size`` and ``n``.

    >>> runs = pl.DataFrame({"n": [64], "batch_size": [16]})
    >>> runs.select(per_step(clock).alias(clock) for clock in CLOCKS).row(0)
    (1.0, 0.25, 16.0)
    """
    batch = pl.col("batch_size").cast(pl.Float64)
    return {"steps": pl.lit(1.0), "epochs": batch / pl.col("n"), "images": batch}[clock]


def beside(frame: pl.DataFrame, runs: pl.DataFrame, **columns: str) -> pl.DataFrame:
    """Put columns of the table of runs beside the rows of another table.

    Args:
        frame: its factors and seed say which run a row belongs to; null is a value like others.
        runs: as in runs.parquet.
        columns: new names, each with the column of ``runs`` it takes.

    Raises:
        DataError: for a missing column, a run that is not listed, or one listed twice with
            different values.

    >>> onsets = pl.DataFrame({"n": [64, 32], "seed": [0, 0]})
    >>> runs = pl.DataFrame({"n": [32, 64], "seed": [0, 0], "batch_size": [8, 16]})
    >>> beside(onsets, runs, batch_size="batch_size").rows()
    [(64, 0, 16), (32, 0, 8)]
    """
    keys = [*factors(frame), "seed"]
    need(runs, (*keys, *columns.values()), "runs")
    # Not a join: its way of taking null for equal to null changed between versions of polars.
    known: dict[tuple[object, ...], tuple[object, ...]] = {}
    for key, row in zip(
        runs.select(keys).rows(), runs.select(columns.values()).rows(), strict=True
    ):
        if known.setdefault(key, row) != row:
            raise DataError(
                f"the run {dict(zip(keys, key, strict=True))} is listed twice, with "
                f"{known[key]} and {row} for {', '.join(columns.values())}",
                hint="add a factor column that tells the two studies apart",
            )
    found = []
    for key in frame.select(keys).rows():
        if key not in known:
            raise DataError(
                f"the run {dict(zip(keys, key, strict=True))} is not in the table of runs",
                hint="give both tables of the same study",
            )
        found.append(known[key])
    return frame.with_columns(
        pl.Series(name, [row[place] for row in found], dtype=runs.schema[column])
        for place, (name, column) in enumerate(columns.items())
    )


def batch_factors(runs: pl.DataFrame) -> list[str]:
    """Return the factors that are the batch size by another name, such as its place in a study.

    >>> runs = {"n": [8, 8], "training.batch_size": [4, 8], "seed": [0, 0], "batch_size": [4, 8]}
    >>> batch_factors(pl.DataFrame(runs))
    ['training.batch_size']
    """
    return [
        factor
        for factor in factors(runs)
        if factor != "n"
        and runs.schema[factor].is_numeric()
        and runs[factor].n_unique() > 1
        and (runs[factor] == runs["batch_size"]).all()
    ]


def unstopped(onsets: pl.DataFrame, runs: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return the onsets of runs that no stopping policy ended, with their batch sizes.

    A policy ends a run *because* it is about to turn, so that "later than this" is not all that is
    known of it, as the laws of censored runs take it to be.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it.
        runs: as in runs.parquet.
        columns: more of its columns to put beside them.

    Raises:
        DataError: for a missing column, or a run that is not listed.
    """
    more = {name: name for name in ("batch_size", *columns)}
    rows = beside(onsets, runs, run_status="status", **more)
    return rows.filter(pl.col("run_status") != "stopped").drop("run_status")
