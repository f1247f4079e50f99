from __future__ import annotations

import numpy as np
import pytest
import torch

from ecotone.core.intervals import wilson
from ecotone.measures import Neighbours, Proximity, TopK, neighbours
from ecotone.measures.copying import (
    copied_share_gap_ratio,
    copied_share_gap_ratio_floor,
    copied_share_holdout_quantile,
    copied_share_holdout_quantile_floor,
)


def proximity(d1: list[float], d2: list[float] | None = None) -> Proximity:
    index = torch.zeros(len(d1), dtype=torch.int64)
    first = torch.tensor(d1, dtype=torch.float64)
    second = None if d2 is None else torch.tensor(d2, dtype=torch.float64)
    listed = TopK(first[:, None], index[:, None])
    return Proximity(first, index, second, None if d2 is None else index, listed)


def given(generated: Proximity, holdout: Proximity | None = None) -> Neighbours:
    return Neighbours(
        generated=generated,
        holdout=holdout,
        training=None,
        generated_to_holdout=None,
        clusters=torch.zeros(1, dtype=torch.int64),
        how={"near_duplicate_threshold": 0.5},
    )


def test_an_image_is_copied_where_its_nearest_stands_out() -> None:
    found = given(proximity([0.0, 0.9, 1.0, 1.1], [3.0] * 4), proximity([0.9, 2.0], [3.0, 3.0]))
    share = copied_share_gap_ratio(found)
    assert share is not None
    # 1.0 is a third exactly: not nearer than it.
    assert share.value == 0.5
    assert (share.low, share.high) == wilson(2, 4)
    assert share.how["gap_ratio"] == 1 / 3
    assert share.how["near_duplicate_threshold"] == 0.5
    floor = copied_share_gap_ratio_floor(found)
    assert floor is not None
    assert floor.value == 0.5
    assert copied_share_gap_ratio_floor(given(found.generated)) is None


def test_without_distinct_images_there_is_no_gap_ratio() -> None:
    assert copied_share_gap_ratio(given(proximity([0.0]))) is None


@pytest.mark.parametrize("copies", [2, 30])
def test_copies_of_duplicated_images_are_copies(copies: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 8, generator=generator)
    training = torch.cat([images, images[:5].repeat(copies - 1, 1)])
    share = copied_share_gap_ratio(neighbours(generated=images[:5], training=training))
    assert share is not None
    assert share.value == 1.0


def test_the_quantile_is_conformal_and_ties_are_not_copies() -> None:
    holdout = proximity([float(i) for i in range(1, 200)])
    found = given(proximity([0.5, 1.0, 1.5, 2.0, 3.0]), holdout)
    share = copied_share_holdout_quantile(found)
    assert share is not None
    assert share.how["threshold"] == 2.0
    assert share.how["false_positive_rate"] == 2 / 200
    assert share.value == 3 / 5


def test_a_small_holdout_cannot_tell_a_small_rate() -> None:
    found = given(proximity([0.0]), proximity([1.0] * 98))
    assert copied_share_holdout_quantile(found) is None
    assert copied_share_holdout_quantile(given(proximity([0.0]), proximity([1.0] * 99))) is not None
    assert copied_share_holdout_quantile(given(proximity([0.0]))) is None


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("ties", [False, True])
def test_the_floor_leaves_each_image_out(rate: float, ties: bool) -> None:
    values = np.random.default_rng(0).exponential(size=150)
    values = np.round(values, 1) if ties else values
    floor = copied_share_holdout_quantile_floor(
        given(proximity([0.0]), proximity(values.tolist())), rate
    )
    assert floor is not None
    rank = int(np.floor(rate * 150 + 1e-9))
    copied = [
        value < np.sort(np.delete(values, index))[rank - 1] for index, value in enumerate(values)
    ]
    assert floor.value == pytest.approx(np.mean(copied))
    assert floor.how["false_positive_rate"] == rank / 150


def test_the_false_positive_rate_is_the_one_that_was_promised() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(60):
        training, holdout, generated = torch.randn(3, 119, 3, generator=generator)
        found = neighbours(generated=generated, training=training, holdout=holdout)
        share = copied_share_holdout_quantile(found, 0.05)
        assert share is not None
        assert share.how["false_positive_rate"] == 6 / 120
        shares.append(share.value)
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.05) < 4 * error


def test_shares_out_of_range_are_refused() -> None:
    found = given(proximity([0.0], [1.0]), proximity([1.0] * 200))
    with pytest.raises(ValueError, match="gap ratio"):
        copied_share_gap_ratio(found, 1.5)
    with pytest.raises(ValueError, match="false-positive rate"):
        copied_share_holdout_quantile(found, 0.0)
