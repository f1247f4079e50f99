from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.stats import norm, t

from ecotone.core.errors import DataError
from ecotone.laws import fit_power, fit_powers

FACTORS = ["n", "training.batch_size", "model.width"]
TRUTH = np.array([1.0, -0.5, -0.8])
GRID = np.array([(n, b, w) for n in (64, 256, 1024) for b in (8, 32) for w in (16, 64)])
POINTS = np.repeat(GRID, 2, axis=0)
SCATTER = 0.2


def table(tau, bound=np.inf, points=POINTS, names=FACTORS, **more) -> pl.DataFrame:
    tau = np.asarray(tau, dtype=float)
    late = tau > bound
    columns = {name: points[:, place] for place, name in enumerate(names)}
    return pl.DataFrame(
        {
            **columns,
            **more,
            "half": np.arange(len(tau)) % 2,
            "seed": np.zeros(len(tau), dtype=int),
            "onset": ["tau_mem"] * len(tau),
            "status": np.where(late, "right_censored", "observed"),
            "value": [None if over else one for one, over in zip(tau, late, strict=True)],
            "bound": [bound if over else None for over in late],
        },
        schema_overrides={"value": pl.Float64, "bound": pl.Float64},
    )


def draw(random, points=POINTS):
    return 90 * np.exp(np.log(points) @ TRUTH + SCATTER * random.standard_normal(len(points)))


def test_one_factor_is_the_power_law_of_one_factor():
    tau = draw(np.random.default_rng(0))
    for bound in (np.inf, float(np.quantile(tau, 0.8))):
        frame = table(tau, bound)
        joint = fit_powers(frame, factors=["n"])
        known = frame.select(pl.coalesce("value", "bound")).to_series().to_list()
        single = fit_power(POINTS[:, 0], known, frame["status"].to_list())
        assert single.exponent is not None
        ours, theirs = joint.exponents["n"], single.exponent
        assert ours.value == pytest.approx(theirs.value, abs=1e-9)
        assert ours.low == pytest.approx(theirs.low, abs=1e-9)
        assert ours.how == theirs.how
        assert joint.scatter == pytest.approx(single.scatter)
        assert joint.aicc == pytest.approx(single.aicc)
        here, there = joint.predict({"n": 5000}, new_run=True), single.predict(5000, new_run=True)
        assert here is not None
        assert there is not None
        assert here.value == pytest.approx(there.value)
        assert here.high == pytest.approx(there.high)


def test_without_censoring_it_is_least_squares():
    tau = draw(np.random.default_rng(1))
    law = fit_powers(table(tau), factors=FACTORS)
    design = np.column_stack([np.ones(len(tau)), np.log(POINTS)])
    beta, rss, *_ = np.linalg.lstsq(design, np.log(tau), rcond=None)
    freedom = len(tau) - 4
    error = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss[0] / freedom)
    for place, factor in enumerate(FACTORS, start=1):
        exponent = law.exponents[factor]
        assert exponent.value == pytest.approx(beta[place])
        assert exponent.high == pytest.approx(beta[place] + t.ppf(0.975, freedom) * error[place])
    told = law.predict(dict(zip(FACTORS, (500, 10, 20), strict=True)))
    assert told is not None
    assert math.log(told.value) == pytest.approx(beta[0] + beta[1:] @ np.log([500, 10, 20]))


def test_with_censoring_it_is_the_likelihoods_maximum():
    tau = draw(np.random.default_rng(2))
    bound = float(np.quantile(tau, 0.7))
    law = fit_powers(table(tau, bound), factors=FACTORS)
    late, y = tau > bound, np.log(np.minimum(tau, bound))
    design = np.column_stack([np.ones(len(tau)), np.log(POINTS)])

    def loss(parameters):
        mean, s = design @ parameters[:4], np.exp(parameters[4])
        return -np.where(late, norm.logsf(y, mean, s), norm.logpdf(y, mean, s)).sum()

    start = [*np.linalg.lstsq(design, y, rcond=None)[0], -1.0]
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-5})
    told = [law.exponents[factor].value for factor in FACTORS]
    assert told == pytest.approx(list(best.x[1:4]), abs=1e-3)
    assert law.log_likelihood == pytest.approx(-best.fun, abs=1e-5)


@pytest.mark.parametrize("quantile", [1.0, 0.75])
def test_exponents_are_found_and_their_intervals_cover(quantile):
    random = np.random.default_rng(3)
    repeats, covered, found = 120, np.zeros(3), []
    for _ in range(repeats):
        tau = draw(random)
        bound = np.inf if quantile == 1 else float(np.quantile(tau, quantile))
        law = fit_powers(table(tau, bound), factors=FACTORS)
        own = [law.exponents[factor] for factor in FACTORS]
        covered += [
            bool((one.low or 0) <= truth <= (one.high or 0))
            for one, truth in zip(own, TRUTH, strict=True)
        ]
        found.append([one.value for one in own])
    assert (covered / repeats >= 0.89).all()
    assert (covered / repeats <= 0.99).all()
    assert np.abs(np.mean(found, axis=0) - TRUTH).max() < 0.03


def test_units_leave_the_exponents():
    tau = draw(np.random.default_rng(4))
    one = fit_powers(table(tau, 2000.0), factors=FACTORS)
    points = POINTS * np.array([1000, 7, 3])
    other = fit_powers(table(16 * tau, 32_000.0, points), factors=FACTORS)
    for factor in FACTORS:
        assert other.exponents[factor].value == pytest.approx(one.exponents[factor].value, abs=1e-7)
        assert other.exponents[factor].low == pytest.approx(one.exponents[factor].low, abs=1e-6)


def test_what_changes_together_is_not_told_apart_and_the_rest_is():
    tau = draw(np.random.default_rng(5))
    rate = POINTS[:, 2] ** -0.5
    frame = table(tau, **{"training.learning_rate": rate, "depth": np.full(len(tau), 3)})
    law = fit_powers(frame, factors=[*FACTORS, "training.learning_rate", "depth"])
    assert set(law.exponents) == {"n", "training.batch_size"}
    assert law.unknown["model.width"] == "it changes together with other factors"
    assert "together" in law.unknown["training.learning_rate"]
    assert "one value" in law.unknown["depth"]
    # Both columns of the pair were still taken out.
    alone = fit_powers(frame, factors=FACTORS)
    assert law.exponents["n"].value == pytest.approx(alone.exponents["n"].value)
    assert law.exponents["n"].low == pytest.approx(alone.exponents["n"].low)
    point = dict.fromkeys([*FACTORS, "training.learning_rate", "depth"], 10.0)
    assert law.predict(point) is None


def test_a_setting_that_none_turned_at_is_left_out_not_merged():
    tau = draw(np.random.default_rng(6))
    frame = table(tau)
    wide = pl.col("model.width") == 64
    censored = frame.with_columns(
        status=pl.when(wide).then(pl.lit("right_censored")).otherwise("status"),
        bound=pl.when(wide).then(1e6).otherwise("bound"),
        value=pl.when(wide).then(None).otherwise("value"),
    )
    law = fit_powers(censored, factors=FACTORS)
    narrow = fit_powers(frame.filter(~wide), factors=FACTORS[:2])
    assert "model.width" in law.unknown
    assert law.runs == narrow.runs
    for factor in FACTORS[:2]:
        assert law.exponents[factor].value == pytest.approx(narrow.exponents[factor].value)
        assert law.exponents[factor].high == pytest.approx(narrow.exponents[factor].high)


@pytest.mark.parametrize(
    ("rows", "late", "told"),
    [
        (2, [], "too few runs: 2 of 2"),
        (4, [], "no degree of freedom"),
        (6, [0, 1, 2, 3], "too few runs: 2 of 6"),
    ],
)
def test_too_few_runs_say_so(rows, late, told):
    points = GRID[[0, 3, 5, 6, 9, 10]][:rows]
    tau = draw(np.random.default_rng(7), points)
    bound = 1e9
    frame = table(np.where(np.isin(np.arange(rows), late), 2e9, tau), bound, points)
    law = fit_powers(frame, factors=FACTORS)
    assert law.reason is not None
    assert told in law.reason
    assert not law.exponents
    assert law.predict(dict.fromkeys(FACTORS, 3.0)) is None
    assert fit_powers(frame.clear(), factors=FACTORS).reason is not None


def test_an_exact_law_with_censored_runs_has_no_scatter_to_tell():
    tau = np.exp(np.log(POINTS) @ TRUTH)
    law = fit_powers(table(tau, float(np.quantile(tau, 0.8))), factors=FACTORS)
    assert law.reason is not None
    assert "exactly" in law.reason
    exact = fit_powers(table(tau), factors=FACTORS)
    assert [exact.exponents[name].value for name in FACTORS] == pytest.approx(list(TRUTH))


def test_what_is_no_power_is_refused():
    frame = table(draw(np.random.default_rng(8)), kind=["unet", "mlp"] * 12, zero=[0, 1] * 12)
    for factors, told in (
        (["n", "kind"], "'kind' does not hold positive numbers"),
        (["n", "zero"], "'zero' does not hold positive numbers"),
        (["n", "n"], "named once"),
        ([], "one or more"),
        (["n", "model.widht"], "did you mean 'model.width'"),
    ):
        with pytest.raises(DataError, match=told):
            fit_powers(frame, factors=factors)
    with pytest.raises(DataError, match="no column 'bound'"):
        fit_powers(frame.drop("bound"), factors=["n"])
    law = fit_powers(frame, factors=["n"])
    with pytest.raises(ValueError, match="log axis"):
        law.predict({})
