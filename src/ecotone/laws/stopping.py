"""What stopping at the first sign of copying would have kept, and lost, on whole trajectories."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from ecotone.core.alarm import copying_alarm
from ecotone.laws.crossing import measured
from ecotone.laws.tables import DISTANCE, FLOOR, SHARE, factors, need
from ecotone.laws.units import beside

__all__ = ["stopping"]

VALIDATION = "denoising_loss_holdout"

_COLUMNS: dict[str, type[pl.DataType]] = {
    "status": pl.String,
    "looks": pl.Int64,
    "alarm_step": pl.Int64,
    "safe_step": pl.Int64,
    "copied_at_safe": pl.Float64,
    "copied_at_safe_low": pl.Float64,
    "copied_at_safe_high": pl.Float64,
    "frechet_at_safe": pl.Float64,
    "best_step": pl.Int64,
    "best_frechet": pl.Float64,
    "fidelity_cost": pl.Float64,
    "fidelity_cost_low": pl.Float64,
    "fidelity_cost_high": pl.Float64,
    "validation_step": pl.Int64,
    "copied_at_validation": pl.Float64,
    "frechet_at_validation": pl.Float64,
    "validation_minimum": pl.String,
}


def stopping(
    results: pl.DataFrame,
    runs: pl.DataFrame,
    *,
    alarm: float = 0.05,
    excess: float = 0.0,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return what stopping at the copying alarm, and at the validation loss's minimum, gives.

    The alarm is :func:`ecotone.core.alarm.copying_alarm` of ``copied_share_gap_ratio`` and its
    floor at every measured step, with as many looks as the run has measured steps. The safe step
    is the last one measured before it rings; where it never rings, the run's last measured one.
    Runs that a policy really stopped rang at their last measured step, and are not judged again:
    how many looks had been planned is not known from what was measured.

    The fidelity cost is the Fréchet distance at the safe step over the lowest of the whole run,
    1 where stopping loses nothing. Its interval is by the delta method on log axes from the two
    rows' own, taken as independent. The lowest of many noisy distances is too low, so the cost
    errs to the large side. A policy cannot know the lowest, nor the validation loss's minimum,
    before the run has ended, so both are told of finished runs only.

    Args:
        results: as in results.parquet.
        runs: as in runs.parquet.
        alarm: chance of a false alarm during a run.
        excess: see :func:`ecotone.core.alarm.copying_alarm`.
        level: coverage of the rows' intervals, and of the cost's.

    Returns:
        One row a run with a measured share and floor, sorted by factors and seed: factors,
        ``seed``, ``status``, ``looks``; ``alarm_step`` (null if it never rings), ``safe_step``
        (null if it rings at the first look), ``copied_at_safe`` with ``_low`` and ``_high``,
        ``frechet_at_safe``; ``best_step``, ``best_frechet``, ``fidelity_cost`` with ``_low`` and
        ``_high``; ``validation_step`` (where ``denoising_loss_holdout`` is lowest),
        ``copied_at_validation``, ``frechet_at_validation``, and ``validation_minimum``: "before
        the alarm", "at the alarm", "after the alarm" (too late to prevent copying) or "no alarm".
        What was not measured is null.

    Raises:
        DataError: for a missing column, a run that is not listed, two rows for one step of a
            measure, or a share outside [0, 1].

    >>> step, copied, distance = [10, 100, 1000], [0.0, 0.0, 0.5], [4.0, 2.0, 1.0]
    >>> rows = {"n": [64] * 9, "seed": [0] * 9, "step": step * 3, "samples": [500] * 9}
    >>> rows |= {"measure": [SHARE] * 3 + [FLOOR] * 3 + [DISTANCE] * 3}
    >>> rows |= {"value": copied + [0.0] * 3 + distance, "low": [None] * 9, "high": [None] * 9}
    >>> runs = pl.DataFrame({"n": [64], "seed": [0], "status": ["finished"]})
    >>> told = stopping(pl.DataFrame(rows), runs)
    >>> told.select("alarm_step", "safe_step", "fidelity_cost").row(0)
    (1000, 100, 2.0)
    """
    need(results, ("seed", "step", "measure", "value", "low", "high", "samples"), "results")
    keys = [*factors(results), "seed"]
    used = results.filter(pl.col("measure").is_in([SHARE, FLOOR, DISTANCE, VALIDATION]))
    listed = beside(used.select(keys).unique(), runs, end="status")
    ends = {row[:-1]: row[-1] for row in listed.select(*keys, "end").rows()}
    z = float(ndtri(0.5 + level / 2))
    rows = []
    for key, run in used.partition_by(keys, as_dict=True, maintain_order=True).items():
        told = _run(run, str(ends[key]), alarm, excess, z)
        if told is not None:
            rows.append((*key, *(told.get(column) for column in _COLUMNS)))
    schema = {**{key: results.schema[key] for key in keys}, **_COLUMNS}
    return pl.DataFrame(rows, schema=schema, orient="row").sort(*keys, maintain_order=True)


def _run(
    run: pl.DataFrame, status: str, alarm: float, excess: float, z: float
) -> dict[str, object] | None:
    """Return one run's row; None where the share or its floor was not measured."""
    share = _by_step(run, SHARE, ("samples",))
    floor = _by_step(run, FLOOR, ("samples",))
    looked = [step for step in share if step in floor]
    if not looked:
        return None
    distance, loss = _by_step(run, DISTANCE), _by_step(run, VALIDATION)
    rung = looked[-1] if status == "stopped" else _alarm(share, floor, looked, alarm, excess)
    before = [step for step in looked if rung is None or step < rung]
    told: dict[str, object] = {"status": status, "looks": len(looked), "alarm_step": rung}
    safe = before[-1] if before else None
    if safe is not None:
        told["safe_step"] = safe
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            told[f"copied_at_safe{end}"] = share[safe][part]
        told["frechet_at_safe"] = distance.get(safe, {}).get("value")
    if status != "finished":
        return told
    if distance:
        best = min(distance, key=lambda step: distance[step]["value"])
        told |= {"best_step": best, "best_frechet": distance[best]["value"]}
        if safe in distance:
            cost = _cost(distance[safe], distance[best], safe == best, z)
            names = ("fidelity_cost", "fidelity_cost_low", "fidelity_cost_high")
            told |= dict(zip(names, cost, strict=True))
    if loss:
        lowest = min(loss, key=lambda step: loss[step]["value"])
        told |= {
            "validation_step": lowest,
            "copied_at_validation": share.get(lowest, {}).get("value"),
            "frechet_at_validation": distance.get(lowest, {}).get("value"),
            "validation_minimum": _order(lowest, rung),
        }
    return told


def _by_step(
    run: pl.DataFrame, measure: str, needed: tuple[str, ...] = ()
) -> dict[int, dict[str, Any]]:
    """Return a measure's usable rows by step, in order."""
    rows = measured(run.filter(pl.col("measure") == measure), needed)
    return {row["step"]: row for row in rows.iter_rows(named=True)}


def _alarm(
    share: dict[int, dict[str, Any]],
    floor: dict[int, dict[str, Any]],
    looked: list[int],
    level: float,
    excess: float,
) -> int | None:
    """Return the first step at which the alarm rings."""
    for step in looked:
        n, m = int(share[step]["samples"]), int(floor[step]["samples"])
        copied, floor_copied = round(share[step]["value"] * n), round(floor[step]["value"] * m)
        rings = copying_alarm(
            copied, n, floor_copied, m, looks=len(looked), level=level, excess=excess
        )
        if rings:
            return step
    return None


def _cost(
    safe: dict[str, Any], best: dict[str, Any], same: bool, z: float
) -> tuple[float | None, float | None, float | None]:
    """Return the ratio of two distances and its interval."""
    if not (safe["value"] > 0 and best["value"] > 0):
        return (None, None, None)
    ratio = safe["value"] / best["value"]
    if same:
        return (ratio, ratio, ratio)
    squares = 0.0
    for row in (safe, best):
        low, high = row["low"], row["high"]
        if low is None or high is None or not math.isfinite(high - low):
            return (ratio, None, None)
        squares += ((high - low) / (2 * z * row["value"])) ** 2
    reach = float(np.exp(z * math.sqrt(squares)))
    return (ratio, ratio / reach, ratio * reach)


def _order(lowest: int, rung: int | None) -> str:
    if rung is None:
        return "no alarm"
    if lowest == rung:
        return "at the alarm"
    return "before the alarm" if lowest < rung else "after the alarm"
