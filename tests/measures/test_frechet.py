from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

from ecotone.core import DataError
from ecotone.measures.frechet import frechet_distance


def features(n: int, d: int, seed: int, *, rank: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(rank or d, d, generator=generator, dtype=torch.float64)
    base = torch.randn(n, rank or d, generator=generator, dtype=torch.float64)
    return base @ mixing + torch.randn(d, generator=generator, dtype=torch.float64)


def by_square_root(left: Tensor, right: Tensor) -> float:
    covariances = [torch.cov(rows.T).reshape(rows.shape[1], -1).numpy() for rows in (left, right)]
    root = np.real(scipy.linalg.sqrtm(covariances[0] @ covariances[1]))
    means = (left.mean(dim=0) - right.mean(dim=0)).square().sum()
    return float(means) + float((covariances[0] + covariances[1] - 2 * root).trace())


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 12), (60, 500, 40), (30, 25, 20)])
def test_it_agrees_with_scipy_and_torchmetrics(n: int, m: int, d: int) -> None:
    left, right = features(n, d, 0), features(m, d, 1)
    found = frechet_distance(generated=left, reference=right)
    assert found == pytest.approx(by_square_root(left, right), rel=1e-8)
    moments = [part for rows in (left, right) for part in (rows.mean(dim=0), torch.cov(rows.T))]
    assert found == pytest.approx(float(_compute_fid(*moments)), rel=1e-8)


@pytest.mark.parametrize(
    ("n", "m", "d", "ranks"),
    [(8, 200, 20, (None, None)), (200, 8, 20, (None, None)), (9, 7, 20, (None, None)),
     (200, 100, 20, (5, None)), (200, 100, 20, (None, 5)), (200, 100, 20, (3, 5))],
)  # fmt: skip
def test_singular_covariances_are_the_limit_of_regular_ones(n, m, d, ranks) -> None:
    left = features(n, d, 0, rank=ranks[0])
    right = features(m, d, 1, rank=ranks[1])
    found = frechet_distance(generated=left, reference=right)

    def roots(rows: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(torch.cov(rows.T))
        return (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    # tr (S1 S2)^½ is the nuclear norm of S1^½ S2^½, which needs no regular matrix.
    nuclear = torch.linalg.svdvals(roots(left) @ roots(right)).sum()
    traces = torch.cov(left.T).trace() + torch.cov(right.T).trace()
    means = (left.mean(dim=0) - right.mean(dim=0)).square().sum()
    assert found == pytest.approx(float(means + traces - 2 * nuclear), rel=1e-5)


@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 99), st.sampled_from([None, 2]))
@settings(max_examples=25, deadline=None)
def test_equal_sets_are_at_zero(n: int, d: int, seed: int, rank: int | None) -> None:
    rows = features(n, d, seed, rank=rank)
    scale = float(rows.var(dim=0).sum())
    assert 0 <= frechet_distance(generated=rows, reference=rows) <= 1e-8 * scale
    assert 0 <= frechet_distance(generated=rows.flip(0), reference=rows) <= 1e-8 * scale


def test_constant_features_count_for_nothing_but_their_mean() -> None:
    rows = features(50, 4, 0)
    wide = torch.cat([rows, torch.full((50, 3), 2.0)], dim=1)
    other = features(60, 4, 1)
    wider = torch.cat([other, torch.full((60, 3), 3.0)], dim=1)
    narrow = frechet_distance(generated=rows, reference=other)
    assert frechet_distance(generated=wide, reference=wider) == pytest.approx(narrow + 3, rel=1e-8)


@given(st.integers(3, 60), st.integers(3, 60), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_rotations_and_shifts_change_nothing_and_scales_square(n, m, d, seed) -> None:
    left, right = features(n, d, seed), features(m, d, seed + 1)
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    found = frechet_distance(generated=left, reference=right)
    scale = float(left.var(dim=0).sum() + right.var(dim=0).sum())
    moved = frechet_distance(generated=left @ rotation + 5, reference=right @ rotation + 5)
    assert moved == pytest.approx(found, rel=1e-7, abs=1e-7 * scale)
    larger = frechet_distance(generated=3 * left, reference=3 * right)
    assert larger == pytest.approx(9 * found, rel=1e-7, abs=1e-7 * scale)
    assert frechet_distance(generated=right, reference=left) == pytest.approx(
        found, rel=1e-7, abs=1e-7 * scale
    )


class AsTheyAre(torch.nn.Module):
    """Features that are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, rows: Tensor) -> Tensor:
        return rows


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 12), (40, 500, 64), (20, 30, 100)])
def test_the_metric_of_torchmetrics_says_the_same(n: int, m: int, d: int) -> None:
    left, right = features(n, d, 0), features(m, d, 1)
    metric = FrechetInceptionDistance(feature=AsTheyAre(d))
    metric.update(right, real=True)
    metric.update(left, real=False)
    found = frechet_distance(generated=left, reference=right)
    # With fewer images than features its eigenvalues of a singular product are less sure.
    assert found == pytest.approx(float(metric.compute()), rel=1e-8 if min(n, m) > d else 1e-4)


def test_points_are_at_their_squared_distance_and_sets_apart_nearly_so() -> None:
    point = torch.tensor([[3.0, 4.0]])
    one, other = point.repeat(9, 1), torch.zeros(7, 2)
    assert frechet_distance(generated=one, reference=other) == pytest.approx(25, rel=1e-12)
    assert frechet_distance(generated=one, reference=one) == 0
    rows = features(60, 4, 0)
    # Of a point and a cloud: the cloud's variance is all there is besides.
    cloud = rows - rows.mean(dim=0) + torch.full((1, 4), 2.0)
    expected = 4 * 2.0**2 + float(rows.var(dim=0).sum())
    found = frechet_distance(generated=torch.zeros(5, 4), reference=cloud)
    assert found == pytest.approx(expected, rel=1e-10)
    apart = frechet_distance(generated=rows + 1e6, reference=rows)
    assert apart == pytest.approx(4e12, rel=1e-10)


def test_normal_distributions_are_at_their_known_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(200_000, 3, generator=generator) * 2 + 1
    right = torch.randn(200_000, 3, generator=generator)
    # |μ|² + Σ (s1 − s2)²
    assert math.isclose(frechet_distance(generated=left, reference=right), 6.0, rel_tol=0.02)


def test_one_image_has_no_covariance_and_nan_is_named() -> None:
    rows = features(5, 3, 0)
    with pytest.raises(DataError, match="1 generated images"):
        frechet_distance(generated=rows[:1], reference=rows)
    wrong = rows.clone()
    wrong[2, 1] = torch.nan
    with pytest.raises(DataError, match="reference image 2"):
        frechet_distance(generated=rows, reference=wrong)
