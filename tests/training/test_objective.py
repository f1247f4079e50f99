from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from ecotone.core.seeds import torch_generator
from ecotone.denoisers import MODELS
from ecotone.noise import Prediction, ddpm_levels
from ecotone.training import Plan, TrainingState, train
from ecotone.training.objective import objective_of

PLAN = Plan(steps=1, batch_size=4)


def model(prediction: str) -> torch.nn.Module:
    options = {"width": 16, "prediction": prediction}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = MODELS.create("mlp", options, shape=(4,), sigma_data=1.0)
        with torch.no_grad():
            for parameter in built.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return built


def test_ddpm_draws_every_level_of_its_schedule_alike() -> None:
    drawn = objective_of(model("epsilon"), PLAN, sigma_data=1.0).draw(
        40000, torch_generator(0, "test")
    )
    known = ddpm_levels().float()
    assert set(drawn.tolist()) <= set(known.tolist())
    counts = torch.bincount(torch.searchsorted(known.sort().values, drawn), minlength=1000)
    # 40 expected of each: a χ² statistic over 999 degrees of freedom.
    statistic = float(((counts - 40) ** 2 / 40).sum())
    assert abs(statistic - 999) < 5 * (2 * 999) ** 0.5


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_weight_makes_it_the_error_of_what_is_predicted(prediction: str) -> None:
    """w(σ)|D − x0|² = |F − target|², written out for each prediction."""
    denoiser = model(prediction)
    objective = objective_of(denoiser, PLAN, sigma_data=1.0)
    random = torch_generator(0, "test")
    clean, noise = torch.randn(2, 64, 4, generator=random).double()
    sigma = objective.draw(64, random).double()
    level, alpha = sigma[:, None], 1 / (1 + sigma[:, None] ** 2).sqrt()
    x = clean + level * noise
    targets = {"epsilon": noise, "v": alpha * noise - level * alpha * clean, "x0": clean}
    estimate = denoiser.double()(x, sigma)
    predicted = {
        "epsilon": (x - estimate) / level,
        "v": (alpha * alpha * x - estimate) / (level * alpha),
        "x0": estimate,
    }[prediction]
    expected = (predicted - targets[prediction]).square().mean(1)
    given = objective.weight(sigma) * (estimate - clean).square().mean(1)
    torch.testing.assert_close(given, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("prediction", get_args(Prediction))
def test_every_prediction_learns(prediction: str) -> None:
    # Off the origin: of standard normal data a new denoiser is the ideal one.
    data = 1.0 + 0.3 * torch.randn(64, 4, generator=torch_generator(0, "data"))
    plan = Plan(steps=150, batch_size=64, learning_rate=3e-3, warmup_steps=5)
    state = TrainingState(model(prediction), plan)
    losses = [step.loss for step in train(state, data, plan, sigma_data=1.0, seed=0)]
    assert sum(losses[-30:]) < 0.9 * 3 * sum(losses[:10])

    def error(denoiser: torch.nn.Module) -> Tensor:
        noise = torch.randn(64, 4, generator=torch_generator(1, "noise"))
        return (denoiser(data + 0.5 * noise, torch.full((64,), 0.5)) - data).square().mean()

    with torch.no_grad():
        assert error(state.model) < 0.9 * error(model(prediction))
