from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from ecotone.laws import collapse
from ecotone.laws.tables import SHARE

STEPS = np.unique(np.geomspace(4, 30_000, 20).round()).astype(int)


def study(clock, *, batches=(8, 32), sizes=(64,), seeds=3, noise=0.02, status="finished", seed=0):
    """Shares that rise where a run has gone 10,000 units of a clock, and a table of their runs."""
    random = np.random.default_rng(seed)
    rows, runs = [], []
    for n in sizes:
        for batch in batches:
            for index in range(seeds):
                unit = {"steps": 1.0, "images": batch, "epochs": batch / n}[clock]
                middle = {"steps": 1000, "images": 16_000, "epochs": 250}[clock]
                share = expit(2 * np.log(STEPS * unit / middle))
                share = np.clip(share + noise * random.standard_normal(len(share)), 0, 1)
                lead = (n, batch, index)
                rows += [
                    (*lead, int(s), SHARE, float(p), 500) for s, p in zip(STEPS, share, strict=True)
                ]
                runs.append((*lead, status, batch))
    lead = ["n", "training.batch_size", "seed"]
    return (
        pl.DataFrame(rows, schema=[*lead, "step", "measure", "value", "samples"], orient="row"),
        pl.DataFrame(runs, schema=[*lead, "status", "batch_size"], orient="row"),
    )


def by_clock(table, column, n=64) -> dict:
    return dict(table.filter(n=n).select("clock", column).rows())


@pytest.mark.parametrize("clock", ["steps", "images"])
def test_curves_fall_together_on_their_own_clock(clock):
    table = collapse(*study(clock))
    assert table["clock"].to_list() == ["steps", "epochs", "images"]
    other = "images" if clock == "steps" else "steps"
    unexplained, best = by_clock(table, "unexplained"), by_clock(table, "best_share")
    assert unexplained[clock] < 0.01
    assert unexplained[other] > 10 * unexplained[clock]
    assert best[other] == 0
    # With one size epochs and images are the same clock in other units.
    assert unexplained["epochs"] == pytest.approx(unexplained["images"], rel=1e-9)
    assert best["epochs"] == pytest.approx(best["images"])
    assert sum(best.values()) == pytest.approx(1)


def test_without_noise_the_right_clock_leaves_only_interpolation():
    table = collapse(*study("images", noise=0.0, seeds=1))
    assert by_clock(table, "deviation")["images"] < 1e-5
    assert by_clock(table, "deviation")["steps"] > 1e-2
    for column in ("low", "high", "unexplained_low", "best_share"):
        assert table[column].to_list() == [None] * 3


def test_the_interval_holds_the_estimate_and_repeats():
    results, runs = study("images")
    table = collapse(results, runs)
    for name, low, high in (
        ("deviation", "low", "high"),
        ("unexplained", "unexplained_low", "unexplained_high"),
    ):
        assert (table[low] <= table[name]).all()
        assert (table[name] <= table[high]).all()
        assert (table[low] < table[high]).all()
    assert table.equals(collapse(results.sample(fraction=1.0, shuffle=True, seed=3), runs))


def test_units_of_time_do_not_matter():
    results, runs = study("images")
    scaled = results.with_columns(step=pl.col("step") * 7)
    one, other = collapse(results, runs), collapse(scaled, runs)
    for column in ("deviation", "high", "unexplained"):
        assert one[column].to_list() == pytest.approx(other[column].to_list())
    assert other["start"].to_list() == pytest.approx((7 * one["start"]).to_list())


def test_groups_are_compared_apart_and_unfinished_runs_left_out():
    results, runs = study("epochs", sizes=(64, 256))
    table = collapse(results, runs)
    assert table["n"].to_list() == [64] * 3 + [256] * 3
    assert table["runs"].to_list() == [6] * 6
    failed = runs.with_columns(
        status=pl.when(n=256).then(pl.lit("failed")).otherwise(pl.lit("finished"))
    )
    assert collapse(results, failed)["n"].unique().to_list() == [64]


def test_nothing_is_extrapolated_and_flat_curves_explain_nothing():
    results, runs = study("images", batches=(1, 100_000))
    table = collapse(results, runs)
    assert by_clock(table, "deviation")["images"] is None  # no common range
    assert by_clock(table, "start")["images"] is None
    assert by_clock(table, "deviation")["steps"] is not None
    results, runs = study("images")
    flat = collapse(results.with_columns(value=pl.lit(0.5)), runs)
    assert flat["deviation"].to_list() == [0.0] * 3
    assert flat["unexplained"].to_list() == [None] * 3


def test_one_batch_size_has_nothing_to_compare():
    results, runs = study("images", batches=(8,))
    assert collapse(results, runs).is_empty()
    assert collapse(results.clear(), runs).columns == collapse(results, runs).columns
