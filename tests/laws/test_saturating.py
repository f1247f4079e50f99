from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm, t

from ecotone.laws import fit_saturating

X = np.repeat(2.0 ** np.arange(4, 11), 2)
ALPHA, BETA, SCATTER = 0.002, 0.2, 0.15


def draw(random, *, bound=np.inf, alpha=ALPHA):
    tau = np.exp(SCATTER * random.standard_normal(len(X))) / (alpha + BETA / X)
    late = tau > bound
    return np.minimum(tau, bound), np.where(late, "right_censored", "observed")


def loss(alpha, beta, s, tau, status):
    mean, y = -np.log(alpha + beta / X), np.log(tau)
    late = status == "right_censored"
    return -np.where(late, norm.logsf(y, mean, s), norm.logpdf(y, mean, s)).sum()


@pytest.mark.parametrize("bound", [np.inf, 400.0])
def test_it_is_the_direct_likelihoods_maximum_and_profile(bound):
    tau, status = draw(np.random.default_rng(0), bound=bound)
    law = fit_saturating(X, tau, status)
    assert law.alpha is not None
    assert law.beta is not None
    assert law.alpha.low is not None
    assert law.alpha.high is not None

    def fitted(alpha=None):
        """The least loss, with alpha fixed or free."""

        def of(p):
            fixed = np.exp(p[2]) if alpha is None else alpha
            return loss(fixed, np.exp(p[0]), np.exp(p[1]), tau, status)

        start = [math.log(BETA), math.log(SCATTER)] + [math.log(ALPHA)] * (alpha is None)
        options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
        return minimize(of, start, method="Nelder-Mead", options=options)

    best = fitted()
    n = len(X)
    assert law.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    assert law.alpha.value == pytest.approx(math.exp(best.x[2]), rel=1e-4)
    assert law.beta.value == pytest.approx(math.exp(best.x[0]), rel=1e-4)
    freedom = n - 2 if bound == np.inf else n - 3
    fall = n / 2 * math.log1p(t.ppf(0.975, freedom) ** 2 / (n - 2))
    for end in (law.alpha.low, law.alpha.high):
        assert fitted(end).fun - best.fun == pytest.approx(fall, rel=0.01)


def test_intervals_cover():
    random = np.random.default_rng(1)
    repeats = 100
    covered = {"alpha": 0, "beta": 0, "limit": 0, "law": 0, "new run": 0}
    for _ in range(repeats):
        law = fit_saturating(X, *draw(random))
        at, truth = 3000.0, 1 / (ALPHA + BETA / 3000)
        new = truth * math.exp(SCATTER * random.standard_normal())
        told = {
            "alpha": (law.alpha, ALPHA),
            "beta": (law.beta, BETA),
            "limit": (law.tau_limit, 1 / ALPHA),
            "law": (law.predict(at), truth),
            "new run": (law.predict(at, new_run=True), new),
        }
        for name, (reading, value) in told.items():
            assert reading is not None
            assert reading.low is not None
            assert reading.high is not None
            covered[name] += reading.low <= value <= reading.high
    assert all(0.88 <= count / repeats <= 1 for count in covered.values()), covered


def test_without_saturation_alpha_may_be_zero_and_the_limit_is_open():
    random = np.random.default_rng(2)
    zero, absent, repeats = 0, 0, 40
    for _ in range(repeats):
        law = fit_saturating(X, *draw(random, alpha=0.0))
        assert law.alpha is not None
        zero += law.alpha.low == 0.0
        absent += law.tau_limit is None
        if law.tau_limit is not None and law.alpha.low == 0.0:
            assert law.tau_limit.high is None
            assert law.tau_limit.how["open"] == "right"
    assert zero / repeats >= 0.9
    assert 0 < absent < repeats  # alpha's estimate is 0 about half the time


def test_exact_runs_give_back_the_law():
    tau = 1 / (ALPHA + BETA / X)
    law = fit_saturating(X, tau, ["observed"] * len(X))
    assert law.alpha is not None
    assert law.beta is not None
    assert law.tau_limit is not None
    assert law.alpha.value == pytest.approx(ALPHA, rel=1e-6)
    assert law.beta.value == pytest.approx(BETA, rel=1e-6)
    assert law.tau_limit.value == pytest.approx(500, rel=1e-6)


def test_units_of_steps_and_size_carry_over():
    tau, status = draw(np.random.default_rng(3), bound=400)
    one, other = fit_saturating(X, tau, status), fit_saturating(7 * X, 100 * tau, status)
    for name, scale in (("alpha", 1 / 100), ("beta", 7 / 100), ("tau_limit", 100)):
        before, after = getattr(one, name), getattr(other, name)
        for end in ("value", "low", "high"):
            assert getattr(after, end) == pytest.approx(scale * getattr(before, end), rel=1e-5)


def test_censored_runs_raise_the_limit():
    tau, status = draw(np.random.default_rng(4), bound=400)
    seen = status == "observed"
    all_runs, dropped = (
        fit_saturating(X, tau, status),
        fit_saturating(X[seen], tau[seen], status[seen]),
    )
    here, there = all_runs.predict(2000), dropped.predict(2000)
    assert here is not None
    assert there is not None
    assert here.value > 1.05 * there.value


def test_what_cannot_be_fitted_is_absent_with_a_reason():
    law = fit_saturating([1, 2], [1, 2], ["observed", "right_censored"])
    assert law.alpha is None
    assert law.tau_limit is None
    assert law.predict(2) is None
    assert law.reason is not None
    assert "1 of 2" in law.reason
