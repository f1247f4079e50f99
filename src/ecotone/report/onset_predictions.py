"""What the theory predicts of the lines of a linear study."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from ecotone.report.onset_study import LinearStudy
from ecotone.report.study import Condition

__all__ = ["Mark", "Prediction", "predict"]

COSTLY: Mapping[str, int] = {"p_delta_positive": 8, "p_delta_positive_density": 4}
"""Points of predicted probabilities, each of which takes a second or more."""

THREADS = min(4, os.cpu_count() or 1)
"""Probabilities predicted at a time, each on a core and with samples of its own in memory."""

POINTS = 48
"""Points of any other predicted curve."""


@dataclass(frozen=True)
class Prediction:
    """A law's course over the measured range, within the range it holds in.

    Args:
        measure: what it predicts, by the name of the measure.
        variant: ``"exact"`` or ``"as_published"``.
        name: of the law.
        points: (n, x, value); x as in the drawings.
        holds: the sizes n it holds between; None where open.
        source: where it comes from.
        at: what it predicts at measured places: (n, x) to value.
    """

    measure: str
    variant: str
    name: str
    points: tuple[tuple[float, float, float], ...]
    holds: tuple[float | None, float | None]
    source: str
    at: Mapping[tuple[int, float], float]


@dataclass(frozen=True)
class Mark:
    """A size at which theory expects a change."""

    n: float
    x: float
    name: str
    source: str

    @property
    def symbol(self) -> str:
        """The part of its name before a colon: ``"n = d"`` of ``"n = d: the rank is full"``."""
        return self.name.partition(":")[0]


def predict(
    study: LinearStudy, condition: Condition, level: Any, table: pl.DataFrame
) -> tuple[tuple[Prediction, ...], tuple[Mark, ...]]:
    """Return what the theory predicts of one line, as far as it has laws for it.

    Args:
        study: as read.
        condition: the line's.
        level: the line's.
        table: the line's results.
    """
    cells = study.cells(condition, level)
    if not cells:
        return (), ()
    # Only studies that say what their models are need the theory.
    theory = import_module("ecotone.theory")
    if study.x == "n":
        config = cells[0]["config"]
        dimension = int(table["dimension"][0])
        marks = tuple(
            Mark(float(one.n), float(one.n) / dimension, one.name, one.source)
            for one in theory.thresholds(**_model(config, dimension))
            if math.isfinite(one.n) and one.n > 0
        )
        laws = theory.predictions(**_model(config, dimension))
        grids = [_grid(law, table) for law in laws]
        values = _values([(law, n) for law, grid in zip(laws, grids, strict=True) for n in grid])
        found = [
            _along_n(law, table, dimension, {n: next(values) for n in grid})
            for law, grid in zip(laws, grids, strict=True)
        ]
        return tuple(one for one in found if one is not None), marks
    return _along_factor(study, cells, table, theory), ()


def _model(config: Mapping[str, Any], dimension: int) -> dict[str, Any]:
    """Return a cell's configuration as the theory takes it."""
    return {
        "dimension": dimension,
        "originals": config.get("originals"),
        "model": config.get("model"),
        "population": config.get("population"),
    }


def _inside(law: Any, table: pl.DataFrame) -> list[int]:
    """Return the measured sizes that a law is compared at: few where it is costly."""
    rows = table.filter(measure=law.measure, variant=law.variant)
    low, high = _range(law)
    inside = [n for n in sorted(rows["n"].to_list()) if low <= n <= high]
    if law.measure in COSTLY and inside:
        picks = np.linspace(0, len(inside) - 1, min(COSTLY[law.measure], len(inside)))
        inside = [inside[round(pick)] for pick in picks]
    return inside


def _grid(law: Any, table: pl.DataFrame) -> list[float]:
    """Return the sizes to predict at: those measured and, unless that is costly, others between."""
    inside = [float(n) for n in _inside(law, table)]
    if law.measure in COSTLY or not inside:
        return inside
    sizes = table.filter(measure=law.measure, variant=law.variant)["n"].to_list()
    low, high = _range(law)
    ends = max(low, min(sizes)), min(high, max(sizes))
    return sorted({*np.geomspace(*ends, POINTS).tolist(), *inside})


def _along_n(
    law: Any, table: pl.DataFrame, dimension: int, values: Mapping[float, float | None]
) -> Prediction | None:
    """Return a law's course over n, given its values."""
    points = tuple((n, n / dimension, v) for n, v in values.items() if v is not None)
    if not points:
        return None
    inside = _inside(law, table)
    at = {(n, n / dimension): v for n in inside if (v := values[float(n)]) is not None}
    low, high = _open(*_range(law))
    return Prediction(law.measure, law.variant, law.name, points, (low, high), law.source, at)


def _along_factor(
    study: LinearStudy, cells: Sequence[Mapping[str, Any]], table: pl.DataFrame, theory: Any
) -> tuple[Prediction, ...]:
    """Return the laws' courses along another factor than n, each cell having its own laws."""
    courses: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    about: dict[tuple[str, str, str], Any] = {}
    asked: list[tuple[Any, float, float]] = []
    for cell in cells:
        at: Any = (cell.get("factors") or {}).get(study.x)
        rows = table.filter(pl.col(study.x) == at) if at is not None else table.clear()
        if rows.is_empty():
            continue
        dimension, x = int(rows["dimension"][0]), float(rows["x"][0])
        for law in theory.predictions(**_model(cell["config"], dimension)):
            for n in rows.filter(measure=law.measure, variant=law.variant)["n"].to_list():
                low, high = _range(law)
                if low <= n <= high:
                    asked.append((law, float(n), x))
    values = _values([(law, n) for law, n, _ in asked])
    for (law, n, x), value in zip(asked, values, strict=True):
        if value is not None:
            key = (law.measure, law.variant, law.name)
            courses.setdefault(key, []).append((n, x, value))
            about[key] = law
    return tuple(
        Prediction(
            *key,
            tuple(sorted(points, key=lambda point: point[1])),
            _open(*_range(about[key])),
            about[key].source,
            {(int(n), x): value for n, x, value in points},
        )
        for key, points in courses.items()
    )


def _values(asked: Sequence[tuple[Any, float]]) -> Iterator[float | None]:
    """Return the predictions of laws at sizes, in order, the costly ones some at a time."""
    costly = [(law, n) for law, n in asked if law.measure in COSTLY]
    if len(costly) < 2 or THREADS < 2:
        return iter([_value(law, n) for law, n in asked])
    # A limit on BLAS threads holds for the whole process, so no prediction may lift it for others.
    with threadpool_limits(limits=1), ThreadPoolExecutor(THREADS) as pool:
        # The largest sizes take longest: were they last, they would be waited for.
        order = sorted(range(len(costly)), key=lambda place: -costly[place][1])
        waiting = {place: pool.submit(_value, *costly[place]) for place in order}
        threaded = iter([waiting[place].result() for place in range(len(costly))])
    return iter([next(threaded) if law.measure in COSTLY else _value(law, n) for law, n in asked])


def _value(law: Any, n: float) -> float | None:
    """Return a law's finite prediction."""
    value = law.predict(round(n) if abs(n - round(n)) < 1e-9 else n)
    return float(value) if value is not None and math.isfinite(value) else None


def _range(law: Any) -> tuple[float, float]:
    """Return the sizes a law holds between, open ends as 0 and infinity."""
    low, high = law.holds
    return (0.0 if low is None else float(low)), (math.inf if high is None else float(high))


def _open(low: float, high: float) -> tuple[float | None, float | None]:
    return (low if low > 0 else None), (high if math.isfinite(high) else None)
