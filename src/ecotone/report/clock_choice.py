"""On which clock the onsets of different batch sizes fall together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ecotone.laws import Clocks, clocks, collapse
from ecotone.laws.units import CLOCKS, batch_factors, beside, per_step
from ecotone.report.axes import count_axis, end_labels
from ecotone.report.chapter import Chapter, Material, cut
from ecotone.report.curves import MARGINS, SIZES, Figure, Panel, draw_panels
from ecotone.report.findings import exponent
from ecotone.report.lines import Level, Line, Point, levels
from ecotone.report.scaling import draw_bound
from ecotone.report.study import Condition
from ecotone.report.svg import Drawing
from ecotone.report.tables import ABSENT, Cell, Table, level_cell
from ecotone.report.text import clean, listed, number, percent, plain

__all__ = ["clock_choice"]

UNITS = {"steps": "steps", "epochs": "epochs", "images": "images seen"}
MOST_LEVELS = 8
TOLD = {
    "steps": "Counted in optimizer steps the onset of copying does not depend on batch size",
    "epochs": "Counted in epochs the onset of copying depends neither on batch size nor on n",
    "images": "Counted in images seen the onset of copying depends neither on batch size nor on n",
    "epochs or images": (
        "Counted in images seen, as in epochs, the onset of copying does not depend on batch size; "
        "the training sets’ sizes do not tell the two apart"
    ),
    "none": "On no clock is the onset of copying the same for all batch sizes",
    "too few to tell": "Too few runs turned to tell on which clock batch size does not matter",
}


def clock_choice(material: Material) -> Chapter | None:
    """Return which clock batch sizes agree on; None where batch size does not vary."""
    study = material.study
    if not material.batches or study.runs["batch_size"].n_unique() < 2:
        return None
    if material.onsets.is_empty() or not (study.runs["status"] != "stopped").any():
        return None
    found = clocks(material.onsets, study.runs)
    apart = collapse(study.results, study.runs)
    return Chapter(
        "clock",
        "Which clock",
        (_sentence(found), *_collapsed(apart)),
        figures=(*_onset_figures(material), *_curve_figures(material, apart)),
        tables=(_exponents(found), *map(cut, _deviations(apart, study.runs))),
        note=(
            "Steps are of the optimizer, an epoch is one pass over the training set, steps · batch "
            "size / n, and images seen are steps · batch size."
        ),
        small=True,
    )


def _sentence(found: Clocks) -> str:
    """Return the preferred clock, and what batch size does on steps and on images."""
    said = TOLD[found.preferred]
    by = {fit.clock: fit.batch for fit in found.fits}
    powers = [
        f"{exponent(reading)} {where}"
        for where, reading in (("in steps", by["steps"]), ("in images seen", by["images"]))
        if reading is not None
    ]
    if not powers:
        return f"{said} ({found.reason})."
    others = [plain(name) for name in found.taken_out]
    held = f", {listed(others)} held fixed" if others else ""
    return f"{said}: it goes as batch size to the power {listed(powers)}{held}."


def _collapsed(apart: pl.DataFrame) -> list[str]:
    """Return how well the curves of copied shares agree on both kinds of clock."""
    shares = [apart.filter(clock=clock)["unexplained"].to_list() for clock in ("steps", "images")]
    both = [pair for pair in zip(*shares, strict=True) if None not in pair]
    if not both:
        return []
    steps, images = (sum(column) / len(both) for column in zip(*both, strict=True))
    return [
        f"Of the variance of copied shares over time, with n held fixed, batch size accounts for "
        f"{percent(steps)} when time is counted in steps and for {percent(images)} when it is "
        "counted in images seen, or in epochs: the less, the nearer the curves are to one."
    ]


def _exponents(found: Clocks) -> Table:
    rows = [
        (
            Cell(UNITS[fit.clock]),
            *(
                ABSENT
                if reading is None
                else Cell(
                    number(reading.value),
                    f"{number(reading.low)} to {number(reading.high)}"
                    if reading.low is not None and reading.high is not None
                    else "",
                )
                for reading in (fit.batch, fit.n)
            ),
        )
        for fit in found.fits
    ]
    return Table(
        f"Exponents of τ_mem on each clock, from {found.runs} runs, {found.observed} of which "
        "turned, with 95 % intervals.",
        ("counted in", "exponent in batch size", "exponent in n"),
        tuple(rows),
    )


def _deviations(apart: pl.DataFrame, runs: pl.DataFrame) -> list[Table]:
    """Return what batch size leaves unexplained on each clock, one row a group and clock."""
    if apart.is_empty():
        return []
    groups = [
        name
        for name in apart.columns[: apart.columns.index("clock")]
        if name == "n" or runs[name].n_unique() > 1
    ]
    lacking = set(apart.filter(pl.col("unexplained").is_null()).select(groups).rows())
    rows = []
    # With n held fixed epochs are images seen in other units: what is told of one is true of both.
    for row in apart.filter(pl.col("clock") != "epochs").iter_rows(named=True):
        share, low, high = (row[f"unexplained{end}"] for end in ("", "_low", "_high"))
        ends = "" if low is None or high is None else f"{percent(low)} to {percent(high)}"
        best, tied = row["best_share"], row["clock"] == "images"
        if tied and best is not None:
            best *= 2
        key = tuple(row[name] for name in groups)
        if key in lacking:
            best = None
        rows.append(
            (
                *(level_cell(row[name]) for name in groups),
                Cell("images seen, or epochs" if tied else "steps"),
                Cell(number(row["runs"])),
                ABSENT if share is None else Cell(percent(share), ends),
                ABSENT if best is None else Cell(percent(best)),
            )
        )
    caption = (
        "How much of the variance of copied shares batch size accounts for, over the time that all "
        "curves of a row cover: 0 % where one curve serves all batch sizes. Last: in how many "
        "replicates of the bootstrap over runs the clock is the better one."
    )
    head = (
        *(clean(name) for name in groups),
        "counted in",
        "runs",
        "left unexplained",
        "better in",
    )
    return [Table(caption, head, tuple(rows), keys=len(groups) + 1)]


def _onset_figures(material: Material) -> list[Figure]:
    """Draw the onset of copying against batch size on each clock, one line a level of n."""
    study = material.study
    if set(study.varying) - {"n", *batch_factors(study.runs)}:
        return []  # lines of other factors' levels would lie on one another
    table = beside(material.onsets, study.runs, batch_size="batch_size").filter(onset="tau_mem")
    table = table.with_columns(place=pl.coalesce("value", "bound"))
    if table.is_empty():
        return []
    looks = levels("n", table["n"].unique().sort().to_list()[:MOST_LEVELS])
    figures = []
    for clock in CLOCKS:
        name = UNITS[clock]
        counted = table.with_columns(pl.col("place") * per_step(clock))
        drawing = Drawing(
            f"clock-{clock}",
            title=f"Onset of copying counted in {name}",
            description="τ_mem against batch size, one line a training-set size. Flat lines: batch "
            "size does not matter on this clock.",
            size=SIZES["medium"],
            margins=MARGINS["medium"],
        )
        axes = drawing.axes
        count_axis(axes, "x", counted["batch_size"].to_list(), exact=True)
        count_axis(axes, "y", [p * f for p in counted["place"].to_list() for f in (0.8, 1.25)])
        axes.set(xlabel="batch size", ylabel=f"τ_mem, {name}")
        end_labels(
            axes,
            [_draw_onsets(drawing, look, counted.filter(n=look.value), name) for look in looks],
        )
        caption = ""
        if clock == "steps":
            caption = "One point a run, lines through geometric means; arrows: later than this."
        figures.append(Figure(f"Onset of copying, {name}", drawing.svg(), caption))
    return figures


def _draw_onsets(drawing: Drawing, look: Level, own: pl.DataFrame, unit: str) -> Line:
    """Draw the onsets of one training-set size, and the line through their means.

    Returns:
        The means of what is known, bounds included, by which the line is named.
    """
    course, named = [], []
    for batch in own["batch_size"].unique().sort().to_list():
        rows = list(own.filter(batch_size=batch).sort("seed").iter_rows(named=True))
        for row in rows:
            _draw_onset(drawing, look, row, unit)
        mean = math.exp(sum(math.log(row["place"]) for row in rows) / len(rows))
        named.append(Point(float(batch), mean, None, None, 0, len(rows)))
        if all(row["value"] is not None for row in rows):
            course.append((batch, mean))
    if course:
        xs, ys = zip(*course, strict=True)
        drawing.axes.plot(xs, ys, color=look.colour, linestyle=look.dash, linewidth=1.3)
    return Line(look, tuple(named), ())


def _draw_onset(drawing: Drawing, look: Level, row: Mapping[str, Any], unit: str) -> None:
    axes, at = drawing.axes, (row["batch_size"], row["place"])
    known = row["value"] is not None
    early = row["status"] == "left_censored"
    if not known:
        draw_bound(axes, *at, colour=look.colour, before=early)
    axes.plot(*([one] for one in at), color=look.colour, marker=look.marker, markersize=4.5)
    said = "" if known else "before " if early else "not within "
    tip = f"{look.name}, batch size {row['batch_size']}, seed {row['seed']}: τ_mem "
    drawing.point(*at, f"{tip}{said}{number(row['place'])} {unit}")


def _curve_figures(material: Material, apart: pl.DataFrame) -> Sequence[Figure]:
    """Draw one group's copied shares by batch size on two clocks; epochs are images over n."""
    known = apart.filter((pl.col("clock") == "steps") & pl.col("unexplained").is_not_null())
    if known.is_empty():
        return []
    study = material.study
    group = known.row(known.height // 2, named=True)
    names = apart.columns[: apart.columns.index("clock")]
    rows = Condition({name: group[name] for name in names}).of(study.results)
    rows = beside(rows, study.runs, batch_size="batch_size").with_columns(
        steps=pl.col("step"), images=pl.col("step") * pl.col("batch_size")
    )
    batches = rows["batch_size"].unique().sort().to_list()[:MOST_LEVELS]
    tables = [(look, rows.filter(batch_size=look.value)) for look in levels("batch size", batches)]
    varying = [name for name in names if name in study.varying]
    where = ", ".join(f"{clean(name)} = {clean(group[name])}" for name in varying)
    figures: list[Figure] = []
    for clock in ("steps", "images"):
        panel = Panel(
            name=f"clock-curves-{clock}",
            heading=f"Copied share by {UNITS[clock]}, {where}",
            measure="copied_share_gap_ratio",
            ylabel="share of generated samples",
            xlabel=UNITS[clock],
            kind="share",
            caption="One line a batch size: on the right clock they are one."
            if clock == "steps"
            else "",
        )
        figures += draw_panels([panel], tables, x=clock, size="medium")
    return figures
