from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, balls, neighbours
from ecotone.measures.balls import Balls
from ecotone.measures.support import support, support_readings

NAMES = ("precision", "recall", "density", "coverage")
SETS = ("matched", "training")


def features(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scale


def values(generated: Tensor, reference: Tensor, k: int | None = None) -> dict[str, float]:
    found = support_readings(generated=generated, reference=reference, k=k)
    return {name: reading.value for name, reading in found.items()}


@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(50, 70, 5, 5), (120, 90, 20, 3), (60, 200, 300, 5), (30, 300, 8, 1)]
)
def test_it_agrees_with_prdc(n: int, m: int, d: int, k: int) -> None:
    generated, reference = features(n, d, 0, 1.1) + 0.1, features(m, d, 1)
    # It has open balls, which is no difference without ties.
    expected = compute_prdc(reference.numpy(), generated.numpy(), k)
    found = values(generated, reference, k)
    assert found.keys() == expected.keys() == set(NAMES)
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], rel=1e-12)


grids = st.tuples(st.integers(2, 30), st.integers(2, 30), st.integers(1, 3), st.integers(0, 999))


@given(grids, st.integers(1, 4), st.sampled_from([0.0, 2.0**40]))
@settings(max_examples=30, deadline=None)
def test_ties_and_duplicates_count_as_the_definitions_say(grid, k: int, offset: float) -> None:
    n, m, d, seed = grid
    k = min(k, n - 1, m - 1)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randint(4, (size, d), generator=generator).double() for size in (n, m))

    def squares(left: Tensor, right: Tensor) -> Tensor:
        return (left[:, None] - right).square().sum(dim=2)

    radius = {"x": squares(x, x).sort().values[:, k], "y": squares(y, y).sort().values[:, k]}
    in_y = squares(x, y) <= radius["y"]
    # Far from 0 products lose all that tells points of a small grid apart.
    found = values(x + offset, y + offset, k)
    assert found["precision"] == pytest.approx(float(in_y.any(dim=1).double().mean()))
    assert found["density"] == pytest.approx(float(in_y.sum()) / (k * n))
    assert found["coverage"] == pytest.approx(float(in_y.any(dim=0).double().mean()))
    in_x = squares(y, x) <= radius["x"]
    assert found["recall"] == pytest.approx(float(in_x.any(dim=1).double().mean()))


@pytest.mark.parametrize("case", ["continuous", "duplicates", "one group crowded"])
@pytest.mark.parametrize("tile", [7, 1024])
def test_leaving_out_a_group_is_starting_without_it(
    case: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balls, "_TILE", tile)
    k, groups, parts = 2, 4, 3
    centres, others = features(60, 3, 0), features(25, 3, 1)
    if case == "duplicates":
        centres[20:50] = centres[0]
        others[:9] = centres[0]
    if case == "one group crowded":
        # All that is near to any of a group is of the group.
        centres[::groups] = centres[::groups] * 1e-3
        others[:9] *= 1e-3
    found = Balls.around(centres, others, k, groups=groups, parts=parts)
    for left_out in range(groups):
        there = torch.arange(60) % groups != left_out
        alone = Balls.around(centres[there], others, k, groups=0, parts=1)
        assert torch.equal(found.held[:, left_out], alone.held[:, -1])
        assert torch.equal(found.holding[there, left_out], alone.holding[:, -1])
        assert not found.holding[~there, left_out].any()
    assert torch.equal(found.holding[:, -1], found.parts.sum(dim=1))
    for part in range(parts):
        some = others[torch.arange(25) % parts == part]
        alone = Balls.around(centres, some, k, groups=0, parts=1)
        assert torch.equal(found.parts[:, part], alone.parts[:, 0])


@given(st.integers(0, 99), st.floats(0.1, 10))
@settings(max_examples=8, deadline=None)
def test_rotations_shifts_and_scales_change_nothing(seed: int, scale: float) -> None:
    generated, reference = features(40, 6, seed), features(50, 6, seed + 1000)
    rotation, _ = torch.linalg.qr(features(6, 6, seed + 2000))
    moved = values(generated @ rotation * scale + 3, reference @ rotation * scale + 3)
    assert moved == pytest.approx(values(generated, reference))


def test_copies_of_everything_have_all_and_sets_apart_nothing() -> None:
    images = features(80, 4, 0)
    copied = values(images, images.flip(0))
    assert copied["precision"] == copied["recall"] == copied["coverage"] == 1
    assert copied["density"] >= 1
    apart = support_readings(generated=images + 1e6, reference=images)
    for name in NAMES:
        assert apart[name].value == 0
        assert apart[name].low == 0
    for name in ("precision", "recall", "coverage"):
        # Wilson's bound for none of 80.
        assert apart[name].high == pytest.approx(3.8415 / 83.8415, rel=1e-4)


def test_copies_of_one_image_are_precise_and_reach_next_to_nothing() -> None:
    reference = features(100, 4, 0)
    found = values(reference[:1].repeat(50, 1), reference)
    assert found["precision"] == 1
    assert found["recall"] == 0.01
    assert 0 < found["coverage"] < 0.3


def test_constant_features_are_one_point() -> None:
    one = torch.full((30, 3), 0.1)
    assert values(one[:20], one) == {"precision": 1, "recall": 1, "density": 6, "coverage": 1}
    assert set(values(one[:20] + 1, one).values()) == {0.0}


def test_exact_copies_of_images_that_are_often_there_count() -> None:
    reference = features(40, 4, 0)
    reference[:10] = reference[0]
    found = values(reference[:1].repeat(20, 1), reference)
    assert found["precision"] == 1
    assert found["coverage"] >= 10 / 40


def test_images_alike_have_a_density_of_one_and_blurred_ones_more() -> None:
    each = [values(features(50, 3, s), features(60, 3, 500 + s))["density"] for s in range(40)]
    assert abs(np.mean(each) - 1) < 4 * np.std(each) / math.sqrt(len(each))
    assert values(features(50, 60, 0, 0.1), features(60, 60, 1))["density"] > 5


@pytest.mark.parametrize("size", [1, 5])
def test_too_few_images_have_no_balls(size: int) -> None:
    few, many = features(size, 3, 0), features(30, 3, 1)
    assert set(values(few, many)) == {"precision", "density", "coverage"}
    assert set(values(many, few)) == {"recall"}
    assert values(few, few) == {}
    for generated, reference in ((few, many), (many, few)):
        with pytest.raises(ConfigError, match=f"k = {size} needs {size + 1} images"):
            support_readings(generated=generated, reference=reference, k=size)


def test_what_has_no_chance_to_be_told_has_no_interval() -> None:
    found = support_readings(generated=features(1, 3, 0), reference=features(30, 3, 1))
    assert found["coverage"].low is None
    assert found["density"].low is None
    assert found["precision"].low is not None
    # Without one of six, the other five have no fifth nearest other.
    found = support_readings(generated=features(30, 3, 0), reference=features(6, 3, 1))
    assert found["precision"].low is None
    assert found["density"].low is None


def test_wrong_input_is_refused() -> None:
    images = features(9, 2, 0)
    with pytest.raises(ConfigError, match="k = 0"):
        support_readings(generated=images, reference=images, k=0)
    wrong = images.clone()
    wrong[4, 1] = torch.nan
    with pytest.raises(DataError, match="reference image 4"):
        support_readings(generated=images, reference=wrong)
    with pytest.raises(DataError, match="no features of generated"):
        support_readings(generated=images[:0], reference=images)


def test_neighbours_within_a_set_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    search = balls.nearest
    monkeypatch.setattr(
        balls, "nearest", lambda *given, **more: searched.append(given) or search(*given, **more)
    )
    generated, reference = features(20, 3, 7001), features(30, 3, 7002)
    before = support_readings(generated=generated, reference=reference)
    assert len(searched) == 2
    assert support_readings(generated=generated.clone(), reference=reference) == before
    assert len(searched) == 2
    reference[3, 1] += 1e-9
    support_readings(generated=generated, reference=reference)
    assert len(searched) == 3


def evidence(generated: Tensor, training: Tensor, holdout: Tensor) -> Evidence:
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


@pytest.mark.parametrize(("n", "m"), [(60, 40), (40, 60), (50, 50)])
def test_sets_of_one_size_are_compared(n: int, m: int) -> None:
    sets = evidence(features(30, 4, 0), features(n, 4, 1), features(m, 4, 2))
    found = support(sets)
    compared = {f"{kind}_{of}" for kind in ("precision", "coverage") for of in SETS}
    assert set(found) == {*NAMES, *compared}
    for name, reading in found.items():
        assert reading.how["reference_images"] == (min(n, m) if name in compared else m)
        assert reading.how["features"] == "pixels"
        assert reading.low is not None
    assert support(replace(sets, holdout=None)) == {}
    assert sets.holdout is not None
    # Of five images none has a fifth other: recall alone asks for balls around generated ones.
    assert set(support(replace(sets, holdout=sets.holdout[:5]))) == {"recall"}
    assert set(support(replace(sets, training=sets.training[:5]))) == set(NAMES)


def test_copies_are_seen_beside_the_holdout() -> None:
    training, holdout = features(150, 12, 1), features(150, 12, 2)
    found = support(evidence(training, training, holdout))
    for name in ("precision", "coverage"):
        assert found[f"{name}_training"].value == 1
        assert found[name].value < 1
    copied, honest = found["precision_training"], found["precision"]
    assert copied.low is not None
    assert honest.high is not None
    assert copied.low > honest.high
    alike = support(evidence(features(150, 12, 3), training, holdout))
    for name in ("precision", "coverage"):
        known, other = alike[f"{name}_training"], alike[name]
        assert known.low is not None
        assert known.high is not None
        assert other.low is not None
        assert other.high is not None
        assert known.low <= other.high
        assert other.low <= known.high


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "d", "scale"), [(200, 200, 8, 1.0), (100, 300, 20, 1.2)])
def test_intervals_hold_what_they_are_built_for(n: int, m: int, d: int, scale: float) -> None:
    found = [
        support_readings(generated=features(n, d, s, scale), reference=features(m, d, 10_000 + s))
        for s in range(150)
    ]
    for name in NAMES:
        mean, held = np.mean([each[name].value for each in found]), 0
        for each in found:
            low, high = each[name].low, each[name].high
            assert low is not None
            assert high is not None
            held += low <= mean <= high
        assert held / 150 >= 0.9, name
