"""What training minimizes: which noise levels it draws, and how it weighs the error at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecotone.noise import Prediction, ddpm_levels, ddpm_weight, edm_weight
from ecotone.training.plan import Plan

__all__ = ["Objective", "objective_of"]


@dataclass(frozen=True)
class Objective:
    """E[w(σ) |D(x0 + σz; σ) − x0|²], per dimension.

    Every objective in use is of this form, as what networks predict (x0, the noise or v) differ
    by factors that depend on σ alone.

    Args:
        draw: returns n independent levels, float32, on the generator's device.
        weight: returns w(σ).
    """

    draw: Callable[[int, torch.Generator], Float[Tensor, " n"]]
    weight: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]


def objective_of(model: nn.Module, plan: Plan, *, sigma_data: float) -> Objective:
    """Return the objective that goes with what a model's network predicts.

    - ``edm``: ln σ normal, w(σ) = (σ² + σ_data²)/(σ σ_data)² (Karras et al. 2022, Table 1).
    - ``epsilon``, ``v``, ``x0``: σ uniform among the 1,000 levels of DDPM's linear schedule, and
      w(σ) = 1/σ², (1 + σ²)/σ² and 1, which are |ε̂ − ε|² (Ho et al. 2020, eq. 14), |v̂ − v|²
      (Salimans & Ho 2022, app. D) and |x̂0 − x0|².

    Args:
        model: a denoiser; ``model.prediction`` says what its network predicts, ``edm`` where it
            says nothing.
        plan: whose ``levels`` EDM's objective draws.
        sigma_data: standard deviation of the data.

    >>> objective = objective_of(nn.Identity(), Plan(steps=1), sigma_data=0.5)
    >>> objective.weight(torch.tensor([1.0])).item()
    5.0
    """
    prediction: Prediction = getattr(model, "prediction", "edm")
    if prediction == "edm":
        return Objective(plan.levels.draw, lambda sigma: edm_weight(sigma, sigma_data))
    levels = ddpm_levels().float()

    def draw(n: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(levels), (n,), generator=generator, device=generator.device)
        return levels.to(generator.device)[chosen]

    return Objective(draw, lambda sigma: ddpm_weight(sigma, prediction))
