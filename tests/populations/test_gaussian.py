from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from ecotone.core.errors import ConfigError
from ecotone.populations.gaussian import Gaussian, LowRank, SingleNormal
from ecotone.populations.normal import random_frame

COVARIANCE = [[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]]


def dense(population: SingleNormal) -> np.ndarray:
    """Return the covariance written out, from the eigenbasis."""
    normal, d = population.normal, population.dimension
    basis = torch.eye(d, dtype=torch.float64) if normal.basis is None else normal.basis
    within = basis * (normal.variances - normal.floor) @ basis.T
    return (within + normal.floor * torch.eye(d, dtype=torch.float64)).numpy()


POPULATIONS = [
    Gaussian(dimension=4, std=1.5, mean=2.0),
    Gaussian(spectrum=[3.0, 1.0, 0.1]),
    Gaussian(dimension=5, spectrum=2.0, rotation_seed=3),
    Gaussian(covariance=COVARIANCE, mean=[1.0, 0.0, -1.0], std=2.0),
    LowRank(dimension=7, intrinsic_dimension=2, noise=0.2, mean=0.5),
    LowRank(dimension=3, intrinsic_dimension=3, spectrum=1.0, std=2.0),
]


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("sigma", [0.0, 0.3, 10.0])
def test_density_and_mean_agree_with_scipy_and_dense_algebra(
    population: SingleNormal, sigma: float
) -> None:
    d = population.dimension
    x = torch.randn(5, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    level = torch.full((5,), sigma, dtype=torch.float64)
    mean, covariance = population.normal.mean.numpy(), dense(population)
    noisy = covariance + sigma**2 * np.eye(d)
    expected = multivariate_normal.logpdf(x.numpy(), mean, noisy)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(population.log_density(x, level).numpy(), expected, rtol=1e-10)
    wiener = mean + (x.numpy() - mean) @ np.linalg.solve(noisy, covariance)
    told = population.posterior_mean(x, level).numpy()
    np.testing.assert_allclose(told, wiener, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("population", POPULATIONS)
def test_draws_have_the_mean_and_covariance(population: SingleNormal) -> None:
    n, d = 8000, population.dimension
    x = population.draw(n, seed=1).double().numpy()
    # Whitened draws are standard normal: each moment lies within five standard errors.
    root = np.linalg.cholesky(np.linalg.inv(dense(population)))
    white = (x - population.normal.mean.numpy()) @ root
    assert np.abs(white.mean(0)).max() < 5 / math.sqrt(n)
    assert np.abs(white.T @ white / n - np.eye(d)).max() < 5 * math.sqrt(2 / n)


def test_a_covariance_is_what_its_draws_have() -> None:
    assert np.allclose(dense(Gaussian(covariance=COVARIANCE, std=2.0)), 4 * np.array(COVARIANCE))


def test_the_power_law_and_its_rotation() -> None:
    straight = Gaussian(dimension=6, spectrum=1.0)
    turned = Gaussian(dimension=6, spectrum=1.0, rotation_seed=0)
    assert np.allclose(np.diag(dense(straight)), 1 / np.arange(1, 7))
    assert np.allclose(np.linalg.eigvalsh(dense(turned))[::-1], 1 / np.arange(1, 7))
    assert np.abs(dense(turned) - np.diag(np.diag(dense(turned)))).max() > 0.05
    assert turned.fingerprint != straight.fingerprint


def test_sample_i_is_the_same_however_many_follow() -> None:
    # To the last digit of float64: a matrix product's rounding depends on its number of rows.
    normal = Gaussian(dimension=48, spectrum=1.0, rotation_seed=0).normal
    many = normal.sample(range(301))
    for count in (1, 2, 7, 130):
        assert torch.equal(many[:count], normal.sample(range(count)))


def test_images_and_vectors_of_one_gaussian_are_the_same_numbers() -> None:
    vectors, images = Gaussian(dimension=64), Gaussian(shape=[1, 8, 8])
    assert images.shape == (1, 8, 8)
    assert torch.equal(images.draw(3, seed=0).flatten(1), vectors.draw(3, seed=0))


def test_low_rank_forms_no_square_matrix() -> None:
    # 200 000 dimensions: one d×d matrix would take 320 GB.
    population = LowRank(dimension=200_000, intrinsic_dimension=2, noise=0.5)
    x, sigma = population.draw(1, seed=0).double(), torch.ones(1, dtype=torch.float64)
    assert population.log_density(x, sigma).isfinite().all()
    assert population.posterior_mean(x, sigma).shape == (1, 200_000)


def test_low_rank_without_noise_lives_on_its_subspace() -> None:
    population = LowRank(dimension=9, intrinsic_dimension=2, noise=0.0)
    x = population.draw(20, seed=0).double()
    assert int(torch.linalg.matrix_rank(x, rtol=1e-5)) == 2
    far = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).double()
    projected = population.posterior_mean(far, torch.full((20,), 1e-4, dtype=torch.float64))
    basis = population.normal.basis
    assert basis is not None
    assert torch.allclose(projected, far @ basis @ basis.T, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 12), seed=st.integers(0, 1000), data=st.data())
def test_random_frames_are_orthonormal(rows: int, seed: int, data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, rows))
    frame = random_frame(rows, columns, seed)
    assert torch.allclose(frame.T @ frame, torch.eye(columns, dtype=torch.float64), atol=1e-12)


def test_random_frames_lean_to_no_side() -> None:
    entries = torch.stack([random_frame(3, 3, seed) for seed in range(600)])
    assert entries.mean(0).abs().max() < 5 * math.sqrt(1 / 3 / 600)


NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"std": 0.0}, "gaussian: std = 0.0 is out of range; give a number above 0"),
        ({"std": NAN}, "std = nan"),
        ({"mean": NAN}, "mean = nan holds a value that is not finite"),
        ({"dimension": 4, "spectrum": [1.0, 2.0]}, "dimension makes 4 but spectrum makes 2"),
        ({"shape": [1, 8, 8], "mean": [0.0]}, "mean makes 1 but shape makes 64"),
        ({"spectrum": [1.0, -1.0]}, "are not eigenvalues"),
        ({"spectrum": [0.0, 0.0]}, "at least one above 0"),
        ({"spectrum": -2.0}, r"spectrum = -2.0 is not the exponent a"),
        ({"covariance": [[1.0, 0.5], [0.2, 1.0]]}, "covariance is not symmetric"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "smallest eigenvalue is -1"),
        ({"covariance": [[0.0, 0.0], [0.0, 0.0]]}, "not a covariance"),
        ({"covariance": [[1.0, 0.0], [0.0]]}, "rows of different lengths"),
        ({"covariance": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]}, r"has shape \(2, 3\), not \(2, 2\)"),
        ({"covariance": [[NAN, 0.0], [0.0, 1.0]]}, "not finite"),
        ({"covariance": [[1.0]], "spectrum": 1.0}, "already holds its spectrum"),
    ],
)
def test_gaussian_refuses(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Gaussian(**options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dimension": 3, "intrinsic_dimension": 4}, "does not fit into 3 dimensions"),
        ({"intrinsic_dimension": 0}, "intrinsic_dimension = 0"),
        ({"spectrum": [1.0]}, "1 values for intrinsic_dimension = 4; give 4 values"),
        ({"noise": -0.1}, "noise = -0.1"),
        ({"std": math.inf}, "std = inf"),
    ],
)
def test_low_rank_refuses(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        LowRank(**options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Gaussian, {"dimension": 9, "spectrum": 1.5}),
        (Gaussian, {"covariance": [[2.0, 0.3], [0.3, 1.0]]}),
        (LowRank, {"dimension": 20, "intrinsic_dimension": 3, "noise": 0.2}),
    ],
)
def test_normalized_data_have_the_std_asked_for(kind: type, options: dict) -> None:
    plain, scaled = kind(**options), kind(**options, std=3.0, normalized=True)
    assert scaled.std == pytest.approx(3.0)
    ratio = scaled.normal.covariance() / plain.normal.covariance()
    assert torch.allclose(ratio.nan_to_num(0), ratio[0, 0] * (plain.normal.covariance() != 0))
    assert kind(**options, normalized=True).fingerprint != plain.fingerprint
