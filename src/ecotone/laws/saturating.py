"""The law of onsets that stop growing: 1/tau = alpha + beta/x."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import fminbound
from scipy.special import expit, log_ndtr

from ecotone.core.readings import Reading
from ecotone.laws.censored import EXACT, CensoredFit, Runs, aicc, exponential, regress

__all__ = ["SaturatingLaw", "fit_saturating"]

END = 14.0  # beyond |logit w| of 14 the smaller part is under 1e-6: taken as w = 0 or 1 exactly


@dataclass(frozen=True, eq=False)
class SaturatingLaw:
    """1/tau = alpha + beta/x with alpha, beta ≥ 0, and log-normal scatter from run to run.

    Where x is small tau = x/beta grows in proportion; where it is large tau stays at 1/alpha.

    Args:
        runs: how many were given, censored ones included.
        observed: how many of them are not censored.
        alpha: the rate that does not depend on x, per step; None where there is no fit.
        beta: the rate in proportion to 1/x, times x per step.
        tau_limit: 1/alpha in steps, where alpha is positive; its interval is left out where it is
            open to the right (alpha = 0 cannot be excluded), and ``how["low"]`` is its lower end.
        scatter: standard deviation of log tau about the law.
        log_likelihood: of log tau at the maximum.
        aicc: Akaike's corrected criterion; None where there are too few runs for it.
        reason: why there is no fit; None where there is one.
    """

    runs: int
    observed: int
    alpha: Reading | None = None
    beta: Reading | None = None
    tau_limit: Reading | None = None
    scatter: float | None = None
    log_likelihood: float | None = None
    aicc: float | None = None
    reason: str | None = None
    _region: _Region | None = None

    def predict(self, x: float, *, new_run: bool = False) -> Reading | None:
        """Return the onset at x in steps, with its interval.

        Args:
            x: positive, in the units that were fitted.
            new_run: False for the law's median onset; True for where a single new run will turn,
                whose interval also holds the scatter from run to run.

        Returns:
            None where there is no law.

        >>> tau = [95, 160, 270, 350, 430, 460]
        >>> law = fit_saturating([16, 32, 64, 128, 256, 512], tau, ["observed"] * 6)
        >>> 450 < law.predict(1024).value < 550
        True
        """
        if not x > 0:
            raise ValueError(f"x = {x} has no place on a log axis")
        if self._region is None or self.scatter is None:
            return None
        # log tau = −log(alpha + beta/x)
        high, middle, low = (-one for one in self._region.log_rate(math.log(x)))
        spread = self._region.quantile * self.scatter if new_run else 0.0
        low, high = (
            middle - math.hypot(middle - low, spread),
            middle + math.hypot(high - middle, spread),
        )
        return exponential(middle, low, high, n=self.runs, x=x, new_run=new_run)


@dataclass(frozen=True, eq=False)
class _Region:
    """The parameters that the likelihood does not exclude.

    The rate is e^c · (1 − w + w·g/x) with g the geometric mean of x: c is how fast, w which part
    depends on x. For each w in the region, c runs from low to high; the first is the best.
    """

    centre: float
    w: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    best: float
    quantile: float

    def bounds(
        self, part: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> tuple[float, float, float]:
        """Return the lowest, the best and the highest c + log part(w)."""
        with np.errstate(divide="ignore"):
            shift = np.log(part(self.w))
        return (
            float((self.low + shift).min()),
            self.best + float(shift[0]),
            float((self.high + shift).max()),
        )

    def log_rate(self, log_x: float) -> tuple[float, float, float]:
        return self.bounds(lambda w: 1 - w + w * math.exp(self.centre - log_x))


def fit_saturating(
    x: Sequence[float] | NDArray,
    tau: Sequence[float] | NDArray,
    status: Sequence[str] | NDArray,
) -> SaturatingLaw:
    """Fit log tau = −log(alpha + beta/x) + s·e by maximum likelihood, censored runs included.

    Intervals are profile-likelihood ones: all parameters with 2·(log L_max − log L) at most
    N·log(1 + t²/(N−2)), t the quantile of Student's t (N−2 degrees of freedom, N−3 with
    censoring). For a linear law without censoring that is exactly the t interval; the usual χ²
    bound is too narrow for few runs. An interval that reaches the edge includes 0.

    Args:
        x: what the onset depends on, such as the size of the training set; positive.
        tau: onset in steps, or the bound of a censored run; positive.
        status: "observed", "right_censored" (later than tau) or "left_censored" (earlier).

    Returns:
        The law, or one whose numbers are None and whose ``reason`` says why (as for
        :func:`fit_power`).

    Raises:
        DataError: for numbers that are not positive and finite, or an unknown status.

    >>> tau = [95, 160, 270, 350, 430, 460]
    >>> law = fit_saturating([16, 32, 64, 128, 256, 512], tau, ["observed"] * 6)
    >>> 400 < law.tau_limit.low < law.tau_limit.value < law.tau_limit.high < 650
    True
    """
    runs = Runs.of(x, tau, status)
    if (reason := runs.lacking()) is not None:
        return SaturatingLaw(runs.n, runs.observed, reason=reason)
    profile = _Profile(runs, float(runs.log_x.mean()))
    grid = np.linspace(-END, END, 57)
    likelihoods = np.array([profile.fit(v).log_likelihood for v in grid])
    near = int(likelihoods.argmax())
    around = float(grid[max(near - 1, 0)]), float(grid[min(near + 1, len(grid) - 1)])
    lost = fminbound(lambda v: -profile.fit(v).log_likelihood, *around, xtol=1e-9)
    inside = np.asarray(lost).item()
    # The search comes near the ends of the grid but never tries them.
    better = profile.fit(inside).log_likelihood > likelihoods[near]
    best = inside if better else float(grid[near])
    at_best = profile.fit(best)
    if runs.observed < runs.n and at_best.scatter <= EXACT:
        told = "the observed runs lie exactly on a curve, so their scatter cannot be told"
        return SaturatingLaw(runs.n, runs.observed, reason=told)
    lowest = at_best.log_likelihood - 0.5 * runs.n * math.log1p(runs.quantile**2 / (runs.n - 2))

    allowed = np.append(grid[likelihoods > lowest], best)
    first, last = float(allowed.min()), float(allowed.max())
    start = profile.edge(lowest, first, grid[grid < first][::-1])
    stop = profile.edge(lowest, last, grid[grid > last])
    # Chebyshev's points: dense at the ends, where c's interval closes fast.
    turn = np.cos(np.linspace(0, math.pi, 61))
    region = profile.region(np.append(best, start + (stop - start) * (1 - turn) / 2), lowest)

    how = {
        "method": "maximum likelihood with profile intervals",
        "degrees_of_freedom": runs.degrees_of_freedom,
        "observed": runs.observed,
    }
    constant = region.bounds(lambda w: 1 - w)
    falling = region.bounds(lambda w: w * math.exp(region.centre))
    slow, rate, fast = constant
    return SaturatingLaw(
        runs.n,
        runs.observed,
        alpha=exponential(rate, slow, fast, n=runs.n, unit="per step", **how),
        beta=exponential(falling[1], falling[0], falling[2], n=runs.n, unit="x per step", **how),
        tau_limit=exponential(-rate, -fast, -slow, n=runs.n, **how),
        scatter=at_best.scatter * runs.inflation,
        log_likelihood=at_best.log_likelihood,
        aicc=aicc(at_best.log_likelihood, runs.n),
        _region=region,
    )


def _share(v: float) -> float:
    """Return w = 1/(1 + e^−v), exactly 0 or 1 at the ends."""
    return float(v > 0) if abs(v) >= END else float(expit(v))


@dataclass(frozen=True, eq=False)
class _Profile:
    """The likelihood along w, with c and the scatter at their best."""

    runs: Runs
    centre: float

    def outcome(self, w: float) -> Float[np.ndarray, " runs"]:
        """Return log tau + log(1 − w + w·g/x), which is −c + s·e."""
        return self.runs.log_tau + np.log1p(w * np.expm1(self.centre - self.runs.log_x))

    def fit(self, v: float) -> CensoredFit:
        return regress(np.ones((self.runs.n, 1)), self.outcome(_share(v)), self.runs)

    def edge(self, lowest: float, inner: float, beyond: Float[np.ndarray, " points"]) -> float:
        """Return where the likelihood falls to its bound, between inner and the next beyond."""
        if not beyond.size:
            return inner
        near, far = inner, float(beyond[0])
        for _ in range(30):
            half = (near + far) / 2
            near, far = (half, far) if self.fit(half).log_likelihood > lowest else (near, half)
        return near

    def region(self, v: Float[np.ndarray, " points"], lowest: float) -> _Region:
        """Return how far c can move for each w before the likelihood is too low."""
        w = np.array([_share(one) for one in v])
        outcomes = np.stack([self.outcome(one) for one in w])
        middle = np.array([-float(self.fit(one).coefficients[0]) for one in v])
        ends = []
        for direction in (-1, 1):
            near, far = np.zeros(len(v)), np.full(len(v), 1e-6)
            # Outwards until the likelihood is too low everywhere, then halving what lies between.
            while (inside := self.allows(outcomes, middle + direction * far, lowest)).any():
                near, far = np.where(inside, far, near), np.where(inside, 4 * far, far)
            for _ in range(30):
                half = (near + far) / 2
                inside = self.allows(outcomes, middle + direction * half, lowest)
                near, far = np.where(inside, half, near), np.where(inside, far, half)
            ends.append(middle + direction * near)
        return _Region(self.centre, w, ends[0], ends[1], float(middle[0]), self.runs.quantile)

    def allows(
        self,
        outcomes: Float[np.ndarray, "points runs"],
        c: Float[np.ndarray, " points"],
        lowest: float,
    ) -> NDArray[np.bool_]:
        return _likelihood(outcomes + c[:, None], self.runs) >= lowest


def _likelihood(
    residuals: Float[np.ndarray, "points runs"], runs: Runs
) -> Float[np.ndarray, " points"]:
    """Return the log likelihood of rows of residuals at each row's best scatter."""
    seen = runs.side == 0
    count = runs.observed
    squares = (residuals[:, seen] ** 2).sum(axis=1)
    beyond = -runs.side[~seen] * residuals[:, ~seen]
    theta = np.minimum(np.sqrt(count / np.maximum(squares, 1e-300)), 1 / EXACT)
    if beyond.size:
        # Concave in theta = 1/s: golden section on log theta, wide enough for any censoring.
        golden = (math.sqrt(5) - 1) / 2
        left, right = np.log(theta) - 6, np.log(theta) + 3
        for _ in range(30):
            first, second = right - golden * (right - left), left + golden * (right - left)
            better = _at_scatter(np.exp(first), squares, beyond, count) > _at_scatter(
                np.exp(second), squares, beyond, count
            )
            left, right = np.where(better, left, first), np.where(better, second, right)
        theta = np.exp((left + right) / 2)
    return _at_scatter(theta, squares, beyond, count) - count / 2 * math.log(2 * math.pi)


def _at_scatter(
    theta: Float[np.ndarray, " points"],
    squares: Float[np.ndarray, " points"],
    beyond: Float[np.ndarray, "points censored"],
    count: int,
) -> Float[np.ndarray, " points"]:
    told = count * np.log(theta) - 0.5 * theta**2 * squares
    return told + log_ndtr(theta[:, None] * beyond).sum(axis=1)
