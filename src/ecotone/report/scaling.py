"""Onsets against training-set size, and the laws fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator

from ecotone.report.axes import count_axis
from ecotone.report.curves import Figure
from ecotone.report.findings import Law, Onset
from ecotone.report.svg import GENERALIZING, INK, MEMORIZING, PAPER, Drawing
from ecotone.report.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LOOKS", "draw_bound", "onset_figure"]

LOOKS = {
    "memorizing": (MEMORIZING, "o", "τ_mem"),
    "generalizing": (GENERALIZING, "s", "τ_gen"),
}


def onset_figure(
    onsets: Sequence[Onset], laws: Sequence[Law], key: str, factor: str
) -> Figure | None:
    """Draw onsets against training-set size, with the laws fitted to them.

    Where the size is fixed and another factor varies, its levels stand side by side instead.

    Args:
        onsets: of one condition; those that never came are drawn as arrows from the last step.
        laws: fitted to them; drawn as lines with bands.
        key: prefix of the drawing's name, unique on the page.
        factor: the factor along the horizontal axis.
    """
    if not onsets:
        return None
    levels = list(dict.fromkeys(onset.level for onset in onsets))
    drawing = Drawing(
        f"{key}-onsets",
        title="Onset of generalization and of copying",
        description=(
            f"Training steps at the onsets τ_gen and τ_mem against {factor}, on logarithmic axes. "
            "Arrows: not reached by the last step. The table of runs holds the numbers."
        ),
        size=(460, 330),
        margins=(58, 42, 62, 10),
    )
    axes = drawing.axes
    # Room for the arrows beyond the bounds they start from.
    beyond = [o.place * (0.6 if o.before else 1.7) for o in onsets if o.value is None]
    count_axis(axes, "y", [*beyond, *(s for o in onsets for s in (o.low, o.high, o.place) if s)])
    axes.set_ylabel("training steps at onset")
    by_size = factor == "n"
    if by_size:
        count_axis(axes, "x", levels, exact=True)
        axes.set_xlabel("training-set size n, samples")
    else:
        axes.set_xlim(-0.6, len(levels) - 0.4)
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(levels)))))
        axes.set_xticklabels([shortened(level, 14) for level in levels])
        axes.set_xlabel(shortened(factor))
    for law in laws:
        _draw_law(drawing, law)
    # Seeds of one size, and the two onsets, stand a little apart.
    for onset in onsets:
        seeds = sorted({other.seed for other in onsets if other.level == onset.level})
        shift = 0.04 * (seeds.index(onset.seed) - (len(seeds) - 1) / 2)
        shift += 0.02 if onset.kind == "memorizing" else -0.02
        place = onset.n * math.exp(shift) if by_size else levels.index(onset.level) + shift
        _draw_onset(drawing, onset, place)
    _name_onsets(drawing, onsets, laws)
    caption = (
        "Markers: one a run, with 95 % intervals. Arrows start at the step until which a run is "
        "known not to have got there."
    )
    if laws:
        caption += (
            " Solid: fitted power law with its 95 % band (none where it would fill the plot); "
            "dashed: saturating form."
        )
    heading = "Onsets against training-set size" if by_size else f"Onsets by {shortened(factor)}"
    return Figure(heading, drawing.svg(), caption)


def _draw_law(drawing: Drawing, law: Law) -> None:
    """Draw a fitted law and its band."""
    colour = LOOKS[law.kind][0]
    xs, ys = [at.n for at in law.curve], [at.value for at in law.curve]
    if law.form == "saturating":
        # Without its band: two bands on one another say nothing.
        drawing.axes.plot(xs, ys, color=colour, linestyle=(0, (4, 2.5)), linewidth=1.1, zorder=2)
        return
    drawing.axes.plot(xs, ys, color=colour, linewidth=1.4, zorder=2)
    band = [(at.n, at.low, at.high) for at in law.curve if at.low and at.high]
    bottom, top = drawing.axes.get_ylim()
    # A band that fills the whole plot would say less than nothing.
    if band and min(high / low for _, low, high in band) < top / bottom:
        at, low, high = zip(*band, strict=True)
        drawing.axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_onset(drawing: Drawing, onset: Onset, x: float) -> None:
    """Draw one run's onset with its interval, or an arrow where it was not reached."""
    axes = drawing.axes
    colour, marker, _ = LOOKS[onset.kind]
    drawing.point(x, onset.place, onset.told)
    if onset.value is None:
        draw_bound(axes, x, onset.place, colour=colour, before=onset.before)
        axes.plot([x], [onset.place], marker=marker, color=colour, markerfacecolor=PAPER)
        return
    if onset.low is not None or onset.high is not None:
        low, high = onset.low or axes.get_ylim()[0], onset.high or axes.get_ylim()[1]
        axes.plot([x, x], [low, high], color=colour, linewidth=1.3, zorder=3)
    axes.plot([x], [onset.value], marker=marker, markersize=6, color=colour, zorder=4)


def draw_bound(axes: Axes, x: float, y: float, *, colour: str, before: bool) -> None:
    """Draw an arrow from a bound to where what is not known lies: above it, or below."""
    axes.annotate(
        "",
        xy=(x, y),
        xytext=(0, -20 if before else 20),
        textcoords="offset points",
        arrowprops={"arrowstyle": "<|-", "color": colour, "linewidth": 1.4, "shrinkB": 0},
        annotation_clip=False,
    )


def _name_onsets(drawing: Drawing, onsets: Sequence[Onset], laws: Sequence[Law]) -> None:
    """Name the two onsets in the right margin, at the height of their rightmost run."""
    axes = drawing.axes
    heights = {}
    for kind in LOOKS:
        own = [onset for onset in onsets if onset.kind == kind]
        if own:
            last = own[-1]
            curve = [law.curve[-1].value for law in laws if law.kind == kind]
            at = curve[0] if curve else last.place
            heights[kind] = axes.transAxes.inverted().transform(
                axes.transData.transform((1.0, at))
            )[1]
    if len(heights) == 2 and abs(heights["memorizing"] - heights["generalizing"]) < 0.06:
        middle = sum(heights.values()) / 2
        order = sorted(heights, key=lambda kind: heights[kind])
        heights = {order[0]: middle - 0.03, order[1]: middle + 0.03}
    for kind, height in heights.items():
        colour, marker, name = LOOKS[kind]
        height = min(max(height, 0.03), 0.97)
        style = {"transform": axes.transAxes, "clip_on": False}
        axes.plot([1.03], [height], marker=marker, color=colour, markersize=6, **style)
        axes.text(1.055, height, name, va="center", color=INK, **style)
