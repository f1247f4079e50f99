from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.populations.normal import Normal, random_frame


def points(n: int, d: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n", [2, 75, 10_000])
def test_self_terms_do_not_depend_on_the_number_of_points(n: int) -> None:
    # n^(−2) · n · (4π ε²)^(−d/2) = (4π std²)^(−d/2).
    log_variance = KernelDensity(points(n, 7), std=1.7).log_variance
    self_terms = -math.log(n) - 3.5 * math.log(4 * math.pi) - 3.5 * log_variance
    assert self_terms == pytest.approx(-3.5 * math.log(4 * math.pi * 1.7**2), rel=1e-12)


def test_the_sum_over_pairs_is_had_once() -> None:
    density = KernelDensity(points(20, 3), std=1.0)
    assert density.pair_sum is density.pair_sum


@pytest.mark.parametrize("std", [0.3, 1.0, 7.1])
def test_isotropic_densities_have_the_unit_square(std: float) -> None:
    variances = torch.full((500,), std**2, dtype=torch.float64)
    frame = random_frame(500, 500, 0)
    for normal in (
        Normal(torch.zeros(500).double(), variances),
        Normal(torch.zeros(500).double(), variances * (1 + 1e-14), frame),
        Normal(torch.zeros(500).double(), variances[:3], frame[:, :3], std**2),
    ):
        assert ExactDensity(normal, std=std).log_square == 0
        assert ExactDensity(normal, std=std).isotropic == pytest.approx(std**2)


def test_squares_of_densities_are_those_of_their_formula() -> None:
    normal = Normal(
        torch.zeros(3).double(), torch.tensor([2.0]).double(), random_frame(3, 1, 0), 0.5
    )
    density = ExactDensity(normal, std=1.0)
    assert density.log_square == pytest.approx(-0.5 * math.log(2 * 0.5 * 0.5))
    assert density.isotropic is None


def test_what_is_no_density_is_refused() -> None:
    flat = Normal(torch.zeros(2).double(), torch.tensor([1.0, 0.0]).double())
    with pytest.raises(DataError, match="full rank"):
        ExactDensity(flat, std=1.0)
    low = Normal(torch.zeros(2).double(), torch.ones(1).double(), random_frame(2, 1, 0))
    with pytest.raises(DataError, match="full rank"):
        ExactDensity(low, std=1.0)
    with pytest.raises(DataError, match="1 points of 2 dimensions"):
        KernelDensity(points(1, 2), std=1.0)
    with pytest.raises(DataError, match="not finite"):
        KernelDensity(torch.tensor([[0.0], [math.nan]]).double(), std=1.0)
    for odd in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match=f"std = {odd}"):
            KernelDensity(points(3, 2), std=odd)
