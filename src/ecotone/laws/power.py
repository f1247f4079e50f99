"""The power law of onsets: log tau = a + gamma · log x."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ecotone.core.readings import Reading
from ecotone.laws.censored import EXACT, Runs, aicc, exponential, regress

__all__ = ["PowerLaw", "fit_power"]


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """tau = prefactor · x^exponent, with log-normal scatter from run to run.

    Args:
        runs: how many were given, censored ones included.
        observed: how many of them are not censored.
        exponent: gamma with its interval; None where the law could not be fitted.
        prefactor: exp(a) in steps, the onset at x = 1; None likewise, or where it overflows.
        scatter: standard deviation of log tau about the law.
        log_likelihood: of log tau at the maximum.
        aicc: Akaike's corrected criterion; None where there are too few runs for it.
        reason: why there is no fit; None where there is one.
    """

    runs: int
    observed: int
    exponent: Reading | None = None
    prefactor: Reading | None = None
    scatter: float | None = None
    log_likelihood: float | None = None
    aicc: float | None = None
    reason: str | None = None
    _line: _Line | None = None

    def predict(self, x: float, *, new_run: bool = False) -> Reading | None:
        """Return the onset at x in steps, with its interval.

        Args:
            x: positive, in the units that were fitted.
            new_run: False for the law's median onset; True for where a single new run will turn,
                whose interval also holds the scatter from run to run.

        Returns:
            None where there is no law.

        >>> law = fit_power([16, 32, 64, 128], [90, 210, 380, 810], ["observed"] * 4)
        >>> print(law.predict(256))
        1664 [1130, 2451] steps, n=4
        """
        if not x > 0:
            raise ValueError(f"x = {x} has no place on a log axis")
        if self._line is None or self.scatter is None:
            return None
        middle, half = self._line.at(math.log(x), self.scatter if new_run else 0.0)
        return exponential(middle, middle - half, middle + half, n=self.runs, x=x, new_run=new_run)


@dataclass(frozen=True, eq=False)
class _Line:
    """A fitted line in log x, measured from the mean of log x."""

    centre: float
    coefficients: Float[np.ndarray, " 2"]
    covariance: Float[np.ndarray, "2 2"]
    quantile: float

    def at(self, log_x: float, scatter: float) -> tuple[float, float]:
        row = np.array([1.0, log_x - self.centre])
        doubt = math.hypot(math.sqrt(max(0.0, float(row @ self.covariance @ row))), scatter)
        return float(row @ self.coefficients), self.quantile * doubt


def fit_power(
    x: Sequence[float] | NDArray,
    tau: Sequence[float] | NDArray,
    status: Sequence[str] | NDArray,
    weights: Sequence[float] | NDArray | None = None,
) -> PowerLaw:
    """Fit log tau = a + gamma·log x + s·e, censored runs included.

    Without censoring: ordinary least squares, s² = RSS/(N−2), Student's t with N−2 degrees of
    freedom (exact for normal e). With censoring: maximum likelihood (Tobit), standard errors from
    the observed information times √(N/(N−2)), t with N−3. Dropping runs that never turned would
    bias gamma, since those are the slow ones.

    Args:
        x: what the onset depends on, such as the size of the training set; positive.
        tau: onset in steps, or the bound of a censored run; positive.
        status: "observed", "right_censored" (later than tau) or "left_censored" (earlier).
        weights: the scatter of run i is s/√weight_i; all 1 where None.

    Returns:
        The law. With fewer than 3 observed runs, all observed at one x, or no degree of freedom
        left, its numbers are None and its ``reason`` says so.

    Raises:
        DataError: for numbers that are not positive and finite, or an unknown status.

    >>> seen = ["observed"] * 4
    >>> law = fit_power([16, 32, 64, 128], [90, 210, 380, 810], seen)
    >>> print(law.exponent)
    1.037 [0.8327, 1.24] exponent, n=4
    >>> fit_power([16, 32], [90, 210], ["observed", "right_censored"]).reason
    'too few runs: 1 of 2 runs turned between two measured steps, and 3 are needed'
    """
    runs = Runs.of(x, tau, status, weights)
    if (reason := runs.lacking()) is not None:
        return PowerLaw(runs.n, runs.observed, reason=reason)
    centre = float(runs.log_x.mean())
    fit = regress(np.column_stack([np.ones(runs.n), runs.log_x - centre]), runs.log_tau, runs)
    censored = runs.observed < runs.n
    if censored and fit.scatter <= EXACT:
        told = "the observed runs lie exactly on a line, so their scatter cannot be told"
        return PowerLaw(runs.n, runs.observed, reason=told)

    covariance = fit.covariance * runs.inflation**2
    line = _Line(centre, fit.coefficients, covariance, runs.quantile)
    how = {
        "method": "Tobit maximum likelihood" if censored else "least squares",
        "degrees_of_freedom": runs.degrees_of_freedom,
        "observed": runs.observed,
    }
    gamma, half = float(fit.coefficients[1]), runs.quantile * math.sqrt(covariance[1, 1])
    start, start_half = line.at(0.0, 0.0)
    return PowerLaw(
        runs.n,
        runs.observed,
        exponent=Reading(
            gamma,
            n=runs.n,
            unit="exponent",
            higher_is="neither",
            low=gamma - half,
            high=gamma + half,
            how=how,
        ),
        prefactor=exponential(start, start - start_half, start + start_half, n=runs.n, **how),
        scatter=fit.scatter * runs.inflation,
        log_likelihood=fit.log_likelihood,
        aicc=aicc(fit.log_likelihood, runs.n),
        _line=line,
    )
