from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ecotone.core import DataError
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures import likelihood as module
from ecotone.measures import mixture as mixtures
from ecotone.measures.divergence import feature_likelihood_divergence
from ecotone.measures.likelihood import (
    likelihood,
    likelihood_gap,
    likelihood_gap_p_value,
    likelihood_test,
)
from ecotone.measures.mixture import fitted_variances, log_likelihoods, without_groups

Sets = dict[str, Any]


def rows(n: int, d: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def honest(m: int = 60, n: int = 60, h: int = 60, d: int = 5, seed: int = 0) -> Sets:
    generated, training, holdout = rows(m + n + h, d, seed).split([m, n, h])
    return {"generated": generated, "training": training, "holdout": holdout}


def mixture(centres: Tensor, variances: Tensor) -> MixtureSameFamily:
    scales = variances.sqrt()[:, None].expand_as(centres)
    weights = torch.ones(len(centres), dtype=torch.float64)
    return MixtureSameFamily(Categorical(weights), Independent(Normal(centres, scales), 1))


@pytest.mark.parametrize("d", [1, 5, 200])
def test_the_density_is_the_mixtures(d: int) -> None:
    centres, images = rows(30, d), rows(50, d, seed=1)
    variances = torch.linspace(0.1, 3, 30, dtype=torch.float64)
    found = log_likelihoods(images, centres=centres, variances=variances)
    torch.testing.assert_close(found, mixture(centres, variances).log_prob(images))


@pytest.mark.parametrize(("m", "n", "d"), [(30, 100, 5), (100, 30, 5), (20, 40, 200)])
def test_no_other_widths_make_images_likelier(m: int, n: int, d: int) -> None:
    centres, images = rows(m, d), rows(n, d, seed=1)
    variances = fitted_variances(centres=centres, images=images, narrowest=1e-4)
    ours = float(mixture(centres, variances).log_prob(images).mean()) / d
    # By gradients instead, from the same start.
    start = torch.cdist(images, centres).square().amin(dim=0) / d
    logs = start.clamp_min(1e-4).log().requires_grad_()
    optimizer = torch.optim.LBFGS([logs], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = -mixture(centres, logs.exp()).log_prob(images).mean() / d
        found.backward()
        return found

    optimizer.step(loss)  # type: ignore[arg-type]
    assert ours > -float(loss().detach()) - 1e-3


def test_the_size_of_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = honest()
    whole = likelihood_gap(**sets)
    monkeypatch.setattr(mixtures, "_TILE", 1)
    assert likelihood_gap(**sets).value == pytest.approx(whole.value, rel=1e-9)
    monkeypatch.setattr(mixtures, "_KEPT", 0)
    assert likelihood_gap(**sets).value == pytest.approx(whole.value, rel=1e-9)


def test_a_centre_that_no_image_belongs_to_keeps_its_width() -> None:
    images = rows(30, 60)
    centres = torch.cat([torch.zeros(1, 60), torch.full((1, 60), 1e6)]).double()
    found = fitted_variances(centres=centres, images=images, narrowest=1e-4)
    assert float(found[0]) == pytest.approx(float(images.square().mean()))
    nearest = (images - 1e6).square().sum(dim=1).min() / 60
    assert float(found[1]) == pytest.approx(float(nearest))


@given(st.integers(1, 15), st.integers(1, 15), st.integers(1, 15), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_what_may_not_change_it_does_not(m: int, n: int, h: int, seed: int) -> None:
    sets = honest(m, n, h, 3, seed)
    gap = likelihood_gap(**sets).value
    order = torch.Generator().manual_seed(seed)
    scale = torch.rand(3, generator=order, dtype=torch.float64) + 0.1
    moved = {name: images * scale - 7 for name, images in sets.items()}
    shuffled = {
        name: images[torch.randperm(len(images), generator=order)] for name, images in sets.items()
    }
    swapped = {**sets, "training": sets["holdout"], "holdout": sets["training"]}
    for other, sign in ((moved, 1), (shuffled, 1), (swapped, -1)):
        assert likelihood_gap(**other).value == pytest.approx(sign * gap, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_copies_of_training_images_make_these_likelier(noise: float) -> None:
    sets = honest(200, 200, 200, 8)
    copied = sets["training"][:20] + noise * rows(20, 8, seed=1)
    sets["generated"] = torch.cat([copied, sets["generated"][20:]])
    gap = likelihood_gap(**sets)
    assert gap.high is not None
    assert gap.high < 0
    assert likelihood_gap_p_value(**sets, seed=0) == 1 / 2000
    # The other way round it is the holdout that is known.
    swapped = {**sets, "training": sets["holdout"], "holdout": sets["training"]}
    assert likelihood_gap(**swapped).value == pytest.approx(-gap.value)
    assert likelihood_gap_p_value(**swapped, seed=0) == 1


def test_pure_copies_have_a_finite_gap() -> None:
    sets = honest(60, 60, 60, 8)
    sets["generated"] = sets["training"]
    gap = likelihood_gap(**sets)
    # Components are a hundredth of a standard deviation wide, and no narrower.
    assert -10 < gap.value < -2


def test_honest_generators_ring_as_often_as_said() -> None:
    p_values, gaps, covered, published = [], [], 0, []
    for seed in range(120):
        sets = honest(60, 70, 50, 4, seed)
        p_values.append(likelihood_gap_p_value(**sets, seed=seed, draws=199))
        gap = likelihood_gap(**sets)
        assert gap.low is not None
        assert gap.high is not None
        gaps.append(gap.value)
        covered += gap.low <= 0 <= gap.high
        published.append(likelihood_gap(**sets, fitted_to="training").value)
    for level in (0.1, 0.5):
        rang = sum(p <= level for p in p_values)
        assert binomtest(rang, 120, level).pvalue > 0.001
    error = float(np.std(gaps)) / math.sqrt(120)
    assert abs(np.mean(gaps)) < 4 * error
    assert covered / 120 > 0.88
    # Widths fitted to the training set alone make it likelier, although nothing was copied.
    assert np.mean(published) < -8 * error


def test_the_p_value_is_that_of_all_labellings() -> None:
    for seed in range(4):
        sets = honest(5, 3, 4, 2, seed)
        both = torch.cat([sets["training"], sets["holdout"]])
        gaps = []
        for chosen in combinations(range(7), 3):
            others = [index for index in range(7) if index not in chosen]
            dealt = {**sets, "training": both[list(chosen)], "holdout": both[others]}
            gaps.append(likelihood_gap(**dealt).value)
        exact = np.mean(np.array(gaps) <= gaps[0] + 1e-9)
        found = likelihood_gap_p_value(**sets, seed=0, draws=4999)
        assert found == pytest.approx(exact, abs=0.03)


def test_the_p_value_does_not_depend_on_the_order_of_images() -> None:
    sets = honest(seed=3)
    flipped = {name: images.flip(0) for name, images in sets.items()}
    first, second = (likelihood_gap_p_value(**given, seed=0) for given in (sets, flipped))
    assert first == pytest.approx(second, abs=1e-3)
    assert likelihood_gap_p_value(**sets, seed=1) != first


def test_the_divergence_is_about_0_for_the_population_and_above_for_all_else() -> None:
    values: dict[str, list[float]] = {}
    for seed in range(6):
        sets = honest(100, 200, 100, 6, seed)
        images = sets["generated"]
        cases = {
            "honest": images,
            "off": images + 1,
            "wide": 2 * images,
            "few": images[:3].repeat(34, 1)[:100],
            "copies": sets["training"][:100],
        }
        for name, generated in cases.items():
            found = feature_likelihood_divergence(**{**sets, "generated": generated})
            assert found is not None
            assert found.how["centres"] == 100
            values.setdefault(name, []).append(found.value)
    means = {name: float(np.mean(of)) for name, of in values.items()}
    assert abs(means.pop("honest")) < 0.03
    assert all(mean > 0.05 for mean in means.values()), means


@pytest.mark.parametrize("d", [3, 400])
def test_leaving_centres_out_is_a_mixture_of_the_others(d: int) -> None:
    centres, images = rows(45, d), rows(30, d, seed=1)
    variances = torch.linspace(0.2, 2, 45, dtype=torch.float64)
    found = without_groups(images, centres, variances)
    assert found.shape == (30, 21)
    for column, kept in enumerate(
        [torch.arange(45) >= 0, *(torch.arange(45) % 20 != j for j in range(20))]
    ):
        expected = mixture(centres[kept], variances[kept]).log_prob(images) / d
        torch.testing.assert_close(found[:, column], expected)


@pytest.mark.parametrize("poor", [False, True])
def test_the_interval_of_the_divergence_is_as_wide_as_repetition_says(poor: bool) -> None:
    readings = []
    for seed in range(30):
        sets = honest(120, 240, 120, 5, seed)
        sets["generated"] = sets["generated"] * (1.5 if poor else 1.0)
        readings.append(feature_likelihood_divergence(**sets))
    widths = [reading.high - reading.value for reading in readings]
    spread = np.std([reading.value for reading in readings])
    # Student's quantile of 19 degrees of freedom; it is meant to be no narrower.
    assert 0.8 < np.mean(widths) / 2.093 / spread < 1.8


def test_what_cannot_be_had_is_none() -> None:
    sets = honest(3, 1, 4)
    assert feature_likelihood_divergence(**sets) is None
    gap = likelihood_gap(**sets)
    assert math.isfinite(gap.value)
    assert gap.low is None


@pytest.mark.parametrize(
    "training",
    [torch.ones(9, 5), torch.cat([torch.ones(8, 5), torch.zeros(1, 5)])],
    ids=["one image", "one feature throughout"],
)
def test_features_without_a_spread_do_no_harm(training: Tensor) -> None:
    sets = {"generated": rows(6), "training": training.double(), "holdout": torch.ones(4, 5)}
    for fitted_to in ("both", "training"):
        assert math.isfinite(likelihood_gap(**sets, fitted_to=fitted_to).value)
    assert 0 < likelihood_gap_p_value(**sets, seed=0, draws=99) <= 1
    found = feature_likelihood_divergence(**sets)
    assert found is not None


@pytest.mark.parametrize("name", ["generated", "training", "holdout"])
def test_what_has_no_likelihood_is_said(name: str) -> None:
    sets = honest()
    with pytest.raises(DataError, match=rf"the {name} images are empty: .*\(0, 5\)"):
        likelihood_gap(**{**sets, name: sets[name][:0]})
    wrong = sets[name].clone()
    wrong[7, 2] = torch.inf
    with pytest.raises(DataError, match=f"{name} image 7 are not finite"):
        likelihood_gap_p_value(**{**sets, name: wrong}, seed=0)


def evidence(sets: Sets, features=None) -> Evidence:
    return Evidence(
        **sets,
        neighbours=neighbours(**sets),
        features=features or Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


def test_readings_are_those_of_the_functions() -> None:
    sets = honest()
    found = likelihood(evidence(sets))
    test = likelihood_test(evidence(sets))
    assert test is not None
    assert test.gap == found["likelihood_gap"]
    assert test.gap.value == pytest.approx(likelihood_gap(**sets).value, rel=1e-6)
    assert test.p_value == pytest.approx(likelihood_gap_p_value(**sets, seed=0), abs=2e-3)
    assert found["fld_holdout"].how["centres"] == 30
    assert "features_fitted_to" not in test.gap.how
    alone = replace(evidence(sets), holdout=None)
    assert likelihood(alone) == {}
    assert likelihood_test(alone) is None


def test_large_sets_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CENTRES", 12)
    monkeypatch.setattr(module, "_IMAGES", 40)
    gap = likelihood(evidence(honest(60, 70, 30)))["likelihood_gap"]
    assert gap.n == 12
    assert (gap.how["training_images"], gap.how["holdout_images"]) == (40, 30)


def test_a_space_fitted_to_the_holdout_does_not_ring() -> None:
    scales = (1 + torch.arange(60, dtype=torch.float64)) ** -0.5
    refitted, as_given = [], []
    for seed in range(20):
        sets = {name: images * scales for name, images in honest(60, 90, 60, 60, seed).items()}
        space = PrincipalComponents(8).fit(sets["holdout"])
        test = likelihood_test(evidence(sets, space))
        assert test is not None
        assert test.gap.how["features_fitted_to"] == "training and holdout images"
        refitted.append(test.p_value)
        projected = {name: space(images) for name, images in sets.items()}
        as_given.append(likelihood_gap_p_value(**projected, seed=0, draws=199))
    assert sum(p <= 0.05 for p in refitted) <= 4
    assert sum(p <= 0.05 for p in as_given) >= 12
