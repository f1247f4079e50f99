from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ecotone.core.errors import DataError
from ecotone.laws import Onset, tau_gen, tau_mem

quick = settings(max_examples=25, deadline=None, derandomize=True)


def shares(step, value, samples=500) -> pl.DataFrame:
    return pl.DataFrame({"step": step, "value": value}).with_columns(
        pl.col("value").cast(pl.Float64), samples=pl.lit(samples)
    )


def floor(value=0.0, samples=500) -> pl.DataFrame:
    return shares([1], [value], samples)


def distances(step, value, error=None) -> pl.DataFrame:
    value = np.asarray(value, dtype=float)
    half = np.full(len(value), np.nan if error is None else 1.96) * (0 if error is None else error)
    frame = pl.DataFrame({"step": step, "value": value, "low": value - half, "high": value + half})
    return frame.with_columns(pl.col("low", "high").fill_nan(None))


def rising(step, turn, slope, base=0.0):
    """A share that rises from a base to 1 around a step."""
    return base + (1 - base) * expit(slope * np.log(np.asarray(step) / turn))


# tau_mem


def test_tau_mem_interpolates_linearly_in_log_step():
    onset = tau_mem(shares([10, 100, 1000], [0.0, 0.0, 0.1]), floor())
    assert onset is not None
    assert onset.value == pytest.approx(10**2.5)
    assert onset.low is not None
    assert onset.high is not None
    assert onset.value is not None
    assert 100 < onset.low < onset.value < onset.high < 1000


def test_tau_mem_counts_from_the_floor():
    curve = shares([10, 100, 1000, 10000], [0.02, 0.03, 0.2, 0.9])
    values = []
    for share in (0.0, 0.02, 0.1):
        onset = tau_mem(curve, floor(share))
        assert onset is not None
        values.append(onset.value)
        assert onset.how["floor"] == share
    assert values == sorted(values)
    assert len(set(values)) == 3


def test_floor_rows_are_one_measurement_repeated():
    curve = shares([10, 100, 1000], [0.0, 0.02, 0.4])
    repeated = shares([10, 100, 1000], [0.01] * 3)
    assert tau_mem(curve, floor(0.01)) == tau_mem(curve, repeated)


def test_floors_own_error_widens_the_interval():
    step = np.geomspace(10, 1e4, 10).round()
    curve = shares(step, rising(step, 2000, 1.0), 2000)
    wide, narrow = (tau_mem(curve, floor(0.02, n)) for n in (100, 100_000))
    assert wide is not None
    assert narrow is not None
    assert wide.value == narrow.value
    assert wide.high is not None
    assert narrow.high is not None
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low
    assert wide.high > 1.2 * narrow.high


def test_never_crossed_is_right_censored_at_the_last_step():
    onset = tau_mem(shares([10, 100, 1000], [0.0, 0.01, 0.04]), floor())
    assert onset is not None
    assert (onset.status, onset.bound, onset.value) == ("right_censored", 1000.0, None)


def test_above_from_the_start_is_left_censored_at_the_first_step():
    onset = tau_mem(shares([10, 100, 1000], [0.5, 0.6, 0.7]), floor())
    assert onset is not None
    assert (onset.status, onset.bound, onset.value) == ("left_censored", 10.0, None)


def test_interval_is_open_to_the_right_where_replicates_never_cross():
    onset = tau_mem(shares([10, 100, 1000], [0.0, 0.0, 0.051], 200), floor())
    assert onset is not None
    assert onset.status == "observed"
    assert onset.high is None
    assert onset.low is not None
    assert onset.how["never_crossed"] > 0.025  # type: ignore[operator]


def test_too_few_steps_or_no_floor_is_absent():
    curve = shares([10, 100, 1000], [0.0, 0.1, 0.5])
    assert tau_mem(curve.head(2), floor()) is None
    assert tau_mem(curve, floor().clear()) is None
    assert tau_gen(distances([10, 100], [2.0, 1.0])) is None


def test_unusable_rows_are_skipped():
    clean = shares([10, 100, 1000], [0.0, 0.0, 0.3])
    dirty = pl.concat([shares([0, 50, 60], [0.9, np.nan, None]), clean])
    assert tau_mem(dirty, floor()) == tau_mem(clean, floor())


def test_wrong_tables_are_refused():
    with pytest.raises(DataError, match="more than one row"):
        tau_mem(shares([10, 10, 100], [0.0, 0.1, 0.2]), floor())
    with pytest.raises(DataError, match="outside"):
        tau_mem(shares([10, 20, 100], [0.0, 0.1, 1.2]), floor())
    with pytest.raises(DataError, match="no column 'samples'"):
        tau_mem(shares([10, 20, 100], [0.0, 0.1, 0.2]).drop("samples"), floor())
    with pytest.raises(DataError, match="negative"):
        tau_gen(distances([10, 20, 100], [1.0, -0.1, 0.2]))


@quick
@given(
    copies=st.lists(st.integers(0, 300), min_size=4, max_size=8),
    scale=st.sampled_from([2, 3, 7, 1000]),
)
def test_scaling_the_steps_scales_tau(copies, scale):
    step = 10 * 2 ** np.arange(len(copies))
    one, many = (
        tau_mem(shares(steps, np.array(copies) / 300, 300), floor(), replicates=50)
        for steps in (step, scale * step)
    )
    assert one is not None
    assert many is not None
    assert one.status == many.status
    for name in ("value", "low", "high", "bound"):
        before, after = getattr(one, name), getattr(many, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert after == pytest.approx(scale * before, rel=1e-9)


@quick
@given(
    copies=st.lists(st.integers(0, 300), min_size=4, max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_order_of_rows_does_not_matter_and_more_copies_mean_earlier(copies, order):
    step = 10.0 * 2 ** np.arange(len(copies))
    share = np.array(copies) / 300
    curve = shares(step, share, 300)
    index = list(range(len(copies)))
    order.shuffle(index)
    onset = tau_mem(curve, floor(), replicates=20)
    assert onset == tau_mem(curve[index], floor(), replicates=20)
    sooner = tau_mem(shares(step, np.minimum(1, share + 0.03), 300), floor(), replicates=20)
    assert onset is not None
    assert sooner is not None

    def when(one: Onset) -> float:
        if one.value is not None:
            return one.value
        return np.inf if one.status == "right_censored" else 0.0

    assert when(sooner) <= when(onset) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("slope", "steps", "samples", "base"),
    [(1.0, 12, 200, 0.02), (4.0, 12, 300, 0.0), (2.0, 20, 500, 0.03)],
)
def test_tau_mem_interval_covers(slope, steps, samples, base):
    random = np.random.default_rng(3)
    turn, covered, estimates = 2000.0, 0, []
    crossing = 0.05 / (1 - base)
    curves = 150
    for _ in range(curves):
        # The grid moves against the curve, as it does from one study to the next.
        step = np.geomspace(10, 30_000, steps) * np.exp(random.uniform(-0.5, 0.5))
        truth = turn * (crossing / (1 - crossing)) ** (1 / slope)
        counts = random.binomial(samples, rising(step, turn, slope, base))
        measured_floor = floor(random.binomial(samples, base) / samples, samples)
        onset = tau_mem(shares(step, counts / samples, samples), measured_floor, replicates=400)
        assert onset is not None
        assert onset.value is not None
        low, high = onset.low or 0.0, onset.high or np.inf
        covered += low <= truth <= high
        estimates.append(np.log(onset.value / truth))
    assert covered / curves >= 0.88
    # Where the share rises within one spacing, no more than the spacing can be told.
    assert abs(np.median(estimates)) < 0.3 * np.log(3000) / (steps - 1)


# tau_gen


def test_tau_gen_interpolates_and_ignores_the_rise_after_the_best():
    step, fall = [10, 100, 1000, 10_000, 100_000], [9.0, 1.4, 1.0]
    onsets = [tau_gen(distances(step, fall + rise)) for rise in ([1.0, 1.0], [5.0, 50.0])]
    for onset in onsets:
        assert onset is not None
        # 1.4 − 0.4·u = 1.1 at u = 3/4 of the way from log 100 to log 1000
        assert onset.value == pytest.approx(10**2.75)
        assert onset.low is None
        assert onset.how["interval"] == "none"


def test_tau_gen_near_its_best_from_the_start_is_left_censored():
    onset = tau_gen(distances([10, 100, 1000], [1.0, 1.05, 2.0]))
    assert onset is not None
    assert (onset.status, onset.bound) == ("left_censored", 10.0)


def test_tau_gen_still_improving_is_right_censored_at_the_best_so_far():
    onset = tau_gen(distances([10, 100, 1000], [9.0, 5.0, 1.0]))
    assert onset is not None
    assert onset.status == "right_censored"
    assert onset.bound == pytest.approx(10 ** (2 + 3.9 / 4))


def test_tau_gen_levelled_off_at_the_last_step_is_observed_unless_cut_short():
    curve = distances([10, 100, 1000, 2000, 4000, 8000], [9.0, 5.0, 1.02, 1.01, 1.005, 1.0])
    onset = tau_gen(curve)
    assert onset is not None
    assert onset.status == "observed"
    assert onset.how["best_at_last_step"] is True
    short = tau_gen(curve, finished=False)
    assert short is not None
    assert short.status == "right_censored"
    assert short.bound == pytest.approx(onset.value)


@quick
@given(
    values=st.lists(st.floats(0.5, 20), min_size=3, max_size=10),
    unit=st.sampled_from([1e-3, 7.0, 1e4]),
    scale=st.sampled_from([2, 5, 100]),
)
def test_tau_gen_does_not_depend_on_the_unit_of_distance(values, unit, scale):
    step = 10 * 3 ** np.arange(len(values))
    value = np.array(values)
    one = tau_gen(distances(step, value, 0.05 * value), replicates=20)
    other = tau_gen(distances(scale * step, unit * value, 0.05 * unit * value), replicates=20)
    assert one is not None
    assert other is not None
    assert one.status == other.status
    for name in ("value", "low", "high", "bound"):
        before, after = getattr(one, name), getattr(other, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert after == pytest.approx(scale * before, rel=1e-6)


@pytest.mark.parametrize(("error", "rise"), [(0.02, 0.0), (0.05, 0.3)])
def test_tau_gen_interval_covers(error, rise):
    random = np.random.default_rng(5)

    def mean(step):
        log = np.log(step)
        fall = 30 * np.exp(-1.2 * (log - np.log(10)))
        return 1 + fall + rise * np.maximum(0, log - np.log(5000))

    dense = np.geomspace(10, 30_000, 20_001)
    truth = dense[np.argmax(mean(dense) <= 1.1 * mean(dense).min())]
    step = np.geomspace(10, 30_000, 18)
    covered, estimates, curves = 0, [], 100
    for _ in range(curves):
        spread = error * mean(step)
        value = np.maximum(0, mean(step) + spread * random.standard_normal(len(step)))
        onset = tau_gen(distances(step, value, spread), replicates=200)
        assert onset is not None
        if onset.value is None:
            covered += onset.bound is not None and onset.bound <= truth
            continue
        covered += (onset.low or 0.0) <= truth <= (onset.high or np.inf)
        estimates.append(np.log(onset.value / truth))
    assert covered / curves >= 0.88
    assert abs(np.median(estimates)) < 0.3


# the record


def test_onset_refuses_contradictions_and_survives_pickling():
    with pytest.raises(ValueError, match="with value"):
        Onset("tau_mem", "right_censored", value=3.0, bound=4.0)
    with pytest.raises(ValueError, match="out of order"):
        Onset("tau_mem", "observed", value=3.0, low=4.0)
    with pytest.raises(ValueError, match="not an interval"):
        Onset("tau_mem", "right_censored", bound=3.0, low=1.0)
    onset = tau_mem(shares([10, 100, 1000], [0.0, 0.0, 0.1]), floor())
    assert pickle.loads(pickle.dumps(onset)) == onset


def test_intervals_are_the_same_for_the_same_seed_only():
    curve = shares([10, 100, 1000, 3000], [0.0, 0.04, 0.1, 0.6])
    first, again, other = (tau_mem(curve, floor(), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
