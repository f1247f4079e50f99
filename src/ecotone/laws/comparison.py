"""What moves an onset, and by how much: capacity, optimization and architecture side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ecotone.core.errors import DataError, nearest
from ecotone.laws.joint import JointFit, fit_terms, turned
from ecotone.laws.terms import Term, terms, varying
from ecotone.laws.units import Clock, per_step, unstopped

__all__ = ["effects"]

_COLUMNS: dict[str, type[pl.DataType]] = {
    "clock": pl.String,
    "factor": pl.String,
    "level": pl.String,
    "reference": pl.String,
    "lowest": pl.Float64,
    "highest": pl.Float64,
    "exponent": pl.Float64,
    "exponent_low": pl.Float64,
    "exponent_high": pl.Float64,
    "moves": pl.Float64,
    "moves_low": pl.Float64,
    "moves_high": pl.Float64,
    "runs": pl.Int64,
    "observed": pl.Int64,
    "reason": pl.String,
}

_FROM_RUNS = ("parameters", "images")


def effects(
    onsets: pl.DataFrame,
    runs: pl.DataFrame,
    *,
    onset: str = "tau_mem",
    factors: Sequence[str] | None = None,
    clocks: Sequence[Clock] = ("steps", "images"),
) -> pl.DataFrame:
    """Return by which factor each of a study's factors moves an onset, the others held fixed.

    All factors are fitted at once, log tau = a + Σ gamma_f·log f + Σ (indicators of levels) + s·e,
    censored runs included (least squares or Tobit, Student's t intervals:
    :func:`ecotone.laws.fit_powers`). A factor of positive numbers moves the onset by
    (highest/lowest)^gamma over its range in the study; a level of any other factor by
    exp(its coefficient), the ratio of geometric means to the first level. These ranges are what a
    study chose, so compare exponents where ranges differ. Effects are taken to multiply.

    Tables of several studies can be concatenated (``pl.concat(…, how="diagonal")``): null is a
    factor that a study held constant, and runs that lack the same factors get an intercept of
    their own, so that studies need not agree in what they did not vary.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it; seeds are replicates.
        runs: as in runs.parquet, with ``n``, ``batch_size`` and ``status``. Runs with the status
            "stopped" are left out: a policy ended them because they were about to turn.
        onset: "tau_mem" or "tau_gen".
        factors: to compare; all that vary where None. ``parameters`` and ``images`` may be named
            too, in place of the factors that set them.
        clocks: "steps", "epochs" or "images" (seen).

    Returns:
        One row a clock and number, or clock and level but the first, sorted by clock and by how
        far the onset moves, up or down: ``clock``, ``factor``, ``level`` and ``reference`` (as
        text; null for numbers), ``lowest``, ``highest``, ``exponent`` with ``_low`` and ``_high``
        (null for levels), ``moves`` with ``_low`` and ``_high``, ``runs`` and ``observed`` (in the
        fit), and ``reason``: why the effect cannot be told (its numbers are then null).

    Raises:
        DataError: for a missing column or factor, or a run that is not listed.

    >>> width, model = [8, 16, 32] * 2, ["mlp"] * 3 + ["unet"] * 3
    >>> lead = {"n": [64] * 6, "width": width, "model": model, "seed": [0] * 6}
    >>> steps = [3200.0, 1500.0, 810.0, 1600.0, 820.0, 400.0]
    >>> told = {"onset": ["tau_mem"] * 6, "status": ["observed"] * 6, "value": steps}
    >>> table = pl.DataFrame({**lead, **told}).with_columns(bound=pl.lit(None, pl.Float64))
    >>> runs = pl.DataFrame({**lead, "status": ["finished"] * 6, "batch_size": [16] * 6})
    >>> found = effects(table, runs, clocks=["steps"])
    >>> found.select("factor", "level", pl.col("moves").round(2)).rows()
    [('width', None, 0.25), ('model', 'unet', 0.51)]
    """
    extra = [name for name in factors or () if name in _FROM_RUNS]
    rows, given = turned(unstopped(onsets, runs, *extra), onset)
    names = varying(rows) if factors is None else list(factors)
    for name in names:
        if name not in rows.columns:
            known = [*varying(rows), *_FROM_RUNS]
            raise DataError(f"the onsets have no factor {name!r}", hint=nearest(name, known))
    columns = terms(rows, names, given.side == 0)
    found = []
    for place, clock in enumerate(clocks):
        unit = np.log(rows.select(per_step(clock).alias("unit"))["unit"].to_numpy())
        fit = fit_terms(columns, given.log_tau + unit, given)
        for column in columns:
            if column.factor is not None:
                told = _effect(column, rows, fit)
                size = abs(math.log(told["moves"])) if told["moves"] is not None else -1.0
                found.append((place, -size, {**told, "clock": clock}))
    found.sort(key=lambda one: one[:2])
    table = [tuple(row[name] for name in _COLUMNS) for *_, row in found]
    return pl.DataFrame(table, schema=_COLUMNS, orient="row")


def _effect(column: Term, rows: pl.DataFrame, fit: JointFit) -> dict[str, Any]:
    """Return what the table says of one number, or of one level."""
    told: dict[str, Any] = dict.fromkeys(_COLUMNS)
    told |= {"factor": column.factor, "runs": fit.runs, "observed": fit.observed}
    reach = 1.0
    if column.level is None:
        known = rows[str(column.factor)].drop_nulls().cast(pl.Float64).to_list()
        told |= {"lowest": min(known, default=None), "highest": max(known, default=None)}
        reach = math.log(max(known) / min(known)) if known else 0.0
    else:
        told |= {"level": str(column.level), "reference": str(column.reference)}
    told["reason"] = fit.reason or fit.unknown.get(column.name)
    effect = fit.combine({column.name: 1.0})
    if told["reason"] is None and effect is not None:
        middle, half = effect
        if column.level is None:
            told |= _ends("exponent", middle, half)
        logs = _ends("moves", middle * reach, half * reach)
        told |= {name: _exponential(one) for name, one in logs.items()}
    return told


def _ends(name: str, middle: float, half: float) -> dict[str, float]:
    return {name: middle, f"{name}_low": middle - half, f"{name}_high": middle + half}


def _exponential(log: float) -> float | None:
    """Return its exponential; None where no positive number holds it."""
    return math.exp(log) if abs(log) < 700 else None
