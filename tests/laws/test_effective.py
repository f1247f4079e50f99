from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from ecotone.core.errors import DataError
from ecotone.laws import EffectiveMemorization, effective_memorization
from ecotone.laws.tables import SHARE

SIZES = [16, 32, 64, 128, 256, 512]


def study(shares, sizes=SIZES, *, seeds=1, samples=500, steps=(100, 1000), before=1.0, **more):
    """Runs whose last share is given, one row a size (and seed); earlier ones are ``before``."""
    shares = np.broadcast_to(
        np.asarray(shares, dtype=float).reshape(len(sizes), -1), (len(sizes), seeds)
    )
    rows, runs = [], []
    for n, own in zip(sizes, shares, strict=True):
        for seed, last in enumerate(own):
            for step in steps:
                value = float(last) if step == steps[-1] else before
                rows.append((n, seed, step, SHARE, value, samples))
            runs.append((n, seed, "finished"))
    lead = ["n", "seed"]
    results = pl.DataFrame(
        rows, schema=[*lead, "step", "measure", "value", "samples"], orient="row"
    )
    listed = pl.DataFrame(runs, schema=[*lead, "status"], orient="row")
    named = [pl.lit(value).alias(name) for name, value in more.items()]
    return results.select(*named, pl.all()), listed.select(*named, pl.all())


def the(results, runs, **options) -> EffectiveMemorization:
    (found,) = effective_memorization(results, runs, **options)
    return found


def test_it_interpolates_in_log_n():
    found = the(*study([1, 1, 0.95, 0.85, 0, 0]))
    assert found.status == "observed"
    assert found.value == pytest.approx(64 * 2**0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low < found.value < found.high
    assert found.bound is None
    assert found.how["runs"] == 6


def test_the_last_step_counts_not_the_best_snapshot():
    lucky = the(*study([1, 1, 0.95, 0.2, 0, 0], before=0.99))
    plain = the(*study([1, 1, 0.95, 0.2, 0, 0], before=0.0))
    assert lucky == plain


def test_it_is_censored_at_the_ends_of_the_measured_range():
    low, high = the(*study([0.8, 0.5, 0, 0, 0, 0])), the(*study([1, 1, 1, 1, 0.95, 0.9]))
    assert (low.status, low.bound, low.value) == ("left_censored", 16, None)
    assert (high.status, high.bound, high.value) == ("right_censored", 512, None)
    assert the(*study([1.0], [64])).status == "right_censored"
    assert the(*study([0.5], [64])).status == "left_censored"


def test_a_dip_is_averaged_with_its_neighbours():
    dip, smooth = the(*study([1, 0.85, 1, 0.2, 0, 0])), the(*study([1, 0.925, 0.925, 0.2, 0, 0]))
    assert dip.value == pytest.approx(smooth.value)


def test_the_interval_covers():
    random = np.random.default_rng(0)
    sizes = np.array(SIZES)
    truth = 100.0
    share = expit(-3 * np.log(sizes / truth) + np.log(9))  # 0.9 at the truth
    covered, repeats = 0, 100
    for _ in range(repeats):
        drawn = random.binomial(300, share) / 300
        found = the(*study(drawn, samples=300), replicates=200)
        assert found.status == "observed"
        low, high = found.low or 0.0, found.high or np.inf
        covered += low <= truth <= high
    assert covered / repeats >= 0.9


def test_runs_that_differ_widen_the_interval_where_there_are_several():
    middle = np.array([1, 0.96, 0.8, 0.4, 0.1, 0.0])
    apart = np.clip(
        middle[:, None] + np.array([-0.15, 0.0, 0.15]) * [[0], [0.1], [1], [1], [0], [0]], 0, 1
    )
    alike = np.tile(apart.mean(axis=1)[:, None], 3)
    wide, narrow = (the(*study(one, seeds=3)) for one in (apart, alike))
    assert wide.value == pytest.approx(narrow.value)
    assert wide.low is not None
    assert narrow.low is not None
    assert np.log((wide.high or np.inf) / wide.low) > 1.5 * np.log((narrow.high or 0) / narrow.low)


def test_sizes_in_other_units_scale_it():
    one = the(*study([1, 1, 0.95, 0.5, 0, 0]))
    ten = the(*study([1, 1, 0.95, 0.5, 0, 0], [10 * n for n in SIZES]))
    assert one.value is not None
    assert one.low is not None
    assert ten.value == pytest.approx(10 * one.value)
    assert ten.low == pytest.approx(10 * one.low)


def test_groups_have_their_own_and_seeds_are_pooled():
    narrow, listed = study([1, 0.8, 0, 0, 0, 0], **{"model.width": 8})
    wide, more = study([1, 1, 1, 1, 0.8, 0], **{"model.width": 32})
    results, runs = pl.concat([wide, narrow]), pl.concat([more, listed])
    found = effective_memorization(results, runs)
    assert [one.group for one in found] == [{"model.width": 8}, {"model.width": 32}]
    assert found[0].value is not None
    assert found[1].value is not None
    assert found[0].value < found[1].value
    other = pl.col("seed") + 1
    both = the(
        pl.concat([narrow, narrow.with_columns(seed=other)]),
        pl.concat([listed, listed.with_columns(seed=other)]),
    )
    assert both.value == pytest.approx(found[0].value)
    assert both.how["runs"] == 12
    assert len(effective_memorization(results, runs, by=[])) == 1


def test_only_finished_runs_take_part():
    results, runs = study([1, 1, 0.95, 0.5, 0, 0])
    for status in ("stopped", "failed", "unfinished"):
        ended = runs.with_columns(status=pl.lit(status))
        assert effective_memorization(results, ended) == ()
    assert effective_memorization(results.clear(), runs) == ()


def test_epsilon_moves_it_and_nonsense_is_refused():
    results, runs = study([1, 0.95, 0.85, 0.5, 0.1, 0])
    values = [the(results, runs, epsilon=epsilon).value for epsilon in (0.1, 0.2, 0.6)]
    assert all(value is not None for value in values)
    assert values == sorted(values, key=lambda value: value or 0)
    with pytest.raises(ValueError, match="epsilon"):
        effective_memorization(results, runs, epsilon=1.0)
    with pytest.raises(DataError, match="no factor 'width'"):
        effective_memorization(results, runs, by=["width"])
    with pytest.raises(DataError, match="outside"):
        effective_memorization(results.with_columns(value=pl.lit(1.5)), runs)


def test_it_pickles_and_keeps_order():
    found = the(*study([1, 1, 0.95, 0.5, 0, 0]))
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ValueError, match="out of order"):
        EffectiveMemorization({}, "observed", value=3.0, low=4.0)
    with pytest.raises(ValueError, match="bound"):
        EffectiveMemorization({}, "left_censored", value=3.0)
