"""How an onset grows along a factor, read off a table of onsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from ecotone.core.errors import DataError, nearest
from ecotone.laws.power import PowerLaw, fit_power
from ecotone.laws.saturating import SaturatingLaw, fit_saturating
from ecotone.laws.tables import factors

__all__ = ["Preference", "ScalingLaw", "fit_law", "prefer"]

Preference = Literal["power", "saturating", "neither", "too few to tell"]
"""Which of two laws the runs speak for."""

CLEAR = 2.0


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    """Both laws of one onset along one factor, the other factors held fixed.

    Args:
        onset: "tau_mem" or "tau_gen".
        x: the factor.
        group: the other factors' values.
        power: log tau = a + gamma · log x.
        saturating: 1/tau = alpha + beta/x.
        preferred: see :func:`prefer`.
    """

    onset: str
    x: str
    group: Mapping[str, object]
    power: PowerLaw
    saturating: SaturatingLaw
    preferred: Preference


def prefer(power: PowerLaw, saturating: SaturatingLaw) -> Preference:
    """Return the law with the smaller AICc, both fitted to the same runs.

    Criteria less than 2 apart do not tell two models apart (Burnham & Anderson 2002, §2.6):
    "neither". With fewer than 5 runs AICc has no value: "too few to tell".

    >>> few = ([16, 32, 64], [90, 210, 380], ["observed"] * 3)
    >>> prefer(fit_power(*few), fit_saturating(*few))
    'too few to tell'
    """
    if power.aicc is None or saturating.aicc is None:
        return "too few to tell"
    if abs(power.aicc - saturating.aicc) < CLEAR:
        return "neither"
    return "power" if power.aicc < saturating.aicc else "saturating"


def fit_law(
    onsets: pl.DataFrame,
    *,
    x: str = "n",
    onset: str = "tau_mem",
    by: Sequence[str] | None = None,
) -> tuple[ScalingLaw, ...]:
    """Fit both laws to a table of onsets, one group of runs at a time.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it; seeds are replicates.
        x: the numeric factor along which the onset grows.
        onset: "tau_mem" or "tau_gen".
        by: factors to hold fixed; every factor but x where None. Runs that differ in a factor
            left out are taken as replicates.

    Returns:
        One result a group, in order of the groups' values; none where the table has no such onset.

    Raises:
        DataError: for a column that is missing or, for x, not numeric and positive.

    >>> table = pl.DataFrame({
    ...     "n": [16, 32, 64, 128], "seed": [0] * 4, "onset": ["tau_mem"] * 4,
    ...     "status": ["observed"] * 3 + ["right_censored"],
    ...     "value": [90.0, 210.0, 380.0, None], "bound": [None, None, None, 500.0],
    ... })
    >>> (law,) = fit_law(table)
    >>> round(law.power.exponent.value, 2), law.preferred
    (1.04, 'too few to tell')
    """
    known = factors(onsets)
    by = [factor for factor in known if factor != x] if by is None else list(by)
    for column in (x, *by):
        if column not in known:
            raise DataError(
                f"the table of onsets has no factor {column!r}", hint=nearest(column, known)
            )
    for column in ("onset", "status", "value", "bound"):
        if column not in onsets.columns:
            raise DataError(f"the table of onsets has no column {column!r}")
    if not onsets.schema[x].is_numeric():
        raise DataError(
            f"the factor {x!r} holds {onsets.schema[x]}, not numbers", hint="give another x"
        )
    rows = onsets.filter(pl.col("onset") == onset).sort(*by, x, "seed", maintain_order=True)
    groups = rows.partition_by(by, as_dict=True, maintain_order=True) if by else {(): rows}
    laws = []
    for key, runs in groups.items():
        if runs.is_empty():
            continue
        given = (
            runs[x].cast(pl.Float64).to_numpy(),
            runs.select(pl.coalesce("value", "bound")).to_series().to_numpy(),
            runs["status"].to_list(),
        )
        power, saturating = fit_power(*given), fit_saturating(*given)
        group = dict(zip(by, key, strict=True))
        laws.append(ScalingLaw(onset, x, group, power, saturating, prefer(power, saturating)))
    return tuple(laws)
