"""Curves by training step, and where they cross a threshold."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from ecotone.core.errors import DataError

__all__ = ["first_rise", "measured", "plateau", "shares", "standard_errors"]


def measured(rows: pl.DataFrame, needed: tuple[str, ...]) -> pl.DataFrame:
    """Return the usable rows in order of step."""
    for column in ("step", "value", *needed):
        if column not in rows.columns:
            raise DataError(f"the curve has no column {column!r}", hint=f"it has {rows.columns}")
    usable = pl.col("value").cast(pl.Float64).is_finite() & (pl.col("step") > 0)
    for column in needed:
        usable &= pl.col(column) > 0
    kept = rows.with_columns(pl.col("value").cast(pl.Float64)).filter(usable).sort("step")
    twice = kept["step"].filter(kept["step"].is_duplicated())
    if len(twice):
        raise DataError(
            f"step {twice[0]} has more than one row",
            hint="give the rows of one measure of one run",
        )
    return kept


def shares(
    rows: pl.DataFrame,
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"], Int[np.ndarray, " steps"]]:
    """Return steps, shares and numbers of samples."""
    share = rows["value"].to_numpy()
    wrong = share[(share < 0) | (share > 1)]
    if wrong.size:
        raise DataError(f"a share of {wrong[0]} is outside [0, 1]")
    return (
        rows["step"].to_numpy().astype(np.float64),
        share,
        rows["samples"].cast(pl.Int64).to_numpy(),
    )


def standard_errors(rows: pl.DataFrame, z: float) -> Float[np.ndarray, " steps"] | None:
    """Return the rows' standard errors, or None where any has no interval."""
    if not {"low", "high"} <= set(rows.columns):
        return None
    width = (rows["high"].cast(pl.Float64) - rows["low"].cast(pl.Float64)).to_numpy()
    return width / (2 * z) if np.isfinite(width).all() else None


def plateau(
    values: Float[np.ndarray, " steps"],
    lowest: int,
    error: Float[np.ndarray, " steps"] | None,
    z: float,
) -> float:
    """Return the mean of the values around the lowest that noise cannot tell from it."""
    if error is None:
        return float(values[lowest])
    apart = values - values[lowest] > z * np.hypot(error, error[lowest])
    before, after = np.flatnonzero(apart[:lowest]), np.flatnonzero(apart[lowest:])
    start = before[-1] + 1 if before.size else 0
    stop = lowest + after[0] if after.size else len(values)
    return float(values[start:stop].mean())


def first_rise(
    fits: Float[np.ndarray, "curves steps"],
    thresholds: Float[np.ndarray, " curves"],
    log_step: Float[np.ndarray, " steps"],
    *,
    between: Float[np.ndarray, " curves"] | None = None,
) -> Float[np.ndarray, " curves"]:
    """Return the log step at which each non-decreasing curve reaches its threshold.

    Args:
        fits: the curves.
        thresholds: one a curve.
        log_step: of the columns.
        between: where between the two steps, 0 to 1; by linear interpolation where None.

    Returns:
        −∞ where it is reached at the first step already, +∞ where it never is.
    """
    reached = fits >= thresholds[:, None]
    after = np.maximum(reached.argmax(axis=1), 1)
    curve = np.arange(len(fits))
    if between is None:
        below, above = fits[curve, after - 1], fits[curve, after]
        rise = np.where(above > below, above - below, 1.0)  # equal only where nothing is crossed
        between = (thresholds - below) / rise
    crossing = log_step[after - 1] + between * (log_step[after] - log_step[after - 1])
    crossing[reached[:, 0]] = -math.inf
    crossing[~reached[:, -1]] = math.inf
    return crossing
