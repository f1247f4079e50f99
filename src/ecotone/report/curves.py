"""Drawings of lines: readings against training steps, or against noise level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from markupsafe import Markup

from ecotone.report.axes import count_axis, end_labels, share_axis, value_axis
from ecotone.report.findings import Onset
from ecotone.report.lines import Level, Line, line
from ecotone.report.svg import GENERALIZING, INK, MEMORIZING, PAPER, Drawing
from ecotone.report.text import number, percent

__all__ = ["MARGINS", "SIZES", "Figure", "Group", "Panel", "Tables", "draw_panels", "pair_figure"]

Size = Literal["normal", "medium", "small"]
"""How many drawings stand side by side: two, three or four."""

SIZES: Mapping[Size, tuple[float, float]] = {
    "normal": (460, 275),
    "medium": (330, 235),
    "small": (240, 165),
}
MARGINS: Mapping[Size, tuple[float, float, float, float]] = {
    "normal": (62, 42, 70, 10),
    "medium": (60, 42, 66, 8),
    "small": (44, 38, 50, 8),
}
"""Left, bottom, right and top."""
MOST_POINTS = 32
"""Markers a line carries at most, evenly chosen; its course is drawn from all its readings."""

MOST_TOGETHER = 160
"""Markers of all lines of a drawing, of which each line carries its part, but 8 at least."""

Kind = Literal["share", "value", "difference", "ratio"]
"""Which scale a panel has: 0 to 100 %, as the values want, or linear."""

Tables = Sequence[tuple[Level, pl.DataFrame]]
"""Each level with its rows."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its heading and what a reader must know to read it."""

    heading: str
    drawing: Markup
    caption: str


@dataclass(frozen=True)
class Group:
    """Figures that answer one question."""

    heading: str
    lead: str
    figures: tuple[Figure, ...]
    small: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Panel:
    """What one drawing of lines shows."""

    name: str
    heading: str
    measure: str
    ylabel: str
    caption: str
    kind: Kind = "value"
    xlabel: str = "training steps"
    second: str | None = None
    rule: tuple[float, str] | None = None
    onsets: Sequence[Onset] = field(default_factory=tuple)
    several: str = "seeds"
    exact: bool = False


def draw_panels(
    panels: Sequence[Panel],
    tables: Tables,
    *,
    x: str = "step",
    size: Size = "normal",
) -> tuple[Figure, ...]:
    """Draw the panels for which there is anything to draw."""
    figures = []
    for panel in panels:
        lines = [line(table, panel.measure, level, x=x) for level, table in tables]
        drawn = [one for one in lines if one is not None]
        if drawn:
            seconds = [
                line(table, panel.second, level, x=x) if panel.second else None
                for level, table in tables
            ]
            drawing = _draw(panel, drawn, [s for s in seconds if s], size=size)
            figures.append(Figure(panel.heading, drawing, panel.caption))
    return tuple(figures)


def _draw(panel: Panel, lines: Sequence[Line], seconds: Sequence[Line], *, size: Size) -> Markup:
    """Draw one panel of lines."""
    drawing = Drawing(
        panel.name,
        title=panel.heading,
        description=f"{panel.ylabel} against {panel.xlabel}, one line a level. {panel.caption}",
        size=SIZES[size],
        margins=MARGINS[size],
    )
    axes, small = drawing.axes, size != "normal"
    xs = [point.x for one in lines for point in one.points]
    count_axis(axes, "x", xs, small=small, exact=panel.exact)
    axes.set_xlabel(panel.xlabel)
    if size != "small":
        axes.set_ylabel(panel.ylabel)
    said: Callable[[float], str] = percent if panel.kind == "share" else number
    if panel.kind == "share":
        share_axis(axes)
    else:
        rule = [panel.rule[0]] if panel.rule else []
        values = [*rule, *_extent([*lines, *seconds])]
        value_axis(axes, values, linear=panel.kind in {"difference", "ratio"})
    if panel.rule:
        _rule(drawing, *panel.rule)
    for one in seconds:
        xs, ys = [p.x for p in one.points], [p.value for p in one.points]
        axes.plot(xs, ys, color=one.level.colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
    most = max(8, min(MOST_POINTS, MOST_TOGETHER // len(lines)))
    for one in lines:
        plot_line(drawing, one, said, x_name=panel.xlabel, several=panel.several, most=most)
    for onset in panel.onsets:
        _mark(drawing, onset, lines)
    end_labels(axes, lines)
    return drawing.svg()


def _extent(lines: Sequence[Line]) -> list[float]:
    """Return the values that lines reach, and their intervals where these are not far wider."""
    values = [point.value for one in lines for point in one.points]
    low, high = min(values), max(values)
    room = 0.3 * (high - low)
    # Positive values keep their logarithmic axis.
    floor = low - room if low <= 0 else max(low - room, 0.6 * low)
    bounds = [bound for one in lines for p in one.points for bound in p.bounds or ()]
    return values + [min(max(bound, floor), high + room) for bound in bounds]


def plot_line(
    drawing: Drawing,
    one: Line,
    said: Callable[[float], str],
    *,
    x_name: str,
    several: str = "seeds",
    most: int = MOST_POINTS,
) -> None:
    """Plot a line with its interval band, seeds' own courses thin, and points that tell."""
    axes, level = drawing.axes, one.level
    every = math.ceil(len(one.points) / most)
    for course in one.single:
        axes.plot(*zip(*course, strict=True), color=level.colour, linewidth=0.6, alpha=0.55)
    bounds = [(p.x, *p.bounds) for p in one.points if p.bounds is not None]
    if len(bounds) > 1:
        at, low, high = zip(*bounds, strict=True)
        axes.fill_between(at, low, high, color=level.colour, alpha=0.16, linewidth=0)
    elif bounds:
        axes.vlines(bounds[0][0], bounds[0][1], bounds[0][2], color=level.colour, linewidth=1.2)
    axes.plot(
        [p.x for p in one.points],
        [p.value for p in one.points],
        color=level.colour,
        linestyle=level.dash,
        marker=level.marker,
        markersize=3.4,
        markevery=every,
    )
    low, high = axes.get_ylim()
    for p in one.points[::every]:
        seeds = f"mean of {p.seeds} {several}" if p.seeds > 1 else f"{p.samples:,} samples"
        value = said(p.value)
        if p.bounds is not None:
            value += f" ({said(p.bounds[0])} to {said(p.bounds[1])})"
        where = f"{x_name.split(',')[0]} {number(p.x, 6)}"
        drawing.point(p.x, min(max(p.value, low), high), f"{level.name}, {where}: {value}; {seeds}")


def _rule(drawing: Drawing, at: float, label: str) -> None:
    """Draw a horizontal line with its meaning where curves that rise leave room."""
    axes = drawing.axes
    axes.axhline(at, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    if label:
        above = at < 0.25
        axes.annotate(
            label,
            (0.01 if above else 0.99, at),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 3 if above else -4),
            textcoords="offset points",
            ha="left" if above else "right",
            va="bottom" if above else "top",
            fontsize=10,
            color=INK,
            zorder=5,
            bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )


def _mark(drawing: Drawing, onset: Onset, lines: Sequence[Line]) -> None:
    """Ring the place on its level's line where an onset lies."""
    own = next((one for one in lines if one.level.value == onset.level), None)
    if own is None or onset.value is None:
        return
    steps = np.log([point.x for point in own.points])
    y = float(np.interp(math.log(onset.value), steps, [point.value for point in own.points]))
    drawing.axes.plot(
        [onset.value],
        [y],
        marker="o",
        markersize=7,
        markerfacecolor="none",
        markeredgecolor=MEMORIZING if onset.kind == "memorizing" else GENERALIZING,
        markeredgewidth=1.6,
        zorder=4,
    )
    drawing.point(onset.value, y, onset.told)


def pair_figure(
    level: Level, table: pl.DataFrame, values: Sequence[float], name: str
) -> Figure | None:
    """Draw distances to training and to held-out data of one level."""
    looks = (
        ("frechet_holdout_matched", "held-out", GENERALIZING, "-", "o"),
        ("frechet_training_matched", "training", MEMORIZING, (0, (5, 1.5)), "s"),
    )
    lines = [
        line(
            table,
            measure,
            Level(level.value, f"{level.name}, to {label} data", label, colour, dash, marker),
        )
        for measure, label, colour, dash, marker in looks
    ]
    drawn = [one for one in lines if one is not None]
    if not drawn:
        return None
    drawing = Drawing(
        name,
        title=f"Matched Fréchet distances, {level.name}",
        description="Fréchet distance to training and to held-out data against training steps.",
        size=SIZES["small"],
        margins=(40, 38, 64, 8),
    )
    steps = [point.x for one in drawn for point in one.points]
    count_axis(drawing.axes, "x", steps, small=True)
    drawing.axes.set_xlabel("training steps")
    value_axis(drawing.axes, values)
    for one in drawn:
        plot_line(drawing, one, number, x_name="training steps")
    end_labels(drawing.axes, drawn)
    return Figure(level.name, drawing.svg(), "")
