"""What the laws and the theory say of a linear study, line by line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import polars as pl

from ecotone.core.readings import Reading
from ecotone.laws import fit_power
from ecotone.laws.positive import Passage, passes_down, passes_up
from ecotone.laws.scenario import Scenario, paired, scenario
from ecotone.report.onset_predictions import Mark, Prediction, predict
from ecotone.report.onset_study import LinearStudy
from ecotone.report.study import Condition

__all__ = [
    "CURVES",
    "Bracket",
    "ConditionFindings",
    "Curve",
    "LineFindings",
    "find_onsets",
]


@dataclass(frozen=True)
class Curve:
    """One way of having P(Δ > 0): its variant and measure, and what it is called."""

    name: str
    variant: str
    measure: str


CURVES: Mapping[str, Curve] = {
    "exact": Curve("exact", "exact", "p_delta_positive"),
    "as_published": Curve("as published", "as_published", "p_delta_positive"),
    "null": Curve("ideal sampler", "exact", "p_delta_positive_null"),
    "density": Curve("exact density", "exact", "p_delta_positive_density"),
}


@dataclass(frozen=True)
class Bracket:
    """Two neighbouring measured sizes between which a quantity turns."""

    low: float
    high: float
    low_x: float
    high_x: float


@dataclass(frozen=True)
class LineFindings:
    """What is known of one line: one level under one condition.

    Args:
        level: of the lines' factor.
        up: by name of the curve, where P(Δ > 0) passes ½, in units of ``study.x``.
        down: where it falls back below ½; only where it was above.
        finite: between which sizes KL(generated ‖ population) turns finite.
        steepest: between which sizes ln KL(population ‖ generated) falls fastest against ln n.
        distances: the scenario of E_TG and E_OG.
        overlaps: the scenario of −ln c_T and −ln c_O.
        predictions: of the theory.
        marks: sizes at which the theory expects a change.
        dimension: to turn n into n/d.
    """

    level: Any
    up: Mapping[str, Passage]
    down: Mapping[str, Passage]
    finite: Bracket | None
    steepest: Bracket | None
    distances: Scenario | None
    overlaps: Scenario | None
    dimension: int
    predictions: tuple[Prediction, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class ConditionFindings:
    """Everything found under one condition.

    Args:
        condition: the other factors' values.
        lines: one a level.
        growth: by curve, the exponent of the crossing's growth with the lines' factor; only for
            positive numbers, and from three crossings on.
    """

    condition: Condition
    lines: tuple[LineFindings, ...]
    growth: Mapping[str, Reading] = field(default_factory=dict)


def find_onsets(study: LinearStudy) -> tuple[ConditionFindings, ...]:
    """Find crossings, turns, scenarios and predictions of every line."""
    found = []
    for condition in study.conditions:
        lines = tuple(_line(study, condition, level) for level in study.levels(condition))
        found.append(ConditionFindings(condition, lines, _growth(study, lines)))
    return tuple(found)


def _line(study: LinearStudy, condition: Condition, level: Any) -> LineFindings:
    table = study.of(condition, level)
    up, down = {}, {}
    for name, curve in CURVES.items():
        rows = table.filter(variant=curve.variant, measure=curve.measure)
        if study.x != "n":
            rows = rows.filter(pl.col(study.x) > 0)
        if rows.is_empty():
            continue
        x, share, samples = (rows[name].to_numpy() for name in (study.x, "value", "samples"))
        up[name] = passes_up(x, share, samples)
        if (fall := passes_down(x, share, samples)) is not None:
            down[name] = fall
    distances, overlaps = _scenarios(study, condition, level)
    predictions, marks = predict(study, condition, level, table)
    exact = table.filter(variant="exact")
    return LineFindings(
        level=level,
        up=up,
        down=down,
        finite=_finite(exact, study.x),
        steepest=_steepest(exact, study.x),
        distances=distances,
        overlaps=overlaps,
        dimension=int(table["dimension"][0]),
        predictions=predictions,
        marks=marks,
    )


def _scenarios(
    study: LinearStudy, condition: Condition, level: Any
) -> tuple[Scenario | None, Scenario | None]:
    """Return the scenarios of the distances and of the overlaps."""
    if study.replicates is None or study.x != "n":
        return None, None
    own = Condition({**condition.values, study.lines: level}).of(study.replicates)
    own = own.filter(pl.col("variant") == "exact")
    if own.filter(measure="delta_sign").is_empty():
        return None, None
    found: list[Scenario | None] = []
    for part, sign in (("distance", 1), ("overlap", -1)):
        names = [f"log_{part}_training", f"log_{part}_original"]
        if own.filter(pl.col("measure").is_in(names)).is_empty():
            found.append(None)
            continue
        wide = paired(own, sign="delta_sign", training=names[0], original=names[1])
        wide = wide.with_columns(pl.col("training", "original") * sign)
        found.append(scenario(wide))
    return found[0], found[1]


def _finite(table: pl.DataFrame, x: str) -> Bracket | None:
    """Return between which sizes KL(generated ‖ population) turns finite."""
    if x != "n":
        return None
    sizes = table.filter(measure="p_delta_positive").select("n", "x").sort("n").rows()
    known = set(table.filter(measure="kl_generated_population")["n"].to_list())
    for (low, low_x), (high, high_x) in pairwise(sizes):
        if low not in known and high in known:
            return Bracket(low, high, low_x, high_x)
    return None


def _steepest(table: pl.DataFrame, x: str) -> Bracket | None:
    """Return between which sizes ln KL(population ‖ generated) falls fastest against ln n."""
    rows = table.filter((pl.col("measure") == "kl_population_generated") & (pl.col("value") > 0))
    points = rows.select("n", "x", "value").sort("n").rows()
    if x != "n" or len(points) < 3:
        return None
    slopes = [(math.log(b[2] / a[2]) / math.log(b[0] / a[0]), a, b) for a, b in pairwise(points)]
    steepest, low, high = min(slopes, key=lambda one: one[0])
    return Bracket(low[0], high[0], low[1], high[1]) if steepest < 0 else None


def _growth(study: LinearStudy, lines: Sequence[LineFindings]) -> dict[str, Reading]:
    """Return how crossings grow with the lines' factor, where it is a positive number."""
    growth = {}
    numbers = [line for line in lines if _positive(line.level)]
    if study.x != "n" or len(numbers) < 3:
        return {}
    for name in CURVES:
        known = [(line.level, line.up[name]) for line in numbers if name in line.up]
        if len(known) < 3:
            continue
        law = fit_power(
            [float(level) for level, _ in known],
            [passage.value or passage.bound or 1.0 for _, passage in known],
            [passage.status for _, passage in known],
        )
        if law.exponent is not None:
            growth[name] = law.exponent
    return growth


def _positive(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and level > 0
