from __future__ import annotations

import math

import pytest
import torch

from ecotone.core.seeds import generator
from ecotone.measures.gaussians import hellinger_squared
from ecotone.measures.published import published_hellinger_squared
from ecotone.populations.normal import Normal


def normal(dimension: int, *, scale: float = 1.0, rank: int | None = None) -> Normal:
    draws = torch.from_numpy(generator(3, "published").standard_normal((dimension, dimension)))
    basis, _ = torch.linalg.qr(draws)
    variances = scale * torch.linspace(0.5, 1.5, dimension, dtype=torch.float64)
    kept = dimension if rank is None else rank
    return Normal(draws[0] / 9, variances[:kept], basis[:, :kept])


def transcribed(published: Normal, population: Normal) -> float:
    """The formula with plain determinants, each clipped."""

    def clipped(matrix: torch.Tensor) -> float:
        found = float(torch.linalg.det(matrix))
        return found if found > math.exp(-25) else 0.0

    first, second = published.covariance(), population.covariance()
    gap = published.mean - population.mean
    exponent = float(gap @ torch.linalg.solve(first + second, gap)) / 4
    product = 2 ** (len(gap) / 2) * (clipped(first) * clipped(second)) ** 0.25
    return 1 - product / math.sqrt(clipped(first + second)) * math.exp(-exponent)


@pytest.mark.parametrize("dimension", [2, 6, 12])
def test_without_a_clip_it_is_the_exact_one(dimension: int) -> None:
    generated = normal(dimension)
    population = Normal(torch.zeros(dimension).double(), torch.ones(dimension).double())
    found = published_hellinger_squared(generated, population)
    assert found == pytest.approx(hellinger_squared(generated, population), rel=1e-12)
    assert found == pytest.approx(transcribed(generated, population), rel=1e-9)


@pytest.mark.parametrize(("scale", "rank"), [(0.1, None), (1.0, 11)])
def test_a_clipped_determinant_makes_it_one(scale: float, rank: int | None) -> None:
    generated = normal(12, scale=scale, rank=rank)
    population = Normal(torch.zeros(12).double(), torch.ones(12).double())
    assert generated.log_determinant < -25
    assert published_hellinger_squared(generated, population) == 1.0
    assert transcribed(generated, population) == 1.0


def test_nothing_by_nothing_is_absent() -> None:
    generated = normal(30, scale=0.05)
    population = Normal(torch.zeros(30).double(), 0.05 * torch.ones(30).double())
    assert published_hellinger_squared(generated, population) is None
