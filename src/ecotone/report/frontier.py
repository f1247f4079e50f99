"""Novelty against fidelity: which snapshots no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
from matplotlib.ticker import FuncFormatter

from ecotone.laws import frontier
from ecotone.report.axes import tick, value_axis
from ecotone.report.curves import Figure, Group
from ecotone.report.lines import Level
from ecotone.report.study import Condition, Study
from ecotone.report.svg import INK, Drawing
from ecotone.report.text import number

__all__ = ["trade"]

MOST_TOLD = 260
"""Points that tell their values; all of the frontier do, of the others every so many."""
FAINTEST = 0.22


def trade(study: Study, results: pl.DataFrame, looks: Sequence[Level], key: str) -> Group | None:
    """Draw every snapshot's novelty against its distance, and the ones that none beats.

    Args:
        study: as read.
        results: its readings under one condition.
        looks: levels to draw.
        key: prefix of the drawing's name, unique on the page.

    Returns:
        The group; None where novelty and distance were not measured together.
    """
    found = frontier(results)
    found = found.filter((pl.col("step") > 0) & (pl.col("distance") > 0))
    if found.is_empty():
        return None
    beaten = int(found["clearly_dominated"].sum())
    lead = (
        "Each point is one run at one step. Better is to the right, and below. Another snapshot of "
        f"the same condition is clearly better in both than {beaten} of {found.height}; what is "
        "not clearly beaten might be on the frontier, which collects the lucky ones."
    )
    return Group("Novelty against fidelity", lead, (_figure(found, study.axis, looks, key),))


def _figure(found: pl.DataFrame, axis: str, looks: Sequence[Level], key: str) -> Figure:
    drawing = Drawing(
        f"{key}-frontier",
        title="Novelty against fidelity",
        description=(
            "Fréchet distance to held-out data, logarithmic, against novelty, one point a run and "
            "step; lines join the snapshots that none beats in both."
        ),
        size=(460, 330),
        margins=(62, 42, 70, 10),
    )
    axes = drawing.axes
    found = found.with_columns(pl.col("novelty").clip(upper_bound=1.0))
    least = min(0.0, float(found["novelty"].to_numpy().min()))
    axes.set_xlim(least - 0.03, 1.04)
    value_axis(axes, found["distance"].to_list(), logarithmic=True)
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.set(xlabel="novelty, at most 1", ylabel="Fréchet distance to held-out data")
    steps = [math.log(step) for step in found["step"].to_list()]
    first, last = min(steps), max(steps)
    told = max(1, math.ceil(found.height / MOST_TOLD))
    for look in looks:
        own = Condition({axis: look.value}).of(found)
        for place, row in enumerate(own.iter_rows(named=True)):
            age = (math.log(row["step"]) - first) / max(last - first, 1e-9)
            axes.plot(
                [row["novelty"]],
                [row["distance"]],
                color=look.colour,
                marker=look.marker,
                markersize=5.5 if row["on_frontier"] else 3.8,
                alpha=FAINTEST + (1 - FAINTEST) * age,
                markeredgewidth=0,
            )
            if row["on_frontier"] or place % told == 0:
                drawing.point(
                    row["novelty"],
                    row["distance"],
                    f"{look.name}, seed {row['seed']}, step {number(row['step'], 9)}: novelty "
                    f"{number(row['novelty'])}, Fréchet distance {number(row['distance'])}",
                )
        best = own.filter("on_frontier").sort("novelty", "distance")
        axes.plot(
            best["novelty"].to_list(),
            best["distance"].to_list(),
            color=look.colour,
            linestyle=look.dash,
            linewidth=1.4,
        )
    _name_levels(drawing, looks)
    caption = (
        "Novelty is counted as 1 where it is higher: farther from the training set than held-out "
        "data is not newer, only worse. Faint points are early steps, full ones late. Lines join "
        "the frontier of each level."
    )
    return Figure("Novelty against Fréchet distance", drawing.svg(), caption)


def _name_levels(drawing: Drawing, looks: Sequence[Level]) -> None:
    """Name the levels in the right margin, from the top."""
    axes = drawing.axes
    style = {"transform": axes.transAxes, "clip_on": False}
    x = 1.0 + 9 / axes.bbox.width
    for place, look in enumerate(looks):
        height = 0.97 - 0.055 * place
        axes.plot([x], [height], marker=look.marker, markersize=5, color=look.colour, **style)
        label = look.name if not place and len(look.name) <= 9 else look.label
        axes.text(
            x + 6 / axes.bbox.width, height, label, va="center", fontsize=10.5, color=INK, **style
        )
