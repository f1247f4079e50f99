"""EDM preconditioning: unit variance in and out, and its limits."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import torch_generator
from ecotone.denoisers import Preconditioned
from ecotone.denoisers.precondition import coefficients
from ecotone.noise import edm_weight


class Constant(nn.Module):
    """Predicts one number, and keeps what it was shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        self.seen.append((x, noise))
        return self.value * torch.ones_like(x)


@settings(max_examples=25, deadline=None)
@given(log_sigma=st.floats(-3, 3), data=st.floats(0.05, 5))
def test_coefficients_keep_their_identities(log_sigma: float, data: float) -> None:
    sigma = torch.tensor(10.0**log_sigma, dtype=torch.float64)
    skip, out, scale, noise = coefficients(sigma, data)
    variance = sigma**2 + data**2
    close = functools.partial(torch.testing.assert_close, rtol=1e-10, atol=0)
    close(skip, data**2 / variance)
    close(out, sigma * data / variance.sqrt())
    # c_in² Var(x) = 1: the input has unit variance.
    close(scale**2 * variance, torch.ones_like(sigma))
    # c_out² = (1 − c_skip)² σ_d² + c_skip² σ²: the target has unit variance.
    close(out**2, (1 - skip) ** 2 * data**2 + skip**2 * sigma**2)
    # λ c_out² = 1: every level weighs the network's error alike.
    close(edm_weight(sigma, data) * out**2, torch.ones_like(sigma))
    close(noise, sigma.log() / 4)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 10.0])
def test_the_network_sees_and_predicts_unit_variance(sigma: float) -> None:
    generator = torch_generator(0, "test")
    clean = 0.5 * torch.randn(20_000, 4, generator=generator)
    x = clean + sigma * torch.randn(20_000, 4, generator=generator)
    network = Constant(0.0)
    levels = torch.full((20_000,), sigma)
    skipped = Preconditioned(network, sigma_data=0.5)(x, levels)
    seen, noise = network.seen[0]
    target = (clean - skipped.detach()) / coefficients(levels, 0.5).out[:, None]
    # Four standard errors of a variance from 80,000 numbers: 4 sqrt(2/80000) = 0.02.
    assert seen.var().item() == pytest.approx(1, abs=0.02)
    assert target.var().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(noise, levels.log() / 4)


def test_without_noise_it_returns_its_input_whatever_the_network() -> None:
    x = torch.randn(3, 2, 4, 4, generator=torch_generator(0, "test"))
    denoised = Preconditioned(Constant(5.0), sigma_data=0.5)(x, torch.full((3,), 1e-7))
    torch.testing.assert_close(denoised, x, rtol=0, atol=1e-6)


def test_in_noise_it_returns_the_network_s_prediction_in_units_of_the_data() -> None:
    denoised = Preconditioned(Constant(2.0), sigma_data=0.5)(torch.zeros(1, 3), torch.tensor([1e6]))
    torch.testing.assert_close(denoised, torch.ones(1, 3))


def test_the_network_runs_in_its_own_dtype() -> None:
    network = Constant(1.0)
    x = torch.ones(2, 3, dtype=torch.float64)
    denoised = Preconditioned(network, sigma_data=1.0)(x, torch.ones(2, dtype=torch.float64))
    assert denoised.dtype == torch.float64
    assert {tensor.dtype for tensor in network.seen[0]} == {torch.float32}


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, float("nan"), float("inf")])
def test_data_without_variance_are_refused(sigma_data: float) -> None:
    with pytest.raises(ConfigError, match="sigma_data"):
        Preconditioned(Constant(0.0), sigma_data=sigma_data)
