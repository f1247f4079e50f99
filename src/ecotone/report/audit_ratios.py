"""Gap ratios of generated images beside those of held-out ones: what most of a verdict rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from ecotone.measures.exceedance import exceedance
from ecotone.measures.neighbours import GAP_RATIO
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.axes import count_axis, end_labels
from ecotone.report.curves import Figure
from ecotone.report.lines import Level, Line, Point
from ecotone.report.svg import GENERALIZING, INK, MEMORIZING, PAPER, Drawing
from ecotone.report.text import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Standing", "below_copies", "numbers", "ratio_figure", "standing"]

_DRAWN, _TIPS = 160, 18
"""Points that a line is drawn through, and that tell their values."""

_SIZE, _MARGINS = (480, 285), (62, 42, 82, 10)


@dataclass(frozen=True)
class Standing:
    """Generated images that stand out by the holdout's standard.

    Args:
        threshold: a low quantile of the holdout's gap ratios, below which an image stands out.
        rate: share of images like the held-out ones that lie below it: 1 %, or more where there
            are too few to tell so small a share.
        count: generated images below it.
        n: generated images.
    """

    threshold: float
    rate: float
    count: int
    n: int

    @property
    def share(self) -> float:
        """Of the generated images."""
        return self.count / self.n


def numbers(table: pl.DataFrame | None, column: str) -> NDArray[np.float64]:
    """Return a column's numbers, without those that are absent."""
    if table is None or column not in table.columns:
        return np.zeros(0)
    values = table[column].drop_nulls().to_numpy()
    return values[np.isfinite(values)]


def standing(folder: AuditFolder) -> Standing | None:
    """Return how many generated images stand out; None without gap ratios of a holdout."""
    ours, theirs = (numbers(table, "gap_ratio") for table in (folder.generated, folder.holdout))
    if not len(ours) or not len(theirs):
        return None
    found = exceedance(
        generated=torch.from_numpy(ours.copy()), holdout=torch.from_numpy(theirs.copy())
    )
    return Standing(found.threshold, found.false_positive_rate, found.count, found.n)


def below_copies(table: pl.DataFrame | None) -> tuple[int, int]:
    """Return how many images of a table are copies by the gap ratio, and of how many."""
    values = numbers(table, "gap_ratio")
    return int((values < GAP_RATIO).sum()), len(values)


def ratio_figure(folder: AuditFolder) -> Figure | None:
    """Draw the share of images up to every gap ratio, generated and held-out; None without any."""
    known = [
        (numbers(folder.generated, "gap_ratio"), "generated", MEMORIZING, "-", "s"),
        (numbers(folder.holdout, "gap_ratio"), "held-out", GENERALIZING, (0, (5, 1.5)), "o"),
    ]
    known = [one for one in known if len(one[0])]
    if not known or known[0][1] != "generated":
        return None
    lines = [
        _shares(values, Level(name, name, name, colour, dash, marker))
        for values, name, colour, dash, marker in known
    ]
    several = len(lines) > 1
    drawing = Drawing(
        "gap-ratios",
        title="Gap ratios of generated and of held-out images" if several else "Gap ratios",
        description=f"Share of {' and of '.join(line.level.name for line in lines)} {folder.noun} "
        "up to each gap ratio, from 0, an exact copy, to 1; below 1/3 lie copies.",
        size=_SIZE,
        margins=_MARGINS,
    )
    axes = drawing.axes
    count_axis(axes, "y", (min(1 / len(one[0]) for one in known), 1.0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
    axes.set_xlim(-0.015, 1.005)
    axes.set_xlabel(f"gap ratio: distance to nearest / to nearest distinct training {_one(folder)}")
    axes.set_ylabel(f"share of {folder.noun} up to it")
    axes.axvspan(-0.015, GAP_RATIO, color=MEMORIZING, alpha=0.07, linewidth=0)
    _rule(axes, GAP_RATIO, "copies", row=0, left=True)
    out = standing(folder)
    if out is not None:
        _rule(
            axes, out.threshold, f"{percent(out.rate)} of held-out", row=1, left=out.threshold > 0.4
        )
    for line in lines:
        _plot(drawing, line, folder.noun)
    end_labels(axes, lines)
    return Figure(
        f"Gap ratios of generated {'and held-out ' if several else ''}{folder.noun}",
        drawing.svg(),
        _caption(folder, out),
    )


def _one(folder: AuditFolder) -> str:
    return folder.noun[:-1]


def _caption(folder: AuditFolder, out: Standing | None) -> str:
    """Return what the lines say at the thresholds."""
    copies, n = below_copies(folder.generated)
    others, m = below_copies(folder.holdout)
    told = f"Left of 1/3 lie copies: {copies:,} of {n:,} generated {folder.noun}"
    told += f", and {others:,} of {m:,} held-out ones." if m else "."
    if out is not None:
        told += (
            f" Below {number(out.threshold)}, where {percent(out.rate)} of held-out ones would, "
            f"lie {percent(out.share)} of generated ones."
        )
    return f"{told} The vertical axis is logarithmic."


def _shares(values: NDArray[np.float64], level: Level) -> Line:
    """Return the share of values up to each of some of them, the smallest ones closest together."""
    ordered, n = np.sort(values), len(values)
    ranks = np.unique(np.geomspace(1, n, min(n, _DRAWN)).round().astype(int))
    # A rank among equal values stands for all of them.
    ranks = np.unique(np.searchsorted(ordered, ordered[ranks - 1], side="right"))
    points = [Point(float(ordered[rank - 1]), rank / n, None, None, n, 1) for rank in ranks]
    return Line(level, tuple(points), ())


def _plot(drawing: Drawing, line: Line, noun: str) -> None:
    """Draw a line of shares as the steps that it is, with points that tell."""
    axes, level = drawing.axes, line.level
    xs, ys = [p.x for p in line.points], [p.value for p in line.points]
    bottom = axes.get_ylim()[0]
    axes.plot(
        [xs[0], *xs, 1.0],
        [bottom, *ys, ys[-1]],
        drawstyle="steps-post",
        color=level.colour,
        linestyle=level.dash,
    )
    for point in _some(line.points):
        count = round(point.value * point.samples)
        tip = f"{count:,} of {point.samples:,} {level.name} {noun} up to {number(point.x)}"
        drawing.point(point.x, point.value, f"{tip}: {percent(point.value)}")


def _some(points: Sequence[Point]) -> list[Point]:
    """Return a few of the points, the first and the last among them."""
    places = np.unique(np.linspace(0, len(points) - 1, min(len(points), _TIPS)).round())
    return [points[int(place)] for place in places]


def _rule(axes: Axes, at: float, label: str, *, row: int, left: bool) -> None:
    """Draw a threshold, and what it means at its top, where no line of shares runs."""
    axes.axvline(at, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        label,
        (at, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-5 if left else 5, -2 - 17 * row),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=10,
        color=INK,
        bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
    )
