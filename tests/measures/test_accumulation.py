from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotone.measures.accumulation import accumulation, leakable, leaked_at

counts_of = st.lists(st.integers(1, 3), min_size=0, max_size=3)


@given(counts_of, st.integers(0, 2), st.data())
def test_fewer_samples_are_counted_exactly(
    counts: list[int], others: int, data: st.DataObject
) -> None:
    n = sum(counts) + others
    if n == 0:
        return
    t = data.draw(st.integers(0, n))
    # Every sample is a copy of one image, or (−1) of none.
    drawn = [image for image, count in enumerate(counts) for _ in range(count)] + [-1] * others
    subsets = list(combinations(drawn, t))
    exact = np.mean([len({image for image in subset if image >= 0}) for subset in subsets])
    assert leaked_at(counts, n, t) == pytest.approx(exact)


def test_the_curve_rises_and_passes_through_what_was_seen() -> None:
    curve = accumulation([7, 3, 2, 2, 1, 1, 1, 1], 60, seed=0)
    assert curve.unique[curve.observed] == 8
    assert list(curve.unique) == sorted(curve.unique)
    assert curve.samples[-1] == 120
    assert all(
        low <= value <= high
        for low, value, high in zip(curve.low, curve.unique, curve.high, strict=True)
    )
    assert curve.unique[-1] <= curve.total
    assert curve.total_low <= curve.total <= curve.total_high


def test_nothing_leaked_stays_nothing() -> None:
    curve = accumulation([], 50, seed=0)
    assert set(curve.unique) == {0.0}
    assert (curve.total, curve.total_low, curve.total_high) == (0.0, 0.0, 0.0)


def test_no_image_seen_once_means_all_are_seen() -> None:
    assert leakable([2, 2, 5], 30) == (3.0, 3.0, 3.0)
    assert leaked_at([2, 2, 5], 30, 60) == 3.0


def test_the_bound_on_all_that_leak_covers_where_images_are_alike() -> None:
    # 40 images leak, each as likely: Chao's bound is then the number itself, on average.
    random, totals, covered = np.random.default_rng(1), [], 0
    for _ in range(300):
        drawn = random.integers(0, 40, size=60)
        _, counts = np.unique(drawn, return_counts=True)
        total, low, high = leakable(counts.tolist(), 200)
        totals.append(total)
        covered += low <= 40 <= high
    assert np.mean(totals) == pytest.approx(40, rel=0.1)
    assert covered / 300 > 0.85


def test_twice_the_samples_leak_what_is_foretold() -> None:
    random, foretold, seen = np.random.default_rng(2), [], []
    for _ in range(200):
        drawn = random.integers(0, 60, size=160)
        _, counts = np.unique(drawn[:80], return_counts=True)
        foretold.append(leaked_at(counts.tolist(), 300, 600))
        seen.append(len(np.unique(drawn)))
    assert np.mean(foretold) == pytest.approx(np.mean(seen), rel=0.05)


def test_the_same_seed_gives_the_same_band() -> None:
    assert accumulation([2, 1, 1], 30, seed=4) == accumulation([2, 1, 1], 30, seed=4)


def test_no_more_leak_than_there_are() -> None:
    curve = accumulation([1] * 25, 500, seed=0, most=30)
    assert max(curve.high) == curve.total == curve.total_high == 30
    assert curve.unique[curve.observed] == 25


def test_where_nothing_leaked_twice_only_a_lower_end_is_known() -> None:
    total, low, high = leakable([1] * 101, 2000)
    assert low < total < high == np.inf
    # 101 of so many images, no two the same: the chance is one in twenty.
    alike = np.prod(1 - np.arange(101) / low)
    assert alike == pytest.approx(0.05, abs=0.005)
