from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch import Tensor

from ecotone.core import DataError
from ecotone.measures import overlaps as module
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.measures.overlaps import overlaps
from ecotone.populations.normal import Normal, random_frame


def points(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def models(d: int, seed: int = 0) -> list[Normal]:
    """Return Gaussians of every form: diagonal, full, low rank with and without noise, a point."""
    mean, spread = 0.4 * points(1, d, seed)[0], 0.1 + points(1, d, seed + 1)[0].square()
    k = max(1, d // 2)
    frame = random_frame(d, d, seed)
    return [
        Normal(mean, spread),
        Normal(-mean, spread, frame),
        Normal(mean, spread[:k], frame[:, :k].contiguous()),
        Normal(-mean, spread[:k], frame[:, :k].contiguous(), 0.2),
        Normal(mean, torch.zeros(d, dtype=torch.float64)),
    ]


def dense(normal: Normal) -> Any:
    d = len(normal.mean)
    basis = torch.eye(d, dtype=torch.float64) if normal.basis is None else normal.basis
    beyond = torch.eye(d, dtype=torch.float64) - basis @ basis.T
    return (basis @ normal.variances.diag() @ basis.T + normal.floor * beyond).numpy()


def directly(normal: Normal, x: Tensor, covariance: Any, std: float) -> float:
    """Return log of 2 ∫ p_G p_S (4π std²)^(d/2) by scipy's density of the sum of two normals."""
    d = x.shape[1]
    law = multivariate_normal(normal.mean.numpy(), dense(normal) + covariance)
    logs = torch.from_numpy(np.atleast_1d(law.logpdf(x.numpy())))
    return (
        math.log(2)
        + d / 2 * math.log(4 * math.pi * std**2)
        + float(torch.logsumexp(logs, 0))
        - math.log(len(x))
    )


@given(n=st.integers(2, 50), d=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_overlaps_with_points_are_those_of_dense_matrices(n: int, d: int, seed: int) -> None:
    reference = KernelDensity(points(n, d, seed), std=1.3)
    variance = (1.3 * n ** (-1 / d)) ** 2
    expected = [directly(m, reference.points, variance * np.eye(d), 1.3) for m in models(d, seed)]
    assert overlaps(models(d, seed), reference).tolist() == pytest.approx(expected, rel=1e-10)


@given(d=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_overlaps_with_densities_are_those_of_dense_matrices(d: int, seed: int) -> None:
    unit = Normal(points(1, d)[0], torch.full((d,), 0.7, dtype=torch.float64))
    for original in (unit, models(d, seed)[0], models(d, seed)[1], models(d, seed + 1)[3]):
        expected = [directly(m, original.mean[None], dense(original), 1.3) for m in models(d, seed)]
        found = overlaps(models(d, seed), ExactDensity(original, std=1.3))
        assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_groups_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = KernelDensity(points(700, 8), std=1.0)
    whole = overlaps(models(8) * 3, reference)
    monkeypatch.setattr(module, "_BASES_BYTES", 600)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4000)
    torch.testing.assert_close(overlaps(models(8) * 3, reference), whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(whole[:5], whole[5:10], rtol=1e-12, atol=0)


def test_what_lies_far_along_a_basis_does_not_drown_what_lies_beyond() -> None:
    # |x − μ|² is 1e14 along the basis and of order 1 beyond it.
    frame, x = random_frame(6, 2, 0), points(40, 6)
    long = Normal(1e7 * frame[:, 0], torch.tensor([1e14, 1.0]).double(), frame)
    short = Normal(torch.zeros(6).double(), torch.tensor([1e14, 1.0]).double(), frame)
    reference = KernelDensity(x, std=1.0)
    found = overlaps([long, short], reference).tolist()
    # One std along a flat direction costs 1/2.
    assert found[0] == pytest.approx(found[1] - 0.5, abs=1e-6)


def test_what_is_no_gaussian_of_this_space_is_refused() -> None:
    reference = KernelDensity(points(5, 3), std=1.0)
    with pytest.raises(DataError, match="2 dimensions is compared with 3"):
        overlaps([Normal(torch.zeros(2).double(), torch.ones(2).double())], reference)
    for mean, variance, floor in ((math.nan, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 1.0, math.inf)):
        odd = Normal(
            torch.full((3,), mean).double(), torch.full((3,), variance).double(), None, floor
        )
        with pytest.raises(DataError, match="not finite"):
            overlaps([odd], reference)


def test_a_matrix_beyond_memory_is_refused() -> None:
    d = 1_000_000
    spread = 1 + torch.rand(d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    original = ExactDensity(Normal(torch.zeros(d).double(), spread), std=1.0)
    with pytest.raises(DataError, match=r"1000000 × 1000000 take .* GB.*compare with points"):
        overlaps([Normal(torch.zeros(d).double(), spread)], original)
