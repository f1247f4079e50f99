"""Drawings of a linear study: probabilities, distances and divergences against n/d."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from ecotone.report.axes import count_axis, end_labels, share_axis, value_axis
from ecotone.report.curves import Figure
from ecotone.report.lines import Level, Line, Point
from ecotone.report.onset_predictions import Mark
from ecotone.report.onset_study import symbol
from ecotone.report.svg import INK, MUTED, PAPER, Drawing
from ecotone.report.text import number

__all__ = ["Plot", "Trace", "draw", "theory_trace", "trace"]

SIZES: Mapping[str, tuple[tuple[float, float], tuple[float, float, float, float]]] = {
    "normal": ((460, 290), (62, 42, 74, 10)),
    "medium": ((368, 240), (62, 40, 92, 8)),
}
"""Width and height, and the margins left, bottom, right and top, in points."""

LONGEST = 14
"""Letters of a threshold's symbol that is written above a drawing; longer ones are spelled out."""

Scale = Literal["share", "unit", "log", "value", "linear"]


@dataclass(frozen=True)
class Trace:
    """One curve of a drawing.

    Args:
        line: its points, and how it looks.
        tips: what each point tells; none where points tell nothing.
        bars: whether intervals are drawn.
        thin: a reference beside the curves, drawn thinner.
        hollow: whether its markers are open.
        label: whether it is named in the margin.
    """

    line: Line
    tips: tuple[str, ...] = ()
    bars: bool = False
    thin: bool = False
    hollow: bool = False
    label: bool = True


@dataclass(frozen=True)
class Plot:
    """What one drawing says besides its curves.

    Args:
        name: unique on the page.
        heading: above it.
        caption: below it.
        xlabel: of the horizontal axis.
        ylabel: of the vertical axis.
        scale: ``"share"`` 0 to 100 %; ``"unit"`` 0 to 1; ``"log"``; ``"value"``: as the values ask;
            ``"linear"``.
        rule: height of a horizontal line; None for none.
        marks: vertical lines.
        size: ``"normal"`` or ``"medium"``.
        ticks: places on the horizontal axis to be named, of few levels; chosen where empty.
    """

    name: str
    heading: str
    caption: str
    xlabel: str
    ylabel: str
    scale: Scale = "value"
    rule: float | None = None
    marks: tuple[Mark, ...] = ()
    size: str = "normal"
    ticks: tuple[float, ...] = ()


def trace(
    rows: pl.DataFrame,
    look: Level,
    *,
    x: str = "x",
    at: str = "n",
    said: Callable[[float], str] = number,
    bars: bool = True,
    thin: bool = False,
    hollow: bool = False,
    shift: float = 0.0,
    unit: str = "replicates",
) -> Trace | None:
    """Return one measure's curve, or None where it was never read.

    Args:
        rows: of one variant and measure of one line.
        look: its colour, dash, marker and name.
        x: column along the horizontal axis; rows where it is null or not positive are left out.
        at: the column that a point tells: sizes, say, that are drawn in units of d.
        said: how a value is told.
        bars: whether to draw intervals.
        thin: draw it as a reference.
        hollow: with open markers.
        shift: by how much of log x it is moved aside, so that bars do not hide one another.
        unit: what its samples are.
    """
    rows = rows.filter(pl.col(x).is_not_null() & (pl.col(x) > 0)).sort(x)
    if rows.is_empty():
        return None
    points, tips = [], []
    for row in rows.iter_rows(named=True):
        samples = int(row["samples"] or 0)
        place = float(row[x]) * math.exp(shift)
        points.append(Point(place, row["value"], row["low"], row["high"], samples, 1))
        value = said(row["value"])
        if row["low"] is not None and row["high"] is not None:
            value += f" ({said(row['low'])} to {said(row['high'])})"
        where = f"{symbol(at)} = {number(float(row[at]), 9)}"
        tips.append(f"{look.name}, {where}: {value}; {number(samples, 9)} {unit}")
    return Trace(Line(look, tuple(points), ()), tuple(tips), bars, thin, hollow)


def draw(plot: Plot, traces: Sequence[Trace | None]) -> Figure | None:
    """Draw curves with their error bars; None where there is none to draw."""
    drawn = [one for one in traces if one is not None]
    if not any(one.tips for one in drawn):
        return None
    (width, height), (left, bottom, right, top) = SIZES[plot.size]
    xs = [point.x for one in drawn for point in one.line.points]
    inside = [mark for mark in plot.marks if min(xs) / 1.6 <= mark.x <= max(xs) * 1.6]
    marks = sorted(inside, key=lambda mark: mark.x)
    named, rows = _placed(marks, xs, width - left - right)
    top += 13 * rows
    drawing = Drawing(
        plot.name,
        title=plot.heading,
        description=f"{plot.ylabel} against {plot.xlabel}. {plot.caption}",
        size=(width, height + 13 * rows),
        margins=(left, bottom, right, top),
    )
    axes = drawing.axes
    count_axis(axes, "x", [*xs, *(mark.x for mark in marks)])
    if plot.ticks:
        reach = axes.get_xlim()
        count_axis(axes, "x", plot.ticks, exact=True)
        axes.set_xlim(reach)
    axes.set(xlabel=plot.xlabel, ylabel=plot.ylabel)
    _scale(drawing, plot, drawn)
    if plot.rule is not None:
        axes.axhline(plot.rule, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.4)
    for mark, (label, row) in zip(marks, named, strict=True):
        axes.axvline(mark.x, color=MUTED, linewidth=0.9, linestyle=(0, (1.5, 1.5)), zorder=1.3)
        axes.annotate(
            label,
            (mark.x, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3 + 13 * row),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9.5,
            color=INK,
        )
    for one in drawn:
        _plot(drawing, one)
    end_labels(axes, [one.line for one in drawn if one.label])
    caption = plot.caption
    if marks:
        told = [
            f"{label}: {mark.name}"
            for mark, (label, _) in zip(marks, named, strict=True)
            if label != mark.symbol
        ]
        caption += f" {'; '.join(told)}." if told else ""
    return Figure(plot.heading, drawing.svg(), caption)


def _scale(drawing: Drawing, plot: Plot, traces: Sequence[Trace]) -> None:
    """Set the vertical axis."""
    axes = drawing.axes
    values = [point.value for one in traces for point in one.line.points]
    # A theory that runs far off must not flatten what was measured.
    measured = [point.value for one in traces if one.tips for point in one.line.points]
    spread = max(measured) - min(measured)
    if plot.scale in ("log", "value") and min(measured) > 0:
        values = [v for v in values if min(measured) / 3 <= v <= 3 * max(measured)]
    else:
        room = 0.3 * spread or math.inf
        values = [v for v in values if min(measured) - room <= v <= max(measured) + room]
    low, high = min(values), max(values)
    bounds = [
        bound
        for one in traces
        if one.bars
        for point in one.line.points
        for bound in point.bounds or ()
    ]
    if plot.scale == "share":
        share_axis(axes)
    elif plot.scale == "unit":
        value_axis(axes, [0.0, 1.0], linear=True)
        axes.set_ylim(-0.02, 1.03)
    elif plot.scale == "log" and low > 0:
        near = [b for b in bounds if low / 3 <= b <= 3 * high]
        count_axis(axes, "y", [low, high, *near])
    else:
        reach = 0.3 * (high - low)
        near = [b for b in bounds if low - reach <= b <= high + reach and (b > 0 or low <= 0)]
        value_axis(axes, [*values, *near], linear=plot.scale == "linear")


def _plot(drawing: Drawing, one: Trace) -> None:
    """Draw one curve, its bars, and the points that tell."""
    axes, look = drawing.axes, one.line.level
    points = one.line.points
    if one.bars:
        for point in points:
            if point.bounds is not None:
                axes.plot(
                    [point.x, point.x],
                    point.bounds,
                    color=look.colour,
                    linewidth=0.8 if one.thin else 1.1,
                    solid_capstyle="butt",
                )
    axes.plot(
        [point.x for point in points],
        [point.value for point in points],
        color=look.colour,
        linestyle=look.dash,
        linewidth=1.0 if one.thin else 1.6,
        marker=look.marker if one.tips else "",
        markersize=2.8 if one.thin else 4.0,
        markerfacecolor=PAPER if one.hollow else look.colour,
        zorder=2.2 if one.thin else 2.5,
    )
    low, high = axes.get_ylim()
    for point, tip in zip(points, one.tips, strict=bool(one.tips)):
        drawing.point(point.x, min(max(point.value, low), high), tip)


def _placed(
    marks: Sequence[Mark], xs: Sequence[float], width: float
) -> tuple[list[tuple[str, int]], int]:
    """Return each mark's label and row above the drawing, so that none touch; and how many rows."""
    if not marks:
        return [], 0
    reach = [*xs, *(mark.x for mark in marks)]
    span = math.log(max(reach) / min(reach)) or 1.0
    placed: list[tuple[str, int]] = []
    ends: list[float] = []
    for index, mark in enumerate(marks):
        label = mark.symbol if len(mark.symbol) <= LONGEST else "abcdefgh"[index % 8]
        middle = width * math.log(mark.x / min(reach)) / span
        half = 2.7 * len(label) + 4
        row = next((r for r, end in enumerate(ends) if end <= middle - half), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = middle + half
        placed.append((label, row))
    return placed, len(ends)


def theory_trace(
    points: Sequence[tuple[float, float]], look: Level, *, label: bool = False
) -> Trace | None:
    """Return a predicted course as a thin line without markers."""
    if not points:
        return None
    course = tuple(Point(x, value, None, None, 0, 1) for x, value in sorted(points))
    quiet = replace(look, dash=(0, (1.2, 1.2)), marker="")
    return Trace(Line(quiet, course, ()), thin=True, label=label)
