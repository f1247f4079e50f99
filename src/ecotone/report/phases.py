"""The map of training-set sizes and steps: learning, window, copying."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import polars as pl
from matplotlib.patches import Rectangle

from ecotone.report.axes import count_axis
from ecotone.report.curves import Figure
from ecotone.report.findings import Onset
from ecotone.report.scaling import LOOKS
from ecotone.report.svg import INK, PAPER, Drawing, heat_colour
from ecotone.report.text import number, percent

__all__ = ["HEATS", "phase_figure"]

HEATS = 21
"""How many shades the map of copied shares has, from 0 to 100 %."""


def phase_figure(table: pl.DataFrame, onsets: Sequence[Onset], key: str) -> Figure | None:
    """Draw the copied share over training-set size and step, divided by the onsets.

    Args:
        table: readings of one condition.
        onsets: of the same; means over seeds divide the map where all seeds got there.
        key: prefix of the drawing's name, unique on the page.

    Returns:
        The figure; None where fewer than two sizes were measured at two steps or more.
    """
    shares = (
        table.filter((pl.col("measure") == "copied_share_gap_ratio") & (pl.col("step") > 0))
        .group_by("n", "step")
        .agg(pl.col("value").mean())
        .sort("n", "step")
    )
    sizes = shares["n"].unique().sort().to_list()
    if len(sizes) < 2 or shares["step"].n_unique() < 2:
        return None
    drawing = Drawing(
        f"{key}-phases",
        title="Map of copying over training-set size and steps",
        description=(
            "Copied share as shade, over training-set size and training steps, both logarithmic, "
            "with the lines of the onsets τ_gen and τ_mem."
        ),
        size=(460, 330),
        margins=(58, 42, 72, 10),
    )
    axes = drawing.axes
    axes.grid(visible=False)
    edges = _edges(sizes)
    columns = {n: shares.filter(n=n) for n in sizes}
    bottoms = [_edges(column["step"].to_list())[0] for column in columns.values()]
    tops = [_edges(column["step"].to_list())[-1] for column in columns.values()]
    count_axis(axes, "y", (min(bottoms), max(tops)))
    axes.set_ylim(min(bottoms), max(tops))
    count_axis(axes, "x", sizes, exact=True)
    axes.set_xlim(edges[0], edges[-1])
    axes.set(xlabel="training-set size n, samples", ylabel="training steps")
    for (left, right), (n, column) in zip(pairwise(edges), columns.items(), strict=True):
        steps, values = column["step"].to_list(), column["value"].to_list()
        for (low, high), step, value in zip(pairwise(_edges(steps)), steps, values, strict=True):
            colour = heat_colour(round(min(max(value, 0.0), 1.0) * (HEATS - 1)))
            cell = Rectangle((left, low), right - left, high - low, facecolor=colour)
            # Edges of the same colour close the hairlines between neighbours.
            cell.set(edgecolor=colour, linewidth=0.4)
            axes.add_patch(cell)
            drawing.point(n, step, f"n = {n:,}, step {step:,}: copied share {percent(value)}")
    borders = {kind: _border(onsets, kind) for kind in LOOKS}
    for kind, border in borders.items():
        if border:
            _draw_border(drawing, kind, border)
    _name_regions(drawing, borders, sizes, (min(bottoms), max(tops)))
    _draw_scale(drawing)
    return Figure(
        "Where copying begins: training-set size against steps",
        drawing.svg(),
        "Shade: copied share (gap ratio). Between τ_gen and τ_mem lies the window in which the "
        "model makes new samples of the population. A border is left out at sizes where a run "
        "never reached it.",
    )


def _edges(values: Sequence[float]) -> list[float]:
    """Return cell edges: geometric means between neighbours, the outer cells symmetric.

    >>> _edges([10.0, 1000.0])
    [1.0, 100.0, 10000.0]
    """
    if len(values) == 1:
        return [values[0] / 1.5, values[0] * 1.5]
    inner = [math.sqrt(a * b) for a, b in pairwise(values)]
    return [values[0] ** 2 / inner[0], *inner, values[-1] ** 2 / inner[-1]]


def _border(onsets: Sequence[Onset], kind: str) -> list[tuple[int, float]]:
    """Return an onset by size, the geometric mean over seeds, where every seed got there."""
    own = [onset for onset in onsets if onset.kind == kind]
    border = []
    for n in sorted({onset.n for onset in own}):
        values = [onset.value for onset in own if onset.n == n]
        reached = [value for value in values if value is not None]
        if reached and len(reached) == len(values):
            border.append((n, math.exp(sum(math.log(value) for value in reached) / len(reached))))
    return border


def _draw_border(drawing: Drawing, kind: str, border: Sequence[tuple[int, float]]) -> None:
    """Draw one onset across the map, with a rim of paper, and name it in the margin."""
    colour, marker, name = LOOKS[kind]
    dash = "-" if kind == "memorizing" else (0, (5, 2))
    xs, ys = [n for n, _ in border], [value for _, value in border]
    axes = drawing.axes
    axes.plot(xs, ys, color=PAPER, linewidth=4.5, zorder=3)
    axes.plot(
        xs,
        ys,
        color=colour,
        linestyle=dash,
        marker=marker,
        markersize=6,
        markeredgecolor=PAPER,
        zorder=4,
    )
    for n, value in border:
        drawing.point(n, value, f"n = {n:,}: {name} = {number(value)} steps")


def _name_regions(
    drawing: Drawing,
    borders: dict[str, list[tuple[int, float]]],
    sizes: Sequence[int],
    limits: tuple[float, float],
) -> None:
    """Write each region's name where it is tallest."""
    begun, copied = dict(borders["generalizing"]), dict(borders["memorizing"])
    bottom, top = limits
    regions = {
        "learning": {n: (bottom, begun[n]) for n in sizes if n in begun},
        "window": {n: (begun[n], copied.get(n, top)) for n in sizes if n in begun},
        "copying": {n: (copied[n], top) for n in sizes if n in copied},
    }
    for name, spans in regions.items():
        tall = {n: math.log(high / low) for n, (low, high) in spans.items() if high > low}
        if not tall or max(tall.values()) < 0.08 * math.log(top / bottom):
            continue
        # Inner columns leave the name room on both sides.
        inner = [n for n in tall if n not in (sizes[0], sizes[-1])] or list(tall)
        n = max(inner, key=lambda size: tall[size])
        low, high = spans[n]
        drawing.axes.text(
            n,
            math.sqrt(low * high),
            name,
            ha="center",
            va="center",
            color=INK,
            zorder=5,
            bbox={"facecolor": PAPER, "alpha": 0.82, "edgecolor": "none", "pad": 2.5},
        )


def _draw_scale(drawing: Drawing) -> None:
    """Draw the scale of shades in the right margin."""
    width, _ = drawing.size
    scale = drawing.figure.add_axes(((width - 58) / width, 0.3, 12 / width, 0.5))
    for index in range(HEATS):
        colour = heat_colour(index)
        scale.add_patch(Rectangle((0, index), 1, 1, facecolor=colour, edgecolor=colour, lw=0.4))
    scale.set(xlim=(0, 1), ylim=(0, HEATS), xticks=[])
    scale.grid(visible=False)
    scale.yaxis.tick_right()
    scale.set_yticks([0.5, HEATS / 2, HEATS - 0.5], ["0 %", "50 %", "100 %"])
    scale.spines[:].set_visible(False)
    scale.tick_params(length=0)
    scale.set_title("copied", fontsize=10.5, color=INK, loc="left", pad=8)
