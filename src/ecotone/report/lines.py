"""What is drawn as a line: readings by training step, at one level of a factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ecotone.core.intervals import mean_interval
from ecotone.report.svg import level_colour
from ecotone.report.text import shortened

__all__ = ["Level", "Line", "Point", "last_step", "levels", "line"]

# Distinct without colour: in print, and for those who do not see the colours apart.
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (2.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Level:
    """One level of the factor that lines stand for, and how it looks.

    Args:
        value: the level.
        name: as told of its points: ``"n = 32"``.
        label: as written beside its line: ``"32"``.
        colour: stand-in of a CSS variable.
        dash: of its line.
        marker: of its points.
    """

    value: Any
    name: str
    label: str
    colour: str
    dash: Any
    marker: str


@dataclass(frozen=True)
class Point:
    """One reading on a line, or the mean of one reading over several seeds."""

    x: float
    value: float
    low: float | None
    high: float | None
    samples: int
    seeds: int

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval, or None where there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Line:
    """One measure by step at one level: the mean over seeds, and each seed's own course."""

    level: Level
    points: tuple[Point, ...]
    single: tuple[tuple[tuple[float, float], ...], ...]


def levels(factor: str, values: Sequence[Any]) -> list[Level]:
    """Return how each level looks: ordered lightness, and dashes and markers in turn."""
    return [
        Level(
            value=value,
            name=f"{factor} = {shortened(value)}",
            label=shortened(value),
            colour=level_colour(index),
            dash=DASHES[index % len(DASHES)],
            marker=MARKERS[index % len(MARKERS)],
        )
        for index, value in enumerate(values)
    ]


def line(table: pl.DataFrame, measure: str, level: Level, *, x: str = "step") -> Line | None:
    """Return one measure's course at one level, or None where it was never read.

    With one seed a point carries its reading's own interval. With several it is their mean, whose
    95 % interval is Student's over three or more seeds (the samples of one run do not show how
    runs differ); two seeds give none.

    Args:
        table: tidy readings of one level under one condition.
        measure: name of the reading.
        level: what the rows belong to.
        x: column along the horizontal axis; rows where it is not positive cannot be drawn.
    """
    rows = table.filter((pl.col("measure") == measure) & (pl.col(x) > 0)).sort(x, "seed")
    if rows.is_empty():
        return None
    points = []
    for group in rows.partition_by(x, maintain_order=True):
        samples = int(group["samples"].fill_null(0).sum())
        values = group["value"].to_list()
        if len(values) == 1:
            bounds = (group["low"][0], group["high"][0])
        else:
            bounds = (mean_interval(values) if len(values) > 2 else None) or (None, None)
        mean = sum(values) / len(values)
        points.append(Point(float(group[x][0]), mean, bounds[0], bounds[1], samples, len(values)))
    seeds = rows["seed"].unique(maintain_order=True).to_list()
    single: tuple[Any, ...] = ()
    if len(seeds) > 1:
        single = tuple(tuple(rows.filter(seed=s).select(x, "value").iter_rows()) for s in seeds)
    return Line(level, tuple(points), single)


def last_step(table: pl.DataFrame, factors: Sequence[str] = ()) -> pl.DataFrame:
    """Return each run's rows at its last measured step.

    Args:
        table: tidy readings.
        factors: that vary in it; without any, runs differ in their seed alone.
    """
    return table.filter(pl.col("step") == pl.col("step").max().over(*factors, "seed"))
