"""Linear regression where some outcomes are only known to lie above or below a bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, stdtrit

from ecotone.core.errors import DataError
from ecotone.core.readings import Reading

__all__ = ["CensoredFit", "Runs", "aicc", "exponential", "regress"]

SIDES = {"observed": 0, "right_censored": 1, "left_censored": -1}

FEWEST_OBSERVED = 3

EXACT = 1e-12  # scatter of log tau below which runs count as lying exactly on a curve


@dataclass(frozen=True)
class Runs:
    """Runs' onsets, checked and on log axes.

    Args:
        log_x: log of what the onset depends on.
        log_tau: log of the onset in steps, or of the bound where censored.
        side: 0 where observed, 1 where the onset is later than the bound, −1 where earlier.
        weight: the scatter of run i is s/√weight.
    """

    log_x: Float[np.ndarray, " runs"]
    log_tau: Float[np.ndarray, " runs"]
    side: NDArray[np.int_]
    weight: Float[np.ndarray, " runs"]

    @classmethod
    def of(
        cls,
        x: Sequence[float] | NDArray,
        tau: Sequence[float] | NDArray,
        status: Sequence[str] | NDArray,
        weights: Sequence[float] | NDArray | None = None,
    ) -> Runs:
        """Check and convert.

        Raises:
            DataError: for x, tau or a weight that is not positive and finite, unequal lengths, or
                an unknown status.
        """
        columns = {"x": x, "tau": tau, "weights": np.ones(len(x)) if weights is None else weights}
        numbers: dict[str, NDArray[np.float64]] = {}
        for name, values in columns.items():
            array = numbers[name] = np.asarray(values, dtype=np.float64)
            if array.shape != (len(status),):
                raise DataError(f"{name} has shape {array.shape}, but there are {len(status)} runs")
            wrong = array[~(np.isfinite(array) & (array > 0))]
            if wrong.size:
                raise DataError(
                    f"{name} = {wrong[0]} has no place on a log axis",
                    hint="give positive, finite numbers; for a censored run, its bound",
                )
        unknown = sorted(set(status) - set(SIDES))
        if unknown:
            raise DataError(f"unknown status {unknown[0]!r}", hint=f"known: {', '.join(SIDES)}")
        side = np.array([SIDES[one] for one in status], dtype=np.int_)
        return cls(np.log(numbers["x"]), np.log(numbers["tau"]), side, numbers["weights"])

    @property
    def n(self) -> int:
        """How many runs, censored ones included."""
        return len(self.side)

    @property
    def observed(self) -> int:
        """How many runs turned where it could be seen."""
        return int((self.side == 0).sum())

    @property
    def degrees_of_freedom(self) -> int:
        """N − 2 without censoring; N − 3 with it."""
        return self.n - (2 if self.observed == self.n else 3)

    @property
    def quantile(self) -> float:
        """The 97.5 % quantile of Student's t."""
        return float(stdtrit(self.degrees_of_freedom, 0.975))

    @property
    def inflation(self) -> float:
        """√(N/(N−2)), which makes the likelihood's standard errors those of small samples."""
        return math.sqrt(self.n / (self.n - 2))

    def lacking(self) -> str | None:
        """Return why a law of two parameters and a scatter cannot be fitted, or None."""
        turned = f"{self.observed} of {self.n} runs turned between two measured steps"
        if self.observed < FEWEST_OBSERVED:
            return f"too few runs: {turned}, and {FEWEST_OBSERVED} are needed"
        places = len(np.unique(self.log_x[self.side == 0]))
        if places < 2:
            return f"{turned}, all at one x: 2 are needed"
        if self.degrees_of_freedom < 1:
            return f"too few runs: {turned}, which leaves no degree of freedom"
        return None


@dataclass(frozen=True)
class CensoredFit:
    """A maximum-likelihood fit.

    Args:
        coefficients: of the design's columns.
        scatter: standard deviation s of the errors (RSS/N where nothing is censored).
        covariance: of the coefficients, from the observed information.
        log_likelihood: at the maximum.
    """

    coefficients: Float[np.ndarray, " columns"]
    scatter: float
    covariance: Float[np.ndarray, "columns columns"]
    log_likelihood: float


def regress(
    design: Float[np.ndarray, "runs columns"], outcome: Float[np.ndarray, " runs"], runs: Runs
) -> CensoredFit:
    """Fit outcome = design · β + s·e by maximum likelihood, with censoring (Tobin 1958).

    An observed run contributes log φ((y−xβ)/s) − log s; one censored at y contributes
    log Φ(±(xβ−y)/s), + for right and − for left. In δ = β/s and θ = 1/s the likelihood is concave
    (Olsen 1978), so damped Newton steps from the observed runs' least squares reach its one
    maximum. Weights divide s by their roots.

    Args:
        design: must have full column rank among the observed runs.
        outcome: in place of ``runs.log_tau``.
        runs: whose sides and weights are used.
    """
    root = np.sqrt(runs.weight)
    x, y = design * root[:, None], outcome * root
    seen, side = runs.side == 0, runs.side[runs.side != 0]
    columns = design.shape[1]
    count = int(seen.sum())
    # The Jacobian of y√w, so that likelihoods are those of the outcome itself.
    constant = float(np.log(root[seen]).sum()) - count / 2 * math.log(2 * math.pi)

    start = np.linalg.lstsq(x[seen], y[seen], rcond=None)[0]
    scatter = max(float(np.sqrt(np.mean((y[seen] - x[seen] @ start) ** 2))), EXACT)
    if not side.size or scatter == EXACT:
        inner = np.linalg.inv(x[seen].T @ x[seen])
        likelihood = constant - count * (math.log(scatter) + 0.5)
        return CensoredFit(start, scatter, scatter**2 * inner, likelihood)

    # From here on y is measured from that fit, in units of its scatter: rounding stays small.
    y = (y - x @ start) / scatter
    errors = np.column_stack([-x[seen], y[seen]])  # · (δ, θ) = (y − xβ)/s
    beyond = side[:, None] * np.column_stack([x[~seen], -y[~seen]])  # · (δ, θ) = ±(xβ − y)/s
    square = errors.T @ errors

    # The start's scatter is wide enough for the censored run that fits it worst.
    point = np.append(np.zeros(columns), 1 / max(1.0, float((side * y[~seen]).max())))
    current = _likelihood(point, count, square, beyond)
    gain = size = math.inf
    information = square
    # Where the gain is smaller, or only a vanishing step gains, rounding is all that is left.
    while gain > 1e-12 * (1 + abs(current)) and size > 1e-9:
        u = beyond @ point
        hazard = math.sqrt(2 / math.pi) / erfcx(-u / math.sqrt(2))  # φ(u)/Φ(u)
        # d²(−log Φ)/du², which tends to 1; the product would cancel there.
        curvature = np.where(u > -1e4, hazard * (hazard + u), 1.0)
        gradient = beyond.T @ hazard - square @ point
        gradient[-1] += count / point[-1]
        information = square + (beyond.T * curvature) @ beyond
        information[-1, -1] += count / point[-1] ** 2
        move = np.linalg.solve(information, gradient)
        gain, size = float(gradient @ move), 1.0
        reached = _likelihood(point + move, count, square, beyond)
        while reached < current + 0.25 * size * gain and size > 1e-9:
            size /= 2
            reached = _likelihood(point + size * move, count, square, beyond)
        point, current = point + size * move, reached

    # At the maximum the information transforms like a tensor: β = δ/θ.
    beta = point[:-1] / point[-1]
    jacobian = scatter * np.column_stack([np.eye(columns), -beta]) / point[-1]
    return CensoredFit(
        coefficients=start + scatter * beta,
        scatter=scatter / float(point[-1]),
        covariance=jacobian @ np.linalg.solve(information, jacobian.T),
        log_likelihood=current + constant - count * math.log(scatter),
    )


def _likelihood(
    point: Float[np.ndarray, " parameters"],
    count: int,
    square: Float[np.ndarray, "parameters parameters"],
    beyond: Float[np.ndarray, "censored parameters"],
) -> float:
    """Return the log likelihood in (δ, θ), less its constant."""
    if point[-1] <= 0:
        return -math.inf
    told = count * math.log(point[-1]) - 0.5 * point @ square @ point
    return float(told + log_ndtr(beyond @ point).sum())


def aicc(log_likelihood: float, n: int, parameters: int = 3) -> float | None:
    """Return Akaike's criterion corrected for small samples (Hurvich & Tsai 1989).

    AICc = 2k − 2 log L + 2k(k+1)/(n−k−1), which has no value for n of k + 1 or fewer: None.

    >>> aicc(-10.0, 10), aicc(-10.0, 4)
    (30.0, None)
    """
    spare = n - parameters - 1
    if spare < 1:
        return None
    return 2 * parameters - 2 * log_likelihood + 2 * parameters * (parameters + 1) / spare


def exponential(
    log_value: float, log_low: float, log_high: float, *, n: int, unit: str = "steps", **how: object
) -> Reading | None:
    """Return exp of an estimate and its interval; None where the estimate overflows.

    An end that no floating-point number holds leaves the interval open: it is then left out, with
    the finite end under ``how["low"]`` or ``how["high"]``.
    """
    with np.errstate(over="ignore", under="ignore"):
        value, low, high = (float(np.exp(one)) for one in (log_value, log_low, log_high))
    if not math.isfinite(value):
        return None
    if not math.isfinite(high):
        return Reading(
            value, n=n, unit=unit, higher_is="neither", how={**how, "low": low, "open": "right"}
        )
    low, high = min(low, value), max(high, value)
    return Reading(value, n=n, unit=unit, higher_is="neither", low=low, high=high, how=how)
