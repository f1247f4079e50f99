from __future__ import annotations

import importlib
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.core.intervals import jackknife
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures import diversity as module
from ecotone.measures.diversity import diversity, vendi_reading, vendi_score

ORDERS = [0.5, 1.0, 2.0, 7.5, math.inf]


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scales = (1 + torch.arange(d, dtype=torch.float64)) ** -0.5
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scales + 0.3


def of_kernel(kernel: Tensor, order: float) -> float:
    """Return the score from the eigenvalues of a kernel matrix."""
    values = np.linalg.eigvalsh((kernel / len(kernel)).numpy())
    values = values[values > 1e-13]
    if math.isinf(order):
        return float(1 / values.max())
    if order == 1:
        return float(np.exp(-(values * np.log(values)).sum()))
    return float((values**order).sum() ** (1 / (1 - order)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("n", "d"), [(60, 7), (7, 60), (20, 20), (1, 3), (5, 1)])
def test_it_is_the_entropy_of_the_whole_kernel(n: int, d: int, order: float) -> None:
    images = rows(n, d)
    unit = images / torch.linalg.vector_norm(images, dim=1, keepdim=True)
    expected = of_kernel(unit @ unit.T, order)
    assert vendi_score(images=images, order=order) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_it_agrees_with_the_authors_package(order: float) -> None:
    try:
        vendi = importlib.import_module("vendi_score.vendi")
    except ImportError as error:
        if os.environ.get("ECOTONE_REQUIRE_EXTRAS") == "1":
            raise
        pytest.skip(f"{error}: pip install vendi-score")
    images = rows(300, 12)
    expected = vendi.score_dual(images.numpy(), q="inf" if math.isinf(order) else order)
    assert vendi_score(images=images, order=order) == pytest.approx(float(expected), rel=1e-9)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 99), st.sampled_from(ORDERS))
@settings(max_examples=40, deadline=None)
def test_what_may_not_change_it_does_not(n: int, d: int, seed: int, order: float) -> None:
    images = rows(n, d, seed)
    score = vendi_score(images=images, order=order)
    assert 1 <= score <= n
    generator = torch.Generator().manual_seed(seed)
    turned = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    lengths = torch.rand(n, 1, generator=generator, dtype=torch.float64) + 0.1
    shown_again = images[torch.randperm(n, generator=generator)].repeat(3, 1)
    for same in (images @ turned, images * lengths, shown_again):
        assert vendi_score(images=same, order=order) == pytest.approx(score, rel=1e-6)


def test_the_extremes_are_right() -> None:
    for order in ORDERS:
        assert vendi_score(images=torch.ones(40, 3), order=order) == pytest.approx(1)
        assert vendi_score(images=torch.eye(40), order=order) == pytest.approx(40)
        groups = torch.eye(5).repeat(8, 1)
        assert vendi_score(images=groups, order=order) == pytest.approx(5)
    scores = [vendi_score(images=rows(50, 6), order=order) for order in ORDERS]
    assert scores == sorted(scores, reverse=True)


def test_rows_without_a_direction_are_one_kind_of_image() -> None:
    images = torch.cat([torch.eye(3), torch.zeros(2, 3)])
    for wide in (images, torch.nn.functional.pad(images, (0, 9))):
        expected = -(3 * 0.2 * math.log(0.2) + 0.4 * math.log(0.4))
        assert vendi_score(images=wide) == pytest.approx(math.exp(expected))
    # A row that rounding alone keeps from 0 has no direction either.
    images[3, 0] = 1e-17
    assert vendi_score(images=images) == pytest.approx(math.exp(expected))
    assert vendi_score(images=torch.zeros(4, 2)) == pytest.approx(1)


@pytest.mark.parametrize(("n", "d"), [(45, 5), (45, 60)])
def test_the_interval_is_that_of_leaving_images_out(n: int, d: int) -> None:
    images = rows(n, d)
    reading = vendi_reading(images=images)
    assert reading.low is not None

    def left_out(kept: np.ndarray) -> float:
        return math.log(vendi_score(images=images[torch.from_numpy(kept)]))

    error = jackknife(left_out, n)
    assert error is not None
    # Student's quantile of 19 degrees of freedom.
    assert math.log(reading.value / reading.low) == pytest.approx(2.093 * error, rel=1e-3)


@pytest.mark.parametrize(("n", "d"), [(150, 6), (60, 60), (60, 200)])
def test_the_interval_is_as_wide_as_repetition_says(n: int, d: int) -> None:
    readings = [vendi_reading(images=rows(n, d, seed)) for seed in range(40)]
    widths = [math.log(r.value / r.low) for r in readings if r.low]
    spread = np.std([math.log(r.value) for r in readings])
    assert np.mean(widths) / 2.093 == pytest.approx(spread, rel=0.35)


def test_more_images_count_as_more() -> None:
    # What makes readings of different numbers of images incomparable.
    scores = [vendi_score(images=rows(n, 30)) for n in (10, 50, 250)]
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    ("images", "order", "error", "told"),
    [
        (torch.ones(2, 2), 0.0, ConfigError, "order = 0.0"),
        (torch.ones(2, 2), math.nan, ConfigError, "order = nan"),
        (torch.ones(0, 2), 1.0, DataError, r"shape \(0, 2\)"),
        (torch.tensor([[1.0], [math.inf]]), 1.0, DataError, "image 1 are not finite"),
    ],
)
def test_what_has_no_score_is_said(images, order, error, told) -> None:
    for function in (vendi_score, vendi_reading):
        with pytest.raises(error, match=told):
            function(images=images, order=order)


def evidence(n: int, m: int, samples: int, features=None, d: int = 30) -> Evidence:
    training, holdout, generated = rows(n + m + samples, d).split([n, m, samples])
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=features or Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


@pytest.mark.parametrize(("m", "samples"), [(40, 25), (25, 40)])
def test_generated_and_held_out_images_are_as_many(m: int, samples: int) -> None:
    given = evidence(50, m, samples)
    found = diversity(given)
    assert {name: reading.n for name, reading in found.items()} == {
        "vendi": 25,
        "vendi_holdout_matched": 25,
    }
    alone = diversity(replace(given, holdout=None))
    assert {name: reading.n for name, reading in alone.items()} == {"vendi": samples}


def test_copies_of_one_image_are_one() -> None:
    given = evidence(50, 40, 40)
    found = diversity(replace(given, generated=given.training[:1].repeat(40, 1)))
    assert found["vendi"].value == pytest.approx(1)
    assert found["vendi_holdout_matched"].value > 5


def test_many_features_are_asked_of_fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 12)
    assert diversity(evidence(50, 40, 40))["vendi"].n == 12
    assert diversity(evidence(50, 40, 40, d=12))["vendi"].n == 40


def test_a_space_fitted_to_the_holdout_is_fair_all_the_same() -> None:
    ratios = []
    for seed in range(8):
        training, holdout, generated = rows(600, 300, seed).float().split(200)
        given = evidence(200, 200, 200)
        given = replace(
            given,
            generated=generated,
            training=training,
            holdout=holdout,
            features=PrincipalComponents(10).fit(holdout),
        )
        found = diversity(given)
        assert found["vendi"].how["features_fitted_to"] == "training images"
        as_given = [vendi_score(images=given.features(part)) for part in (generated, holdout)]
        ratios.append(
            (
                math.log(found["vendi"].value / found["vendi_holdout_matched"].value),
                math.log(as_given[0] / as_given[1]),
            )
        )
    fair, unfair = np.mean(ratios, axis=0)
    assert abs(fair) < 0.02
    assert unfair < -0.05
