"""On which clock the onsets of different batch sizes fall together: steps, epochs, images seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from ecotone.core.readings import Reading
from ecotone.laws.joint import fit_terms, turned
from ecotone.laws.terms import terms, varying
from ecotone.laws.units import CLOCKS, Clock, batch_factors, per_step, unstopped

__all__ = ["ClockFit", "Clocks", "PreferredClock", "clocks"]

PreferredClock = Literal["steps", "epochs", "images", "epochs or images", "none", "too few to tell"]
"""On which clock onsets do not depend on batch size. "epochs or images": on both, and the training
sets' sizes do not tell the two apart."""

BATCH = "batch_size"


@dataclass(frozen=True, eq=False)
class ClockFit:
    """How an onset counted on one clock depends on batch size, and on the size of the set.

    Args:
        clock: "steps", "epochs" or "images".
        batch: exponent in batch size, the other factors taken out; None where it cannot be told.
        n: exponent in the training set's size, likewise.
    """

    clock: Clock
    batch: Reading | None
    n: Reading | None


@dataclass(frozen=True, eq=False)
class Clocks:
    """The clocks side by side.

    Args:
        onset: "tau_mem" or "tau_gen".
        preferred: the clock on which batch size does not matter, or why there is none.
        runs: how many took part, censored ones included.
        observed: how many of them are not censored.
        taken_out: the other factors whose effects were fitted alongside.
        fits: one a clock, in the order steps, epochs, images.
        reason: why the exponents are None; None where they are not.
    """

    onset: str
    preferred: PreferredClock
    runs: int
    observed: int
    taken_out: tuple[str, ...]
    fits: tuple[ClockFit, ...]
    reason: str | None = None


def clocks(
    onsets: pl.DataFrame,
    runs: pl.DataFrame,
    *,
    onset: str = "tau_mem",
    take_out: Sequence[str] | None = None,
) -> Clocks:
    """Return which clock makes the onsets of different batch sizes fall together.

    On each clock log tau = a + gamma_B·log(batch size) + Σ_f gamma_f·log f + s·e is fitted to all
    runs, censored ones included (:func:`ecotone.laws.fit_powers`; factors that are not positive
    numbers enter as levels). The clocks are shifts of one another: on epochs and on images
    gamma_B is larger by 1 than on steps, and on epochs gamma_n is smaller by 1. So batch size can
    tell steps from the other two, and n those from each other.

    The preferred clock is the one whose interval of gamma_B holds 0. Where the intervals of steps
    *and* of images hold it, the runs are too few to tell; where neither does, the answer is
    "none" (an onset between the two, such as gamma_B = −½ on steps). Between epochs and images
    the one whose interval of gamma_n alone holds 0 is preferred.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it; seeds are replicates.
        runs: as in runs.parquet, with ``batch_size``, ``status`` and ``n``. Runs with the status
            "stopped" are left out: a policy ended them because they were about to turn.
        onset: "tau_mem" or "tau_gen".
        take_out: factors besides batch size; all that vary where None.

    Raises:
        DataError: for a missing column or a run that is not listed.

    >>> n, batch = [64, 64, 256, 256] * 2, [8, 32, 8, 32] * 2
    >>> images = [640.0 * 1.1 ** (i % 3) * size / 64 for i, size in enumerate(n)]
    >>> lead = {"n": n, "training.batch_size": batch, "seed": [0] * 4 + [1] * 4}
    >>> steps = [seen / size for seen, size in zip(images, batch)]
    >>> told = {"onset": "tau_mem", "status": "observed", "value": pl.Series(steps), "bound": None}
    >>> table = pl.DataFrame(lead).with_columns(
    ...     pl.lit(value).alias(name) if name != "value" else value.alias(name)
    ...     for name, value in told.items()
    ... )
    >>> runs = pl.DataFrame({**lead, "status": ["finished"] * 8, "batch_size": batch})
    >>> found = clocks(table, runs)
    >>> found.preferred, round(found.fits[0].batch.value, 1)
    ('epochs', -1.0)
    """
    rows = unstopped(onsets, runs)
    copies = batch_factors(runs)
    chosen = varying(rows) if take_out is None else list(take_out)
    others = [factor for factor in chosen if factor not in copies]
    rows, given = turned(rows, onset)
    seen = given.side == 0
    columns = terms(rows, [BATCH, *others], seen)
    fits, told = [], None
    for clock in CLOCKS:
        unit = np.log(rows.select(per_step(clock).alias("unit"))["unit"].to_numpy())
        fit = fit_terms(columns, given.log_tau + unit, given)
        told = told or fit
        fits.append(ClockFit(clock, fit.exponent({BATCH: 1.0}), fit.exponent({"n": 1.0})))
    assert told is not None
    reason = told.reason
    if reason is None and BATCH in told.unknown:
        reason = f"batch size: {told.unknown[BATCH]}"
    return Clocks(
        onset, _prefer(fits), told.runs, told.observed, tuple(others), tuple(fits), reason
    )


def _prefer(fits: Sequence[ClockFit]) -> PreferredClock:
    by: Mapping[str, ClockFit] = {fit.clock: fit for fit in fits}
    holds = {clock: _holds(by[clock].batch) for clock in ("steps", "images")}
    if None in holds.values() or all(holds.values()):
        return "too few to tell"
    if holds["steps"]:
        return "steps"
    if not holds["images"]:
        return "none"
    in_epochs, in_images = _holds(by["epochs"].n), _holds(by["images"].n)
    if in_epochs == in_images:
        return "epochs or images"
    return "epochs" if in_epochs else "images"


def _holds(exponent: Reading | None) -> bool | None:
    """Return whether an interval holds 0; None without one."""
    if exponent is None or exponent.low is None or exponent.high is None:
        return None
    return exponent.low <= 0 <= exponent.high
