"""Drawings of how p-values and distances are distributed over single images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_ratios import numbers
from ecotone.report.axes import count_axis, end_labels, share_axis, tick
from ecotone.report.curves import MARGINS, SIZES, Figure
from ecotone.report.lines import Level, Line, Point
from ecotone.report.svg import GENERALIZING, INK, MEMORIZING, MUTED, Drawing
from ecotone.report.text import number, percent

__all__ = ["distance_figure", "p_value_figure"]

_LINE, _TIPS = 120, 20
"""Points that a line of shares is drawn through, and that tell their values."""

_MARGINS = (56, 42, 14, 10)


@dataclass(frozen=True)
class _Bars:
    """A histogram: edges (k + 1), counts (k), and which bars are marked."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    marked: NDArray[np.bool_]


def p_value_figure(folder: AuditFolder) -> Figure | None:
    """Draw how near generated images come to training images, by the holdout's standard.

    None without a holdout.
    """
    values = numbers(folder.training, "p_value")
    held = folder.record.sets.get("holdout")
    if not len(values) or held is None:
        return None
    # Steps of 1/(m + 1) must be finer than bars.
    count = next(bars for bars in (20, 10, 5, 2) if held.items >= 4 * bars or bars == 2)
    place = np.clip(np.ceil(values * count - 1e-9).astype(int) - 1, 0, count - 1)
    level = len(values) / count
    edges = np.linspace(0, 1, count + 1)
    bars = _Bars(edges, np.bincount(place, minlength=count), np.arange(count) < 1)
    drawing = Drawing(
        "p-values",
        title=f"How near generated {folder.noun} come to training {folder.noun}",
        description=f"Histogram of p-values of {len(values)} training {folder.noun}, with the "
        "height that all bars have where nothing leaks.",
        size=SIZES["normal"],
        margins=_MARGINS,
    )
    one = f"training {folder.noun[:-1]}"
    _draw(
        drawing,
        bars,
        lambda low, high: f"p-value {number(low, 2)} to {number(high, 2)}",
        one,
        least=level,
    )
    drawing.axes.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    drawing.axes.set_xlabel(f"share of held-out {folder.noun} that are as near")
    return Figure(
        f"How near training {folder.noun} are to generated ones",
        drawing.svg(),
        f"Each training {folder.noun[:-1]} by the share of held-out ones that lie as near to a "
        "generated one. Where nothing leaks all bars end about at the dashed line; a peak at the "
        "left is what the generator has of its training set. The first bar holds "
        f"{percent(float((values <= 1 / count).mean()))} of them, where {percent(1 / count)} would "
        "be. Heights go by the square root, so that few are seen beside many.",
    )


def distance_figure(folder: AuditFolder) -> Figure | None:
    """Draw distances of generated images to training and held-out ones; None without a holdout."""
    sets = folder.record.sets
    ours, theirs = (
        np.sort(numbers(folder.generated, name)) for name in ("distance", "distance_holdout")
    )
    if not len(ours) or not len(theirs) or "holdout" not in sets:
        return None
    one = folder.noun[:-1]
    lines = [
        _cumulative(values, Level(label, name, label, colour, dash, marker))
        for values, name, label, colour, dash, marker in (
            (ours, "to training", "training", MEMORIZING, (0, (5, 1.5)), "s"),
            (theirs, "to held-out", "held-out", GENERALIZING, "-", "o"),
        )
    ]
    drawing = Drawing(
        "distances",
        title=f"Distances to the nearest training and held-out {one}",
        description=f"Share of generated {folder.noun} within each distance of a training {one}, "
        f"and of a held-out {one}.",
        size=SIZES["normal"],
        margins=MARGINS["normal"],
    )
    axes = drawing.axes
    every = [*ours.tolist(), *theirs.tolist()]
    low, high = min(every), max(every)
    if low > 0 and high > 20 * low:
        count_axis(axes, "x", (low, high))
    else:
        pad = 0.03 * (high - low) or 1.0
        axes.set_xlim(max(0.0, low - pad), high + pad)
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
    share_axis(axes)
    axes.set_xlabel(f"distance to the nearest {one}")
    for line in lines:
        level = line.level
        xs, ys = [p.x for p in line.points], [p.value for p in line.points]
        axes.plot(xs, ys, color=level.colour, linestyle=level.dash)
        for point in line.points[:: max(1, len(line.points) // _TIPS)]:
            tip = f"{level.name} {one}: {percent(point.value)} within {number(point.x)}"
            drawing.point(point.x, point.value, tip)
    end_labels(axes, lines)
    n, m = sets["training"].items, sets["holdout"].items
    size = f"Both sets hold {n:,}, so that the lines lie together where nothing leaks"
    if n != m:
        size = f"The sets hold {n:,} and {m:,}; the larger one is nearer by that alone"
    return Figure(
        f"How near generated {folder.noun} come to either set",
        drawing.svg(),
        f"Share of generated {folder.noun} within each distance of a training and of a held-out "
        f"{one}. {size}. What the training line has far to the left, and the other has not, is "
        "copies.",
    )


def _draw(
    drawing: Drawing,
    bars: _Bars,
    where: Callable[[float, float], str],
    one: str,
    *,
    least: float = 1.0,
) -> None:
    """Draw bars on an axis of square roots, each of which tells its count."""
    axes, edges = drawing.axes, bars.edges
    top = 1.08 * max(float(bars.counts.max()), least)
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_ylim(0, top)
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(top)))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_ylabel(f"{one}s")
    axes.grid(visible=False, axis="x")
    width = edges[1] - edges[0]
    for marked, colour in ((True, MEMORIZING), (False, MUTED)):
        chosen = (bars.marked == marked) & (bars.counts > 0)
        axes.bar(
            edges[:-1][chosen],
            bars.counts[chosen],
            width=0.86 * width,
            align="edge",
            color=colour,
            alpha=1.0 if marked else 0.75,
        )
    for low, high, count in zip(edges[:-1], edges[1:], bars.counts.tolist(), strict=True):
        if count:
            many = f"{count:,} {one}{'' if count == 1 else 's'}"
            drawing.point((low + high) / 2 - 0.07 * width, count, f"{where(low, high)}: {many}")


def _ticks(top: float) -> list[float]:
    """Return round counts that stand apart on an axis of square roots.

    >>> _ticks(120.0), _ticks(1.0)
    ([0.0, 5.0, 20.0, 50.0, 100.0], [0.0, 1.0])
    """
    known = [float(m * 10**e) for e in range(8) for m in (1, 2, 5) if m * 10**e <= top]
    kept: list[float] = []
    for value in reversed(known):
        if not kept or np.sqrt(kept[-1]) - np.sqrt(value) >= 0.17 * np.sqrt(top):
            kept.append(value)
    if kept and np.sqrt(kept[-1]) < 0.12 * np.sqrt(top):
        kept.pop()
    return [0.0, *reversed(kept)]


def _cumulative(values: NDArray[np.float64], level: Level) -> Line:
    """Return the share of values up to each of some of them."""
    n = len(values)
    places = np.unique(np.linspace(0, n - 1, min(n, _LINE)).round().astype(int))
    points = [Point(float(values[i]), (int(i) + 1) / n, None, None, n, 1) for i in places]
    return Line(level, tuple(points), ())
