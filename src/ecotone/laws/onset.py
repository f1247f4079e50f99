"""When one run begins to copy, and when it has learned to generalize."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from scipy.special import ndtri

from ecotone.core.errors import DataError
from ecotone.core.seeds import generator
from ecotone.laws.crossing import first_rise, measured, plateau, shares, standard_errors

__all__ = ["Onset", "OnsetName", "Status", "tau_gen", "tau_mem"]

Status = Literal["observed", "right_censored", "left_censored"]
"""Whether the step is known, known to be later than a bound, or known to be earlier."""

OnsetName = Literal["tau_mem", "tau_gen"]

FEWEST_STEPS = 3


def _no_notes() -> Mapping[str, object]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Onset:
    """The training step at which a run turns, or the step it is censored at.

    Args:
        name: ``"tau_mem"`` (begins to copy) or ``"tau_gen"`` (has learned to generalize).
        status: ``"observed"``; ``"right_censored"``: later than ``bound``; ``"left_censored"``:
            at or before ``bound``.
        value: the step (a real number, between measured ones) where observed, else None.
        low: lower end of the interval in steps. None beside an observed value means that the
            interval is open to the left (earlier than the first measured step), unless
            ``how["interval"]`` is ``"none"``: then there is no interval at all.
        high: upper end, None likewise where it is open to the right: more than the tail's share
            of replicates never crossed.
        bound: the step it is censored at; None where observed.
        how: what was done to get it, by name.

    Raises:
        ValueError: for a value without "observed", a bound with it, or numbers out of order.

    >>> Onset("tau_mem", "right_censored", bound=5000.0).value is None
    True
    """

    name: OnsetName
    status: Status
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    how: Mapping[str, object] = field(default_factory=_no_notes)

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status={self.status!r} is not one of {get_args(Status)}")
        observed = self.status == "observed"
        if (self.value is not None) != observed or (self.bound is None) != observed:
            raise ValueError(f"{self.status} with value={self.value} and bound={self.bound}")
        if not observed and (self.low is not None or self.high is not None):
            raise ValueError("a censored onset has a bound, not an interval")
        if self.value is not None:
            low = self.value if self.low is None else self.low
            high = self.value if self.high is None else self.high
            if not 0 < low <= self.value <= high < math.inf:
                raise ValueError(f"{low} <= {self.value} <= {high} is out of order")
        object.__setattr__(self, "how", MappingProxyType(dict(self.how)))

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle.
        plain = (self.name, self.status, self.value, self.low, self.high, self.bound)
        return (Onset, (*plain, dict(self.how)))


def tau_mem(
    curve: pl.DataFrame,
    floor: pl.DataFrame,
    *,
    excess: float = 0.05,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Onset | None:
    """Return the training step at which the share of copies exceeds its floor by ``excess``.

    The shares p̂ = k/n by step are made non-decreasing (isotonic regression weighted by n, by
    pooling adjacent violators; Barlow et al. 1972) and the first crossing of floor + excess is
    found by linear interpolation in log step. The interval is the percentile interval of a
    parametric bootstrap: k* ~ Binomial(n, (k+½)/(n+1)) for every step and for the floor (Jeffreys'
    estimate: a share of 0 of n is in doubt too). Between the two measured steps that a replicate
    crosses between, the curve is known only to rise, so the replicate's crossing is drawn
    uniformly there (in log step); interpolation alone would hide that doubt where the share rises
    steeply. Replicates that never cross count as +∞, those above at the first step as −∞.

    The floor (the share of *held-out* images that the same rule calls copies) does not depend on
    the step: its rows are averaged by their samples, and their errors taken as one common error
    of the largest number of samples, since they come from the same held-out images.

    Args:
        curve: rows of one run with columns step, value (share in [0, 1]) and samples. Rows that
            are missing, not finite or at step 0 (log step has no place for it) are skipped.
        floor: rows of the same run, likewise. Without any the onset cannot be had.
        excess: share above the floor, in (0, 1).
        replicates: bootstrap replicates.
        level: coverage of the interval.
        seed: of the bootstrap.

    Returns:
        The onset in optimizer steps: right-censored at the last measured step where the share
        never crossed, left-censored at the first where it was above from the start; None where
        fewer than 3 steps, or no floor, were measured.

    Raises:
        DataError: for a share outside [0, 1], two rows for one step, or a missing column.
        ValueError: for ``excess`` outside (0, 1).

    >>> curve = pl.DataFrame(
    ...     {"step": [10, 100, 1000], "value": [0.0, 0.02, 0.2], "samples": [500, 500, 500]}
    ... )
    >>> floor = curve.head(1)
    >>> onset = tau_mem(curve, floor)
    >>> onset.status, round(onset.value)
    ('observed', 147)
    >>> tau_mem(curve, floor, excess=0.5).bound
    1000.0
    """
    if not 0 < excess < 1:
        raise ValueError(f"excess must lie between 0 and 1, not {excess}")
    rows, floor_rows = measured(curve, ("samples",)), measured(floor, ("samples",))
    if len(rows) < FEWEST_STEPS or floor_rows.is_empty():
        return None
    step, share, n = shares(rows)
    _, floor_shares, floor_counts = shares(floor_rows)
    floor_share = float(np.average(floor_shares, weights=floor_counts))
    floor_n = int(floor_counts.max())
    log_step = np.log(step)
    how: dict[str, object] = {
        "excess": excess,
        "floor": floor_share,
        "floor_samples": floor_n,
        "steps_measured": len(step),
    }
    fit = isotonic_regression(share, weights=n).x
    crossing = first_rise(fit[None], np.array([floor_share + excess]), log_step)[0]
    if not math.isfinite(crossing):
        return _censored("tau_mem", crossing, step, how)

    random = generator(seed, "onset", "tau_mem")
    copies = random.binomial(n, (share * n + 0.5) / (n + 1), size=(replicates, len(n)))
    doubtful_floor = random.binomial(
        floor_n, (floor_share * floor_n + 0.5) / (floor_n + 1), size=replicates
    )
    fits = np.stack([isotonic_regression(row, weights=n).x for row in copies / n])
    crossings = first_rise(
        fits, doubtful_floor / floor_n + excess, log_step, between=random.random(replicates)
    )
    return _observed("tau_mem", crossing, crossings, level, how | _bootstrapped(replicates, seed))


def tau_gen(
    curve: pl.DataFrame,
    *,
    tolerance: float = 0.10,
    finished: bool = True,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Onset | None:
    """Return the first training step at which the Fréchet distance is near its best.

    Near means at most (1 + tolerance) · best. The distance by step is made non-increasing up to
    its lowest measured value (isotonic regression; what comes after, where the distance rises
    again as copying begins, is not used), and the crossing found by linear interpolation in log
    step. The lowest of many noisy values is too low, so best is the mean of the unbroken stretch
    of steps around the lowest that noise cannot tell from it: values within z·sqrt(se² + se_min²),
    with se = (high − low)/(2z). The interval is the percentile interval of a bootstrap with normal
    noise of that size, each replicate's crossing drawn uniformly (in log step) between the
    measured steps it falls between, as in :func:`tau_mem`. Rows without an interval give no
    interval, and best is then the lowest value.

    A run whose lowest value is its last may not have reached its best. Where it came near that
    value only during the last doubling of the steps, it was still improving materially, and the
    onset is right-censored at the crossing: a lower best can only be reached later. Otherwise the
    curve has levelled off, the onset is observed, and ``how["best_at_last_step"]`` is True.

    Args:
        curve: rows of one run with columns step and value (0 or more), and low and high where
            known. Rows that are missing, not finite or at step 0 are skipped.
        tolerance: how near, relative to the best.
        finished: False for a run that was cut short: with its best at its last measured step it
            is right-censored, levelled off or not.
        replicates: bootstrap replicates.
        level: coverage of the interval, and of the rows' own intervals.
        seed: of the bootstrap.

    Returns:
        The onset in optimizer steps; left-censored at the first measured step where the distance
        was near its best from the start; None for fewer than 3 measured steps.

    Raises:
        DataError: for a negative distance, two rows for one step, or a missing column.
        ValueError: for a tolerance that is not positive.

    >>> curve = pl.DataFrame(
    ...     {"step": [10, 100, 1000, 10000], "value": [9.0, 1.4, 1.0, 1.7]}
    ... )
    >>> round(tau_gen(curve).value)
    562
    >>> tau_gen(curve.head(3)).status  # the last step may be on the way to something better
    'right_censored'
    """
    if tolerance <= 0:
        raise ValueError(f"tolerance must be positive, not {tolerance}")
    rows = measured(curve, ())
    if len(rows) < FEWEST_STEPS:
        return None
    step = rows["step"].cast(pl.Float64).to_numpy()
    value = rows["value"].to_numpy()
    if (value < 0).any():
        raise DataError(f"a Fréchet distance of {value.min()} is negative")
    z = float(ndtri(0.5 + level / 2))
    error = standard_errors(rows, z)
    log_step = np.log(step)

    fit, threshold, last = _descend(value, error, tolerance, z)
    crossing = first_rise(-fit[None], np.array([-threshold]), log_step)
    how: dict[str, object] = {
        "tolerance": tolerance,
        "threshold": threshold,
        "best_at_last_step": last,
        "steps_measured": len(step),
    }
    # Later than this it counts as still improving where the lowest value is the last.
    settled = log_step[-1] - math.log(2) if finished else -math.inf
    if last and crossing[0] >= settled:
        bound = max(float(np.exp(crossing[0])), step[0])
        how["note"] = "still improving at the last measured step: the bound is for the best so far"
        return Onset("tau_gen", "right_censored", bound=bound, how=how)
    if not math.isfinite(crossing[0]):
        return _censored("tau_gen", crossing[0], step, how)
    if error is None:
        value_in_steps = float(np.exp(crossing[0]))
        return Onset("tau_gen", "observed", value_in_steps, how=how | {"interval": "none"})

    random = generator(seed, "onset", "tau_gen")
    noisy = value + error * random.standard_normal((replicates, len(value)))
    turns = [_descend(row, error, tolerance, z) for row in np.maximum(noisy, 0)]
    crossings = first_rise(
        -np.stack([descent for descent, _, _ in turns]),
        -np.array([near for _, near, _ in turns]),
        log_step,
        between=random.random(replicates),
    )
    unsettled = np.array([ends for _, _, ends in turns]) & (crossings >= settled)
    crossings[unsettled] = math.inf
    how |= _bootstrapped(replicates, seed)
    return _observed("tau_gen", float(crossing[0]), crossings, level, how)


def _descend(
    values: Float[np.ndarray, " steps"],
    error: Float[np.ndarray, " steps"] | None,
    tolerance: float,
    z: float,
) -> tuple[Float[np.ndarray, " steps"], float, bool]:
    """Return the descent up to the lowest value, the level near it, and whether it is last."""
    lowest = int(np.argmin(values))
    descent = np.full(len(values), values[lowest])
    descent[: lowest + 1] = isotonic_regression(values[: lowest + 1], increasing=False).x
    best = plateau(values, lowest, error, z)
    return descent, (1 + tolerance) * best, lowest == len(values) - 1


def _bootstrapped(replicates: int, seed: int) -> dict[str, object]:
    return {"interval": "percentile bootstrap", "replicates": replicates, "seed": seed}


def _censored(
    name: OnsetName, crossing: float, step: Float[np.ndarray, " steps"], how: dict[str, object]
) -> Onset:
    if crossing > 0:
        return Onset(name, "right_censored", bound=float(step[-1]), how=how)
    return Onset(name, "left_censored", bound=float(step[0]), how=how)


def _observed(
    name: OnsetName,
    crossing: float,
    crossings: Float[np.ndarray, " replicates"],
    level: float,
    how: dict[str, object],
) -> Onset:
    # Order statistics, since nothing can be interpolated between a number and infinity; the
    # estimate is kept inside its interval.
    tail = (1 - level) / 2
    low = min(float(np.quantile(crossings, tail, method="lower")), crossing)
    high = max(float(np.quantile(crossings, 1 - tail, method="higher")), crossing)
    return Onset(
        name,
        "observed",
        value=math.exp(crossing),
        low=math.exp(low) if math.isfinite(low) else None,
        high=math.exp(high) if math.isfinite(high) else None,
        how=how
        | {
            "level": level,
            "never_crossed": float(np.mean(crossings == math.inf)),
            "crossed_from_start": float(np.mean(crossings == -math.inf)),
        },
    )
