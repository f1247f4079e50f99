from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import linregress, norm, t

from ecotone.core.errors import DataError
from ecotone.laws import fit_power

quick = settings(max_examples=25, deadline=None, derandomize=True)

X = np.repeat([16.0, 32.0, 64.0, 128.0, 256.0], 3)
GAMMA, SCATTER = 1.0, 0.25


def draw(random, *, bound=np.inf):
    """Runs with tau = 5·x^GAMMA, stopped at a bound."""
    tau = 5 * X**GAMMA * np.exp(SCATTER * random.standard_normal(len(X)))
    late = tau > bound
    return np.minimum(tau, bound), np.where(late, "right_censored", "observed")


def test_without_censoring_it_is_least_squares():
    tau, status = draw(np.random.default_rng(0))
    law = fit_power(X, tau, status)
    other: Any = linregress(np.log(X), np.log(tau))
    half = t.ppf(0.975, len(X) - 2)
    assert law.exponent is not None
    assert law.exponent.value == pytest.approx(other.slope)
    assert law.exponent.high == pytest.approx(other.slope + half * other.stderr)
    assert law.prefactor is not None
    assert law.prefactor.value == pytest.approx(math.exp(other.intercept))
    assert law.prefactor.low == pytest.approx(
        math.exp(other.intercept - half * other.intercept_stderr)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_with_censoring_it_is_the_textbook_likelihoods_maximum(weighted):
    random = np.random.default_rng(1)
    tau, status = draw(random, bound=800)
    early = tau < 100
    tau, status = np.maximum(tau, 100), np.where(early, "left_censored", status)
    weights = random.uniform(0.3, 3, len(X)) if weighted else np.ones(len(X))
    assert set(status) == {"observed", "right_censored", "left_censored"}

    def loss(parameters):
        a, gamma, log_s = parameters
        s = np.exp(log_s) / np.sqrt(weights)
        mean, y = a + gamma * np.log(X), np.log(tau)
        told = np.where(
            status == "observed",
            norm.logpdf(y, mean, s),
            np.where(status == "right_censored", norm.logsf(y, mean, s), norm.logcdf(y, mean, s)),
        )
        return -told.sum()

    best = minimize(loss, [1.0, 1.0, -1.0], method="BFGS", options={"gtol": 1e-6})
    law = fit_power(X, tau, status, weights if weighted else None)
    assert law.exponent is not None
    assert law.exponent.low is not None
    assert law.prefactor is not None
    assert law.scatter is not None
    n = len(X)
    assert law.log_likelihood == pytest.approx(-best.fun, abs=1e-8)
    assert law.exponent.value == pytest.approx(best.x[1], abs=1e-4)
    assert math.log(law.prefactor.value) == pytest.approx(best.x[0], abs=1e-3)
    assert law.scatter == pytest.approx(math.exp(best.x[2]) * math.sqrt(n / (n - 2)), rel=1e-3)

    # Observed information by central differences, in the textbook's own parameters.
    step, information = 1e-3, np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        e, f = step * np.eye(3)[i], step * np.eye(3)[j]
        corners = loss(best.x + e + f) - loss(best.x + e - f)
        information[i, j] = (corners - loss(best.x - e + f) + loss(best.x - e - f)) / (4 * step**2)
    error = math.sqrt(np.linalg.inv(information)[1, 1]) * math.sqrt(n / (n - 2))
    half = law.exponent.value - law.exponent.low
    assert half == pytest.approx(t.ppf(0.975, n - 3) * error, rel=1e-2)


@pytest.mark.parametrize(("bound", "share"), [(np.inf, 0.0), (900.0, 0.2)])
def test_exponent_interval_covers(bound, share):
    random = np.random.default_rng(2)
    covered, censored, exponents, repeats = 0, [], [], 300
    for _ in range(repeats):
        tau, status = draw(random, bound=bound)
        law = fit_power(X, tau, status)
        assert law.exponent is not None
        assert law.exponent.low is not None
        assert law.exponent.high is not None
        covered += law.exponent.low <= GAMMA <= law.exponent.high
        exponents.append(law.exponent.value)
        censored.append(np.mean(status != "observed"))
    assert 0.9 <= covered / repeats <= 0.99
    assert np.mean(censored) == pytest.approx(share, abs=0.05)
    assert abs(np.mean(exponents) - GAMMA) < 0.015


def test_dropping_censored_runs_is_biased_and_keeping_them_is_not():
    random = np.random.default_rng(3)
    kept, dropped = [], []
    for _ in range(200):
        tau, status = draw(random, bound=900)
        seen = status == "observed"
        for values, use in ((kept, np.full(len(X), True)), (dropped, seen)):
            law = fit_power(X[use], tau[use], status[use])
            assert law.exponent is not None
            values.append(law.exponent.value)
    assert abs(np.mean(kept) - GAMMA) < 4 * np.std(kept) / math.sqrt(200)
    assert np.mean(dropped) < GAMMA - 4 * np.std(dropped) / math.sqrt(200)


def test_prediction_of_a_new_run_covers_new_runs():
    random = np.random.default_rng(4)
    covered, repeats = {True: 0, False: 0}, 300
    for _ in range(repeats):
        tau, status = draw(random, bound=900)
        law = fit_power(X, tau, status)
        new = 5 * 512**GAMMA * math.exp(SCATTER * random.standard_normal())
        for new_run, truth in ((True, new), (False, 5 * 512**GAMMA)):
            told = law.predict(512, new_run=new_run)
            assert told is not None
            assert told.low is not None
            assert told.high is not None
            covered[new_run] += told.low <= truth <= told.high
    assert all(0.9 <= count / repeats <= 0.99 for count in covered.values())


@quick
@given(
    noise=st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8),
    steps=st.sampled_from([1e-2, 3.0, 1e3]),
    size=st.sampled_from([1e-3, 7.0, 1e4]),
    late=st.integers(0, 3),
)
def test_units_of_steps_and_size_leave_the_exponent(noise, steps, size, late):
    x = np.array([16, 32, 64, 128, 256, 512, 512, 512.0])
    # The deterministic part keeps the scatter away from 0.
    tau = 3 * x**0.8 * np.exp(noise + 0.1 * np.array([1, -1, 1, -1, 1, -1, 1, -1]))
    status = ["observed"] * (8 - late) + ["right_censored"] * late
    one, other = fit_power(x, tau, status), fit_power(size * x, steps * tau, status)
    assert one.exponent is not None
    assert one.exponent.low is not None
    assert other.exponent is not None
    assert other.exponent.low is not None
    assert other.exponent.value == pytest.approx(one.exponent.value, abs=1e-7)
    assert other.exponent.low == pytest.approx(one.exponent.low, abs=1e-6)
    assert other.scatter == pytest.approx(one.scatter, rel=1e-6)
    here, there = one.predict(1000.0), other.predict(1000.0 * size)
    assert here is not None
    assert there is not None
    assert there.value == pytest.approx(steps * here.value, rel=1e-6)
    # Mirroring log tau turns "later than" into "earlier than".
    mirrored = fit_power(x, 1 / tau, [side.replace("right", "left") for side in status])
    assert mirrored.exponent is not None
    assert mirrored.exponent.value == pytest.approx(-one.exponent.value, abs=1e-7)


def test_a_repeated_run_is_a_run_of_weight_two():
    x, tau = np.array([1.0, 2, 4, 8, 16]), np.array([1.0, 3, 4, 9, 20])
    status = np.array(["observed"] * 4 + ["right_censored"])
    twice = np.array([0, 1, 1, 2, 3, 4])
    double = fit_power(x[twice], tau[twice], status[twice])
    weighted = fit_power(x[:4], tau[:4], status[:4], [1, 2, 1, 1])
    observed = fit_power(x[twice][:5], tau[twice][:5], status[twice][:5])
    assert weighted.exponent is not None
    assert observed.exponent is not None
    assert weighted.exponent.value == pytest.approx(observed.exponent.value)
    assert double.exponent is not None
    assert double.exponent.value > observed.exponent.value  # the last is later than its bound


@pytest.mark.parametrize(
    ("x", "tau", "status", "told"),
    [
        ([], [], [], "too few"),
        ([1, 2], [1, 2], ["observed"] * 2, "too few"),
        ([1, 2, 4], [1, 2, 4], ["observed", "observed", "right_censored"], "2 of 3"),
        ([2, 2, 2], [1, 2, 3], ["observed"] * 3, "one x"),
        ([1, 2, 4, 8], [1, 2, 4, 8], ["observed"] * 3 + ["right_censored"], "exactly on a line"),
    ],
)
def test_what_cannot_be_fitted_is_absent_with_a_reason(x, tau, status, told):
    law = fit_power(x, tau, status)
    assert law.exponent is None
    assert law.prefactor is None
    assert law.predict(3.0) is None
    assert law.reason is not None
    assert told in law.reason


@pytest.mark.parametrize("spread", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("beyond", [1e-6, 1.0, 1e6])
def test_bounds_that_fit_badly_or_say_nothing_are_no_trouble(spread, beyond):
    random = np.random.default_rng(6)
    tau = X * np.exp(spread * random.standard_normal(len(X)))
    tau[-1] *= beyond
    status = np.where(np.arange(len(X)) == len(X) - 1, "right_censored", "observed")
    law, without = fit_power(X, tau, status), fit_power(X[:-1], tau[:-1], status[:-1])
    assert law.exponent is not None
    assert law.exponent.low is not None
    assert without.exponent is not None
    if beyond < 1 and spread < 1:
        assert law.exponent.value == pytest.approx(without.exponent.value)
    if beyond > 1:
        assert law.exponent.value > without.exponent.value
        assert law.exponent.low < law.exponent.value


def test_prefactor_beyond_floating_point_has_no_interval():
    law = fit_power([1e6, 1.1e6, 1.2e6], [1.0, 100.0, 5.0], ["observed"] * 3)
    assert law.exponent is not None
    assert law.prefactor is not None
    assert law.prefactor.high is None
    assert law.prefactor.how["open"] == "right"


def test_wrong_numbers_are_refused():
    with pytest.raises(DataError, match="x = 0"):
        fit_power([0, 1], [1, 2], ["observed"] * 2)
    with pytest.raises(DataError, match="tau = nan"):
        fit_power([1, 1], [1, math.nan], ["observed"] * 2)
    with pytest.raises(DataError, match="unknown status 'done'"):
        fit_power([1, 1], [1, 1], ["observed", "done"])
    with pytest.raises(DataError, match="shape"):
        fit_power([1, 1], [1, 1, 1], ["observed"] * 2)
    law = fit_power([1, 2, 4], [1, 2, 5], ["observed"] * 3)
    with pytest.raises(ValueError, match="log axis"):
        law.predict(0.0)
