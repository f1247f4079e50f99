from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.image.mifid import _compute_cosine_distance, _mifid_compute

from ecotone.core import DataError, Reading
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.fidelity import fidelity
from ecotone.measures.penalized import (
    THRESHOLD,
    minimal_cosine_distances,
    penalized,
    penalized_frechet_distance,
    penalized_frechet_reading,
)


def features(n: int, d: int = 12, seed: int = 0) -> Tensor:
    """Return features that are never negative, as those of the published network."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, generator=generator, dtype=torch.float64) ** 3


def by_torchmetrics(*, real: Tensor, fake: Tensor) -> float:
    moments = [(rows.mean(dim=0), torch.cov(rows.T), rows) for rows in (real, fake)]
    return float(_mifid_compute(*moments[0], *moments[1]))


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_distances_are_one_less_the_greatest_cosine(n: int, m: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    generated, training = (torch.randn(k, d, generator=generator).double() for k in (n, m))
    found = minimal_cosine_distances(generated=generated, training=training)
    cosines = torch.cosine_similarity(generated[:, None], training[None], dim=2)
    torch.testing.assert_close(found, 1 - cosines.amax(dim=1), rtol=1e-9, atol=1e-12)
    longer = minimal_cosine_distances(generated=3 * generated, training=training / 7)
    torch.testing.assert_close(longer, found, rtol=1e-9, atol=1e-12)


def test_copies_are_at_0_and_opposites_at_2() -> None:
    rows = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-3.0, 1.0]])
    assert not minimal_cosine_distances(generated=rows, training=rows).any()
    opposite = minimal_cosine_distances(generated=-rows[:1], training=rows[:1])
    assert float(opposite) == pytest.approx(2)
    # What has no direction is like nothing but its like.
    apart = minimal_cosine_distances(generated=rows[1:2], training=rows[:1])
    assert float(apart) == pytest.approx(1)


def test_it_agrees_with_torchmetrics_where_either_mean_is_the_same() -> None:
    training = torch.eye(24, dtype=torch.float64) + features(24, 24) / 10
    generated = training + features(24, 24, seed=1) / 10
    one = minimal_cosine_distances(generated=generated, training=training)
    two = minimal_cosine_distances(generated=training, training=generated)
    # Each image's nearest has it for its nearest, so both means are over the same pairs.
    assert float(one.mean()) == pytest.approx(float(two.mean()))
    assert 0 < float(one.mean()) < THRESHOLD
    found = penalized_frechet_distance(generated=generated, training=training, reference=training)
    assert found == pytest.approx(by_torchmetrics(real=training, fake=generated), rel=1e-6)
    # The penalty alone, for sets whose means differ: their first set is that averaged over.
    theirs = _compute_cosine_distance(generated[:5], training, THRESHOLD)
    assert float(one[:5].mean()) == pytest.approx(float(theirs))


def test_a_generator_of_copies_of_five_images_is_penalized() -> None:
    training, holdout = features(200), features(200, seed=1)
    generated = training[:5].repeat(40, 1) * (1 + 1e-3 * features(200, seed=2))
    distance = penalized_frechet_distance(
        generated=generated, training=training, reference=training
    )
    assert distance is not None
    # Averaged over training images, of which 195 are far, nothing is amiss.
    assert distance > 1e4 * by_torchmetrics(real=training, fake=generated)
    honest = penalized_frechet_distance(generated=holdout, training=training, reference=training)
    assert honest is not None
    assert distance > 1e4 * honest


def test_pure_copies_have_a_distance_of_0_and_no_quotient() -> None:
    training = features(50)
    assert (
        penalized_frechet_distance(
            generated=training[:9], training=training, reference=features(50, seed=1)
        )
        is None
    )


def evidence(n: int, m: int, samples: int, seed: int = 0, d: int = 12) -> Evidence:
    training, holdout, generated = features(n + m + samples, d, seed).split([n, m, samples])
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


def test_readings_are_those_of_the_functions() -> None:
    given = evidence(400, 40, 60, d=9)
    assert given.holdout is not None
    found = penalized(given)
    for name, images in (("", given.generated), ("_floor", given.holdout)):
        distances = minimal_cosine_distances(generated=images, training=given.training)
        assert found[f"memorization_distance{name}"].value == pytest.approx(float(distances.mean()))
    mifid, frechet = found["mifid_holdout"], fidelity(given)["frechet_holdout_matched"]
    penalty = found["memorization_distance"].value
    assert penalty < THRESHOLD
    assert mifid.how["penalized"]
    assert mifid.how["holdout_penalized"]
    assert mifid.value == pytest.approx(frechet.value / penalty)
    for reading in found.values():
        assert reading.low is not None
        assert reading.high is not None


def test_what_the_holdout_would_not_be_penalized_for_is_told() -> None:
    found = penalized(evidence(30, 40, 60, d=60))
    assert found["memorization_distance_floor"].value > THRESHOLD
    assert not found["mifid_holdout"].how["holdout_penalized"]
    assert not found["mifid_holdout"].how["penalized"]


def test_copies_leave_no_quotient_but_a_distance_with_its_doubt() -> None:
    given = evidence(60, 60, 30)
    found = penalized(replace(given, generated=given.training[:30]))
    assert set(found) == {"memorization_distance", "memorization_distance_floor"}
    copied, floor = found["memorization_distance"], found["memorization_distance_floor"]
    assert copied.value == copied.low == 0
    assert copied.high is not None
    assert floor.low is not None
    assert 0 < copied.high < floor.low


def test_without_a_holdout_there_is_the_distance_alone() -> None:
    found = penalized(replace(evidence(60, 60, 30), holdout=None))
    assert set(found) == {"memorization_distance"}


def test_the_interval_of_the_quotient_reaches_over_the_jump() -> None:
    frechet = Reading(
        4.0, n=30, unit="squared feature distance", higher_is="worse", low=3.0, high=5.0
    )
    sure = penalized_frechet_reading(frechet, torch.full((30,), 0.05, dtype=torch.float64))
    assert sure is not None
    assert (sure.value, sure.low, sure.high) == pytest.approx((80, 60, 100))
    unsure = torch.linspace(0.0, 0.21, 30, dtype=torch.float64)
    wide = penalized_frechet_reading(frechet, unsure)
    assert wide is not None
    assert (wide.value, wide.low) == (4, 3)
    assert wide.high is not None
    assert wide.high > 5 / THRESHOLD


def test_honest_images_come_to_the_floor_in_any_space() -> None:
    apart, as_given = [], []
    scales = (1 + torch.arange(300, dtype=torch.float64)) ** -0.5
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(360, 300, generator=generator, dtype=torch.float64) * scales
        training, holdout, generated = images.split([200, 60, 100])
        space = PrincipalComponents(10).fit(holdout)
        given = replace(
            evidence(9, 9, 9, d=300),
            generated=generated,
            training=training,
            holdout=holdout,
            features=space,
        )
        found = penalized(given)
        floor, here = found["memorization_distance_floor"], found["memorization_distance"]
        assert here.how["features_fitted_to"] == "training images"
        apart.append(math.log(here.value / floor.value))
        one, two = (
            minimal_cosine_distances(generated=space(part), training=space(training)).mean()
            for part in (generated, holdout)
        )
        as_given.append(math.log(one / two))
    error = float(np.std(apart)) / math.sqrt(len(apart))
    assert abs(np.mean(apart)) < 3 * error
    # In a space fitted to the holdout, that is farther from the training set than others are.
    assert np.mean(as_given) < -3 * error


@pytest.mark.parametrize("name", ["generated", "training"])
def test_features_that_are_not_finite_are_named(name: str) -> None:
    sets = {"generated": features(5), "training": features(5)}
    sets[name][3, 1] = torch.nan
    with pytest.raises(DataError, match=f"{name} image 3 are not finite"):
        minimal_cosine_distances(**sets)
