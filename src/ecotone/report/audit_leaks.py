"""What leaks as samples are drawn: how many different training images, and how many more would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import FuncFormatter

from ecotone.auditing.record import LeaksRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_sentences import count
from ecotone.report.axes import tick
from ecotone.report.curves import SIZES, Figure
from ecotone.report.svg import INK, MEMORIZING, MUTED, PAPER, Drawing
from ecotone.report.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

__all__ = ["leak_figure", "leaks_told", "total_known"]

_FARTHEST = 2.5
"""Times the curve's own height up to which the estimated total is drawn."""

_FEWEST = 5
"""Copies from which on a curve says more than a sentence."""


def leak_figure(folder: AuditFolder) -> Figure | None:
    """Draw different training images leaked against samples; None where few or none leaked."""
    leaks, noun = folder.record.leaks, folder.noun
    if leaks is None or leaks.copies < _FEWEST or len(leaks.samples) < 2:
        return None
    xs, ys = np.array(leaks.samples), np.array(leaks.expected)
    drawn = folder.record.sets["generated"].items
    drawing = Drawing(
        "leaks",
        title=f"Different training {noun} leaked",
        description=f"Different training {noun} copied among so many generated {noun}, with its "
        f"95 % interval; dotted beyond the {drawn:,} that there are.",
        size=SIZES["normal"],
        margins=(56, 42, 18, 10),
    )
    axes = drawing.axes
    top = max(leaks.high)
    known = total_known(leaks)
    shown = known and leaks.total <= _FARTHEST * max(leaks.expected)
    axes.set_xlim(0, 1.02 * xs[-1])
    axes.set_ylim(0, 1.08 * max(top, leaks.total if shown else 0.0))
    axes.fill_between(xs, leaks.low, leaks.high, color=MEMORIZING, alpha=0.16, linewidth=0)
    seen, beyond = xs <= drawn, xs >= drawn
    axes.plot(xs[seen], ys[seen], color=MEMORIZING, marker="o", markersize=3.4)
    dotted = {"color": MEMORIZING, "linestyle": (0, (1.5, 1.5)), "marker": "o", "markersize": 3.4}
    axes.plot(xs[beyond], ys[beyond], markerfacecolor=PAPER, **dotted)
    axes.axvline(drawn, color=MUTED, linewidth=0.8)
    _beside(
        axes,
        f"the {drawn:,} there are",
        (drawn, 0.04),
        axes.get_xaxis_transform(),
        (4, 0),
        "bottom",
    )
    if shown:
        axes.axhline(leaks.total, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        label = "in the end, at least"
        _beside(axes, label, (0.01, leaks.total), axes.get_yaxis_transform(), (0, -4), "top")
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(f"generated {noun}")
    axes.set_ylabel(f"different training {noun} copied")
    for x, y, low, high in zip(leaks.samples, leaks.expected, leaks.low, leaks.high, strict=True):
        within = f"{number(round(low))} to {number(round(high))}"
        drawing.point(x, y, f"{x:,} generated {noun}: {number(y)} training {noun} ({within})")
    end = ""
    if known:
        end = f" In the end at least {_about(leaks.total, leaks.total_low, leaks.total_high)}"
        end += "." if shown else ", above this drawing."
    return Figure(
        f"Different training {noun} copied, as more are generated",
        drawing.svg(),
        f"Up to {drawn:,} generated {noun}: what so many of these hold on average. Beyond, dotted: "
        f"what would be expected.{end} Band: 95 % interval.",
    )


def leaks_told(folder: AuditFolder) -> str:
    """Return how many different training images leaked, and how many more would."""
    leaks, noun = folder.record.leaks, folder.noun
    if leaks is None:
        return (
            f"All training {noun} are near duplicates of one another, so that no copy can stand "
            "out, and none can be told to leak."
        )
    if not leaks.copies:
        return (
            f"No generated {noun[:-1]} is a copy by the gap ratio: no training {noun[:-1]} is seen "
            "to leak. The table has those that generated ones come nearest to."
        )
    samples = folder.record.sets["generated"].items
    different = f"{leaks.unique:,} different training {noun if leaks.unique != 1 else noun[:-1]}"
    are = f"is of {different}" if leaks.copies == 1 else f"are of {different}"
    told = (
        f"{count(leaks.copies, 'copies')} among {samples:,} generated {noun} {are} (near "
        "duplicates count once)."
    )
    last = leaks.samples[-1] if leaks.samples else samples
    if last > samples and leaks.copies >= _FEWEST:
        told += (
            f" Among {last:,} there would be copies of "
            f"{_about(leaks.expected[-1], leaks.low[-1], leaks.high[-1])} different ones."
        )
    if total_known(leaks):
        told += (
            f" In the end at least {_about(leaks.total, leaks.total_low, leaks.total_high)} would "
            "leak (Chao’s estimate of a lower bound)."
        )
    elif leaks.copies >= _FEWEST:
        told += (
            f" No training {noun[:-1]} was copied twice, so that there is no telling how many "
            "would leak in the end."
        )
    return told


def total_known(leaks: LeaksRecord) -> bool:
    """Tell whether how many would leak in the end can be estimated: not from single copies alone.

    What was copied twice says how many there are to copy. Where nothing was, any number fits.
    """
    return leaks.copies > leaks.unique


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


def _about(value: float, low: float, high: float) -> str:
    if round(low) == round(high):
        return number(round(value), 3)
    return f"{number(round(value), 3)} ({number(round(low), 3)} to {number(round(high), 3)})"
