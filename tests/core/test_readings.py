from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotone.core import Reading

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(finite, st.floats(0, 1e3), st.integers(1, 10**6))
def test_a_record_reads_back_the_same(value: float, half: float, n: int) -> None:
    reading = Reading(
        value, n, "share", "worse", low=value - half, high=value + half, how={"seed": 1}
    )
    assert Reading.from_record(reading.to_record()) == reading
    assert pickle.loads(pickle.dumps(reading)) == reading


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"value": float("nan")}, "finite"),
        ({"value": float("inf")}, "finite"),
        ({"n": 0}, "at least one sample"),
        ({"low": 0.1}, "both bounds"),
        ({"low": 0.6, "high": 0.9}, "misses"),
        ({"level": 1.0}, "level"),
        ({"higher_is": "good"}, "higher_is"),
    ],
)
def test_what_is_not_a_reading_is_refused(wrong: dict, told: str) -> None:
    right = {"value": 0.5, "n": 10, "unit": "share", "higher_is": "neither"}
    with pytest.raises((ValueError, TypeError), match=told):
        Reading(**{**right, **wrong})


def test_notes_are_added_and_cannot_be_changed() -> None:
    reading = Reading(1.0, 2, "share", "neither", how={"seed": 1}).noting(ratio=1 / 3)
    assert dict(reading.how) == {"seed": 1, "ratio": 1 / 3}
    with pytest.raises(TypeError):
        reading.how["seed"] = 2  # type: ignore[index]
