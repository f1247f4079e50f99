"""Readings by noise level, which measures write into their names."""

from __future__ import annotations

import math

import polars as pl

from ecotone.report.curves import Tables
from ecotone.report.lines import last_step

__all__ = ["at_last_step", "each_level"]

_NAME = r"^(?<measure>\w+)\[sigma=(?<sigma>[^\]]+)\]$"


def at_last_step(tables: Tables) -> Tables:
    """Return each level's last readings by noise level, with the level in a column ``sigma``."""
    return [(level, _aligned(last_step(table))) for level, table in tables]


def each_level(tables: Tables, measure: str) -> list[tuple[float, Tables]]:
    """Return a measure's readings at each noise level: the level, and tables that hold it alone.

    Args:
        tables: each level of a factor with its rows.
        measure: name of the reading without its noise level.
    """
    own = [(level, _aligned(table.filter(_of(measure)))) for level, table in tables]
    count = max((table["place"].n_unique() for _, table in own), default=0)
    found = []
    for place in range(1, count + 1):
        at = [(level, table.filter(pl.col("place") == place)) for level, table in own]
        sigmas = [value for _, table in at for value in table["sigma"].unique().to_list()]
        found.append((_mean(sigmas), at))
    return found


def _of(measure: str) -> pl.Expr:
    return pl.col("measure").str.starts_with(f"{measure}[sigma=")


def _aligned(table: pl.DataFrame) -> pl.DataFrame:
    """Return readings at single noise levels, with names and levels in columns of their own.

    Levels follow the deviation of a run's own training set, so those of seeds differ a little:
    the first of each run, the second, and so on, stand at their geometric mean.
    """
    parts = pl.col("measure").str.extract_groups(_NAME)
    by_place = pl.col("sigma").log().mean().over("measure", "place").exp()
    return (
        table.filter(pl.col("measure").str.contains("[sigma=", literal=True))
        .with_columns(parts.alias("parts"))
        .with_columns(
            pl.col("parts").struct.field("measure"),
            pl.col("parts").struct.field("sigma").cast(pl.Float64),
        )
        .drop("parts")
        .with_columns(place=pl.col("sigma").rank("dense").over("measure", "seed"))
        .with_columns(sigma=by_place)
    )


def _mean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))
