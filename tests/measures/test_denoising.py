from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.denoisers import EmpiricalDenoiser
from ecotone.measures.denoising import denoising_losses
from ecotone.measures.probe import evaluations, levels
from ecotone.noise import edm_weight


def images(n: int, seed: int, shape: tuple[int, ...] = (1, 3, 3)) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


class Counting:
    """Shrinks towards zero, the best there is for standard normal data, and counts."""

    def __init__(self) -> None:
        self.images = 0
        self.largest = 0

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        self.images += len(x)
        self.largest = max(self.largest, len(x))
        return x / (1 + sigma**2).reshape(-1, *[1] * (x.ndim - 1))


@pytest.mark.parametrize(
    ("n", "m", "draws", "limit"), [(10, 30, 1, 64), (300, 5, 2, 64), (400, 400, 1, 400)]
)
def test_it_spends_the_evaluations_it_says(n: int, m: int, draws: int, limit: int) -> None:
    denoiser = Counting()
    denoising_losses(
        denoiser,
        training=images(n, 0),
        holdout=images(m, 1),
        sigmas=[0.1, 1.0, 3.0],
        sigma_data=1.0,
        seed=0,
        draws=draws,
        images=limit,
    )
    expected = evaluations(training=n, holdout=m, sigmas=3, draws=draws, images=limit)
    assert denoiser.images == expected == 2 * min(n, m, limit) * 3 * draws
    assert denoiser.largest <= 256


def test_the_loss_of_the_best_linear_denoiser_is_known() -> None:
    found = denoising_losses(
        Counting(),
        training=images(400, 0, (64,)),
        holdout=images(400, 1, (64,)),
        sigmas=[0.5, 1.0, 2.0],
        sigma_data=1.0,
        seed=0,
        images=400,
    )
    for sigma in (0.5, 1.0, 2.0):
        for name in ("training", "holdout"):
            reading = found[f"denoising_loss_{name}[sigma={sigma:.3g}]"]
            # Posterior variance σ²/(1 + σ²) a value.
            assert reading.value == pytest.approx(sigma**2 / (1 + sigma**2), rel=0.02)
            assert reading.n == 400


def test_a_perfect_memorizer_has_a_gap_and_an_honest_denoiser_has_none() -> None:
    sets = {"training": images(60, 0), "holdout": images(60, 1)}
    common = {**sets, "sigmas": levels(1.0), "sigma_data": 1.0, "seed": 0}
    memorizer = denoising_losses(EmpiricalDenoiser(sets["training"]), **common)["denoising_gap"]
    assert memorizer.low is not None
    assert memorizer.low > 0
    covered = 0
    for seed in range(30):
        honest = denoising_losses(Counting(), **{**common, "training": images(60, seed + 2)})
        gap = honest["denoising_gap"]
        assert gap.low is not None
        assert gap.high is not None
        covered += gap.low <= 0 <= gap.high
    assert covered >= 25


def test_equal_sets_have_no_gap_as_noise_is_paired() -> None:
    training = images(20, 0)
    found = denoising_losses(
        Counting(),
        training=training,
        holdout=training.clone(),
        sigmas=[0.3, 1.0],
        sigma_data=1.0,
        seed=0,
    )
    # Both are shuffled, each in its own way: pairs differ but sums over all images do not much.
    assert abs(found["denoising_gap"].value) < 0.3
    one = denoising_losses(
        Counting(),
        training=training[:1],
        holdout=training[:1],
        sigmas=[0.3, 1.0],
        sigma_data=1.0,
        seed=0,
    )
    assert one["denoising_gap"].value == 0.0
    assert one["denoising_gap"].low is None


def test_the_gap_over_all_levels_is_weighted_as_in_training() -> None:
    sets = {"training": images(30, 0), "holdout": images(30, 1)}
    sigmas = [0.2, 1.0, 4.0]
    found = denoising_losses(
        EmpiricalDenoiser(sets["training"]),
        training=sets["training"],
        holdout=sets["holdout"],
        sigmas=sigmas,
        sigma_data=0.7,
        seed=0,
    )
    gaps = [found[f"denoising_gap[sigma={sigma:.3g}]"].value for sigma in sigmas]
    weights = edm_weight(torch.tensor(sigmas, dtype=torch.float64), 0.7).numpy()
    assert found["denoising_gap"].value == pytest.approx(np.mean(weights * gaps), rel=1e-6)
    for sigma, gap in zip(sigmas, gaps, strict=True):
        label = f"[sigma={sigma:.3g}]"
        losses = [found[f"denoising_loss_{name}{label}"].value for name in ("holdout", "training")]
        assert gap == pytest.approx(losses[0] - losses[1])


def test_a_level_that_diverges_is_left_out() -> None:
    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(sigma[:, None, None, None] > 1, torch.nan, x)

    found = denoising_losses(
        denoiser,
        training=images(5, 0),
        holdout=images(5, 1),
        sigmas=[0.5, 2.0],
        sigma_data=1.0,
        seed=0,
    )
    assert set(found) == {
        f"denoising_{name}[sigma=0.5]" for name in ("loss_training", "loss_holdout", "gap")
    }


def test_what_cannot_be_measured_is_said() -> None:
    common = {"holdout": images(5, 1), "sigma_data": 1.0, "seed": 0}
    with pytest.raises(DataError, match="0 training"):
        denoising_losses(Counting(), training=images(0, 0), sigmas=[1.0], **common)
    with pytest.raises(ConfigError, match="sigmas = "):
        denoising_losses(Counting(), training=images(5, 0), sigmas=[], **common)
    with pytest.raises(ConfigError, match="sigmas = "):
        denoising_losses(Counting(), training=images(5, 0), sigmas=[0.0], **common)
