from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, hypergeom

from ecotone.auditing.planning import critical_count, detectable_share, images_needed


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_the_critical_count_is_the_first_that_is_significant(
    n: int, m: int, data: st.DataObject
) -> None:
    floor = data.draw(st.integers(0, min(m, 5)))
    k = critical_count(n, floor, m, 0.0125)

    def p(copied: int) -> float:
        return float(hypergeom.sf(copied - 1, n + m, copied + floor, n))

    if k is None:
        assert p(n) > 0.0125
        return
    assert p(k) <= 0.0125 * (1 + 1e-9)
    assert k == 0 or p(k - 1) > 0.0125 * (1 - 1e-9)


@given(st.integers(5, 2000), st.integers(50, 2000), st.integers(0, 4))
def test_a_detectable_share_is_seen_with_the_power_promised(n: int, m: int, floor: int) -> None:
    share, k = detectable_share(n, floor, m, 0.0125), critical_count(n, floor, m, 0.0125)
    assume(share is not None)
    assert k is not None
    assert share is not None
    assert binom.sf(k - 1, n, share) == pytest.approx(0.95, abs=1e-6)


def test_planted_copies_are_seen_as_often_as_promised() -> None:
    n, m, level = 400, 300, 0.0125
    share = detectable_share(n, 2, m, level)
    k = critical_count(n, 2, m, level)
    assert share is not None
    assert k is not None
    drawn = np.random.default_rng(0).binomial(n, share, size=4000)
    assert binomtest(int((drawn >= k).sum()), 4000, 0.95).pvalue > 1e-3


@given(st.integers(1, 200), st.integers(1, 600), st.sampled_from([0.02, 0.05, 0.2]))
def test_what_is_needed_is_enough_and_little_less_is_not(n: int, m: int, share: float) -> None:
    needed = images_needed(share, n=n, floor_copied=0, m=m, level=0.0125)
    assert needed is not None
    enough = detectable_share(needed.generated, 0, needed.holdout, 0.0125)
    assert enough is not None
    assert enough <= share
    if needed.generated > n:
        fewer = needed.generated * 2 // 3
        seen = detectable_share(fewer, 0, max(m, fewer) if needed.holdout > m else m, 0.0125)
        assert seen is None or seen > share


def test_more_images_see_smaller_shares() -> None:
    shares = [detectable_share(n, 0, n, 0.0125) for n in (100, 400, 1600, 6400)]
    assert all(
        later is not None and earlier is not None and later < earlier / 2
        for earlier, later in pairwise(shares)
    )
