"""What every denoiser must do, exact or learned."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ecotone.core.seeds import torch_generator
from ecotone.denoisers import MODELS, Denoiser, EmpiricalDenoiser, PopulationDenoiser
from ecotone.denoisers.linear import LINEAR, LinearFit, OneStep

SHAPE = (1, 8, 8)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch_generator(seed, "contract"))


TRAINING = 0.5 * draw(12, *SHAPE)


class Gaussian:
    """N(0, ¼) in every pixel."""

    shape = SHAPE

    def posterior_mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x * 0.25 / (0.25 + sigma.to(x.dtype).reshape(-1, 1, 1, 1) ** 2)


def learned(name: str, **options: object) -> Denoiser:
    """Build a registered model, moved off its start so that the network has its say."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.create(name, options, shape=SHAPE, sigma_data=0.5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval().requires_grad_(False)


def fitted(name: str, **options: object) -> LinearFit:
    """Fit a registered linear model to the training set."""
    return LINEAR.create(name, options).fit(TRAINING.flatten(1).double(), seed=0)


CASES: dict[str, Callable[[], Denoiser]] = {
    "empirical": lambda: EmpiricalDenoiser(TRAINING),
    "population": lambda: PopulationDenoiser(Gaussian()),
    "mlp": lambda: learned("mlp", width=16),
    "transformer": lambda: learned("transformer", width=16, depth=2),
    "unet": lambda: learned("unet", width=8),
    "mlp, epsilon": lambda: learned("mlp", width=16, prediction="epsilon"),
    "transformer, x0": lambda: learned("transformer", width=16, depth=2, prediction="x0"),
    "unet, v": lambda: learned("unet", width=8, prediction="v"),
    "unet, x0": lambda: learned("unet", width=8, prediction="x0"),
    "wiener": lambda: fitted("wiener"),
    "wiener, covariance ridge": lambda: fitted("wiener", ridge=0.1),
    "wiener, weight ridge": lambda: fitted("wiener", ridge=0.1, convention="weight"),
    "wiener, stopped": lambda: fitted("wiener", stopping_time=2.0),
}

ONE_LEVEL: dict[str, tuple[Callable[[], Denoiser], float]] = {
    "one_step": (lambda: fitted("one_step"), OneStep().sigma)
}
"""Denoisers that know one level alone, and that level."""

SHRINKING = {"wiener, weight ridge", "wiener, stopped"}
"""Those that take some of the sample for noise even where there is none."""

UNSKIPPED = {"transformer, x0", "unet, x0"}
"""Those that return what their network says, without a way past it."""


def test_every_registered_model_has_a_case() -> None:
    assert {*MODELS, *LINEAR} <= {*CASES, *ONE_LEVEL}


@pytest.mark.parametrize("name", sorted(ONE_LEVEL))
def test_a_denoiser_of_one_level_keeps_the_contract_there(name: str) -> None:
    build, level = ONE_LEVEL[name]
    denoiser, sigma = build(), torch.full((5,), level)
    x = noisy(sigma)
    clean = denoiser(x, sigma)
    assert clean.dtype == x.dtype
    assert clean.shape == x.shape
    torch.testing.assert_close(denoiser(x[2:3], sigma[2:3]), clean[2:3], rtol=1e-4, atol=1e-5)
    wide = denoiser(x.double(), sigma.double())
    assert wide.dtype == torch.float64
    torch.testing.assert_close(clean.double(), wide, rtol=1e-4, atol=1e-5)
    for shape in ((), (2,), (5, 1)):
        with pytest.raises((ValueError, TypeError)):
            denoiser(x, torch.ones(shape))
    with pytest.raises((ValueError, TypeError)):
        denoiser(torch.zeros(5, *SHAPE, dtype=torch.int64), sigma)


@pytest.fixture(params=sorted(CASES), scope="module")
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return CASES[request.param]()


def noisy(sigma: Tensor) -> Tensor:
    clean = TRAINING[: len(sigma)]
    return clean + sigma[:, None, None, None] * draw(*clean.shape, seed=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_are_kept(denoiser: Denoiser, dtype: torch.dtype) -> None:
    for batch in (1, 5):
        sigma = torch.logspace(-2, 1, batch)
        clean = denoiser(noisy(sigma).to(dtype), sigma.to(dtype))
        assert clean.shape == (batch, *SHAPE)
        assert clean.dtype == dtype


def test_inputs_are_left_alone(denoiser: Denoiser) -> None:
    sigma = torch.ones(3)
    x = noisy(sigma)
    before = x.clone(), sigma.clone()
    denoiser(x, sigma)
    assert torch.equal(x, before[0])
    assert torch.equal(sigma, before[1])


def test_the_same_input_gives_the_same_output(denoiser: Denoiser) -> None:
    sigma = torch.logspace(-1, 1, 4)
    x = noisy(sigma)
    assert torch.equal(denoiser(x, sigma), denoiser(x, sigma))


def test_each_sample_is_denoised_by_itself(denoiser: Denoiser) -> None:
    sigma = torch.tensor([0.1, 3.0])
    x = noisy(sigma)
    together = denoiser(x, sigma)
    for row in range(2):
        alone = denoiser(x[row : row + 1], sigma[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_the_level_matters(denoiser: Denoiser) -> None:
    x = noisy(torch.ones(1))
    low, high = (denoiser(x, torch.tensor([sigma])) for sigma in (0.2, 2.0))
    assert (low - high).abs().max().item() > 1e-3


@pytest.mark.parametrize("shape", [(), (2,), (3, 1)])
def test_levels_of_the_wrong_shape_are_refused(denoiser: Denoiser, shape: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        denoiser(TRAINING[:3], torch.ones(shape))


def test_integers_are_refused(denoiser: Denoiser) -> None:
    with pytest.raises((ValueError, TypeError)):
        denoiser(torch.zeros(3, *SHAPE, dtype=torch.int64), torch.ones(3))


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3])
def test_finite_at_every_level(denoiser: Denoiser, sigma: float) -> None:
    levels = torch.full((4,), sigma)
    assert bool(denoiser(noisy(levels), levels).isfinite().all())


@pytest.mark.parametrize("name", sorted(set(CASES) - SHRINKING - UNSKIPPED))
def test_without_noise_a_training_sample_is_left_as_it_is(name: str) -> None:
    clean = CASES[name]()(TRAINING, torch.full((12,), 1e-5))
    torch.testing.assert_close(clean, TRAINING, rtol=0, atol=1e-4)
