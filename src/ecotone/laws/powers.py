"""The power law of onsets in several factors at once: log tau = a + Σ_f gamma_f · log f."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from ecotone.core.errors import DataError
from ecotone.core.readings import Reading
from ecotone.laws.censored import aicc, exponential
from ecotone.laws.joint import JointFit, fit_terms, turned
from ecotone.laws.terms import terms

__all__ = ["PowerLaws", "fit_powers"]


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """tau = prefactor · Π_f f^gamma_f, with log-normal scatter from run to run.

    Args:
        onset: "tau_mem" or "tau_gen".
        factors: it was asked to hold.
        runs: how many took part, censored ones included.
        observed: how many of them are not censored.
        exponents: gamma_f with its interval, by factor; those in ``unknown`` are absent.
        unknown: why a factor's exponent cannot be told.
        scatter: standard deviation of log tau about the law; None where it could not be fitted.
        log_likelihood: of log tau at the maximum; None likewise.
        aicc: Akaike's corrected criterion; None also where there are too few runs for it.
        reason: why there is no fit; None where there is one.
    """

    onset: str
    factors: tuple[str, ...]
    runs: int
    observed: int
    exponents: Mapping[str, Reading]
    unknown: Mapping[str, str]
    scatter: float | None = None
    log_likelihood: float | None = None
    aicc: float | None = None
    reason: str | None = None
    _fit: JointFit | None = None

    def predict(self, point: Mapping[str, float], *, new_run: bool = False) -> Reading | None:
        """Return the onset in steps where each factor has a value, with its interval.

        Args:
            point: a positive number for every factor.
            new_run: False for the law's median onset; True for where a single new run will turn.

        Returns:
            None where there is no law, or one of its exponents is unknown.

        Raises:
            ValueError: for a factor that is missing or not positive.
        """
        for factor in self.factors:
            if not point.get(factor, 0.0) > 0:
                raise ValueError(f"{factor} = {point.get(factor)} has no place on a log axis")
        if self._fit is None or self.unknown:
            return None
        weights = {"": 1.0, **{factor: math.log(point[factor]) for factor in self.factors}}
        told = self._fit.combine(weights, scatter=new_run)
        if told is None:
            return None
        middle, half = told
        return exponential(middle, middle - half, middle + half, n=self.runs, new_run=new_run)


def fit_powers(
    onsets: pl.DataFrame, *, factors: Sequence[str], onset: str = "tau_mem"
) -> PowerLaws:
    """Fit log tau = a + Σ_f gamma_f·log f + s·e over several numeric factors at once.

    With one factor this is :func:`ecotone.laws.fit_power`. Factors that are not named are not held
    fixed: runs that differ in them are taken as replicates, so filter the table first. Leave out
    runs that a stopping policy ended: they were stopped because they were about to turn, so that
    "later than this" is not all that is known of them.

    Args:
        onsets: as :func:`ecotone.laws.onsets` gives it; seeds are replicates.
        factors: numeric ones, such as ``n``, ``training.batch_size``, ``training.learning_rate``.
        onset: "tau_mem" or "tau_gen".

    Returns:
        The law. A factor that has one value, or changes together with others, has no exponent and
        its reason in ``unknown``; too few runs leave a ``reason`` and no exponent.

    Raises:
        DataError: for a factor that is missing, named twice, or not of positive numbers.

    >>> table = pl.DataFrame({
    ...     "n": [16, 64, 16, 64, 16], "training.batch_size": [4, 4, 16, 16, 16],
    ...     "seed": [0, 0, 0, 0, 1], "onset": ["tau_mem"] * 5, "status": ["observed"] * 5,
    ...     "value": [400.0, 1600.0, 200.0, 800.0, 210.0], "bound": [None] * 5,
    ... }, schema_overrides={"bound": pl.Float64})
    >>> law = fit_powers(table, factors=["n", "training.batch_size"])
    >>> {factor: round(exponent.value, 2) for factor, exponent in law.exponents.items()}
    {'n': 0.99, 'training.batch_size': -0.49}
    >>> fit_powers(table.head(2), factors=["n"]).reason
    'too few runs: 2 of 2 runs turned between two measured steps, and 3 are needed'
    """
    rows, runs = turned(onsets, onset)
    names = tuple(factors)
    if not names or len(set(names)) < len(names):
        raise DataError(f"factors {list(names)} must be one or more, each named once")
    columns = terms(rows, names, runs.side == 0)
    for name in names:
        if not rows.schema[name].is_numeric() or any(
            one.factor == name and one.level is not None for one in columns
        ):
            raise DataError(
                f"the factor {name!r} does not hold positive numbers",
                hint="give numeric factors; `effects` also takes others",
            )
    fit = fit_terms(columns, runs.log_tau, runs)
    unknown = {name: why for name, why in fit.unknown.items() if name in names}
    if fit.reason is not None:
        return PowerLaws(
            onset, names, fit.runs, fit.observed, MappingProxyType({}), unknown, reason=fit.reason
        )
    told = {name: fit.exponent({name: 1.0}) for name in names if name not in unknown}
    return PowerLaws(
        onset,
        names,
        fit.runs,
        fit.observed,
        MappingProxyType({name: one for name, one in told.items() if one is not None}),
        MappingProxyType(unknown),
        fit.scatter,
        fit.log_likelihood,
        aicc(fit.log_likelihood, fit.runs, fit.parameters),
        _fit=fit,
    )
