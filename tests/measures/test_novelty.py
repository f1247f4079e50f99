from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from torch import Tensor

from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, Neighbours, Proximity, TopK, neighbours
from ecotone.measures.novelty import novelty, novelty_rank, novelty_ratio


def at(generated: Tensor, holdout: Tensor) -> Neighbours:
    """Return neighbours of images at these distances from the only training image."""

    def nearest(distance: Tensor) -> Proximity:
        distance, index = distance.double(), torch.zeros(len(distance)).long()
        return Proximity(distance, index, None, None, TopK(distance[:, None], index[:, None]))

    return Neighbours(
        generated=nearest(generated),
        holdout=nearest(holdout),
        training=None,
        generated_to_holdout=None,
        clusters=torch.zeros(1).long(),
        how={},
    )


def gamma(n: int, mean: float, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).gamma(10, mean / 10, n)).float()


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=30),
    st.lists(st.integers(0, 6), min_size=1, max_size=30),
)
@settings(max_examples=50, deadline=None)
def test_the_rank_is_that_of_mann_and_whitney(first: list[int], second: list[int]) -> None:
    generated, holdout = (torch.tensor(each).float() for each in (first, second))
    found = novelty_rank(at(generated, holdout))
    assert found is not None
    expected = mannwhitneyu(first, second).statistic / (len(first) * len(second))
    assert found.value == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    # Exchanging the sets turns it around, with its interval.
    other = novelty_rank(at(holdout, generated))
    assert other is not None
    assert other.value == pytest.approx(1 - found.value)
    assert other.low == pytest.approx(1 - found.high)


def test_copies_are_at_zero_and_the_holdout_itself_at_one_and_a_half() -> None:
    holdout = gamma(50, 1.0, 0)
    copies = at(torch.zeros(40), holdout)
    ratio, rank = novelty_ratio(copies), novelty_rank(copies)
    assert ratio is not None
    assert rank is not None
    assert ratio.value == rank.value == ratio.low == rank.low == 0
    # What Wilson leaves to kinds of images of which none was drawn.
    assert ratio.high == pytest.approx(3.8415 / 43.8415, rel=1e-4)
    assert rank.high == pytest.approx(3.8415 / 43.8415, rel=1e-4)
    same = at(holdout, holdout)
    ratio, rank = novelty_ratio(same), novelty_rank(same)
    assert ratio is not None
    assert rank is not None
    assert ratio.value == pytest.approx(1)
    assert rank.value == 0.5


def test_images_off_the_population_are_above_one() -> None:
    far = at(gamma(50, 4.0, 0), gamma(50, 1.0, 1))
    ratio, rank = novelty_ratio(far), novelty_rank(far)
    assert ratio is not None
    assert rank is not None
    assert ratio.low is not None
    assert ratio.low > 1
    assert rank.value > 0.95


@given(st.floats(0.01, 100), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_scales_change_nothing(scale: float, seed: int) -> None:
    generated, holdout = gamma(20, 0.7, seed), gamma(30, 1.0, seed + 100)
    for measure in (novelty_ratio, novelty_rank):
        before = measure(at(generated, holdout))
        larger = measure(at(generated.double() * scale, holdout.double() * scale))
        assert before is not None
        assert larger is not None
        assert larger.value == pytest.approx(before.value, rel=1e-6)
        assert larger.high == pytest.approx(before.high, rel=1e-6)


@pytest.mark.parametrize(("mean", "copies"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.5)])
def test_intervals_hold_what_they_are_built_for(mean: float, copies: float) -> None:
    def generated(n: int, seed: int) -> Tensor:
        kept = np.random.default_rng(seed + 7).random(n) >= copies
        return gamma(n, mean, seed) * torch.from_numpy(kept)

    many = at(generated(20_000, 1), gamma(20_000, 1.0, 2))
    for measure in (novelty_ratio, novelty_rank):
        truth, held = measure(many), 0
        assert truth is not None
        for seed in range(200):
            found = measure(at(generated(80, 1000 + seed), gamma(60, 1.0, 5000 + seed)))
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            held += found.low <= truth.value <= found.high
        # Four standard errors below 0.95.
        assert held / 200 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 200)


def test_a_mean_that_may_be_zero_bounds_no_ratio() -> None:
    holdout = torch.zeros(30)
    holdout[0] = 1.0
    found = novelty_ratio(at(gamma(30, 1.0, 0), holdout))
    assert found is not None
    assert found.low is None


def test_what_cannot_be_had_is_left_out() -> None:
    generated, training = torch.rand(5, 2), torch.rand(6, 2)
    alone = neighbours(generated=generated, training=training)
    assert novelty_ratio(alone) is None
    assert novelty_rank(alone) is None
    # A holdout of training images.
    known = neighbours(generated=generated, training=training, holdout=training)
    sets = Evidence(
        generated=generated,
        training=training,
        holdout=training,
        neighbours=known,
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )
    assert set(novelty(sets)) == {"novelty_rank"}
    assert novelty(replace(sets, holdout=None, neighbours=alone)) == {}
    one = novelty_ratio(at(torch.ones(1), torch.ones(9)))
    assert one is not None
    assert one.low is None
