from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecotone.core.errors import DataError
from ecotone.populations.source_values import CENTRED, EIGHT_BIT, UNIT, Range, on_scale, scan

BYTES = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
U8, F32, F64 = (np.dtype(name) for name in ("uint8", "float32", "float64"))

# The ways in which people scale images.
SCALED = {
    "v/255": (lambda v: v / 255, UNIT),
    "v·(1/255)": (lambda v: v * v.dtype.type(1 / 255), UNIT),
    "v/127.5 − 1": (lambda v: v / 127.5 - 1, CENTRED),
    "(v/255 − ½)/½": (lambda v: (v / 255 - 0.5) / 0.5, CENTRED),
    "2·(v/255) − 1": (lambda v: 2 * (v / 255) - 1, CENTRED),
    "v": (lambda v: v, EIGHT_BIT),
}


@pytest.mark.parametrize("way", SCALED)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_eight_bits_go_back_to_them(way: str, dtype: type) -> None:
    scale, scale_range = SCALED[way]
    floats = scale(BYTES.astype(dtype))
    assert floats.dtype == dtype
    values = scan(floats, str)
    assert values.levels == values.range == scale_range
    assert np.array_equal(on_scale(floats, values, wanted=EIGHT_BIT, dtype=U8), BYTES)


@pytest.mark.parametrize("wanted", [UNIT, CENTRED])
def test_equal_levels_are_equal_numbers_however_they_were_scaled(wanted: Range) -> None:
    seen = set()
    for scale, _ in SCALED.values():
        floats = scale(BYTES.astype(np.float32))
        seen.add(on_scale(floats, scan(floats, str), wanted=wanted, dtype=F32).tobytes())
    seen.add(on_scale(BYTES, scan(BYTES, str), wanted=wanted, dtype=F32).tobytes())
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, UNIT), (-1, 1, CENTRED), (-1.02, 1.03, None), (0, 200, None), (-0.3, 0.2, CENTRED)],
)
def test_other_floats_lie_on_no_levels(low: float, high: float, expected: Range | None) -> None:
    floats = np.random.default_rng(0).uniform(low, high, (50, 4)).astype(np.float32)
    floats.flat[:2] = low, high
    values = scan(floats, str)
    assert (values.levels, values.range) == (None, expected)
    assert (values.low, values.high) == (np.float32(low), np.float32(high))


@given(st.integers(0, 255), st.floats(-1, 1), st.sampled_from([UNIT, CENTRED]))
def test_a_level_is_one_within_a_thousandth(level: int, off: float, scale: Range) -> None:
    wide = np.arange(256.0) if scale == CENTRED else np.arange(0, 256, 2.0)
    values = scale[0] + (scale[1] - scale[0]) * np.append(wide, level) / 255
    values[-1] += off * 2e-3 / 255
    found = scan(values[:, None], str).levels
    if abs(off) < 0.499:
        assert found == scale
    elif abs(off) > 0.501:
        assert found is None


def test_bright_images_on_both_sides_of_zero_are_told_apart() -> None:
    bright = BYTES // 2 + 128
    signed, unsigned = bright / 127.5 - 1, bright / 255
    assert signed.min() >= 0  # No value tells that they lie in [-1, 1]; the levels do.
    assert scan(signed, str).levels == CENTRED
    assert scan(unsigned, str).levels == UNIT
    # Three values that happen to be odd multiples of 1/255 do not.
    assert scan(np.array([[0.2, 0.6, 1.0]]), str).levels == UNIT


def test_truth_values_and_whole_numbers_are_levels_too() -> None:
    assert scan(np.eye(3, dtype=bool), str).levels == UNIT
    assert scan(np.eye(3, dtype=np.int64) * 255, str).levels == EIGHT_BIT
    assert scan(np.eye(3, dtype=np.int16) * 300, str).levels is None
    assert scan(-np.eye(3, dtype=np.int64) * 3, str).levels is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_first_value_that_is_not_finite_is_named(bad: float, dtype: type) -> None:
    floats = np.zeros((9, 2, 3), dtype=dtype)
    floats[7, 1, 2] = bad
    floats[8, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"item 7 holds -?(nan|inf) at index \(1, 2\); remove it"):
        scan(floats, lambda row: f"item {row}")


def test_later_blocks_count_as_the_first_does() -> None:
    # Some 20 MB, more than one block.
    long = np.zeros((5000, 1024), dtype=np.float32)
    assert scan(long, str).levels == UNIT
    long[-1, -1] = 0.123
    values = scan(long, str)
    assert (values.levels, values.high) == (None, np.float32(0.123))
    long[4999, 3] = np.nan
    with pytest.raises(DataError, match=r"item 4999 holds nan at index \(3,\)"):
        scan(long, lambda row: f"item {row}")


def test_huge_values_are_finite() -> None:
    values = scan(np.array([[-1e300, 1e300]]), str)
    assert (values.low, values.high, values.levels) == (-1e300, 1e300, None)


@given(arrays(np.float64, (3, 2), elements=st.floats(-1, 1)))
def test_ranges_are_brought_to_one_another_and_back(values: np.ndarray) -> None:
    values[0] = -0.7182, 0.31415  # so that none of the 256 levels fit
    found = scan(values, str)
    there = on_scale(values, found, wanted=UNIT, dtype=F64)
    assert there.min() >= 0
    assert there.max() <= 1
    assert np.allclose(2 * there - 1, values, atol=1e-15)
    assert on_scale(values, found, wanted=CENTRED, dtype=F64) is not None
    assert np.array_equal(on_scale(values, found, wanted=CENTRED, dtype=F64), values)
