"""The samplers against exact solutions for a Gaussian population."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import normal, sample_seeds
from ecotone.samplers import (
    SAMPLERS,
    Euler,
    Heun,
    Multistep,
    Sampler,
    Stochastic,
    sample,
    sample_batches,
)

VARIANCES = torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64)
SEEDS = sample_seeds(16, 0, "test")


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """Posterior mean for N(0, diag VARIANCES): each mode is λ/(λ + σ²) of what is seen."""
    variances = VARIANCES.to(x.dtype)
    return x * variances / (variances + sigma[:, None] ** 2)


def error(sampler: Sampler) -> float:
    """Largest error against the exact solution y(σ) ∝ sqrt(λ + σ²), mode by mode."""
    start = sampler.sigma_max * normal(SEEDS, (4,), dtype=torch.float64)
    truth = start * (VARIANCES / (VARIANCES + sampler.sigma_max**2)).sqrt()
    generated = sample(gaussian, sampler, seeds=SEEDS, shape=(4,), dtype=torch.float64)
    return (generated - truth).abs().max().item()


@pytest.mark.parametrize(("kind", "order"), [(Euler, 1.0), (Heun, 2.0), (Multistep, 2.0)])
def test_order_of_convergence(
    kind: type[Euler] | type[Heun] | type[Multistep], order: float
) -> None:
    steps = [64, 128, 256, 512]
    # A tiny sigma_min: the last step, to 0, is Euler's in both, and errs by O(sigma_min²).
    errors = [error(kind(steps=count, sigma_min=1e-5, sigma_max=20.0)) for count in steps]
    slopes = [math.log2(errors[i] / errors[i + 1]) for i in range(3)]
    assert slopes[-1] == pytest.approx(order, abs=0.1), errors


def test_euler_takes_the_steps_it_should() -> None:
    """Its factor per mode is Π_k [1 + (σ_{k+1} − σ_k)(1 − w(σ_k))/σ_k], w = λ/(λ + σ²)."""
    sampler = Euler(steps=7, sigma_min=0.1, sigma_max=5.0, rho=3.0)
    levels = sampler.levels()
    factor = torch.ones_like(VARIANCES)
    for sigma, lower in pairwise(levels):
        share = VARIANCES / (VARIANCES + sigma**2)
        factor *= 1 + (lower - sigma) * (1 - share) / sigma
    start = 5.0 * normal(SEEDS, (4,), dtype=torch.float64)
    generated = sample(gaussian, sampler, seeds=SEEDS, shape=(4,), dtype=torch.float64)
    torch.testing.assert_close(generated, start * factor, rtol=1e-12, atol=1e-14)


def test_heun_beats_euler_at_the_same_cost() -> None:
    heun = Heun(steps=40, sigma_max=20.0)
    euler = Euler(steps=heun.evaluations, sigma_max=20.0)
    assert error(heun) < 0.25 * error(euler)


def test_at_few_evaluations_multistep_beats_heun() -> None:
    few = {"sigma_min": 0.02, "sigma_max": 20.0}
    assert error(Multistep(steps=18, **few)) < 0.8 * error(Heun(steps=14, **few))


def test_multistep_remembers_nothing_from_one_batch_to_the_next() -> None:
    sampler = Multistep(steps=6, sigma_max=20.0)
    whole = sample(gaussian, sampler, seeds=SEEDS, shape=(4,), dtype=torch.float64)
    parts = sample(gaussian, sampler, seeds=SEEDS, shape=(4,), dtype=torch.float64, batch_size=5)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_the_stochastic_sampler_keeps_the_population_s_moments() -> None:
    n = 3000
    sampler = Stochastic(steps=40, sigma_max=20.0, s_churn=30.0, s_min=0.02, s_max=15.0)
    generated = sample(
        gaussian, sampler, seeds=sample_seeds(n, 1), shape=(4,), dtype=torch.float64, batch_size=n
    )
    # Five standard errors, and one per cent for the steps' own error.
    assert bool((generated.mean(0).abs() < 5 * (VARIANCES / n).sqrt()).all())
    ratio = generated.var(0) / VARIANCES
    assert bool(((ratio - 1).abs() < 5 * math.sqrt(2 / n) + 0.01).all()), ratio


@pytest.mark.parametrize(
    ("name", "off"), [("euler", 0.04), ("heun", 0.02), ("multistep", 0.02), ("stochastic", 0.03)]
)
def test_the_default_steps_keep_the_width_of_a_population(name: str, off: float) -> None:
    """As the module promises, for N(0, ½²); with a standard error of 0.6 %."""

    def half(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + 4 * sigma[:, None] ** 2)

    seeds = sample_seeds(200, 3)
    generated = sample(half, SAMPLERS.create(name, {}), seeds=seeds, shape=(64,))
    start = normal(seeds, (64,)).std().item()
    assert generated.std().item() / (0.5 * start) == pytest.approx(1, abs=off)


def test_added_noise_forgets_where_the_sample_started() -> None:
    """The deterministic sample is a fixed multiple of its noise; the stochastic one is not."""
    seeds = sample_seeds(400, 2)
    start = normal(seeds, (4,), dtype=torch.float64)

    def correlation(sampler: Sampler) -> float:
        generated = sample(gaussian, sampler, seeds=seeds, shape=(4,), dtype=torch.float64)
        return torch.corrcoef(torch.stack([generated.flatten(), start.flatten()]))[0, 1].item()

    churned = Stochastic(steps=30, sigma_max=20.0, s_churn=100.0, s_min=0.0, s_max=math.inf)
    assert correlation(Heun(steps=30, sigma_max=20.0)) > 0.8
    assert abs(correlation(churned)) < 0.3


def test_without_churn_the_stochastic_sampler_is_heun_s() -> None:
    still = sample(gaussian, Stochastic(steps=9, s_churn=0.0), seeds=SEEDS, shape=(4,))
    assert torch.equal(still, sample(gaussian, Heun(steps=9), seeds=SEEDS, shape=(4,)))


def test_churn_is_added_between_its_bounds_only() -> None:
    seen: list[float] = []

    def listening(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(sigma[0].item())
        return gaussian(x, sigma)

    sampler = Stochastic(steps=4, sigma_min=1.0, sigma_max=8.0, rho=1.0, s_churn=1.0, s_min=2.0,
                         s_max=6.0)  # fmt: skip
    sample(listening, sampler, seeds=[1], shape=(4,), dtype=torch.float64)
    # Levels 8, 17/3, 10/3, 1, 0; the second and third are raised by a factor 1 + 1/4.
    assert seen[0::2] == pytest.approx([8, 17 / 3 * 1.25, 10 / 3 * 1.25, 1])
    assert seen[1::2] == pytest.approx([17 / 3, 10 / 3, 1])


def test_churn_is_capped() -> None:
    """γ is at most √2 − 1, so no step more than doubles the variance of the noise."""
    seen: list[float] = []

    def listening(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(sigma[0].item())
        return gaussian(x, sigma)

    sampler = Stochastic(steps=3, s_churn=1e6, s_min=0.0, s_max=math.inf)
    sample(listening, sampler, seeds=[1], shape=(4,), dtype=torch.float64)
    assert seen[0] == pytest.approx(80 * math.sqrt(2))


def test_batches_come_as_they_are_finished() -> None:
    calls = []

    def counting(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(len(x))
        return gaussian(x, sigma)

    batches = sample_batches(counting, Euler(steps=3), seeds=SEEDS, shape=(4,), batch_size=6)
    assert next(batches).shape == (6, 4)
    assert calls == [6, 6, 6]
    assert torch.is_grad_enabled()
    assert [len(batch) for batch in batches] == [6, 4]


def test_no_seeds_no_samples() -> None:
    none = sample(gaussian, Euler(), seeds=[], shape=(4,), dtype=torch.float64)
    assert none.shape == (0, 4)
    assert none.dtype == torch.float64


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_denoiser_is_named_with_its_level(bad: float) -> None:
    def diverging(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(sigma[:, None] < 5, bad, gaussian(x, sigma))

    sampler = Euler(steps=4, sigma_min=1.0, sigma_max=10.0, rho=1.0)
    with pytest.raises(DataError, match="NaN or infinity at sigma = 4;"):
        sample(diverging, sampler, seeds=SEEDS, shape=(4,))


def test_a_denoiser_that_returns_another_shape_is_refused() -> None:
    with pytest.raises((ValueError, TypeError), match="denoiser returned"):
        sample(lambda x, sigma: x[:, :1], Euler(steps=2), seeds=SEEDS, shape=(4,))


def test_a_module_is_sampled_in_evaluation_mode_and_left_as_it_was() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.dropout = nn.Dropout(0.5)
            self.frozen = nn.Dropout(0.5).eval()

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return self.frozen(self.dropout(self.scale * gaussian(x, sigma)))

    model = Dropping()
    first = sample(model, Heun(steps=4), seeds=SEEDS, shape=(4,))
    assert torch.equal(first, sample(model, Heun(steps=4), seeds=SEEDS, shape=(4,)))
    assert (model.training, model.dropout.training, model.frozen.training) == (True, True, False)
    assert not first.requires_grad
    assert not first.is_inference()


@pytest.mark.parametrize("name", list(SAMPLERS))
@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"sigma_min": 2.0, "sigma_max": 1.0},
        {"sigma_min": 1.0, "sigma_max": 1.0},
        {"rho": -1.0},
        {"step": 3},
        {"steps": 2.5},
    ],
)
def test_wrong_settings_are_named(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SAMPLERS.create(name, options)


@pytest.mark.parametrize(
    "options", [{"s_churn": -1.0}, {"s_min": 3.0, "s_max": 2.0}, {"s_noise": math.nan}]
)
def test_wrong_churn_is_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SAMPLERS.create("stochastic", options)


def test_an_impossible_batch_size_is_named() -> None:
    with pytest.raises(ConfigError, match="batch_size = 0"):
        sample(gaussian, Euler(), seeds=SEEDS, shape=(4,), batch_size=0)
