from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotone.measures.signed_logs import Signed, log_sum, minus, plus

moderate = st.floats(-30, 30)


@given(moderate, moderate, st.sampled_from([0.0, -5000.0, 5000.0]))
def test_it_is_subtraction_at_any_scale(left: float, right: float, shift: float) -> None:
    left, right = left + shift, right + shift
    found = minus(left, right)
    direct = math.exp(left - shift) - math.exp(right - shift)
    assert found.sign == (left > right) - (left < right)
    if found.sign:
        assert found.sign * math.exp(found.log - shift) == pytest.approx(direct, rel=1e-9, abs=1e-9)


@given(st.lists(st.tuples(moderate, moderate), min_size=1, max_size=5))
def test_sums_of_differences(pairs: list[tuple[float, float]]) -> None:
    found = plus(*(minus(left, right) for left, right in pairs))
    direct = math.fsum(math.exp(left) - math.exp(right) for left, right in pairs)
    scale = max(math.exp(max(pair)) for pair in pairs)
    assert found.sign * math.exp(found.log) == pytest.approx(direct, abs=1e-12 * scale)


def test_values_keep_sign_and_are_finite() -> None:
    assert Signed(-1, math.inf).value() == pytest.approx(-1.797e308, rel=1e-3)
    assert 0 < Signed(1, -1e6).value() < 1e-300
    assert Signed(0, -math.inf).value() == 0
    assert log_sum(-math.inf, -math.inf) == -math.inf
    assert minus(-math.inf, -math.inf) == Signed(0, -math.inf)
    assert minus(0.0, -math.inf) == Signed(1, 0.0)
