"""What moves the onset of copying: a study's factors side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from matplotlib.ticker import FixedLocator, LogLocator

from ecotone.core.readings import Reading
from ecotone.laws import effects
from ecotone.report.axes import count_axis
from ecotone.report.chapter import Chapter, Material
from ecotone.report.curves import Figure
from ecotone.report.findings import exponent
from ecotone.report.svg import INK, MEMORIZING, PAPER, Drawing
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import capital, clean, interval, listed, number, plain, shortened

__all__ = ["effects_of", "movers", "power_of"]

LOOKS = {"steps": (MEMORIZING, MEMORIZING), "images": (MEMORIZING, PAPER)}
COUNTED = {"steps": "in steps", "images": "in images seen"}
MOST_DRAWN = 20
"""Rows of the figure, the strongest effects; the table has them all."""

FARTHEST = 300.0
"""Factor beyond the effects themselves to which their intervals are drawn."""


def effects_of(material: Material) -> pl.DataFrame | None:
    """Return what moves the onset of copying, on two clocks where batch sizes differ.

    None where runs do not say their batch size, where no onset was had, or nothing varies.
    """
    if not material.batches or material.onsets.is_empty():
        return None
    runs = material.study.runs
    if not (runs["status"] != "stopped").any():
        return None
    clocks = ("steps", "images") if runs["batch_size"].n_unique() > 1 else ("steps",)
    found = effects(material.onsets, runs, clocks=clocks)
    return None if found.is_empty() else found


def movers(material: Material) -> Chapter | None:
    """Return by which factor each factor of the study moves the onset of copying."""
    found = effects_of(material)
    if found is None:
        return None
    figure = _figure(found)
    fit = found.row(0, named=True)
    beyond = fit["runs"] - fit["observed"]
    said = (
        f"{fit['runs']} runs, {beyond} of them" if beyond else f"{fit['runs']} runs, none of them"
    )
    return Chapter(
        "movers",
        "What moves the onset of copying",
        (_sentence(found),),
        figures=() if figure is None else (figure,),
        tables=(_table(found),),
        note=(
            f"All factors fitted at once to log τ_mem of {said} known only to lie beyond a bound; "
            "runs ended by a stopping policy are left out. Effects are taken to multiply, and "
            "ranges are what the study chose: compare exponents where they differ."
        ),
    )


def power_of(row: Mapping[str, Any]) -> str:
    """Return an effect as a power, with its interval.

    >>> power_of({"factor": "n", "exponent": 1.0, "exponent_low": 0.8, "exponent_high": 1.2,
    ...           "runs": 8})
    'n^1.00 (95 % interval 0.80 to 1.20)'
    """
    reading = Reading(
        row["exponent"],
        n=row["runs"],
        unit="exponent",
        higher_is="neither",
        low=row["exponent_low"],
        high=row["exponent_high"],
    )
    name = plain(row["factor"])
    return (
        f"{name}^{exponent(reading)}" if name == "n" else f"{name} to the power {exponent(reading)}"
    )


def _sentence(found: pl.DataFrame) -> str:
    """Return what moves it, the strongest first, and what cannot be told."""
    rows = list(found.filter(clock="steps").iter_rows(named=True))
    told = [row for row in rows if row["moves"] is not None]
    if not told:
        reasons = listed(sorted({row["reason"] for row in rows if row["reason"]}))
        return f"What moves the onset of copying cannot be told: {reasons}."
    clear = [row for row in told if _clear(row)]
    unclear = [row for row in told if not _clear(row)]
    parts = []
    if clear:
        moved = [_moved(row) for row in clear]
        parts.append(f"counted in steps, the onset of copying {'; it '.join(moved)}")
    if unclear:
        names = listed(list(dict.fromkeys(_name(row) for row in unclear)))
        which = "moves it" if clear else "moves the onset of copying"
        parts.append(f"whether {names} {which} cannot be told")
    unknown = [row for row in rows if row["moves"] is None]
    if unknown:
        names = listed(list(dict.fromkeys(_name(row) for row in unknown)))
        parts.append(f"nothing is known of {names} ({unknown[0]['reason']})")
    return capital(f"{'; '.join(parts)}.")


def _clear(row: Mapping[str, Any]) -> bool:
    """Return whether an interval says in which direction the onset moves."""
    low, high = row["moves_low"], row["moves_high"]
    return low is not None and high is not None and not low <= 1 <= high


def _name(row: Mapping[str, Any]) -> str:
    name = plain(row["factor"])
    return name if row["level"] is None else f"{name} = {clean(row['level'])}"


def _moved(row: Mapping[str, Any]) -> str:
    """Return what one factor does to the onset, as the rest of a sentence."""
    times = interval(row["moves"], row["moves_low"], row["moves_high"])
    if row["level"] is not None:
        return f"comes {times} times as late with {_name(row)} as with {clean(row['reference'])}"
    verb = "grows" if row["exponent"] > 0 else "falls"
    span = f"{number(row['lowest'], 4)} to {number(row['highest'], 4)}"
    times = max(row["moves"], 1 / row["moves"])
    return f"{verb} as {power_of(row)}, by a factor of {number(times)} from {span}"


def _table(found: pl.DataFrame) -> Table:
    several = found["clock"].n_unique() > 1
    rows = []
    for row in found.iter_rows(named=True):
        power = ABSENT
        if row["exponent"] is not None:
            power = _with_ends(row, "exponent")
        moves = (
            Cell("cannot be told", clean(row["reason"] or ""))
            if row["moves"] is None
            else (_with_ends(row, "moves"))
        )
        clock = (Cell(COUNTED[row["clock"]]),) if several else ()
        rows.append((Cell(clean(row["factor"])), Cell(_range(row)), *clock, moves, power))
    head = ("factor", "range", *(("τ_mem counted",) if several else ()))
    return Table(
        "By which factor τ_mem moves over each factor’s range, the other factors held fixed, with "
        "95 % intervals.",
        (*head, "moves τ_mem by a factor of", "exponent"),
        tuple(rows),
        keys=2,
    )


def _with_ends(row: Mapping[str, Any], name: str) -> Cell:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    detail = "" if low is None or high is None else f"{number(low)} to {number(high)}"
    return Cell(number(row[name]), detail)


def _range(row: Mapping[str, Any]) -> str:
    if row["level"] is not None:
        return f"{clean(row['reference'])} → {clean(row['level'])}"
    return f"{number(row['lowest'], 4)} → {number(row['highest'], 4)}"


def _figure(found: pl.DataFrame) -> Figure | None:
    """Draw each effect with its interval, the strongest on top."""
    rows = [row for row in found.iter_rows(named=True) if row["moves"] is not None]
    if not rows:
        return None
    names = list(dict.fromkeys((row["factor"], row["level"]) for row in rows))[:MOST_DRAWN]
    rows = [row for row in rows if (row["factor"], row["level"]) in names]
    several = len({row["clock"] for row in rows}) > 1
    drawing = Drawing(
        "movers-forest",
        title="What moves the onset of copying",
        description=(
            "One row a factor: the factor by which the onset of copying moves over the study's "
            "range, on a logarithmic axis, with 95 % intervals. The table holds the numbers."
        ),
        size=(460, 72 + 44 * len(names)),
        margins=(132, 44, 52, 12),
    )
    axes = drawing.axes
    furthest = [1.0, *(row["moves"] for row in rows)]
    low, high = min(furthest) / FARTHEST, max(furthest) * FARTHEST
    ends = [row[end] for row in rows for end in ("moves_low", "moves_high") if row[end] is not None]
    count_axis(axes, "x", [*furthest, *(min(max(end, low), high) for end in ends)])
    # A factor of 2 is to be read off, however little moves.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.yaxis.set_major_locator(FixedLocator(list(range(len(names)))))
    axes.set_yticklabels([_label(rows, name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("factor by which τ_mem moves")
    axes.axvline(1.0, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    for row in rows:
        shift = 0.0 if not several else (-0.17 if row["clock"] == "steps" else 0.17)
        _draw(drawing, row, names.index((row["factor"], row["level"])) + shift)
    caption = "Range of each factor in this study, with 95 % intervals; dashed: no effect."
    if several:
        caption += " Filled: τ_mem counted in steps. Open: in images seen."
    return Figure("Factor by which the onset of copying moves", drawing.svg(), caption)


def _label(rows: list[dict[str, Any]], name: tuple[str, str | None]) -> str:
    row = next(row for row in rows if (row["factor"], row["level"]) == name)
    return f"{shortened(plain(row['factor']), 20)}\n{shortened(_range(row), 22)}"


def _draw(drawing: Drawing, row: Mapping[str, Any], y: float) -> None:
    edge, face = LOOKS[row["clock"]]
    axes = drawing.axes
    low, high = row["moves_low"], row["moves_high"]
    if low is not None and high is not None:
        left, right = axes.get_xlim()
        axes.plot([max(low, left), min(high, right)], [y, y], color=edge, linewidth=1.5)
    marker = "o" if row["clock"] == "steps" else "s"
    axes.plot(
        [row["moves"]],
        [y],
        marker=marker,
        markersize=6.5,
        color=edge,
        markerfacecolor=face,
        zorder=4,
    )
    said = interval(row["moves"], low, high)
    tip = f"{_name(row)}, {_range(row)}: τ_mem {COUNTED[row['clock']]} moves by a factor of {said}"
    drawing.point(row["moves"], y, tip)
    axes.annotate(
        number(row["moves"]),
        (1.0, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=10,
        color=INK,
    )
