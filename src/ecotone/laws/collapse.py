"""Whether the curves of different batch sizes become one when time is counted on another clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.optimize import isotonic_regression

from ecotone.core.seeds import generator
from ecotone.laws.crossing import measured
from ecotone.laws.tables import SHARE, factors, need
from ecotone.laws.units import CLOCKS, Clock, batch_factors, beside, per_step

__all__ = ["collapse"]

GRID = 64
"""Points of log time that curves are compared at."""

Curves = Mapping[float, list[tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]]]
"""By batch size, each run's log steps and values."""


def collapse(
    results: pl.DataFrame,
    runs: pl.DataFrame,
    *,
    measure: str = SHARE,
    isotonic: bool = True,
    replicates: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how far apart the curves of different batch sizes are on each clock.

    Each run's curve is interpolated linearly in log time at 64 points, evenly spaced over the
    range of log time that all curves of a group cover on that clock; nothing is extrapolated. The
    deviation is the mean over these points of the variance between the batch sizes' mean curves.
    Clocks shift the curves against one another, so that their common ranges differ, and a range
    where nothing happens would make any curves agree: clocks are compared by ``unexplained``, the
    deviation over the variance of the mean curves' values, points and batch sizes together. It is
    near 0 where one curve serves all batch sizes, and 1 where time explains nothing.

    The intervals are percentile intervals of a bootstrap that draws runs anew within each batch
    size, the same for all clocks. Drawing anew adds scatter of its own, so they err to the right
    where runs are few.

    Args:
        results: as in results.parquet.
        runs: as in runs.parquet, with ``batch_size`` and ``status``; finished ones take part.
        measure: the curve.
        isotonic: make each curve non-decreasing first, as copied shares are.
        replicates: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        Three rows a group, one for each clock; a group is a combination of the factors other than
        batch size, with two batch sizes or more: its factors, ``clock``, ``batch_sizes`` and
        ``runs`` (how many), ``start`` and ``stop`` (of the common range, in the clock's units),
        ``deviation``, ``low``, ``high``, ``unexplained``, ``unexplained_low``,
        ``unexplained_high``, and ``best_share``, the share of replicates in which this clock
        leaves the least unexplained. Null: start to unexplained where there is no common range,
        unexplained where the curves are flat, intervals and ``best_share`` where every batch size
        has a single run.

    Raises:
        DataError: for a missing column, a run that is not listed, or two rows for one step.
    """
    need(results, ("n", "seed", "step", "measure", "value"), "results")
    need(runs, ("n", "seed", "status", "batch_size"), "runs")
    keys = [*factors(results), "seed"]
    copies = batch_factors(runs)
    group = [factor for factor in factors(results) if factor not in copies]
    rows: list[tuple[object, ...]] = []
    curves = results.filter(pl.col("measure") == measure)
    listed = beside(curves.select(keys).unique(), runs, batch_size="batch_size", end="status")
    listed = listed.filter(pl.col("end") == "finished").sort(*group, "batch_size", *keys)
    by_run = curves.partition_by(keys, as_dict=True)
    for key, members in listed.partition_by(group, as_dict=True, maintain_order=True).items():
        found: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {}
        for run in members.iter_rows(named=True):
            curve = _curve(by_run[tuple(run[name] for name in keys)], isotonic)
            if curve is not None:
                found.setdefault(float(run["batch_size"]), []).append(curve)
        if len(found) < 2:
            continue
        random = generator(seed, "collapse", *map(str, key))
        count = sum(map(len, found.values()))
        scales: dict[Clock, dict[float, float]] = {
            clock: _scales(members, clock) for clock in CLOCKS
        }
        told = _compare(found, scales, replicates, level, random)
        rows += [(*key, clock, len(found), count, *told[clock]) for clock in CLOCKS]
    numbers = ("start", "stop", "deviation", "low", "high")
    shares = ("unexplained", "unexplained_low", "unexplained_high", "best_share")
    schema = {
        **{name: results.schema[name] for name in group},
        "clock": pl.String,
        "batch_sizes": pl.Int64,
        "runs": pl.Int64,
        **dict.fromkeys((*numbers, *shares), pl.Float64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _curve(
    rows: pl.DataFrame, isotonic: bool
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]] | None:
    """Return log steps and values; None for fewer than two measured steps."""
    kept = measured(rows, ())
    if kept.height < 2:
        return None
    value = kept["value"].to_numpy()
    if isotonic:
        value = np.asarray(isotonic_regression(value).x)
    return np.log(kept["step"].cast(pl.Float64).to_numpy()), value


def _scales(members: pl.DataFrame, clock: Clock) -> dict[float, float]:
    """Return the log of what a step adds on a clock, by batch size."""
    scale = members.select(
        pl.col("batch_size").cast(pl.Float64), per_step(clock).cast(pl.Float64).alias("scale")
    )
    return {batch: math.log(one) for batch, one in scale.rows()}


def _compare(
    curves: Curves,
    scales: Mapping[Clock, Mapping[float, float]],
    replicates: int,
    level: float,
    random: np.random.Generator,
) -> dict[Clock, tuple[float | None, ...]]:
    """Return what the table says of each clock."""
    drawn = {
        batch: random.integers(len(own), size=(replicates, len(own)))
        for batch, own in curves.items()
    }
    several = any(len(own) > 1 for own in curves.values())
    told: dict[Clock, tuple[float | None, ...]] = {}
    left: dict[Clock, Float[np.ndarray, " replicates"]] = {}
    tails = ((1 - level) / 2, (1 + level) / 2)
    for clock, scale in scales.items():
        times = [x + scale[batch] for batch, own in curves.items() for x, _ in own]
        start = max(float(x[0]) for x in times)
        stop = min(float(x[-1]) for x in times)
        if start >= stop:
            told[clock] = (None,) * 8
            continue
        grid = np.linspace(start, stop, GRID)
        values = {
            batch: np.stack([np.interp(grid, x + scale[batch], y) for x, y in own])
            for batch, own in curves.items()
        }
        once = {batch: np.arange(len(own))[None] for batch, own in values.items()}
        deviation, unexplained = (float(one[0]) for one in _deviation(values, once))
        ends: tuple[float | None, ...] = (None,) * 4
        if several:
            again, left[clock] = _deviation(values, drawn)
            known = left[clock][np.isfinite(left[clock])]
            ends = (
                min(float(np.quantile(again, tails[0])), deviation),
                max(float(np.quantile(again, tails[1])), deviation),
                *(
                    (float(np.quantile(known, tail)) for tail in tails)
                    if known.size
                    else (None,) * 2
                ),
            )
        flat = not math.isfinite(unexplained)
        told[clock] = (
            math.exp(start),
            math.exp(stop),
            deviation,
            *ends[:2],
            None if flat else unexplained,
            None if flat or ends[2] is None else min(ends[2], unexplained),
            None if flat or ends[3] is None else max(ends[3], unexplained),
        )
    best = _best(left)
    return {clock: (*one, best.get(clock)) for clock, one in told.items()}


def _deviation(
    values: Mapping[float, Float[np.ndarray, "runs points"]],
    drawn: Mapping[float, Int[np.ndarray, "replicates _"]],
) -> tuple[Float[np.ndarray, " replicates"], Float[np.ndarray, " replicates"]]:
    """Return the deviation, and its share of all variance (NaN where there is none)."""
    means = np.stack([values[batch][drawn[batch]].mean(axis=1) for batch in values])
    deviation = means.var(axis=0).mean(axis=-1)
    total = means.var(axis=(0, 2))
    share = np.divide(deviation, total, out=np.full_like(total, np.nan), where=total > 1e-15)
    return deviation, share


def _best(left: Mapping[Clock, Float[np.ndarray, " replicates"]]) -> dict[Clock, float]:
    """Return in which share of replicates each clock leaves the least unexplained.

    Ties are shared; where n does not vary, epochs and images always tie.
    """
    if not left:
        return {}
    table = np.stack(list(left.values()))
    table = np.where(np.isfinite(table), table, np.inf)
    least = table <= table.min(axis=0) * (1 + 1e-9) + 1e-15
    share = (least / least.sum(axis=0)).mean(axis=1)
    return {clock: float(one) for clock, one in zip(left, share, strict=True)}
