"""The section on E_TG, E_OG and P(Δ > 0) of a study of trained networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from ecotone.core.intervals import mean_interval, wilson
from ecotone.laws.scenario import Scenario, paired, scenario
from ecotone.report.curves import Figure
from ecotone.report.density_figures import density_figures
from ecotone.report.onset_crossings import said_passage
from ecotone.report.onset_verdict import TOLD, scenario_clause
from ecotone.report.study import Condition, Study
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import clean, interval, number, percent

__all__ = ["DensitySection", "density_section", "density_verdict"]

MEASURES = ("e_training_generated", "e_original_generated", "delta", "delta_null")


@dataclass(frozen=True)
class DensitySection:
    """What one condition's runs say of the two distances.

    Args:
        lead: at which step they were read, and what they are.
        answer: what can be decided, in short; without its full stop.
        sentence: the same with the slopes behind it.
        figures: against the varied factor.
        table: the numbers behind them.
    """

    lead: str
    answer: str
    sentence: str
    figures: tuple[Figure, ...]
    table: Table


def density_section(study: Study, condition: Condition, key: str) -> DensitySection | None:
    """Return the distances at the last step that all runs reached; None where no Δ was read.

    Args:
        study: as read.
        condition: whose runs.
        key: prefix of the drawings' names, unique on the page.
    """
    results = condition.of(study.results)
    deltas = results.filter(measure="delta")
    if deltas.is_empty():
        return None
    rows, step = _at_common_step(results.filter(pl.col("measure").is_in(MEASURES)), study)
    levels = [level for level in study.levels(condition) if level in set(rows[study.axis])]
    summaries = _summaries(rows, study.axis)
    ordered = rows[study.axis].dtype.is_numeric() and len(levels) > 1
    found = _scenario(rows, study.axis) if ordered else None
    when = (
        f"at step {number(step, 9)}, the last that all runs were measured at"
        if step is not None
        else "at each run's last measured step, as they share none"
    )
    answer, slopes = _answer(study, summaries, found)
    return DensitySection(
        answer=answer,
        sentence=f"{answer}{slopes}",
        lead=(
            "E_TG and E_OG are the squared distances from the generated marginals to those of the "
            f"training and of the held-out (original) data, coordinate by coordinate, {when}. "
            "Δ = E_TG − E_OG. An ideal sampler, which memorizes nothing, would show the Δ called "
            "“without memorization”, which is not 0: see there before reading P(Δ > 0)."
        ),
        figures=density_figures(study.axis, summaries, key) if ordered else (),
        table=_table(study, summaries),
    )


def density_verdict(sections: list[DensitySection], labels: list[str]) -> str:
    """Return what the sections decide as one sentence.

    Args:
        sections: one a condition.
        labels: of the conditions; empty where there is but one.
    """
    if len(sections) == 1:
        return f"{sections[0].answer}."
    said = [
        f"with {label}, {section.answer}" if label else section.answer
        for section, label in zip(sections, labels, strict=True)
    ]
    if len(said) > 3:
        said = [*said[:3], f"{len(said) - 3} more combinations of factors stand below"]
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _at_common_step(rows: pl.DataFrame, study: Study) -> tuple[pl.DataFrame, int | None]:
    """Return the rows of the last step all runs share; of each run's last where they share none."""
    keys = [*study.factors, "seed"]
    deltas = rows.filter(measure="delta")
    runs = deltas.select(keys).unique().height
    counts = deltas.select(*keys, "step").unique().group_by("step").len()
    common = counts.filter(pl.col("len") == runs)["step"]
    if common.is_empty():
        last = deltas.group_by(keys).agg(pl.col("step").max())
        return rows.join(last, on=[*keys, "step"], how="semi", nulls_equal=True), None
    step = int(common.max())  # type: ignore[arg-type]
    return rows.filter(pl.col("step") == step), step


def _summaries(rows: pl.DataFrame, axis: str) -> pl.DataFrame:
    """Return mean readings and shares over seeds, one row a level and measure."""
    made = []
    for level in rows[axis].unique(maintain_order=True).to_list():
        own = Condition({axis: level}).of(rows)
        for measure in MEASURES:
            readings = own.filter(measure=measure)
            values = readings["value"].to_list()
            if not values:
                continue
            bounds: tuple[float | None, float | None] = (None, None)
            if len(values) == 1:
                bounds = (readings["low"][0], readings["high"][0])
            elif len(values) > 2:
                bounds = mean_interval(values) or bounds
            made.append((level, measure, sum(values) / len(values), *bounds, len(values)))
        signs = own.filter(measure="delta")["value"].to_list()
        made.append((level, "p_delta_positive", *_share(signs)))
        null = own.filter(measure="delta_null").select("seed", null="value")
        beyond = own.filter(measure="delta").join(null, on="seed")
        if not beyond.is_empty():
            apart = (beyond["value"] - beyond["null"]).to_list()
            made.append((level, "p_delta_above_null", *_share(apart)))
    names = [axis, "measure", "value", "low", "high", "samples"]
    kinds = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "samples": pl.Int64}
    return pl.DataFrame(
        made, schema=names, schema_overrides={axis: rows[axis].dtype, **kinds}, orient="row"
    ).sort(axis, maintain_order=True)


def _share(values: list[float]) -> tuple[float, float, float, int]:
    """Return the share of positive values, ties counting one half, with Wilson's interval."""
    positive = sum((value > 0) + 0.5 * (value == 0) for value in values)
    return positive / len(values), *wilson(positive, len(values)), len(values)


def _scenario(rows: pl.DataFrame, axis: str) -> Scenario | None:
    """Return what E_TG and E_OG do where P(Δ > 0) over seeds passes ½."""
    logs = rows.with_columns(
        pl.when(pl.col("measure") == "delta")
        .then(pl.col("value"))
        .otherwise(pl.when(pl.col("value") > 0).then(pl.col("value").log()))
        .alias("value")
    ).filter(pl.col("value").is_not_null() & (pl.col(axis) > 0))
    if logs.is_empty():
        return None
    wide = paired(
        logs,
        sign="delta",
        training="e_training_generated",
        original="e_original_generated",
        x=axis,
        unit="seed",
    )
    if wide["positive"].drop_nulls().is_empty():
        return None
    return scenario(wide, x=axis, unit="seed")


def _answer(study: Study, summaries: pl.DataFrame, found: Scenario | None) -> tuple[str, str]:
    """Return what can be decided of one condition, and the slopes that decide."""
    axis = clean(study.axis)
    shares = summaries.filter(measure="p_delta_positive").sort(study.axis)
    seeds = int(shares["samples"].max() or 0)  # type: ignore[arg-type]
    of = f"over {seeds} seeds" if seeds > 1 else "with one seed, which is no probability,"
    if found is None:
        each = [
            f"{percent(row['value'])} at {axis} = {clean(row[study.axis])}"
            for row in shares.head(4).iter_rows(named=True)
        ]
        return f"P(Δ > 0) {of} is {', '.join(each)}", ""
    crossing = found.crossing
    if crossing.value is not None:
        said = f"P(Δ > 0) {of} passes ½ at {axis} = {said_passage(crossing)}"
    elif crossing.status == "left_censored":
        said = f"P(Δ > 0) {of} is above ½ at every {axis} measured"
    else:
        said = f"P(Δ > 0) {of} stays below ½ at every {axis} measured"
    null = summaries.filter(measure="p_delta_above_null")
    if not null.is_empty():
        above = int((null["low"] > 0.5).sum())
        below = int((null["high"] < 0.5).sum())
        total = null.height
        if above or below:
            said += (
                f"; most seeds' Δ lie surely above an ideal sampler's at {above} and surely below "
                f"it at {below} of {total} levels"
            )
        else:
            said += (
                f"; at none of {total} levels do most seeds' Δ lie surely on one side of an ideal "
                "sampler's"
            )
    clause = scenario_clause([found], TOLD, "what E_TG and E_OG do around the crossing")
    said += f"; {clause}" if clause else ""
    slopes = ""
    if found.training and found.original:
        t, o = (interval(one.value, one.low, one.high) for one in (found.training, found.original))
        over = ", ".join(number(x, 6) for x in found.window)
        slopes = f". Over {axis} = {over}, d ln E_TG/d ln {axis} is {t} and that of E_OG {o}"
    if found.verdict == "cannot tell" and found.reason:
        slopes += f"; {found.reason}"
    return said, slopes


def _table(study: Study, summaries: pl.DataFrame) -> Table:
    """Return the numbers behind the drawings."""
    names = {
        "e_training_generated": "E_TG",
        "e_original_generated": "E_OG",
        "delta": "Δ",
        "delta_null": "Δ without memorization",
        "p_delta_positive": "P(Δ > 0)",
        "p_delta_above_null": "P(Δ > without memorization)",
    }
    present = [name for name in names if name in set(summaries["measure"])]
    rows = []
    for level in summaries[study.axis].unique(maintain_order=True).to_list():
        own = Condition({study.axis: level}).of(summaries)
        cells = []
        for name in present:
            reading = own.filter(measure=name)
            cells.append(_cell(reading, percent if name.startswith("p_") else number))
        seeds = int(own["samples"].max() or 0)  # type: ignore[arg-type]
        whole = isinstance(level, int) and not isinstance(level, bool)
        first = Cell(number(level, 9) if whole else clean(level))
        rows.append((first, *cells, Cell(number(seeds, 9))))
    return Table(
        "Means over seeds, with 95 % intervals beneath the values",
        (clean(study.axis), *(names[name] for name in present), "seeds"),
        tuple(rows),
    )


def _cell(reading: pl.DataFrame, said: Callable[[float], str]) -> Cell:
    """Return a reading with its interval beneath."""
    if reading.is_empty() or not math.isfinite(reading["value"][0]):
        return ABSENT
    row = reading.row(0, named=True)
    if row["low"] is None or row["high"] is None:
        return Cell(said(row["value"]))
    return Cell(said(row["value"]), f"{said(row['low'])} to {said(row['high'])}")
