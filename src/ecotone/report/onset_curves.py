"""Curves of a linear study: one measure of every line, with the theory beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ecotone.report.lines import Level
from ecotone.report.onset_figures import Trace, theory_trace, trace
from ecotone.report.onset_findings import ConditionFindings, LineFindings
from ecotone.report.onset_predictions import Mark
from ecotone.report.onset_study import LinearStudy, named
from ecotone.report.svg import level_colour
from ecotone.report.text import number, shortened

__all__ = ["Lines", "common", "curves", "has_theory", "looks", "rows_of"]

LOOKS: Sequence[tuple[Any, str]] = (
    ("-", "o"),
    ((0, (6, 1.5)), "s"),
    ((0, (2.5, 1.2)), "^"),
    ((0, (6, 1.5, 1.2, 1.5)), "D"),
)
"""Dashes and markers of lines, in turn."""


THEORY = "Fine dots without markers: theory."

Lines = Sequence[tuple[Level, LineFindings]]
"""Each line of a condition with its look."""


def looks(factor: str, values: Sequence[Any], colours: int = 0) -> list[Level]:
    """Return how each level of a factor looks.

    Args:
        factor: whose levels.
        values: the levels, in order.
        colours: how many the page has, where that is more than there are levels.
    """
    stride = max(1.0, (colours - 1) / max(len(values) - 1, 1))
    return [
        Level(
            value=value,
            name=named(factor, value),
            label=number(value, 9) if isinstance(value, int) else shortened(value, 12),
            colour=level_colour(round(stride * index)),
            dash=LOOKS[index % len(LOOKS)][0],
            marker=LOOKS[index % len(LOOKS)][1],
        )
        for index, value in enumerate(values)
    ]


def rows_of(
    study: LinearStudy, found: ConditionFindings, line: LineFindings, measure: str, variant: str
) -> pl.DataFrame:
    """Return the rows of one curve."""
    table = study.of(found.condition, line.level)
    return table.filter((pl.col("measure") == measure) & (pl.col("variant") == variant))


def curves(
    study: LinearStudy,
    found: ConditionFindings,
    lines: Lines,
    measure: str,
    *,
    variant: str = "exact",
    said: Callable[[float], str] = number,
    theory: bool = True,
    x: str = "x",
) -> list[Trace | None]:
    """Return one measure's curve of each line, and the theory's beside it."""
    drawn: list[Trace | None] = []
    middle = (len(lines) - 1) / 2
    for index, (look, line) in enumerate(lines):
        rows = rows_of(study, found, line, measure, variant)
        shift = 0.014 * (index - middle)
        if theory and x == "x":
            drawn += [
                theory_trace(
                    [(px, v) for _, px, v in one.points], replace(look, colour=look.colour)
                )
                for one in line.predictions
                if (one.measure, one.variant) == (measure, variant)
            ]
        drawn.append(trace(rows, look, x=x, at=study.x, said=said, shift=shift))
    return drawn


def common(lines: Lines) -> tuple[Mark, ...]:
    """Return the thresholds that lie at the same n/d for all lines."""
    if not lines:
        return ()
    kept = []
    for mark in lines[0][1].marks:
        places = [[m.x for m in line.marks if m.name == mark.name] for _, line in lines]
        if all(place and abs(math.log(place[0] / mark.x)) < 0.03 for place in places):
            kept.append(mark)
    return tuple(kept)


def has_theory(lines: Lines, measure: str, variant: str = "exact") -> str:
    """Return the caption's words on the theory, where it predicts a drawing's measure."""
    wanted = (measure, variant)
    found = any(
        (one.measure, one.variant) == wanted for _, line in lines for one in line.predictions
    )
    return f" {THEORY}" if found else ""
