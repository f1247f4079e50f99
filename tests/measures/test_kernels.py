from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

from ecotone.core import DataError
from ecotone.core.intervals import jackknife
from ecotone.measures import kernels
from ecotone.measures.fidelity import kid_reading
from ecotone.measures.kernels import kid


def features(n: int, d: int, seed: int, offset: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) + offset


def test_it_agrees_with_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_TILE_ROWS", 16)
    left, right = features(50, 8, 0, 0.3), features(50, 8, 1)
    expected = float(poly_mmd(right, left))
    assert kid(generated=left, reference=right) == pytest.approx(expected, rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
@pytest.mark.parametrize("d", [8, 200])
def test_the_metric_of_torchmetrics_says_the_same(d: int) -> None:
    left, right = features(60, d, 0, 0.3), features(60, d, 1)
    # One subset that is the whole.
    metric = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=60)
    metric.update(right, real=True)
    metric.update(left, real=False)
    mean, _ = metric.compute()
    assert kid(generated=left, reference=right) == pytest.approx(float(mean), rel=1e-4)


def test_points_are_at_the_distance_of_their_kernels() -> None:
    one, other = torch.full((5, 2), 2.0), torch.zeros(4, 2)
    # k(x, x) + k(y, y) − 2 k(x, y) = (4 + 1)³ + 1 − 2
    assert kid(generated=one, reference=other) == pytest.approx(124, rel=1e-12)
    assert kid(generated=one, reference=one) == pytest.approx(0, abs=1e-12)


def test_copies_are_below_zero_and_sets_apart_far_above() -> None:
    rows = features(20, 50, 0)
    # Pairs of an image and its copy count in one of the three means alone.
    assert kid(generated=rows, reference=rows) < 0
    apart = kid(generated=rows + 100, reference=rows)
    assert apart == pytest.approx((100.0**2 + 1) ** 3, rel=0.05)


def test_it_is_unbiased() -> None:
    values = [
        kid(generated=features(15, 3, seed), reference=features(25, 3, 1000 + seed))
        for seed in range(300)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_rotations_change_nothing() -> None:
    left, right = features(30, 6, 0, 1.0), features(40, 6, 1)
    rotation, _ = torch.linalg.qr(features(6, 6, 2))
    turned = kid(generated=left @ rotation, reference=right @ rotation)
    assert turned == pytest.approx(kid(generated=left, reference=right), rel=1e-10)


@pytest.mark.parametrize("n", [3, 20, 47])
def test_the_interval_is_the_jackknife_of_the_distance(n: int) -> None:
    left, right = features(n, 4, 0, 0.5), features(30, 4, 1)
    reading = kid_reading(generated=left, reference=right)
    assert reading is not None
    assert reading.value == pytest.approx(kid(generated=left, reference=right), rel=1e-12)
    error = jackknife(lambda kept: kid(generated=left[kept], reference=right), n)
    assert error is not None
    assert reading.high is not None
    quantile = {3: 4.302653, 20: 2.093024, 47: 2.093024}[n]
    assert reading.high - reading.value == pytest.approx(quantile * error, rel=1e-6)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="1 reference"):
        kid(generated=features(5, 2, 0), reference=features(1, 2, 1))
    assert kid_reading(generated=features(1, 2, 0), reference=features(5, 2, 1)) is None
