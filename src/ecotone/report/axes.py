"""Axes that a reader takes in at once: scales, ticks, and labels beside the lines they name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from ecotone.report.lines import Line
from ecotone.report.svg import INK, MUTED
from ecotone.report.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["count_axis", "end_labels", "share_axis", "tick", "value_axis"]


def tick(value: float, _: object = None) -> str:
    """Return a short tick label.

    >>> tick(1000.0), tick(20000.0), tick(0.05)
    ('1,000', '20k', '0.05')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{number(value / (1e3 if unit == 'k' else size))}{unit}"
    return number(value)


def count_axis(
    axes: Axes,
    which: Literal["x", "y"],
    values: Iterable[float],
    *,
    exact: bool = False,
    small: bool = False,
) -> None:
    """Make an axis of positive counts logarithmic, with limits just around the values.

    Args:
        axes: to set.
        which: of its two axes.
        values: what will be drawn along it.
        exact: put the ticks at the values themselves (few training-set sizes), not at decades.
        small: leave room for few labels only.
    """
    known = sorted({float(value) for value in values})
    low, high = known[0], known[-1]
    pad = 1.9 if low == high else max((high / low) ** 0.05, 1.02)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / pad, high * pad)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    if exact:
        axis.set_major_locator(FixedLocator(_apart(known, high / low)))
    else:
        decades = math.log10(high * pad / (low / pad)) * (2 if small else 1)
        subs = (1.0,) if decades > 2.2 else (1.0, 3.0) if decades > 1.1 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(tick))
    axis.set_minor_formatter(NullFormatter())


def _apart(values: Sequence[float], span: float) -> list[float]:
    """Leave out values whose labels would touch on a logarithmic axis."""
    least = span**0.08
    kept: list[float] = []
    for value in values:
        if not kept or value >= kept[-1] * least:
            kept.append(value)
    return kept


def share_axis(axes: Axes) -> None:
    """Make the vertical axis one of shares, 0 to 100 %."""
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))


def value_axis(
    axes: Axes, values: Sequence[float], *, linear: bool = False, logarithmic: bool = False
) -> None:
    """Scale the vertical axis to values that may span decades, and may touch or cross zero.

    Positive values that span more than a factor 20 get a logarithmic axis. Values with a few far
    larger than the rest, where some are not positive, get one that is linear about zero and
    logarithmic beyond.

    Args:
        axes: to set.
        values: what will be drawn.
        linear: keep it linear all the same, where noise about zero is most of what there is.
        logarithmic: make it logarithmic where all values are positive, however few decades.
    """
    known = np.asarray(values, dtype=np.float64)
    low, high = float(known.min()), float(known.max())
    sizes = np.abs(known[known != 0])
    if low > 0 and (logarithmic or high > 20 * low) and not linear:
        count_axis(axes, "y", (low, high))
        return
    if low <= 0 and not linear and sizes.size and sizes.max() > 20 * np.median(sizes):
        # Noise about zero stays within the linear part.
        near = 10.0 ** round(math.log10(float(sizes.max()) / 50))
        axes.set_yscale("symlog", linthresh=near)
        axes.yaxis.set_minor_locator(NullLocator())
    pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    floor = 0.0 if 0 <= low <= 0.5 * high else low - pad
    axes.set_ylim(floor, high + pad)
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def end_labels(axes: Axes, lines: Sequence[Line], *, most: int = 14) -> None:
    """Name each line in the right margin at the height where it ends, moved apart where needed.

    Args:
        axes: whose limits are set already.
        lines: to be named; of more than ``most`` only some are.
        most: how many labels a margin holds.
    """
    stride = math.ceil(len(lines) / most)
    named = [line for index, line in enumerate(lines) if index % stride == 0]
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [
        to_axes.transform((line.points[-1].x, np.clip(line.points[-1].value, *axes.get_ylim())))
        for line in named
    ]
    gap = 13.5 / (axes.bbox.height)
    heights = spread([float(end[1]) for end in ends], gap)
    x = 1.0 + 9 / axes.bbox.width
    top = max(heights)
    for line, end, height in zip(named, ends, heights, strict=True):
        # The topmost says what the labels are levels of, where there is room for it.
        fits = height == top and len(line.level.name) <= 9
        axes.plot(
            [end[0], x],
            [end[1], height],
            transform=axes.transAxes,
            color=MUTED,
            linewidth=0.5,
            clip_on=False,
            zorder=1,
        )
        axes.plot(
            [x],
            [height],
            transform=axes.transAxes,
            color=line.level.colour,
            marker=line.level.marker,
            markersize=5,
            clip_on=False,
        )
        axes.text(
            x + 6 / axes.bbox.width,
            height,
            line.level.name if fits else line.level.label,
            transform=axes.transAxes,
            va="center",
            fontsize=10.5,
            color=INK,
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Move heights apart to at least a gap, as little as the order allows, within [0, 1] if it can.

    >>> [round(height, 2) for height in spread([0.5, 0.5, 0.9], 0.1)]
    [0.55, 0.45, 0.9]
    """
    # Heights that would print on one another count as equal: the first of them stands on top.
    order = sorted(range(len(wanted)), key=lambda index: (round(wanted[index] / gap), -index))
    # Neighbours that touch form a block, placed around the mean of what its members want.
    blocks: list[list[int]] = []
    for index in order:
        blocks.append([index])
        while len(blocks) > 1 and _bottom(blocks[-1], wanted, gap) < (
            _bottom(blocks[-2], wanted, gap) + len(blocks[-2]) * gap
        ):
            last = blocks.pop()
            blocks[-1] += last
    heights = [0.0] * len(wanted)
    for block in blocks:
        bottom = _bottom(block, wanted, gap)
        for place, index in enumerate(block):
            heights[index] = bottom + place * gap
    return heights


def _bottom(block: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    """Return where a block's lowest label lies: around its mean, but within [0, 1]."""
    middle = sum(wanted[index] for index in block) / len(block)
    height = (len(block) - 1) * gap
    return max(0.0, min(1.0 - height, middle - height / 2))
