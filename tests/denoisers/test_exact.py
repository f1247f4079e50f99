"""The perfect memorizer and the perfect generalizer against brute force and their own laws."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.seeds import sample_seeds, torch_generator
from ecotone.denoisers import EmpiricalDenoiser, PopulationDenoiser, exact
from ecotone.samplers import Heun, sample


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch_generator(seed, "test"), dtype=dtype)


def brute_force(training: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """Posterior weights by the definition, in float64, one difference at a time."""
    difference = x.double().flatten(1)[:, None] - training.double().flatten(1)[None]
    return torch.softmax(-difference.square().sum(2) / (2 * sigma.double()[:, None] ** 2), dim=1)


@settings(max_examples=25, deadline=None)
@given(
    log_sigma=st.floats(-3, 3),
    offset=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_equals_brute_force(log_sigma: float, offset: float, seed: int) -> None:
    training = noise(30, 2, 3, seed=seed) + offset
    sigma = torch.full((7,), 10.0**log_sigma, dtype=torch.float64)
    x = training[:7] + sigma[:, None, None] * noise(7, 2, 3, seed=seed + 1)
    denoiser, weights = EmpiricalDenoiser(training), brute_force(training, x, sigma)
    torch.testing.assert_close(denoiser.log_weights(x, sigma).exp(), weights, rtol=1e-6, atol=1e-9)
    expected = (weights @ training.flatten(1)).reshape(x.shape)
    torch.testing.assert_close(denoiser(x, sigma), expected, rtol=1e-9, atol=1e-8)


def test_float32_data_lose_nothing_to_cancellation() -> None:
    # |x|² + |y|² − 2xy in float32 errs by about 1e-3 here; divided by sigma² that is 1e4.
    training = noise(200, 3072, dtype=torch.float32) + 3
    training[1] = training[0] + 1e-3 * noise(3072, seed=1, dtype=torch.float32)
    sigma = torch.full((2,), 3e-4)
    x = training[:2] + sigma[:, None] * noise(2, 3072, seed=2, dtype=torch.float32)
    weights = EmpiricalDenoiser(training).log_weights(x, sigma).exp()
    torch.testing.assert_close(weights, brute_force(training, x, sigma), rtol=1e-4, atol=1e-6)


def test_moving_the_data_changes_no_weight() -> None:
    # Multiples of 2⁻²⁰ moved by 2¹⁴ stay exact in float64; squares of 2¹⁴ over sigma² do not.
    training = (noise(30, 6) * 2**10).round() / 2**20
    sigma = torch.full((30,), 2.0**-10, dtype=torch.float64)
    here = EmpiricalDenoiser(training).log_weights(training, sigma)
    there = EmpiricalDenoiser(training + 2**14).log_weights(training + 2**14, sigma)
    torch.testing.assert_close(there, here, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigma", [1e-6, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_without_noise_it_returns_the_nearest_training_image_exactly(
    dtype: torch.dtype, sigma: float
) -> None:
    training = noise(500, 3, 8, 8, dtype=torch.float32).to(dtype)
    x = (training + 0.05 * noise(500, 3, 8, 8, seed=1).to(dtype))[:50]
    copies = EmpiricalDenoiser(training)(x, torch.full((50,), sigma))
    assert torch.equal(copies, training[:50])


@pytest.mark.parametrize("sigma", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_duplicates_share_their_weight_and_nothing_is_nan(sigma: float) -> None:
    once = noise(5, 4, dtype=torch.float32)
    twice = EmpiricalDenoiser(torch.cat([once, once]))
    x, levels = once[:3] + min(sigma, 1.0) / 10, torch.full((3,), sigma)
    weights = twice.log_weights(x, levels).exp()
    torch.testing.assert_close(weights[:, :5], weights[:, 5:], rtol=1e-3, atol=1e-12)
    torch.testing.assert_close(twice(x, levels), EmpiricalDenoiser(once)(x, levels))
    assert bool(twice(x * sigma, levels).isfinite().all())


def test_all_noise_gives_the_mean() -> None:
    training = noise(40, 6) + 2
    means = EmpiricalDenoiser(training)(noise(3, 6, seed=1), torch.full((3,), 1e6))
    torch.testing.assert_close(means, training.mean(0).expand(3, 6).clone(), rtol=1e-6, atol=1e-6)


def test_tweedie() -> None:
    """(D − x)/σ² is the gradient of the log kernel density estimate."""
    training, x = noise(25, 5), noise(10, 5, seed=1).requires_grad_()
    sigma = torch.logspace(-1, 1, 10, dtype=torch.float64)
    square = (x[:, None] - training[None]).square().sum(2)
    log_density = torch.logsumexp(-square / (2 * sigma[:, None] ** 2), dim=1).sum()
    (score,) = torch.autograd.grad(log_density, x)
    with torch.no_grad():
        mine = (EmpiricalDenoiser(training)(x, sigma) - x) / sigma[:, None] ** 2
    torch.testing.assert_close(mine, score, rtol=1e-8, atol=1e-8)


def test_its_gradient_is_the_posterior_covariance() -> None:
    """dD/dx = Cov(x0 | x)/σ² (second-order Tweedie), so autograd runs through it."""
    training, x = noise(12, 3), noise(1, 3, seed=1)
    sigma = torch.tensor([0.8], dtype=torch.float64)
    denoiser = EmpiricalDenoiser(training)
    jacobian = torch.autograd.functional.jacobian(lambda y: denoiser(y, sigma)[0], x)
    weights = denoiser.log_weights(x, sigma).exp()[0]
    centred = training - weights @ training
    covariance = (weights[:, None] * centred).T @ centred
    assert isinstance(jacobian, Tensor)
    torch.testing.assert_close(jacobian[:, 0], covariance / 0.8**2)


def test_tiles_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    training, x = noise(53, 4), noise(11, 4, seed=1)
    sigma = torch.logspace(-1.5, 1.5, 11, dtype=torch.float64)

    def results() -> tuple[Tensor, Tensor, Tensor]:
        denoiser = EmpiricalDenoiser(training)
        return (
            denoiser(x, sigma),
            denoiser.log_weights(x, sigma),
            denoiser.posterior_entropy(x, sigma),
        )

    whole = results()
    monkeypatch.setattr(exact, "_TILE", 4 * 10)
    monkeypatch.setattr(exact, "_WEIGHTS", 53 * 3)
    for tiled, expected in zip(results(), whole, strict=True):
        torch.testing.assert_close(tiled, expected, rtol=1e-11, atol=1e-11)


def test_entropy_runs_from_nothing_to_all_of_the_set() -> None:
    training = noise(64, 20)
    denoiser = EmpiricalDenoiser(training)

    def entropy(sigma: float) -> Tensor:
        return denoiser.posterior_entropy(training, torch.full((64,), sigma))

    assert bool((entropy(1e-3) == 0).all())
    torch.testing.assert_close(entropy(1e5), torch.full((64,), math.log(64)).double())
    assert 0.5 < entropy(3.0).mean().item() < math.log(64)


def test_its_samples_are_training_points() -> None:
    training = noise(20, 2) * 3
    generated = sample(
        EmpiricalDenoiser(training),
        Heun(steps=40, sigma_min=1e-3, sigma_max=40.0),
        seeds=sample_seeds(60, 0),
        shape=(2,),
        dtype=torch.float64,
    )
    distance = torch.cdist(generated, training, compute_mode="donot_use_mm_for_euclid_dist")
    assert distance.min(dim=1).values.max().item() < 1e-9
    # Not the same point over and over.
    assert len(distance.argmin(dim=1).unique()) >= 12


def test_training_sets_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        EmpiricalDenoiser(torch.zeros(0, 3))
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(DataError, match="NaN or infinite"):
            EmpiricalDenoiser(torch.tensor([[0.0, 1.0], [bad, 2.0]]))
    with pytest.raises((ValueError, TypeError)):
        EmpiricalDenoiser(torch.zeros(3, 2, dtype=torch.int64))


def test_the_population_denoiser_hands_on_the_posterior_mean() -> None:
    class Gaussian:
        shape = (1, 2, 2)

        def posterior_mean(self, x: Tensor, sigma: Tensor) -> Tensor:
            return (x / (1 + sigma[:, None, None, None] ** 2)).double()

    denoiser = PopulationDenoiser(Gaussian())
    x = torch.ones(2, 1, 2, 2)
    clean = denoiser(x, torch.tensor([1.0, 3.0]))
    assert clean.dtype == torch.float32
    torch.testing.assert_close(clean[:, 0, 0, 0], torch.tensor([0.5, 0.1]))
    with pytest.raises((ValueError, TypeError), match=r"\(batch, 1, 2, 2\)"):
        denoiser(torch.ones(2, 1, 3, 3), torch.ones(2))
