"""Drawings of what leaks as samples are drawn, and of what the audit recognizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import FuncFormatter

from ecotone.auditing.record import AuditRecord, ReadingRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_sentences import altered
from ecotone.report.axes import tick
from ecotone.report.curves import SIZES, Figure
from ecotone.report.svg import INK, MEMORIZING, MUTED, PAPER, Drawing
from ecotone.report.text import capital, number, percent, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

__all__ = ["control_figure", "leak_figure"]

_FARTHEST = 2.5
"""Times the curve's own height up to which the estimated total is drawn."""

_ROW = 26
"""Points of a drawing for each row of it."""


def leak_figure(folder: AuditFolder) -> Figure | None:
    """Draw different training images leaked against samples; None where none leaked."""
    leaks, noun = folder.record.leaks, folder.noun
    if leaks is None or not leaks.copies or len(leaks.samples) < 2:
        return None
    xs, ys = np.array(leaks.samples), np.array(leaks.expected)
    drawn = folder.record.sets["generated"].items
    drawing = Drawing(
        "leaks",
        title=f"Different training {noun} leaked",
        description=f"Expected number of different training {noun} among so many samples, with its "
        f"95 % interval; dotted beyond the {drawn:,} samples that there are.",
        size=SIZES["normal"],
        margins=(56, 42, 18, 10),
    )
    axes = drawing.axes
    top = max(leaks.high)
    shown = leaks.total <= _FARTHEST * max(leaks.expected)
    axes.set_xlim(0, 1.02 * xs[-1])
    axes.set_ylim(0, 1.08 * max(top, leaks.total if shown else 0.0))
    axes.fill_between(xs, leaks.low, leaks.high, color=MEMORIZING, alpha=0.16, linewidth=0)
    seen, beyond = xs <= drawn, xs >= drawn
    axes.plot(xs[seen], ys[seen], color=MEMORIZING, marker="o", markersize=3.4)
    dotted = {"color": MEMORIZING, "linestyle": (0, (1.5, 1.5)), "marker": "o", "markersize": 3.4}
    axes.plot(xs[beyond], ys[beyond], markerfacecolor=PAPER, **dotted)
    axes.axvline(drawn, color=MUTED, linewidth=0.8)
    _beside(axes, "samples there are", (drawn, 0.04), axes.get_xaxis_transform(), (4, 0), "bottom")
    if shown:
        axes.axhline(leaks.total, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        label = "in the end, at least"
        _beside(axes, label, (0.01, leaks.total), axes.get_yaxis_transform(), (0, -4), "top")
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel("samples drawn")
    axes.set_ylabel(f"different training {noun}")
    for x, y, low, high in zip(leaks.samples, leaks.expected, leaks.low, leaks.high, strict=True):
        within = f"{number(round(low))} to {number(round(high))}"
        drawing.point(x, y, f"{x:,} samples: {number(y)} training {noun} ({within})")
    total = (
        f"{number(round(leaks.total))} "
        f"({number(round(leaks.total_low))} to {number(round(leaks.total_high))})"
    )
    return Figure(
        f"Different training {noun} leaked, against samples",
        drawing.svg(),
        f"Up to {drawn:,} samples it is what parts of these samples hold; beyond, it is expected. "
        f"In the end at least {total} would leak, by Chao’s estimate"
        f"{'' if shown else ', which lies above this drawing'}. Band: 95 % interval.",
    )


def _beside(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    transform: Transform,
    offset: tuple[float, float],
    va: Literal["top", "bottom"],
) -> None:
    """Write what a line means beside a point of it, with an offset in points."""
    axes.annotate(
        text,
        at,
        xycoords=transform,
        xytext=offset,
        textcoords="offset points",
        va=va,
        fontsize=10,
        color=INK,
        bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
    )


def control_figure(record: AuditRecord) -> Figure | None:
    """Draw the share of altered copies that is recognized; None without a control."""
    controls = record.controls
    if not controls:
        return None
    drawing = Drawing(
        "controls",
        title="Altered copies that the rule recognizes",
        description="For each alteration, the share of copies recognized with its 95 % interval, "
        "and the share whose nearest training image is the one that they were made of.",
        size=(460, 56 + _ROW * len(controls)),
        margins=(126, 42, 20, 8),
    )
    axes = drawing.axes
    names = [altered(one.transform).removeprefix("a ") for one in controls]
    places = list(range(len(controls) - 1, -1, -1))
    for y, name, one in zip(places, names, controls, strict=True):
        found, traced = one.recognized, one.traced
        axes.barh(y, found.value, height=0.56, color=MEMORIZING, alpha=0.35)
        if found.low is not None and found.high is not None:
            axes.hlines(y, found.low, found.high, color=MEMORIZING, linewidth=1.6)
        axes.plot(found.value, y, color=MEMORIZING, marker="o", markersize=5)
        axes.plot(traced.value, y, color=INK, marker="D", markersize=5, markerfacecolor="none")
        if one.standing_out is not None:
            axes.plot(
                one.standing_out.value,
                y,
                color=MEMORIZING,
                marker="o",
                markersize=9,
                markerfacecolor="none",
            )
            drawing.point(one.standing_out.value, y, f"{name}: {_said(one.standing_out)} stand out")
        drawing.point(found.value, y, f"{name}: {_said(found)} recognized as copies")
        drawing.point(traced.value, y, f"{name}: nearest is the original in {_said(traced)}")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.6, len(controls) - 0.4)
    axes.set_yticks(places, [capital(shortened(name)) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    axes.set_xlabel("share of copies")
    rings = "Rings: share that stands out beyond 99 % of held-out images. "
    if all(one.standing_out is None for one in controls):
        rings = ""
    return Figure(
        "What the rule would have recognized",
        drawing.svg(),
        "Bars and dots: share that the gap ratio calls copies, with its 95 % interval. "
        f"{rings}Diamonds: share whose nearest training image is the one that they were made of.",
    )


def _said(reading: ReadingRecord) -> str:
    if reading.low is None or reading.high is None:
        return percent(reading.value)
    return f"{percent(reading.value)} ({percent(reading.low)} to {percent(reading.high)})"
