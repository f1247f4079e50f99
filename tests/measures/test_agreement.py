from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core import DataError
from ecotone.measures.agreement import agreement


def images(n: int, seed: int, *shape: int) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def test_equal_pairs_agree_and_their_floor_does_not() -> None:
    first = images(50, 0, 1, 6, 6)
    found = agreement(first=first, second=first)
    assert found["agreement_halves"].value == pytest.approx(1)
    assert found["agreement_matched"].value == 1
    floor = found["agreement_halves_floor"]
    assert floor.low is not None
    assert floor.high is not None
    assert floor.low <= -1 / 49 <= floor.high
    negative = agreement(first=first, second=-first)
    assert negative["agreement_halves"].value == pytest.approx(-1)
    assert negative["agreement_matched"].value == 0


def test_pairs_with_a_known_cosine_have_it() -> None:
    # Shared and own parts of variance q and 1 − q in many dimensions.
    q, shared = 0.7, images(100, 0, 2000)
    first, second = (
        math.sqrt(q) * shared + math.sqrt(1 - q) * images(100, seed, 2000) for seed in (1, 2)
    )
    found = agreement(first=first + 5, second=second + 5)
    assert found["agreement_halves"].value == pytest.approx(q, abs=0.01)
    assert abs(found["agreement_halves_floor"].value) < 0.02


def test_unrelated_pairs_have_the_cosine_of_their_floor() -> None:
    n = 8
    values = {"agreement_halves": [], "agreement_halves_floor": [], "agreement_matched": []}
    held = 0
    for seed in range(150):
        found = agreement(first=images(n, seed, 30), second=images(n, 10_000 + seed, 30))
        for name, each in values.items():
            each.append(found[name].value)
        floor = found["agreement_halves_floor"]
        assert floor.low is not None
        assert floor.high is not None
        held += floor.low <= -1 / (2 * n) <= floor.high
    for name, expected in (("halves", -1 / (2 * n)), ("halves_floor", -1 / (2 * n))):
        each = values[f"agreement_{name}"]
        error = float(np.std(each)) / math.sqrt(len(each))
        # Of second order in 1/n beyond.
        assert np.mean(each) == pytest.approx(expected, abs=4 * error + 1 / (2 * n) ** 2)
    assert np.mean(values["agreement_matched"]) == pytest.approx(1 / n, abs=0.03)
    assert held / 150 > 0.9


@given(st.integers(2, 12), st.integers(0, 99), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_shifts_scales_and_the_order_of_models_change_nothing(n, seed, scale) -> None:
    first = images(n, seed, 5).double()
    second = first + images(n, seed + 100, 5)
    found = agreement(first=first, second=second)
    moved = agreement(first=first * scale + 3, second=second * scale + 3)
    for name, reading in found.items():
        assert moved[name].value == pytest.approx(reading.value, abs=1e-6)
    swapped = agreement(first=second, second=first)
    assert swapped["agreement_halves"].value == pytest.approx(found["agreement_halves"].value)


def test_images_equal_to_the_mean_are_left_out_and_counted() -> None:
    first = images(9, 0, 4).double()
    second = first.clone()
    first = torch.cat([first, -first, torch.zeros(1, 4)])
    second = torch.cat([second, -second, torch.zeros(1, 4)])
    found = agreement(first=first + 0.1, second=second + 0.1)
    assert found["agreement_halves"].n == 18
    assert found["agreement_halves"].how["left_out"] == 1
    assert found["agreement_halves_floor"].how["left_out"] == 2
    assert found["agreement_halves"].value == pytest.approx(1)


def test_models_that_make_one_image_have_no_cosine_and_match_by_chance() -> None:
    same = torch.full((10, 3), 0.1)
    found = agreement(first=same, second=same)
    assert set(found) == {"agreement_matched"}
    assert found["agreement_matched"].value == found["agreement_matched"].how["by_chance"] == 0.1


def test_what_is_no_pairs_is_refused() -> None:
    first = images(5, 0, 2)
    with pytest.raises(DataError, match="no pairs"):
        agreement(first=first, second=first[:4])
    with pytest.raises(DataError, match="no pairs"):
        agreement(first=first, second=images(5, 0, 3))
    with pytest.raises(DataError, match="1 pairs"):
        agreement(first=first[:1], second=first[:1])
    wrong = first.clone()
    wrong[2, 0] = torch.nan
    with pytest.raises(DataError, match="row 2 of the images of the second"):
        agreement(first=first, second=wrong)
