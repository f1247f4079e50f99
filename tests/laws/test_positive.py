from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotone.core.errors import DataError
from ecotone.laws.positive import Passage, passes_down, passes_up

SIZES = np.geomspace(10, 1000, 9)


def logistic(x: np.ndarray, middle: float, steepness: float = 4.0) -> np.ndarray:
    return 1 / (1 + np.exp(-steepness * (np.log(x) - math.log(middle))))


def at(passage: Passage | None) -> float:
    """Return where it passes, which must be known."""
    assert passage is not None
    assert passage.value is not None
    return passage.value


def width(passage: Passage) -> float:
    """Return the width of its interval in the logarithm."""
    assert passage.low is not None
    assert passage.high is not None
    return math.log(passage.high / passage.low)


def test_the_crossing_of_a_known_curve_is_found():
    passage = passes_up(SIZES, logistic(SIZES, 100.0), [10_000] * 9)
    assert passage.status == "observed"
    assert at(passage) == pytest.approx(100.0, rel=0.02)
    down = passes_down(SIZES, 1 - logistic(SIZES, 100.0), [10_000] * 9)
    assert at(down) == pytest.approx(100.0, rel=0.02)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    truth = logistic(SIZES, 70.0, 2.0)
    held = 0
    for trial in range(60):
        share = random.binomial(60, truth) / 60
        passage = passes_up(SIZES, share, [60] * 9, replicates=200, seed=trial)
        held += (passage.low or 0) <= 70.0 <= (passage.high or math.inf)
    assert held >= 52


def test_rising_and_falling_mirror_one_another():
    share = np.array([0.0, 0.1, 0.7, 0.9, 1.0, 0.8, 0.3, 0.1, 0.0])
    up = passes_up(SIZES, share, [200] * 9)
    down = passes_down(1 / SIZES, share, [200] * 9)
    assert at(up) == pytest.approx(1 / at(down))
    assert at(up) < SIZES[4] < at(passes_down(SIZES, share, [200] * 9))


def test_ends_of_the_range_are_bounds():
    above = passes_up(SIZES, np.ones(9), [50] * 9)
    assert (above.status, above.bound, above.value) == ("left_censored", 10.0, None)
    below = passes_up(SIZES, np.zeros(9), [50] * 9)
    assert (below.status, below.bound) == ("right_censored", 1000.0)
    assert passes_down(SIZES, np.zeros(9), [50] * 9) is None
    still = passes_down(SIZES, np.ones(9), [50] * 9)
    assert still is not None
    assert still.status == "right_censored"
    assert passes_up([16], [0.7], [50]).status == "left_censored"
    assert passes_up([16], [0.2], [50]).status == "right_censored"


def test_a_dip_on_the_way_up_is_averaged_with_its_neighbours():
    # Two thirds of the first two sizes' samples are below a half on average.
    passage = passes_up([8, 16, 24, 48], [0.6, 0.0, 0.8, 0.9], [100] * 4)
    assert passage.status == "observed"
    assert 16 < at(passage) < 24


def test_more_samples_narrow_the_interval():
    share = logistic(SIZES, 75.0, 1.5)
    few, many = (passes_up(SIZES, share, [m] * 9) for m in (15, 3000))
    assert width(many) < 0.7 * width(few)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=8),
    st.integers(0, 5),
)
def test_values_lie_within_the_range_and_their_interval(hits, seed):
    x = [2.0**k for k in range(len(hits))]
    share = [count / 20 for count in hits]
    for passage in (
        passes_up(x, share, [20] * len(x), replicates=50, seed=seed),
        passes_down(x, share, [20] * len(x), replicates=50, seed=seed),
    ):
        if passage is None or passage.value is None:
            continue
        assert x[0] <= passage.value <= x[-1] * (1 + 1e-12)
        assert (passage.low or 0) <= passage.value <= (passage.high or math.inf)


@pytest.mark.parametrize(
    ("x", "share", "samples", "told"),
    [
        ([1, 1], [0, 1], [2, 2], "distinct"),
        ([1, 2], [0, 1.5], [2, 2], "outside"),
        ([1, 2], [0, math.nan], [2, 2], "outside"),
        ([1, 2], [0, 1], [2, 0], "0 samples"),
        ([0, 2], [0, 1], [2, 2], "positive"),
        ([], [], [], "do not make a curve"),
    ],
)
def test_curves_that_cannot_be_are_refused(x, share, samples, told):
    with pytest.raises(DataError, match=told):
        passes_up(x, share, samples)
