"""Regression of log tau on several columns at once, some of which may not be told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from ecotone.core.readings import Reading
from ecotone.laws.censored import EXACT, FEWEST_OBSERVED, Runs, regress
from ecotone.laws.tables import need
from ecotone.laws.terms import Term

__all__ = ["JointFit", "fit_terms", "turned"]

_ROUNDING = 1e-8  # of columns of unit length, below which they count as dependent


@dataclass(frozen=True, eq=False)
class JointFit:
    """A regression of log tau on several columns, censored runs included.

    Args:
        runs: how many took part, censored ones included.
        observed: how many of them are not censored.
        unknown: by name, the columns whose coefficient cannot be told, and why.
        reason: why there is no fit at all; None where there is one.
        degrees_of_freedom: of Student's t.
        scatter: standard deviation of log tau about the law.
        log_likelihood: at the maximum.
        parameters: coefficients and scatter.
    """

    runs: int
    observed: int
    unknown: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    degrees_of_freedom: int = 0
    scatter: float = math.nan
    log_likelihood: float = math.nan
    parameters: int = 0
    _names: tuple[str, ...] = ()
    _centres: Mapping[str, float] = field(default_factory=dict)
    _coefficients: Float[np.ndarray, " columns"] | None = None
    _covariance: Float[np.ndarray, "columns columns"] | None = None

    @property
    def how(self) -> dict[str, object]:
        """What a reading made of this fit says of it."""
        return {
            "method": "least squares" if self.observed == self.runs else "Tobit maximum likelihood",
            "degrees_of_freedom": self.degrees_of_freedom,
            "observed": self.observed,
        }

    def combine(
        self, weights: Mapping[str, float], *, scatter: bool = False
    ) -> tuple[float, float] | None:
        """Return a sum of coefficients, each times its weight, and its interval's half width.

        Args:
            weights: by column; ``""`` is the intercept, the law where all columns are 0.
            scatter: whether the interval also holds the scatter from run to run.

        Returns:
            None where there is no fit, or a coefficient it needs is unknown.
        """
        if self._coefficients is None or self._covariance is None:
            return None
        # The intercept rests on every coefficient, those that cannot be told included.
        told = set(self._names) - set(self.unknown)
        needed = {*weights, *self._names} - {""} if "" in weights else set(weights)
        if not needed <= told:
            return None
        row = np.zeros(len(self._names) + 1)
        row[0] = weights.get("", 0.0)
        for place, name in enumerate(self._names, start=1):
            row[place] = weights.get(name, 0.0) - row[0] * self._centres[name]
        error = math.sqrt(max(0.0, float(row @ self._covariance @ row)))
        doubt = math.hypot(error, self.scatter if scatter else 0.0)
        quantile = float(stdtrit(self.degrees_of_freedom, 0.975))
        return float(row @ self._coefficients), quantile * doubt

    def exponent(self, weights: Mapping[str, float]) -> Reading | None:
        """Return :meth:`combine` as a reading."""
        told = self.combine(weights)
        if told is None:
            return None
        gamma, half = told
        return Reading(
            gamma,
            n=self.runs,
            unit="exponent",
            higher_is="neither",
            low=gamma - half,
            high=gamma + half,
            how=self.how,
        )


def fit_terms(columns: Sequence[Term], log_tau: Float[np.ndarray, " runs"], runs: Runs) -> JointFit:
    """Fit log tau = a + Σ_c β_c · c + s·e, censored runs included.

    As :func:`ecotone.laws.fit_power`: without censoring least squares and Student's t with N − p
    degrees of freedom, p coefficients; with it maximum likelihood (Tobit), errors times
    √(N/(N − p)) and t with N − p − 1.

    A coefficient can be told where its column is no combination of the others among the runs that
    turned; the others are named in ``unknown``, and still fitted as far as they can be, so that
    what they do is not taken for an effect of the rest. A censored run whose columns are no
    combination of those of runs that turned speaks of an effect that none of them shows: its
    bound can be met whatever the others are, and it is left out.
    """
    seen = runs.side == 0
    observed = int(seen.sum())
    if observed < FEWEST_OBSERVED:
        told = f"{observed} of {runs.n} runs turned between two measured steps"
        return JointFit(
            runs.n, observed, reason=f"too few runs: {told}, and {FEWEST_OBSERVED} are needed"
        )
    centres = {one.name: float(one.values[seen].mean()) for one in columns}
    design = np.ones((runs.n, len(columns) + 1))
    for place, one in enumerate(columns, start=1):
        design[:, place] = one.values - centres[one.name]
    design[:, 1:] /= np.maximum(np.linalg.norm(design[:, 1:], axis=0), 1e-300)

    kept, unknown = _independent(design[seen], columns)
    inside = seen | _within(design, seen)
    places = [0, *(place + 1 for place in kept)]
    n, p = int(inside.sum()), len(places)
    names = tuple(columns[place].name for place in kept)
    censored = observed < n
    freedom = n - p - censored
    if freedom < 1:
        told = f"{observed} of {n} runs turned, for {p} coefficients"
        reason = f"too few runs: {told}, which leaves no degree of freedom"
        return JointFit(n, observed, unknown, reason)
    used = Runs(runs.log_x[inside], log_tau[inside], runs.side[inside], runs.weight[inside])
    matrix = np.column_stack(
        [
            np.ones(n),
            *(columns[place].values[inside] - centres[columns[place].name] for place in kept),
        ]
    )
    fit = regress(matrix, used.log_tau, used)
    if censored and fit.scatter <= EXACT:
        reason = "the observed runs lie exactly on the law, so their scatter cannot be told"
        return JointFit(n, observed, unknown, reason)
    inflation = math.sqrt(n / (n - p))
    return JointFit(
        n,
        observed,
        unknown,
        None,
        freedom,
        fit.scatter * inflation,
        fit.log_likelihood,
        p + 1,
        names,
        centres,
        fit.coefficients,
        fit.covariance * inflation**2,
    )


def _independent(
    design: Float[np.ndarray, "observed columns"], columns: Sequence[Term]
) -> tuple[list[int], dict[str, str]]:
    """Return which columns to fit, and which of all cannot be told, and why."""
    rank = _rank(design)
    unknown: dict[str, str] = {}
    for place, one in enumerate(columns, start=1):
        if _rank(np.delete(design, place, axis=1)) == rank:
            alone = np.ptp(design[:, place]) <= _ROUNDING
            if alone and one.level is not None:
                unknown[one.name] = "no run with it turned between two measured steps"
            elif alone:
                unknown[one.name] = "the runs that turned have one value of it"
            else:
                unknown[one.name] = "it changes together with other factors"
    order = sorted(range(len(columns)), key=lambda place: columns[place].name in unknown)
    kept: list[int] = []
    for place in order:
        tried = [0, *(one + 1 for one in (*kept, place))]
        if _rank(design[:, tried]) == len(tried):
            kept.append(place)
    return sorted(kept), unknown


def _within(
    design: Float[np.ndarray, "runs columns"], seen: Bool[np.ndarray, " runs"]
) -> Bool[np.ndarray, " runs"]:
    """Return which rows are combinations of those of the runs that turned."""
    _, size, directions = np.linalg.svd(design[seen], full_matrices=False)
    span = directions[size > _ROUNDING * size[0]]
    beyond = design - design @ span.T @ span
    return np.linalg.norm(beyond, axis=1) <= _ROUNDING * np.linalg.norm(design, axis=1)


def _rank(matrix: Float[np.ndarray, "rows columns"]) -> int:
    size = np.linalg.svd(matrix, compute_uv=False)
    return int((size > _ROUNDING * size[0]).sum())


def turned(onsets: pl.DataFrame, onset: str) -> tuple[pl.DataFrame, Runs]:
    """Return the rows of one onset, and their runs as a regression takes them.

    Raises:
        DataError: for a missing column.
    """
    need(onsets, ("seed", "onset", "status", "value", "bound"), "onsets")
    rows = onsets.filter(pl.col("onset") == onset)
    tau = rows.select(pl.coalesce("value", "bound").cast(pl.Float64)).to_series().to_numpy()
    return rows, Runs.of(np.ones(rows.height), tau, rows["status"].to_list())
