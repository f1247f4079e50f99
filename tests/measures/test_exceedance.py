from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ecotone.measures.exceedance import exceedance, rank_for


def p_by_counting(count: int, n: int, rank: int, m: int) -> float:
    """Return P(K >= count) over all orders of n generated and m held-out scores."""
    orders = list(combinations(range(n + m), m))  # places of the held-out ones
    below = [places[rank - 1] - (rank - 1) for places in orders]
    return sum(k >= count for k in below) / len(orders)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_the_p_value_is_that_of_counting_all_orders(n: int, m: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(n + m)))
    rate = data.draw(st.sampled_from([0.1, 0.3, 0.6]))
    scores = torch.tensor(order, dtype=torch.float64)
    found = exceedance(generated=scores[:n], holdout=scores[n:], rate=rate)
    assert found.rank == rank_for(rate, m)
    assert found.p_value == pytest.approx(p_by_counting(found.count, n, found.rank, m))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.lists(st.integers(0, 3), min_size=1))
def test_ties_never_make_it_rarer(ours: list[int], theirs: list[int]) -> None:
    generated, holdout = (torch.tensor(x, dtype=torch.float64) for x in (ours, theirs))
    tied = exceedance(generated=generated, holdout=holdout, rate=0.2)
    # Breaking ties in the favour of copying may only find more.
    broken = exceedance(generated=generated - 0.5, holdout=holdout, rate=0.2)
    assert tied.count <= broken.count
    assert tied.p_value >= broken.p_value


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        scores = torch.from_numpy(random.standard_exponential(170))
        alarms += exceedance(generated=scores[:50], holdout=scores[50:], rate=0.05).p_value <= 0.05
    assert binomtest(alarms, 2000, 0.05, alternative="greater").pvalue > 1e-3
    assert alarms > 20


def test_the_rank_never_leaves_the_holdout() -> None:
    assert rank_for(0.01, 99) == 1
    assert rank_for(0.01, 3) == 1
    assert rank_for(0.999, 3) == 3


@pytest.mark.parametrize(("n", "m", "rate"), [(0, 3, 0.1), (3, 0, 0.1), (3, 3, 0.0), (3, 3, 1.0)])
def test_nothing_to_compare_is_refused(n: int, m: int, rate: float) -> None:
    with pytest.raises(ValueError, match="say nothing"):
        exceedance(generated=torch.zeros(n).double(), holdout=torch.zeros(m).double(), rate=rate)
