from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from ecotone.core.errors import ConfigError
from ecotone.populations.gaussian import Gaussian
from ecotone.populations.mixtures import Mixture, simplex

WEIGHTS = [0.5, 0.2, 0.3]
MEANS = [[0.0, 0.0], [4.0, 1.0], [-2.0, 3.0]]
COVARIANCES = [
    [[1.0, 0.5], [0.5, 1.0]],
    [[0.2, 0.0], [0.0, 2.0]],
    [[0.6, -0.1], [-0.1, 0.3]],
]


def full() -> Mixture:
    return Mixture(weights=WEIGHTS, means=MEANS, covariances=COVARIANCES)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 5.0])
def test_density_and_mean_agree_with_scipy(sigma: float) -> None:
    x = np.random.default_rng(0).normal(scale=3, size=(20, 2))
    noisy = [np.array(c) + sigma**2 * np.eye(2) for c in COVARIANCES]
    joint = np.stack(
        [
            math.log(w) + multivariate_normal.logpdf(x, m, c)  # pyright: ignore[reportArgumentType]
            for w, m, c in zip(WEIGHTS, MEANS, noisy, strict=True)
        ],
        axis=1,
    )
    total = np.asarray(logsumexp(joint, axis=1))
    share = np.exp(joint - total[:, None])
    wiener = np.stack(
        [
            m + (x - m) @ np.linalg.solve(n, np.array(c))
            for m, n, c in zip(np.array(MEANS), noisy, COVARIANCES, strict=True)
        ],
        axis=1,
    )
    points, level = torch.from_numpy(x), torch.full((20,), sigma, dtype=torch.float64)
    told = full().log_density(points, level).numpy()
    np.testing.assert_allclose(told, total, rtol=1e-10)
    mean = full().posterior_mean(points, level).numpy()
    np.testing.assert_allclose(mean, (share[:, :, None] * wiener).sum(1), rtol=1e-9, atol=1e-12)


def test_std_scales_every_covariance() -> None:
    twice = Mixture(means=MEANS, covariances=COVARIANCES, std=2.0)
    written = Mixture(means=MEANS, covariances=(4 * np.array(COVARIANCES)).tolist())
    x, sigma = written.draw(5, seed=0), torch.ones(5)
    assert torch.allclose(twice.log_density(x, sigma), written.log_density(x, sigma))


def test_draws_fall_to_components_by_weight() -> None:
    apart = Mixture(weights=WEIGHTS, means=[[-100.0], [0.0], [100.0]])
    n = 6000
    nearest = (apart.draw(n, seed=0) / 100).round().flatten()
    for weight, place in zip(WEIGHTS, (-1, 0, 1), strict=True):
        found = float((nearest == place).double().mean())
        assert abs(found - weight) < 5 * math.sqrt(weight * (1 - weight) / n)


def test_draws_have_the_moments_of_the_mixture() -> None:
    n = 8000
    x = full().draw(n, seed=2).double().numpy()
    means, weights = np.array(MEANS), np.array(WEIGHTS)
    mean = weights @ means
    spread = sum(
        w * (np.array(c) + np.outer(m - mean, m - mean))
        for w, m, c in zip(weights, means, COVARIANCES, strict=True)
    )
    assert np.abs(x.mean(0) - mean).max() < 5 * math.sqrt(np.max(spread) / n)
    assert np.abs(np.cov(x.T) - spread).max() < 0.1 * np.max(spread)


def test_one_component_is_the_gaussian() -> None:
    alone, gaussian = Mixture(components=1, dimension=3, std=2.0), Gaussian(dimension=3, std=2.0)
    x, sigma = gaussian.draw(4, seed=0), torch.ones(4)
    assert torch.allclose(alone.log_density(x, sigma), gaussian.log_density(x, sigma))
    assert torch.allclose(alone.posterior_mean(x, sigma), gaussian.posterior_mean(x, sigma))


def test_far_from_every_component_nothing_underflows() -> None:
    x, sigma = torch.tensor([[1e6, 1e6]]), torch.tensor([0.1])
    assert full().log_density(x, sigma).isfinite().all()
    assert full().posterior_mean(x, sigma).isfinite().all()


@settings(max_examples=25, deadline=None)
@given(
    dimension=st.integers(1, 8),
    separation=st.floats(0.1, 100),
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_derived_means_are_all_equally_far_apart(
    dimension: int, separation: float, seed: int, data: st.DataObject
) -> None:
    components = data.draw(st.integers(2, dimension + 1))
    points = simplex(components, dimension, separation, seed)
    apart = torch.pdist(points)
    assert torch.allclose(apart, torch.full_like(apart, separation))
    assert points.mean(0).abs().max() < 1e-12 * separation * components


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"components": 5, "dimension": 3}, "5 components cannot all .* between 1 and 4"),
        ({"components": 0}, "components make 0"),
        ({"components": 3, "means": [[0.0], [1.0]]}, "components make 3, means make 2"),
        ({"weights": [0.5, 0.6]}, "their sum is 1.1"),
        ({"weights": [1.5, -0.5]}, "give numbers above 0"),
        ({"weights": [float("nan"), 0.5]}, "are not shares"),
        ({"means": [[0.0, 1.0], [1.0]]}, r"means\[0\] makes 2 but means\[1\] makes 1"),
        ({"means": [[0.0], [float("inf")]]}, r"means\[1\] = \[inf\] holds a value"),
        ({"covariances": [[[1.0]], [[-1.0]]]}, r"covariances\[1\] is not a covariance"),
        ({"dimension": 2, "means": [[0.0]]}, r"dimension makes 2 but means\[0\] makes 1"),
        ({"separation": -1.0}, "separation = -1.0"),
        ({"std": -1.0}, "mixture: std = -1.0"),
    ],
)
def test_mixture_refuses(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Mixture(**options)
