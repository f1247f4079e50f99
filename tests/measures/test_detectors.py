from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from ecotone.features.pca import PrincipalComponents
from ecotone.measures import Evidence, neighbours
from ecotone.measures.detectors import DETECTORS
from ecotone.measures.scores import SCORES, copy_scores, gap_ratios


def cloud(n: int, seed: int) -> Tensor:
    rows = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return rows * torch.linspace(1, 0.3, 6)


def given(generated: Tensor, training: Tensor, holdout: Tensor | None) -> Evidence:
    real = training if holdout is None else torch.cat([training, holdout])
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=PrincipalComponents(4).fit(real),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


@pytest.fixture(scope="module")
def copies() -> Evidence:
    return given(cloud(90, 0), cloud(90, 0), cloud(90, 1))


@pytest.fixture(scope="module")
def honest() -> list[Evidence]:
    return [given(cloud(50, 3 * s), cloud(60, 3 * s + 1), cloud(60, 3 * s + 2)) for s in range(60)]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_generator_of_copies_is_seen(name: str, copies: Evidence, honest: list) -> None:
    found = DETECTORS[name](copies)
    assert found is not None
    assert found.p_value is None or found.p_value <= 1e-3
    others = [said.statistic for said in map(DETECTORS[name], honest[:10]) if said is not None]
    assert found.statistic > max(others)


@pytest.mark.parametrize("name", DETECTORS)
def test_honest_generators_are_accused_no_more_often_than_the_level(
    name: str, honest: list[Evidence]
) -> None:
    said = [detection for detection in map(DETECTORS[name], honest) if detection is not None]
    p_values = [detection.p_value for detection in said if detection.p_value is not None]
    assert len(said) == len(honest)
    assert all(math.isfinite(detection.statistic) for detection in said)
    if p_values:
        accused = sum(p <= 0.1 for p in p_values)
        assert binomtest(accused, len(p_values), 0.1, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("name", DETECTORS)
def test_what_needs_a_holdout_says_nothing_without_one(name: str) -> None:
    assert DETECTORS[name](given(cloud(20, 0), cloud(30, 1), None)) is None


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_says_what_it_is(name: str) -> None:
    assert (DETECTORS[name].__doc__ or "").strip()


def test_scores_are_small_for_copies_and_there_for_both_sets(copies: Evidence) -> None:
    found = copy_scores(copies.neighbours)
    assert set(found) == set(SCORES)
    for score in found.values():
        assert score.generated.tolist() == [0.0] * 90
        assert score.holdout is not None
        assert score.holdout.min() > 0


def test_gap_ratios_are_those_of_all_distances() -> None:
    training, generated = cloud(40, 0), cloud(15, 1)
    two = torch.cdist(generated.double(), training.double()).sort(dim=1).values[:, :2]
    found = gap_ratios(neighbours(generated=generated, training=training).generated)
    assert found is not None
    assert np.allclose(found.numpy(), (two[:, 0] / two[:, 1]).numpy(), rtol=1e-6)


def test_one_kind_of_training_image_has_no_gap() -> None:
    same = torch.ones(5, 6)
    assert gap_ratios(neighbours(generated=cloud(3, 0), training=same).generated) is None
