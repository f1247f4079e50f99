"""Noise levels: the published schedule, the training distribution, conversions and inverses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.core.errors import ConfigError
from ecotone.noise import (
    LogNormalLevels,
    Prediction,
    alpha_bar_from_sigma,
    ddpm_alpha_bars,
    ddpm_levels,
    ddpm_weight,
    edm_weight,
    generalization_from_factor,
    generalization_from_sigma,
    index_from_sigma,
    karras_levels,
    log_snr_from_sigma,
    sigma_from_alpha_bar,
    sigma_from_generalization,
    sigma_from_index,
    sigma_from_log_snr,
    sigma_from_time,
    time_from_sigma,
)

quick = settings(max_examples=25, deadline=None)


def test_karras_levels_agree_with_diffusers() -> None:
    from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler

    scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    scheduler.set_timesteps(18)
    torch.testing.assert_close(
        karras_levels(18, 0.002, 80.0, 7.0).float(), scheduler.sigmas, rtol=1e-5, atol=0
    )


@quick
@given(
    steps=st.integers(2, 200),
    low=st.floats(1e-4, 1.0),
    ratio=st.floats(1.5, 1e5),
    rho=st.floats(0.5, 12),
)
def test_karras_levels_fall_from_one_end_to_the_other_and_then_to_0(
    steps: int, low: float, ratio: float, rho: float
) -> None:
    levels = karras_levels(steps, low, low * ratio, rho)
    assert levels.dtype == torch.float64
    assert levels.shape == (steps + 1,)
    assert (levels[0].item(), levels[-2].item(), levels[-1].item()) == (low * ratio, low, 0.0)
    assert bool((levels.diff() < 0).all())
    # Evenly spaced in σ^{1/ρ}: the definition, read backwards.
    gaps = (levels[:-1] ** (1 / rho)).diff()
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps), rtol=1e-7, atol=1e-12)


def test_one_step_goes_straight_to_0() -> None:
    assert karras_levels(1, 0.002, 80.0).tolist() == [80.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 0.1, 1.0, 7.0), "steps = 0"),
        ((5, 1.0, 1.0, 7.0), "sigma_min = 1.0"),
        ((5, 2.0, 1.0, 7.0), "sigma_max = 1.0"),
        ((5, 0.0, 1.0, 7.0), "sigma_min = 0.0"),
        ((5, 0.1, math.inf, 7.0), "sigma_max = inf"),
        ((5, math.nan, 1.0, 7.0), "sigma_min = nan"),
        ((5, 0.1, 1.0, 0.0), "rho = 0.0"),
    ],
)
def test_wrong_levels_are_named(arguments: tuple[int, float, float, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        karras_levels(*arguments)


def test_log_normal_levels_have_the_distribution_they_name() -> None:
    levels = LogNormalLevels(log_mean=-0.5, log_std=1.5).draw(
        20_000, torch.Generator().manual_seed(1)
    )
    logs = levels.double().log()
    assert levels.dtype == torch.float32
    assert abs(logs.mean().item() + 0.5) < 4 * 1.5 / math.sqrt(20_000)
    assert abs(logs.std().item() / 1.5 - 1) < 4 / math.sqrt(2 * 20_000)
    # Symmetric and light-tailed: the fourth moment of a normal is 3.
    assert abs((((logs + 0.5) / 1.5) ** 4).mean().item() - 3) < 4 * math.sqrt(96 / 20_000)


def test_log_normal_levels_follow_their_generator() -> None:
    levels = LogNormalLevels()
    first = levels.draw(8, torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    assert torch.equal(first, levels.draw(8, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, levels.draw(8, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize(("mean", "std"), [(math.nan, 1.0), (0.0, -1.0), (0.0, math.inf)])
def test_wrong_distributions_are_refused(mean: float, std: float) -> None:
    with pytest.raises(ConfigError, match="log_mean"):
        LogNormalLevels(mean, std)


@quick
@given(sigma=st.floats(1e-3, 1e3), data=st.floats(0.05, 5))
def test_edm_weight_is_its_published_form(sigma: float, data: float) -> None:
    weight = edm_weight(torch.tensor([sigma], dtype=torch.float64), data).item()
    assert weight == pytest.approx((sigma**2 + data**2) / (sigma * data) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("there", "back", "low", "high"),
    [
        (time_from_sigma, sigma_from_time, -8, 6),
        (log_snr_from_sigma, sigma_from_log_snr, -8, 6),
        # ᾱ rounds to 1 for small levels, so its range is narrower.
        (alpha_bar_from_sigma, sigma_from_alpha_bar, -2, 3),
    ],
)
def test_conversions_are_inverses(there, back, low: int, high: int) -> None:
    sigma = torch.logspace(low, high, 57, dtype=torch.float64)
    torch.testing.assert_close(back(there(sigma)), sigma, rtol=1e-10, atol=0)
    other = there(sigma)
    torch.testing.assert_close(there(back(other)), other, rtol=1e-10, atol=1e-12)


def test_the_forms_agree_with_their_definitions() -> None:
    time = torch.linspace(0.01, 3, 20, dtype=torch.float64)
    alpha, deviation = torch.exp(-time), (1 - torch.exp(-2 * time)).sqrt()
    sigma = deviation / alpha
    torch.testing.assert_close(sigma_from_time(time), sigma)
    torch.testing.assert_close(sigma_from_alpha_bar(alpha**2), sigma)
    torch.testing.assert_close(sigma_from_log_snr((alpha**2 / deviation**2).log()), sigma)


@quick
@given(time=st.floats(0.01, 8), factor=st.floats(1e-4, 1e3))
def test_the_generalization_parameter_is_its_definition(time: float, factor: float) -> None:
    """y = e^{−T} x + sqrt(l(1 − e^{−2T})) ξ has the level of its noise over that of its signal."""
    alpha = math.exp(-time)
    sigma = math.sqrt(factor * (1 - alpha**2)) / alpha
    generalization = generalization_from_factor(torch.tensor(factor, dtype=torch.float64), time)
    assert generalization.item() == pytest.approx(factor / alpha**2, rel=1e-12)
    assert sigma_from_generalization(generalization, time).item() == pytest.approx(sigma, rel=1e-9)
    back = generalization_from_sigma(sigma_from_generalization(generalization, time), time)
    torch.testing.assert_close(back, generalization, rtol=1e-12, atol=0)


def test_without_a_factor_the_noise_is_that_of_the_process() -> None:
    one = torch.ones((), dtype=torch.float64)
    mine = sigma_from_generalization(generalization_from_factor(one, 1.3), 1.3)
    torch.testing.assert_close(mine, sigma_from_time(1.3 * one))


def test_ddpm_levels_agree_with_diffusers() -> None:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    alpha_bar = DDPMScheduler(num_train_timesteps=1000).alphas_cumprod
    euler = EulerDiscreteScheduler(num_train_timesteps=1000)
    torch.testing.assert_close(
        sigma_from_alpha_bar(alpha_bar.double()).flip(0).float(),
        euler.sigmas[:-1],
        rtol=1e-4,
        atol=0,
    )
    torch.testing.assert_close(ddpm_alpha_bars().float(), alpha_bar, rtol=1e-4, atol=0)


def test_ddpm_levels_follow_from_their_betas() -> None:
    alpha_bars = ddpm_alpha_bars()
    betas = 1 - alpha_bars / torch.cat([torch.ones(1).double(), alpha_bars[:-1]])
    torch.testing.assert_close(betas[[0, -1]], torch.tensor([1e-4, 0.02]).double())
    gaps = betas.diff()
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps), rtol=1e-6, atol=0)
    torch.testing.assert_close(alpha_bar_from_sigma(ddpm_levels()), alpha_bars)


@quick
@given(
    steps=st.integers(2, 40),
    seed=st.integers(0, 100),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_indices_and_levels_are_inverses(steps: int, seed: int, shares: list[float]) -> None:
    gaps = torch.rand(steps, generator=torch.Generator().manual_seed(seed)).double() + 0.01
    levels = gaps.cumsum(0)
    index = torch.tensor(shares, dtype=torch.float64) * (steps - 1)
    sigma = sigma_from_index(index, levels)
    torch.testing.assert_close(index_from_sigma(sigma, levels), index, rtol=1e-9, atol=1e-9)
    whole = torch.arange(steps).double()
    torch.testing.assert_close(index_from_sigma(levels, levels), whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(sigma_from_index(whole, levels), levels, rtol=1e-12, atol=0)


def test_indices_rise_with_the_level_and_stay_within_the_ladder() -> None:
    levels = ddpm_levels()
    sigma = torch.logspace(-2.5, 2.5, 2001, dtype=torch.float64)
    index = index_from_sigma(sigma, levels)
    inside = (sigma > levels[0]) & (sigma < levels[-1])
    assert bool((index.diff() >= 0).all())
    assert bool((index[inside].diff() > 0).all())
    assert (index[0].item(), index[-1].item()) == (0.0, 999.0)
    ends = index_from_sigma(torch.tensor([0.0, math.inf]), levels)
    assert ends.tolist() == [0.0, 999.0]
    assert sigma_from_index(torch.tensor([-1.0, 1e6]), levels).tolist() == pytest.approx(
        levels[[0, -1]].tolist()
    )
    # Halfway between two steps lies the geometric mean of their levels.
    halfway = sigma_from_index(torch.arange(999) + 0.5, levels)
    torch.testing.assert_close(halfway, (levels[1:] * levels[:-1]).sqrt())


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_ddpm_weight_leaves_the_error_of_what_is_predicted(prediction: Prediction) -> None:
    """A network that is off by 1 makes an error in x0 whose weighted square is 1."""
    sigma = torch.logspace(-3, 3, 25, dtype=torch.float64)
    error = {"epsilon": sigma, "v": sigma / (1 + sigma**2).sqrt(), "x0": torch.ones_like(sigma)}
    weighted = ddpm_weight(sigma, prediction) * error[prediction] ** 2
    torch.testing.assert_close(weighted, torch.ones_like(sigma))


def test_edm_has_no_weight_of_ddpm_s() -> None:
    with pytest.raises(ConfigError, match="'edm'"):
        ddpm_weight(torch.ones(1), "edm")
