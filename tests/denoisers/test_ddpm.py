"""DDPM's parametrizations: what the network sees, and what is made of what it says."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import torch_generator
from ecotone.denoisers import Ddpm, Preconditioned
from ecotone.denoisers.ddpm import STEPS_PER_UNIT, predicting
from ecotone.noise import Prediction, ddpm_levels, ddpm_weight, sigma_from_index

PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)


class Says(nn.Module):
    """Says what it was told to say, and keeps what it was shown."""

    def __init__(self, said: Tensor) -> None:
        super().__init__()
        self.said = said
        self.anchor = nn.Parameter(torch.zeros((), dtype=said.dtype))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        self.seen.append((x, noise))
        return self.said + self.anchor


def noised(levels: Tensor, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return clean samples, noise, and the samples with noise, in float64."""
    generator = torch_generator(0, "test")
    clean, z = (torch.randn(len(levels), *shape, generator=generator).double() for _ in range(2))
    return clean, z, clean + levels.double().reshape(-1, *[1] * len(shape)) * z


def target(prediction: Prediction, clean: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
    """What the network is to say: z, αz − s x0 or x0, with α = 1/√(1 + σ²) and s = σα."""
    alpha = (1 + sigma**2) ** -0.5
    column = alpha.reshape(-1, *[1] * (clean.ndim - 1))
    s = (sigma * alpha).reshape(column.shape)
    return {"epsilon": z, "v": column * z - s * clean, "x0": clean}[prediction]


@settings(max_examples=25, deadline=None)
@given(
    prediction=st.sampled_from(PREDICTIONS),
    logs=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    off=st.floats(-2, 2),
)
def test_what_is_said_rightly_denoises_rightly(
    prediction: Prediction, logs: list[float], off: float
) -> None:
    sigma = 10 ** torch.tensor(logs, dtype=torch.float64)
    clean, z, x = noised(sigma, 2, 3)
    right = target(prediction, clean, z, sigma)
    denoised = Ddpm(Says(right), prediction=prediction)(x, sigma)
    torch.testing.assert_close(denoised, clean, rtol=1e-9, atol=1e-9)
    # The weight turns the squared error of D into that of what is said.
    wrong = Ddpm(Says(right + off), prediction=prediction)(x, sigma)
    error = ddpm_weight(sigma, prediction) * (wrong - clean).square().flatten(1).mean(1)
    torch.testing.assert_close(error, torch.full_like(sigma, off**2), rtol=1e-6, atol=1e-9)


@every_prediction
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_network_sees_unit_variance_and_whole_steps(
    prediction: Prediction, dtype: torch.dtype
) -> None:
    sigma = ddpm_levels()
    clean, _, x = noised(sigma, 400)
    network = Says(clean.float())
    Ddpm(network, prediction=prediction)(x.to(dtype), sigma.to(dtype))
    seen, noise = network.seen[0]
    assert {seen.dtype, noise.dtype} == {torch.float32}
    assert torch.equal(noise * STEPS_PER_UNIT, torch.arange(1000.0))
    # Four standard errors of a variance from 400,000 numbers.
    assert seen.var().item() == pytest.approx(1, abs=4 * (2 / 400_000) ** 0.5)


def test_between_steps_the_network_sees_their_fraction() -> None:
    steps = torch.tensor([0.25, 17.5, 998.75])
    sigma = sigma_from_index(steps, ddpm_levels())
    for levels in (sigma, sigma.float()):
        network = Says(torch.zeros(3, 2))
        Ddpm(network, prediction="epsilon")(torch.zeros(3, 2), levels)
        torch.testing.assert_close(network.seen[0][1] * STEPS_PER_UNIT, steps, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("sigma", "step"), [(1e-6, 0.0), (0.0099, 0.0), (158.0, 999.0), (1e5, 999.0)]
)
def test_beyond_its_levels_the_step_is_the_nearest(sigma: float, step: float) -> None:
    network = Says(torch.zeros(1, 2))
    denoised = Ddpm(network, prediction="epsilon")(torch.ones(1, 2), torch.tensor([sigma]))
    assert network.seen[0][1].item() * STEPS_PER_UNIT == step
    assert torch.equal(denoised, torch.ones(1, 2))


@every_prediction
def test_without_noise_only_x0_depends_on_the_network(prediction: Prediction) -> None:
    x = torch.randn(3, 2, 4, 4, generator=torch_generator(0, "test"))
    denoised = Ddpm(Says(torch.full_like(x, 5)), prediction=prediction)(x, torch.full((3,), 1e-7))
    expected = torch.full_like(x, 5.0) if prediction == "x0" else x
    torch.testing.assert_close(denoised, expected, rtol=0, atol=1e-6)


def test_its_levels_are_its_own_and_keep_their_precision() -> None:
    levels = torch.tensor([0.1, 0.5, 7.0], dtype=torch.float64)
    denoiser = Ddpm(nn.Linear(2, 2), prediction="v", levels=levels)
    assert torch.equal(Ddpm(nn.Linear(2, 2), prediction="v").levels, ddpm_levels())
    assert set(denoiser.state_dict()) == {"network.weight", "network.bias"}
    for moved in (denoiser, copy.deepcopy(denoiser).half(), copy.deepcopy(denoiser).double()):
        assert torch.equal(moved.levels, levels)
    assert denoiser.index(torch.tensor([0.1, 0.5, 7.0])).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("levels", [[1.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, torch.inf]])
def test_levels_that_do_not_rise_are_refused(levels: list[float]) -> None:
    with pytest.raises(ConfigError, match="do not rise"):
        Ddpm(nn.Identity(), prediction="v", levels=torch.tensor(levels, dtype=torch.float64))


def test_a_network_is_wrapped_by_what_it_predicts() -> None:
    edm = predicting(nn.Identity(), "edm", sigma_data=0.5)
    assert isinstance(edm, Preconditioned)
    assert (edm.prediction, edm.sigma_data) == ("edm", 0.5)
    for prediction in PREDICTIONS:
        other = predicting(nn.Identity(), prediction, sigma_data=0.5)
        assert isinstance(other, Ddpm)
        assert other.prediction == prediction
    with pytest.raises(ConfigError, match="'edm' is none of DDPM's"):
        Ddpm(nn.Identity(), prediction="edm")
