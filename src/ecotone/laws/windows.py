"""The window between generalizing and copying, run by run and on every clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl

from ecotone.laws.tables import factors, need
from ecotone.laws.units import CLOCKS, beside, per_step

__all__ = ["windows"]

_ONSETS = ("tau_gen", "tau_mem")
_NUMBERS = ("value", "low", "high", "bound")

# +1 where the ratio tau_mem / tau_gen can only be larger than what is known, −1 where smaller.
_SIDES: Mapping[str, Mapping[str, int]] = {
    "tau_mem": {"observed": 0, "right_censored": 1, "left_censored": -1},
    "tau_gen": {"observed": 0, "right_censored": -1, "left_censored": 1},
}


def windows(onsets: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """Return when each run turned, and by which factor it copied later than it generalized.

    The window is the ratio tau_mem / tau_gen, the same on every clock as a run keeps its batch
    size. Where both onsets are observed, its interval comes from theirs, on log axes and side by
    side, by the method of variance estimates recovery (Zou & Donner 2008): with d the difference
    of the logs, low = d − √((mem − mem_low)² + (gen_high − gen)²), and high likewise. The two
    onsets of a run are read off the same samples, but off their copies and their distribution,
    and are taken as independent. Where an onset is censored the window is a bound: copying later
    than b leaves more than b / tau_gen. Below 1, copying began before the best was near.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it.
        runs: as in runs.parquet, with ``batch_size``; ``n`` is a factor.

    Returns:
        Three rows a run, one for each clock: factors and ``seed``, ``batch_size``, ``clock``
        ("steps", "epochs": steps · batch size / n, "images": steps · batch size); for tau_gen and
        tau_mem in that clock's units ``tau_…_status``, ``tau_…`` (null unless observed),
        ``tau_…_low``, ``tau_…_high`` and ``tau_…_bound``, all null for an onset that could not be
        had; ``window_status`` ("observed", "right_censored": more than the bound,
        "left_censored": less, "unknown"), ``window``, ``window_low``, ``window_high`` (null where
        open or unknown) and ``window_bound``.

    Raises:
        DataError: for a missing column or a run that is not listed.

    >>> onsets = pl.DataFrame({
    ...     "n": [64, 64], "seed": [0, 0], "onset": ["tau_mem", "tau_gen"],
    ...     "status": ["right_censored", "observed"], "value": [None, 100.0],
    ...     "low": [None, 80.0], "high": [None, 125.0], "bound": [900.0, None],
    ... })
    >>> runs = pl.DataFrame({"n": [64], "seed": [0], "batch_size": [16]})
    >>> windows(onsets, runs).select("clock", "tau_gen", "window_status", "window_bound").rows()
    [('steps', 100.0, 'right_censored', 9.0), ('epochs', 25.0, 'right_censored', 9.0),
     ('images', 1600.0, 'right_censored', 9.0)]
    """
    need(onsets, ("n", "seed", "onset", "status", *_NUMBERS), "onsets")
    keys = [*factors(onsets), "seed"]
    turns: dict[tuple[object, ...], dict[str, dict[str, object]]] = {}
    for row in onsets.iter_rows(named=True):
        turns.setdefault(tuple(row[key] for key in keys), {})[row["onset"]] = row

    given = [(f"{onset}_{part}", pl.Float64) for onset in _ONSETS for part in _NUMBERS]
    schema = {
        **{key: onsets.schema[key] for key in keys},
        **{f"{onset}_status": pl.String for onset in _ONSETS},
        **dict(given),
        "window_status": pl.String,
        **{f"window_{part}": pl.Float64 for part in _NUMBERS},
    }
    rows = [
        (
            *key,
            *(turn.get(onset, {}).get("status") for onset in _ONSETS),
            *(turn.get(onset, {}).get(part) for onset in _ONSETS for part in _NUMBERS),
            *_window(turn.get("tau_gen"), turn.get("tau_mem")),
        )
        for key, turn in turns.items()
    ]
    wide = pl.DataFrame(rows, schema=schema, orient="row")
    wide = beside(wide.select(keys), runs, batch_size="batch_size").hstack(wide.drop(keys))
    long = pl.concat(
        wide.with_columns(
            pl.lit(clock).alias("clock"), *(pl.col(name) * per_step(clock) for name, _ in given)
        )
        for clock in CLOCKS
    )
    parts = ("status", *_NUMBERS)
    shown = [
        (f"{lead}_{part}", lead if part == "value" else f"{lead}_{part}")
        for lead in (*_ONSETS, "window")
        for part in parts
    ]
    order = pl.col("clock").replace_strict({clock: at for at, clock in enumerate(CLOCKS)})
    return long.sort(*keys, order, maintain_order=True).select(
        *keys, "batch_size", "clock", *(pl.col(old).alias(new) for old, new in shown)
    )


def _window(
    gen: Mapping[str, object] | None, mem: Mapping[str, object] | None
) -> tuple[str, float | None, float | None, float | None, float | None]:
    """Return status, value, low, high and bound of the ratio."""
    if gen is None or mem is None:
        return ("unknown", None, None, None, None)
    above, below = (_number(one, "value") for one in (mem, gen))
    if above is not None and below is not None:
        low = _reach(above, _number(mem, "low"), below, _number(gen, "high"))
        high = _reach(above, _number(mem, "high"), below, _number(gen, "low"))
        ratio = above / below
        ends = (None if low is None else ratio / low, None if high is None else ratio * high)
        return ("observed", ratio, *ends, None)
    sides = {_SIDES["tau_mem"][str(mem["status"])], _SIDES["tau_gen"][str(gen["status"])]}
    above = _number(mem, "bound") if above is None else above
    below = _number(gen, "bound") if below is None else below
    if {1, -1} <= sides or above is None or below is None:
        # Both later, or both earlier, than what was seen: that says nothing of their ratio.
        return ("unknown", None, None, None, None)
    status = "right_censored" if 1 in sides else "left_censored"
    return (status, None, None, None, above / below)


def _number(onset: Mapping[str, object], part: str) -> float | None:
    number = onset[part]
    return float(number) if isinstance(number, int | float) else None


def _reach(above: float, end: float | None, below: float, other: float | None) -> float | None:
    """Return by which factor the interval reaches beyond the ratio; None where it is open."""
    if end is None or other is None:
        return None
    return math.exp(math.hypot(math.log(end / above), math.log(other / below)))
