"""How the distances to the training and the original density change where P(Δ > 0) passes a half.

P(Δ > 0) with Δ = E_TG − E_OG says only which distance is larger. It can rise because E_TG rises,
because E_OG falls, or while both fall; the scenarios tell these apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float

from ecotone.core.errors import DataError
from ecotone.core.intervals import mean_interval
from ecotone.laws.positive import Passage, passes_up

__all__ = ["MARGIN", "Scenario", "Slope", "Verdict", "paired", "scenario"]

Verdict = Literal[
    "memorization degrades, generalization improves",
    "memorization degrades, generalization does not improve",
    "both fall, E_OG faster",
    "both fall, E_TG faster",
    "both fall alike",
    "both rise alike",
    "both change alike",
    "none of these",
    "no crossing",
    "cannot tell",
]
"""The first three are the scenarios told apart in "On the onset of memorization to generalization
transition in diffusion models". "Alike" means that the paired difference of the slopes is flat:
what both distances share moves them, which speaks for none of the three. "Both change alike" leaves
open which way, or holds where neither changes."""

Direction = Literal["rises", "falls", "flat", "open"]

MARGIN = 0.1
"""|d ln E / d ln n| below which E counts as flat: doubling n changes it by less than 7 %."""

WINDOW = 3
"""How many sizes around the crossing the slopes are fitted over, at least."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope d(ln E)/d(ln n), mean over replicates, with Student's interval.

    Args:
        value: mean of the replicates' own slopes.
        low: lower end of the interval; None for a single replicate.
        high: upper end, likewise.
        replicates: how many.
    """

    value: float
    low: float | None
    high: float | None
    replicates: int

    def direction(self, margin: float = MARGIN) -> Direction:
        """Return which way it goes, as far as its interval decides.

        ``"flat"`` needs the whole interval within the margin; ``"open"`` means undecided.

        >>> Slope(0.02, -0.01, 0.05, 100).direction(), Slope(0.02, -0.5, 0.54, 3).direction()
        ('flat', 'open')
        """
        if self.low is None or self.high is None:
            return "open"
        if -margin <= self.low and self.high <= margin:
            return "flat"
        if self.low > 0:
            return "rises"
        return "falls" if self.high < 0 else "open"


@dataclass(frozen=True)
class Scenario:
    """What E_TG and E_OG do around the size at which P(Δ > 0) passes a half.

    Args:
        verdict: which scenario, or why none.
        reason: in words, where it cannot be told; else empty.
        crossing: where P(Δ > 0) passes a half.
        window: the sizes the slopes are fitted over; all usable ones where nothing is crossed.
        training: slope of ln E_TG; None where it cannot be had.
        original: slope of ln E_OG, likewise.
        difference: slope of ln E_TG − ln E_OG from paired values; positive where E_OG falls faster.
        margin: within which a slope counts as flat.
    """

    verdict: Verdict
    reason: str
    crossing: Passage
    window: tuple[float, ...]
    training: Slope | None
    original: Slope | None
    difference: Slope | None
    margin: float


def paired(
    table: pl.DataFrame,
    *,
    sign: str,
    training: str,
    original: str,
    x: str = "n",
    unit: str = "replicate",
) -> pl.DataFrame:
    """Return a long table of one condition with one row a size and replicate.

    Args:
        table: columns ``x``, ``unit``, ``measure``, ``value``; a row each.
        sign: measure whose sign is that of Δ.
        training: measure of the distance to the training density, in logarithms.
        original: the same to the original density.
        x: column of sizes.
        unit: column that tells repetitions apart.

    Returns:
        Columns ``x``, ``unit``, ``positive`` (1, ½ for a tie, 0), ``training``, ``original``; null
        where a measure has no row.

    Raises:
        DataError: where one size, repetition and measure has two rows.

    >>> rows = {"n": [8, 8], "replicate": [0, 0], "measure": ["sign", "e"], "value": [-1.0, 2.0]}
    >>> paired(pl.DataFrame(rows), sign="sign", training="e", original="f").row(0)
    (8, 0, 0.0, 2.0, None)
    """
    keys = [x, unit]
    rows = table.select(*keys, "measure", "value").filter(
        pl.col("measure").is_in([sign, training, original])
    )
    if rows.select(*keys, "measure").is_duplicated().any():
        raise DataError(
            f"a measure has two rows for one {x} and {unit}",
            hint="give the rows of one combination of the other factors",
        )
    wide = rows.select(keys).unique()
    for name, measure in (("positive", sign), ("training", training), ("original", original)):
        own = rows.filter(measure=measure).select(*keys, pl.col("value").cast(pl.Float64))
        wide = wide.join(own.rename({"value": name}), on=keys, how="left")
    ties = pl.when(pl.col("positive").is_null()).then(None).otherwise(0.5)
    return wide.with_columns(
        pl.when(pl.col("positive") > 0)
        .then(1.0)
        .when(pl.col("positive") < 0)
        .then(0.0)
        .otherwise(ties)
        .alias("positive")
    ).sort(keys)


def scenario(
    samples: pl.DataFrame,
    *,
    x: str = "n",
    unit: str = "replicate",
    margin: float = MARGIN,
    window: int = WINDOW,
    level: float = 0.95,
    seed: int = 0,
) -> Scenario:
    """Decide which scenario the rise of P(Δ > 0) belongs to.

    The crossing is where P(Δ > 0) passes ½ (:func:`ecotone.laws.positive.passes_up`). Over the
    nearest ``window`` sizes in log n, and all others within the crossing's interval, each
    replicate's slopes of ln E_TG, ln E_OG and of their paired difference against ln n are fitted
    by least squares. Their intervals are Student's over replicates, which may share noise between
    sizes (nested training sets) but not among themselves. To judge overlaps c, the only part of
    E that depends on the set it is measured to, give −ln c in place of ln E.

    Args:
        samples: as :func:`paired` returns them.
        x: column of sizes.
        unit: column of replicates (or seeds).
        margin: |slope| within which a quantity counts as flat, and two as alike.
        window: sizes around the crossing, 3 or more.
        level: coverage of the intervals.
        seed: of the crossing's bootstrap.

    Raises:
        DataError: for a missing column, or where no Δ is known.
        ValueError: for a window below 3 or a margin that is not positive.

    >>> rows = [
    ...     (n, r, float(n > 30 + r), 0.5 * math.log(n) + 0.01 * r * k, -math.log(n) + 0.02 * r)
    ...     for k, n in enumerate((10, 20, 40, 80))
    ...     for r in range(5)
    ... ]
    >>> names = ["n", "replicate", "positive", "training", "original"]
    >>> scenario(pl.DataFrame(rows, schema=names, orient="row")).verdict
    'memorization degrades, generalization improves'
    """
    if window < WINDOW or margin <= 0:
        raise ValueError(f"window={window} must be {WINDOW} or more and margin={margin} positive")
    for column in (x, unit, "positive", "training", "original"):
        if column not in samples.columns:
            raise DataError(
                f"the samples have no column {column!r}", hint=f"they have {samples.columns}"
            )
    shares = (
        samples.filter(pl.col("positive").is_not_null())
        .group_by(x)
        .agg(pl.col("positive").mean(), pl.len().alias("trials"))
        .sort(x)
    )
    if shares.is_empty():
        raise DataError("no sign of Δ is known", hint="give rows whose 'positive' is not null")
    crossing = passes_up(
        shares[x].to_numpy(),
        shares["positive"].to_numpy(),
        shares["trials"].to_numpy(),
        level=level,
        seed=seed,
    )
    sizes = _usable(samples, x)
    chosen = _window(sizes, crossing, window)
    slopes = _slopes(samples, x, unit, chosen, level) if len(chosen) >= WINDOW else None

    def decided(verdict: Verdict, reason: str = "") -> Scenario:
        three = slopes or (None, None, None)
        return Scenario(verdict, reason, crossing, tuple(chosen), *three, margin)

    if crossing.value is None:
        side = "above" if crossing.status == "left_censored" else "below"
        return decided("no crossing", f"P(Δ > 0) stays {side} ½ at all measured sizes")
    if len(chosen) < WINDOW:
        told = f"{len(sizes)} sizes have finite E_TG and E_OG, and {WINDOW} are needed"
        return decided("cannot tell", told)
    if slopes is None:
        return decided("cannot tell", "fewer than 2 replicates were read at every size near it")
    return decided(*_verdict(*slopes, margin))


def _verdict(
    training: Slope, original: Slope, difference: Slope, margin: float
) -> tuple[Verdict, str]:
    """Return the scenario that three slopes make."""
    t, o, apart = (slope.direction(margin) for slope in (training, original, difference))
    if t == o and apart == "flat":
        # What both share moves them: that speaks for neither scenario, whichever way it goes.
        if t == "rises":
            return "both rise alike", ""
        return ("both fall alike" if t == "falls" else "both change alike"), ""
    if t == "rises" and o == "falls":
        return "memorization degrades, generalization improves", ""
    if t == "rises" and o in {"flat", "rises"}:
        return "memorization degrades, generalization does not improve", ""
    if t == o == "falls":
        if apart == "rises":
            return "both fall, E_OG faster", ""
        if apart == "falls":
            return "both fall, E_TG faster", ""
    if "open" in {t, o, apart}:
        names = ("the slope of E_TG", t), ("the slope of E_OG", o), ("their difference", apart)
        undecided = [name for name, way in names if way == "open"]
        return "cannot tell", f"the interval of {' and of '.join(undecided)} leaves it open"
    told = {"rises": "rises", "falls": "falls", "flat": "is flat", "open": ""}
    return "none of these", f"E_TG {told[t]} and E_OG {told[o]}"


def _usable(samples: pl.DataFrame, x: str) -> list[float]:
    """Return the sizes at which two replicates or more have both distances."""
    known = samples.filter(
        pl.col("training").is_finite() & pl.col("original").is_finite() & (pl.col(x) > 0)
    )
    counts = known.group_by(x).len().filter(pl.col("len") >= 2)
    return [float(size) for size in counts[x].sort().to_list()]


def _window(sizes: Sequence[float], crossing: Passage, least: int) -> list[float]:
    """Return the sizes nearest to the crossing, and all within its interval."""
    if crossing.value is None:
        return list(sizes)
    middle = math.log(crossing.value)
    nearest = sorted(sizes, key=lambda size: (abs(math.log(size) - middle), size))[:least]
    low, high = crossing.low or crossing.value, crossing.high or crossing.value
    return [size for size in sizes if size in nearest or low <= size <= high]


def _slopes(
    samples: pl.DataFrame, x: str, unit: str, window: Sequence[float], level: float
) -> tuple[Slope, Slope, Slope] | None:
    """Return the slopes of ln E_TG, of ln E_OG and of their difference; None for one replicate."""
    inside = samples.filter(
        pl.col(x).cast(pl.Float64).is_in(list(window))
        & pl.col("training").is_finite()
        & pl.col("original").is_finite()
    ).sort(unit, x)
    whole = inside.filter(pl.len().over(unit) == len(window))
    if whole.height < 2 * len(window):
        return None
    grid = np.log(np.asarray(window))
    centred = grid - grid.mean()
    rows = {
        name: whole[name].to_numpy().reshape(-1, len(window)) for name in ("training", "original")
    }
    # Their difference is subtracted value by value: what both share cancels.
    rows["difference"] = rows["training"] - rows["original"]
    each = {name: values @ centred / (centred @ centred) for name, values in rows.items()}
    return (
        _slope(each["training"], level),
        _slope(each["original"], level),
        _slope(each["difference"], level),
    )


def _slope(values: Float[np.ndarray, " replicates"], level: float) -> Slope:
    """Return the mean slope of replicates with its interval."""
    bounds = mean_interval(values, level=level) or (None, None)
    return Slope(float(values.mean()), *bounds, replicates=len(values))
