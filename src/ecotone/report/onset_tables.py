"""A linear study's tables: crossings, scenarios, numbers, and what was predicted of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from ecotone.laws.positive import Passage
from ecotone.laws.scenario import MARGIN, Slope
from ecotone.report.onset_crossings import said_passage
from ecotone.report.onset_findings import CURVES, ConditionFindings
from ecotone.report.onset_predictions import Prediction
from ecotone.report.onset_study import LinearStudy, symbol
from ecotone.report.onset_verdict import OVERLAPS
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import clean, interval, number, percent

__all__ = [
    "crossing_table",
    "numbers_table",
    "prediction_table",
    "scenario_table",
    "sources",
    "threshold_table",
]

NAMES = {
    "p_delta_positive": "P(Δ > 0)",
    "p_delta_positive_null": "P(Δ > 0), ideal sampler",
    "p_delta_positive_density": "P(Δ > 0), exact density",
    "affinity": "affinity per dimension",
    "hellinger_squared": "H²",
    "kl_generated_population": "KL(generated ‖ population)",
    "kl_population_generated": "KL(population ‖ generated), median",
    "wasserstein2_squared": "W₂²",
    "log_distance_training": "ln E_TG, scaled",
    "log_distance_original": "ln E_OG, scaled",
    "log_overlap_training": "ln c_T",
    "log_overlap_original": "ln c_O",
}
MOST_ROWS = 250
SHOWN = 4
"""Measured sizes at which a law is held against what was measured."""


def level_text(value: object) -> str:
    """Return a factor's level as a table says it."""
    return number(value, 9) if isinstance(value, int) else clean(value)


def crossing_table(study: LinearStudy, found: ConditionFindings) -> Table:
    """Return where each way of having P(Δ > 0) passes ½, and where it falls back."""
    axis = "n" if study.x == "n" else symbol(study.x)
    shown = [name for name in CURVES if any(name in line.up for line in found.lines)]
    fallen = [
        name
        for name in shown
        if any(name in line.down and line.down[name].value for line in found.lines)
    ]
    rows = []
    for line in found.lines:
        ratio = line.dimension if study.x == "n" else None
        ups = (_passage(line.up.get(name), ratio) for name in shown)
        downs = (_passage(line.down.get(name), ratio, fallen=True) for name in fallen)
        rows.append((Cell(level_text(line.level)), *ups, *downs))
    head = (
        symbol(study.lines),
        *(f"{axis}, {CURVES[name].name}" for name in shown),
        *(f"falls back at, {CURVES[name].name}" for name in fallen),
    )
    note = (
        "Unimodal fit to P(Δ > 0), so that a dip on the way up is averaged with its neighbours; "
        "interpolated in the logarithm, with 95 % bootstrap intervals."
    )
    return Table("Where P(Δ > 0) passes one half", head, tuple(rows), note=note)


def _passage(passage: Passage | None, ratio: int | None, *, fallen: bool = False) -> Cell:
    """Return a crossing, with its interval and n/d beneath.

    Args:
        passage: where; None where it is not known.
        ratio: the dimension to give it in units of; None for no such units.
        fallen: whether it is a fall, which is left out where it did not happen.
    """
    if passage is None or (fallen and passage.value is None):
        return ABSENT
    text, _, detail = said_passage(passage).partition(" (")
    beneath = [detail.removesuffix(")")] if detail else []
    place = passage.value or passage.bound
    if ratio is not None and place is not None:
        beneath.append(f"n/d {number(place / ratio)}")
    return Cell(text, "; ".join(beneath))


def threshold_table(study: LinearStudy, found: ConditionFindings) -> Table | None:
    """Return the sizes at which the theory expects a change, one column a level."""
    names = {mark.name: mark.source for line in found.lines for mark in line.marks}
    if not names:
        return None
    rows = []
    for name, source in names.items():
        cells = []
        for line in found.lines:
            own = [mark for mark in line.marks if mark.name == name]
            beneath = f"n/d {number(own[0].x)}" if own else ""
            cells.append(Cell(f"n = {number(own[0].n)}", beneath) if own else ABSENT)
        rows.append((Cell(clean(name)), *cells, Cell("", clean(source))))
    levels = (f"{symbol(study.lines)} = {level_text(line.level)}" for line in found.lines)
    return Table(
        "Thresholds that the theory expects: the dotted vertical lines",
        ("what changes", *levels, "because"),
        tuple(rows),
    )


def scenario_table(study: LinearStudy, found: ConditionFindings) -> Table | None:
    """Return how E_TG and E_OG, and their overlaps, change around the crossing."""
    rows = []
    for line in found.lines:
        for what, one, words in (
            ("ln E", line.distances, {}),
            ("−ln c", line.overlaps, OVERLAPS),
        ):
            if one is None:
                continue
            window = ", ".join(number(n, 6) for n in one.window) or "–"
            rows.append(
                (
                    Cell(level_text(line.level)),
                    Cell(what),
                    Cell(window),
                    _slope(one.training),
                    _slope(one.original),
                    _slope(one.difference),
                    Cell(words.get(one.verdict, one.verdict), one.reason),
                )
            )
    if not rows:
        return None
    return Table(
        "What happens around the crossing: slopes against ln n, with 95 % intervals beneath",
        (
            symbol(study.lines),
            "of",
            "over n",
            "to training data",
            "to original data",
            "difference, paired",
            "scenario",
        ),
        tuple(rows),
        keys=2,
        note=(
            f"Slopes d ln E/d ln n and d(−ln c)/d ln n per replicate, over the sizes nearest to "
            f"the crossing. A slope counts as flat where its whole interval is within ±{MARGIN:g}. "
            "ln E holds ∫p_G², which both distances share; −ln c is the part that differs. A "
            "difference of 0 is below what 64-bit numbers resolve."
        ),
    )


def _slope(slope: Slope | None) -> Cell:
    """Return a slope with its interval beneath."""
    if slope is None:
        return ABSENT
    text, _, detail = interval(slope.value, slope.low, slope.high).partition(" (")
    return Cell(text, detail.removesuffix(")"))


def prediction_table(study: LinearStudy, found: ConditionFindings) -> Table | None:
    """Return each law beside what was measured, at a few of the sizes it holds for."""
    rows = []
    for line in found.lines:
        table = study.of(found.condition, line.level)
        for law in line.predictions:
            own = table.filter(
                (pl.col("measure") == law.measure) & (pl.col("variant") == law.variant)
            )
            rows += _against(study, line.level, law, own)
    if not rows:
        return None
    return Table(
        "Predicted and measured",
        (
            symbol(study.lines),
            "measure",
            "law",
            "n" if study.x == "n" else f"{symbol(study.x)}, n",
            "predicted",
            "measured",
        ),
        tuple(rows[:MOST_ROWS]),
        keys=3,
        note="In brackets: the n a law is claimed for. Sources of the laws stand at the end.",
    )


def _against(
    study: LinearStudy, level: Any, law: Prediction, own: pl.DataFrame
) -> list[tuple[Cell, ...]]:
    """Return one law's rows."""
    places = sorted(law.at, key=lambda place: (place[1], place[0]))
    step = max(1, (len(places) - 1) / (SHOWN - 1)) if SHOWN > 1 else 1
    picked = sorted({round(step * index) for index in range(SHOWN) if step * index < len(places)})
    rows = []
    for index in picked:
        n, x = places[index]
        reading = own.filter(pl.col("n") == n, (pl.col("x") - x).abs() < 1e-9)
        if reading.is_empty():
            continue
        variant = "" if law.variant == "exact" else ", as published"
        at = number(n, 9) if study.x == "n" else f"{number(x, 6)}, {number(n, 9)}"
        share = law.measure.startswith("p_")
        rows.append(
            (
                Cell(level_text(level)),
                Cell(NAMES.get(law.measure, clean(law.measure)) + variant),
                Cell(f"{clean(law.name)} ({_range(law.holds)})"),
                Cell(at),
                Cell(percent(law.at[n, x]) if share else number(law.at[n, x])),
                _reading(reading.row(0, named=True), share=share),
            )
        )
    return rows


def _range(holds: tuple[float | None, float | None]) -> str:
    """Return the sizes a law is claimed for."""
    low, high = holds
    if low is None and high is None:
        return "any n"
    if high is None:
        return f"n ≥ {number(low or 0.0, 6)}"
    return f"n ≤ {number(high, 6)}" if low is None else f"{number(low, 6)} ≤ n ≤ {number(high, 6)}"


def numbers_table(study: LinearStudy, found: ConditionFindings) -> Table:
    """Return the readings behind the curves: one row a cell and variant."""
    results = found.condition.of(study.results)
    measures = [name for name in NAMES if name in set(results["measure"])]
    keys = list(dict.fromkeys([study.lines, *(() if study.x == "n" else (study.x,)), "n"]))
    keys.append("variant")
    parts = results.filter(pl.col("measure").is_in(measures)).sort(keys)
    tables = parts.partition_by(keys, maintain_order=True)
    rows = []
    for table in tables[:MOST_ROWS]:
        first = table.row(0, named=True)
        by_measure = {row["measure"]: row for row in table.iter_rows(named=True)}
        readings = (
            _reading(by_measure[name], share=name.startswith("p_"))
            if name in by_measure
            else ABSENT
            for name in measures
        )
        samples = max(int(row["samples"] or 0) for row in by_measure.values())
        named = [Cell(level_text(first[key]).replace("_", " ")) for key in keys]
        rows.append((*named, *readings, Cell(number(samples, 9))))
    left_out = "" if len(tables) <= MOST_ROWS else f"The first {MOST_ROWS} of {len(tables):,}; "
    return Table(
        "Readings, with 95 % intervals beneath the values",
        (*(symbol(key) for key in keys), *(NAMES[name] for name in measures), "replicates"),
        tuple(rows),
        keys=len(keys),
        note=f"{left_out}every reading is in results.parquet.".capitalize(),
    )


def _reading(row: dict[str, Any], *, share: bool) -> Cell:
    """Return a reading with its interval beneath."""
    said = percent if share else number
    if row["low"] is None or row["high"] is None:
        return Cell(said(row["value"]))
    return Cell(said(row["value"]), f"{said(row['low'])} to {said(row['high'])}")


def sources(found: Sequence[ConditionFindings]) -> list[str]:
    """Return where the laws and thresholds come from, each once."""
    told: dict[str, None] = {}
    for condition in found:
        for line in condition.lines:
            for one in (*line.predictions, *line.marks):
                told.setdefault(f"{clean(one.name)}: {clean(one.source)}")
    return list(told)
