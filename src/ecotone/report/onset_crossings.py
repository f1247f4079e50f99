"""Where P(Δ > 0) passes a half, against the factor that lines stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import FixedLocator, FuncFormatter

from ecotone.laws.positive import Passage
from ecotone.report.axes import count_axis, tick
from ecotone.report.curves import Figure
from ecotone.report.onset_findings import CURVES, ConditionFindings
from ecotone.report.onset_study import LinearStudy, named, symbol
from ecotone.report.svg import INK, MUTED, PAPER, Drawing
from ecotone.report.text import number

__all__ = ["crossings", "said_passage"]

CHANCE = "P(Δ > 0)"


def crossings(study: LinearStudy, found: ConditionFindings, name: str) -> Figure | None:
    """Draw the sizes at which P(Δ > 0) passes ½ against the lines' factor."""
    factor = study.lines
    numbers = [
        line
        for line in found.lines
        if isinstance(line.level, int | float) and not isinstance(line.level, bool) and line.up
    ]
    if study.x != "n" or len(numbers) < 2:
        return None
    drawing = Drawing(
        name,
        title=f"Where P(Δ > 0) passes ½, against {symbol(factor)}",
        description=(
            "Training-set size at which P(Δ > 0) passes one half against the factor. Arrows: "
            "beyond the measured range. The table holds the numbers."
        ),
        size=(460, 290),
        margins=(62, 42, 74, 30),
    )
    axes = drawing.axes
    ways = {
        "exact": (INK, "o", INK),
        "as_published": (INK, "s", PAPER),
        "null": (MUTED, "^", MUTED),
        "density": (MUTED, "D", MUTED),
    }
    places = [
        value
        for line in numbers
        for passage in line.up.values()
        for value in (passage.value, passage.low, passage.high, passage.bound)
        if value
    ]
    marks: dict[str, list[tuple[float, float]]] = {}
    for line in numbers:
        for mark in line.marks:
            marks.setdefault(mark.name, []).append((float(line.level), mark.n))
    reach = [n for course in marks.values() for _, n in course if n <= 3 * max(places)]
    _level_axis(drawing, [float(line.level) for line in numbers])
    count_axis(axes, "y", [min(places) / 1.3, 1.3 * max(places), *reach])
    axes.set(xlabel=symbol(factor), ylabel="n at which P(Δ > 0) passes ½")
    for course in marks.values():
        at, n = zip(*course, strict=True)
        # A threshold known at one level only still shows, as a dash.
        single = {"marker": "_", "markersize": 12} if len(course) == 1 else {}
        axes.plot(
            at, n, color=MUTED, linewidth=1.0, linestyle=(0, (1.5, 1.5)), zorder=1.5, **single
        )
    shown = [way for way in ways if any(way in line.up for line in numbers)]
    for index, way in enumerate(shown):
        colour, marker, face = ways[way]
        aside = 4.0 * (index - (len(shown) - 1) / 2)
        for line in numbers:
            passage = line.up.get(way)
            if passage is None:
                continue
            x = _aside(drawing, float(line.level), aside)
            y = passage.value or passage.bound or places[0]
            told = said_passage(passage)
            drawing.point(x, y, f"{named(factor, line.level)}, {CURVES[way].name}: {told}")
            if passage.value is None:
                axes.annotate(
                    "",
                    xy=(x, y),
                    xytext=(0, -16 if passage.status == "left_censored" else 16),
                    textcoords="offset points",
                    arrowprops={"arrowstyle": "<|-", "color": colour, "shrinkB": 0},
                    annotation_clip=False,
                )
            else:
                low, high = passage.low or axes.get_ylim()[0], passage.high or axes.get_ylim()[1]
                axes.plot([x, x], [low, high], color=colour, linewidth=1.1)
            axes.plot([x], [y], marker=marker, color=colour, markerfacecolor=face, markersize=5)
    _legend(
        drawing, [(CURVES[way].name, ways[way][1], ways[way][0], ways[way][2]) for way in shown]
    )
    _name_courses(drawing, {name.partition(":")[0][:16]: course for name, course in marks.items()})
    caption = "Bars: 95 % intervals. Arrows: passed before, or not by, the sizes measured."
    if marks:
        caption += " Dotted: thresholds of the theory."
    return Figure(f"Where {CHANCE} passes ½, against {symbol(factor)}", drawing.svg(), caption)


def _level_axis(drawing: Drawing, values: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic where all levels are positive, with ticks at them."""
    axes = drawing.axes
    if min(values) > 0:
        count_axis(axes, "x", values, exact=True)
        return
    room = 0.08 * (max(values) - min(values))
    axes.set_xlim(min(values) - room, max(values) + room)
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))


def _aside(drawing: Drawing, x: float, points: float) -> float:
    """Return a place so many points beside x, so that bars do not hide one another."""
    axes = drawing.axes
    place = axes.transData.transform((x, axes.get_ylim()[0]))
    return float(axes.transData.inverted().transform((place[0] + points, place[1]))[0])


def _legend(drawing: Drawing, shown: Sequence[tuple[str, str, str, str]]) -> None:
    """Name the markers above the drawing: name, marker, colour and face of each."""
    axes = drawing.axes
    style = {"transform": axes.transAxes, "clip_on": False}
    place, height = 0.0, 1.0 + 16 / axes.bbox.height
    for name, marker, colour, face in shown:
        axes.plot(
            [place + 0.012], [height], marker=marker, color=colour, markerfacecolor=face, **style
        )
        axes.text(place + 0.035, height, name, va="center", fontsize=10, color=INK, **style)
        place += (6.3 * len(name) + 28) / axes.bbox.width


def _name_courses(drawing: Drawing, courses: dict[str, list[tuple[float, float]]]) -> None:
    """Name the theory's thresholds where they end: in the margin, or before it beside the end."""
    axes = drawing.axes
    furthest = max((course[-1][0] for course in courses.values()), default=0.0)
    bottom, top = axes.get_ylim()
    heights: list[float] = []
    for label, course in sorted(courses.items(), key=lambda one: one[1][-1][1]):
        end = course[-1][1]
        if not bottom <= end <= top:
            continue
        if course[-1][0] < furthest:
            at = {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(label, course[-1], fontsize=10, color=INK, **at)
            continue
        wanted = math.log(end / bottom) / math.log(top / bottom)
        height = max([wanted, *(taken + 0.06 for taken in heights)])
        heights.append(height)
        axes.text(
            1.015,
            height,
            label,
            transform=axes.transAxes,
            clip_on=False,
            va="center",
            fontsize=10,
            color=INK,
        )


def said_passage(passage: Passage) -> str:
    """Return where P(Δ > 0) passes ½, in words for a tip or a table."""
    if passage.value is None:
        side = "at or before" if passage.status == "left_censored" else "not by"
        return f"{side} {number(passage.bound or 0.0, 6)}"
    if passage.low is None and passage.high is None:
        return f"{number(passage.value)} (open on both sides)"
    low = "before the first" if passage.low is None else number(passage.low)
    high = "beyond the last" if passage.high is None else number(passage.high)
    return f"{number(passage.value)} ({low} to {high})"
