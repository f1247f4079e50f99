"""Onsets, and the laws they follow, in the form in which the page draws and tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from ecotone.core.readings import Reading
from ecotone.laws import PowerLaw, SaturatingLaw, ScalingLaw, fit_law, onsets
from ecotone.report.study import Condition, Study
from ecotone.report.text import clean, interval, number

__all__ = ["Findings", "Kind", "Law", "LawPoint", "Onset", "find", "find_onsets"]

Kind = Literal["memorizing", "generalizing"]

KINDS: Mapping[str, Kind] = {"tau_mem": "memorizing", "tau_gen": "generalizing"}
SYMBOLS: Mapping[Kind, str] = {"memorizing": "τ_mem", "generalizing": "τ_gen"}


@dataclass(frozen=True)
class Onset:
    """When one run turned.

    Args:
        kind: what it turned to.
        run: identity of the run.
        n: size of its training set.
        level: of the factor that lines stand for.
        name: level and seed as told to a reader.
        seed: of the run.
        value: the step; None where it lies beyond a bound.
        low: lower end of its interval; None where open or unknown.
        high: upper end likewise.
        bound: the step it lies beyond; None where the value is known.
        before: whether it lies before the bound, not after it.
    """

    kind: Kind
    run: str
    n: int
    level: Any
    name: str
    seed: int
    value: float | None
    low: float | None
    high: float | None
    bound: float | None
    before: bool = False

    @property
    def place(self) -> float:
        """The step to draw it at: its value, or its bound."""
        return self.value if self.value is not None else float(self.bound or 0.0)

    @property
    def said(self) -> str:
        """The onset in steps as a table says it."""
        if self.value is None:
            return f"{'before' if self.before else 'not within'} {number(self.place)}"
        if self.low is None and self.high is not None:
            return f"{number(self.value)} (up to {number(self.high)})"
        if self.high is None and self.low is not None:
            return f"{number(self.value)} (from {number(self.low)})"
        return interval(self.value, self.low, self.high)

    @property
    def told(self) -> str:
        """The onset as its point tells it."""
        sign = "" if self.value is None else "= "
        return f"{self.name}: {SYMBOLS[self.kind]} {sign}{self.said} steps"


@dataclass(frozen=True)
class LawPoint:
    """A law's onset in steps at one size, with its interval."""

    n: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Law:
    """One form of law fitted to one kind of onset under one condition."""

    kind: Kind
    form: Literal["power", "saturating"]
    exponent: Reading | None
    curve: tuple[LawPoint, ...]


@dataclass(frozen=True)
class Findings:
    """Onsets and laws under one condition.

    Args:
        condition: the other factors' values.
        onsets: of its runs.
        laws: fitted to them; empty where the training-set size does not vary.
        sentences: what the laws say, in words.
    """

    condition: Condition
    onsets: tuple[Onset, ...]
    laws: tuple[Law, ...]
    sentences: tuple[str, ...]

    def of(self, kind: Kind) -> list[Onset]:
        """Return the onsets of one kind."""
        return [onset for onset in self.onsets if onset.kind == kind]

    def power(self, kind: Kind) -> Law | None:
        """Return the power law of one kind of onset, where one could be fitted."""
        return next((one for one in self.laws if (one.kind, one.form) == (kind, "power")), None)


def find_onsets(study: Study) -> pl.DataFrame:
    """Return when each run turned, as :func:`ecotone.laws.onsets` gives it."""
    return onsets(study.results, study.runs)


def find(study: Study, table: pl.DataFrame | None = None) -> tuple[Findings, ...]:
    """Find every run's onsets, and the laws they follow where training-set size varies.

    Args:
        study: as read.
        table: of :func:`find_onsets`, where it is known already.
    """
    keys = [*study.factors, "seed"]
    table = find_onsets(study) if table is None else table
    table = table.join(study.runs.select(*keys, "run"), on=keys, nulls_equal=True).sort(keys)
    fitted: list[ScalingLaw] = []
    if study.axis == "n" and table["n"].n_unique() > 1:
        # Which run a row belongs to is no factor.
        plain = table.drop("run")
        for name in KINDS:
            fitted += fit_law(plain, x="n", onset=name)
    found = []
    for condition in study.conditions:
        sizes = condition.of(study.runs)["n"].unique().sort().to_list()
        own = [law for law in fitted if _same(law.group, condition.values)]
        several = condition.of(study.runs)["seed"].n_unique() > 1
        found.append(
            Findings(
                condition,
                tuple(
                    _onset(row, study.axis, several)
                    for row in condition.of(table).iter_rows(named=True)
                ),
                tuple(drawn for law in own for drawn in _laws(law, sizes)),
                tuple(sentence for law in own for sentence in _sentences(law)),
            )
        )
    return tuple(found)


def _onset(row: Mapping[str, Any], axis: str, several: bool) -> Onset:
    seed = f", seed {row['seed']}" if several else ""
    return Onset(
        kind=KINDS[row["onset"]],
        run=row["run"],
        n=row["n"],
        level=row[axis],
        name=f"{clean(axis)} = {clean(row[axis])}{seed}",
        seed=row["seed"],
        value=row["value"],
        low=row["low"],
        high=row["high"],
        bound=row["bound"],
        before=row["status"] == "left_censored",
    )


def _same(group: Mapping[str, object], values: Mapping[str, Any]) -> bool:
    return all(group[name] == value for name, value in values.items())


def _laws(law: ScalingLaw, sizes: Sequence[int]) -> list[Law]:
    """Return what of a law can be drawn."""
    kind = KINDS[law.onset]
    grid = np.geomspace(sizes[0] / 1.12, sizes[-1] * 1.12, 41)
    drawn = []
    if law.power.reason is None:
        drawn.append(Law(kind, "power", law.power.exponent, _curve(law.power, grid)))
    if law.saturating.reason is None:
        drawn.append(Law(kind, "saturating", None, _curve(law.saturating, grid)))
    return [one for one in drawn if one.curve]


def _curve(
    law: PowerLaw | SaturatingLaw, grid: Sequence[float] | np.ndarray
) -> tuple[LawPoint, ...]:
    at = [(float(n), law.predict(float(n))) for n in grid]
    return tuple(LawPoint(n, one.value, one.low, one.high) for n, one in at if one is not None)


def _sentences(law: ScalingLaw) -> list[str]:
    """Return what the two forms say of one onset, and which of them the runs speak for."""
    symbol = SYMBOLS[KINDS[law.onset]]
    power, saturating = law.power, law.saturating
    if power.exponent is None:
        return [f"{symbol}: no law can be fitted ({power.reason})."]
    runs = _runs(power.runs, power.observed)
    said = [f"{symbol} ∝ n^γ with γ = {exponent(power.exponent)}, from {runs}."]
    limit = saturating.tau_limit
    if saturating.reason is not None:
        said.append(f"The saturating form 1/{symbol} = α + β/n has no fit ({saturating.reason}).")
    elif limit is None:
        said.append(f"The saturating form 1/{symbol} = α + β/n sees no levelling off at all.")
    elif limit.high is None:
        least = limit.how.get("low")
        floor = ""
        if isinstance(least, float) and least >= 1:
            floor = f", {number(least)} or more"
        said.append(
            f"In the saturating form 1/{symbol} = α + β/n it would level off at "
            f"{number(limit.value)} steps{floor}; no levelling off at all is not excluded."
        )
    else:
        steps = interval(limit.value, limit.low, limit.high)
        said.append(f"In the saturating form 1/{symbol} = α + β/n it levels off at {steps} steps.")
    said.append(
        {
            "power": "The runs speak for the power law.",
            "saturating": "The runs speak for the saturating form.",
            "neither": "The runs do not tell the two forms apart.",
            "too few to tell": "There are too few runs to tell the two forms apart.",
        }[law.preferred]
    )
    return [" ".join(said)]


def exponent(reading: Reading) -> str:
    """Return an exponent with its interval.

    >>> exponent(Reading(1.0374, n=4, unit="exponent", higher_is="neither", low=0.852, high=1.222))
    '1.04 (95 % interval 0.85 to 1.22)'
    """
    if reading.low is None or reading.high is None:
        return _decimals(reading.value)
    return (
        f"{_decimals(reading.value)} ({reading.level:.0%}".replace("%", " % interval ")
        + f"{_decimals(reading.low)} to {_decimals(reading.high)})"
    )


def _decimals(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _runs(total: int, observed: int) -> str:
    beyond = total - observed
    if not beyond:
        return f"{total} runs"
    return f"{total} runs, {beyond} of them known only to lie beyond a bound"
