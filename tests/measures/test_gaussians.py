"""Closed forms against dense formulas, quadrature, samples and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from ecotone.core import DataError
from ecotone.core.seeds import generator
from ecotone.measures.gaussians import (
    affinity_per_dimension,
    hellinger_squared,
    kl,
    log_affinity,
    wasserstein2_squared,
)
from ecotone.populations.normal import Normal, random_frame

FORMS = ["isotropic", "diagonal", "full", "low rank", "isotropic floor"]
ALL = [kl, log_affinity, affinity_per_dimension, hellinger_squared, wasserstein2_squared]


def make(form: str, d: int, seed: int, *, scale: float = 1.0, shift: float = 0.0) -> Normal:
    draws = generator(seed, "normal", form)
    mean = torch.from_numpy(scale * (0.3 * draws.standard_normal(d) + shift))
    values = torch.from_numpy(scale**2 * np.exp(0.7 * draws.standard_normal(d)))
    k, floor = max(1, d // 3), 0.4 * scale**2
    match form:
        case "isotropic":
            return Normal(mean, values[:1].expand(d).clone())
        case "diagonal":
            return Normal(mean, values)
        case "full":
            return Normal(mean, values, random_frame(d, d, seed + 7))
        case "low rank":
            return Normal(mean, values[:k] + floor, random_frame(d, k, seed + 7), floor)
        case "plane":
            return Normal(mean, values[:k], random_frame(d, k, seed + 7), 0.0)
    return Normal(mean, values[:1].expand(k).clone(), random_frame(d, k, seed), float(values[0]))


def dense(normal: Normal) -> tuple[np.ndarray, np.ndarray]:
    d = len(normal.mean)
    basis = torch.eye(d).double() if normal.basis is None else normal.basis
    rest = torch.eye(d).double() - basis @ basis.T
    matrix = (basis * normal.variances) @ basis.T + normal.floor * rest
    return normal.mean.numpy(), matrix.numpy()


def by_matrices(p: Normal, q: Normal) -> dict[str, float]:
    (m, a), (n, b) = dense(p), dense(q)
    gap, d = m - n, len(m)
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (a, b, (a + b) / 2)]
    divergence = np.trace(np.linalg.solve(b, a)) - d + gap @ np.linalg.solve(b, gap)
    root = scipy.linalg.sqrtm(a)
    inner = np.real(np.asarray(scipy.linalg.sqrtm(root @ b @ root)))
    return {
        "kl": float(divergence + logs[1] - logs[0]) / 2,
        "log_affinity": float(
            (logs[0] + logs[1]) / 4 - logs[2] / 2 - gap @ np.linalg.solve(a + b, gap) / 4
        ),
        "wasserstein": float(gap @ gap + np.trace(a + b - 2 * inner)),
    }


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("d", [1, 7])
def test_every_pair_of_forms_agrees_with_dense_matrices(first: str, second: str, d: int) -> None:
    p, q = make(first, d, 1), make(second, d, 2)
    expected = by_matrices(p, q)
    assert kl(p, q) == pytest.approx(expected["kl"], rel=1e-10)
    assert log_affinity(p, q) == pytest.approx(expected["log_affinity"], rel=1e-10)
    assert wasserstein2_squared(p, q) == pytest.approx(expected["wasserstein"], rel=1e-9)
    assert affinity_per_dimension(p, q) == pytest.approx(math.exp(expected["log_affinity"] / d))
    assert hellinger_squared(p, q) == pytest.approx(1 - math.exp(expected["log_affinity"]))


def test_they_are_the_integrals_they_stand_for() -> None:
    p = Normal(torch.tensor([0.4]).double(), torch.tensor([0.25]).double())
    q = Normal(torch.tensor([-0.3]).double(), torch.tensor([1.7]).double())
    one, two = (0.4, 0.5), (-0.3, math.sqrt(1.7))
    divergence = quad(
        lambda x: norm.pdf(x, *one) * (norm.logpdf(x, *one) - norm.logpdf(x, *two)), -6, 6
    )[0]
    affinity = quad(lambda x: math.sqrt(norm.pdf(x, *one) * norm.pdf(x, *two)), -9, 9)[0]
    transport = quad(lambda u: (norm.ppf(u, *one) - norm.ppf(u, *two)) ** 2, 0, 1)[0]
    assert kl(p, q) == pytest.approx(divergence, rel=1e-7)
    assert hellinger_squared(p, q) == pytest.approx(1 - affinity, rel=1e-7)
    assert wasserstein2_squared(p, q) == pytest.approx(transport, rel=1e-6)


def test_the_divergence_is_the_mean_log_ratio_of_samples() -> None:
    p, q = make("low rank", 12, 3), make("full", 12, 4)
    x = p.sample(range(20_000))
    zero = torch.zeros(len(x)).double()
    ratio = p.log_density(x, zero) - q.log_density(x, zero)
    error = float(ratio.std()) / math.sqrt(len(x))
    assert abs(float(ratio.mean()) - kl(p, q)) < 4 * error


@given(
    st.sampled_from(FORMS),
    st.sampled_from(FORMS),
    st.integers(1, 9),
    st.integers(0, 50),
    st.floats(-12, 12),
    st.floats(-50, 50),
)
@settings(max_examples=40, deadline=None)
def test_units_and_origin_do_not_matter(first, second, d, seed, decade, shift) -> None:
    scale = 10.0**decade
    p, q = make(first, d, seed), make(second, d, seed + 1)
    far_p, far_q = (
        make(form, d, s, scale=scale, shift=shift)
        for form, s in ((first, seed), (second, seed + 1))
    )
    for measure in (kl, log_affinity):
        expected = pytest.approx(measure(p, q), rel=1e-9, abs=1e-10)
        assert measure(far_p, far_q) == expected
    expected = pytest.approx(scale**2 * wasserstein2_squared(p, q), rel=1e-8, abs=1e-9 * scale**2)
    assert wasserstein2_squared(far_p, far_q) == expected


@given(st.sampled_from(FORMS), st.sampled_from(FORMS), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_signs_symmetry_and_identity(first: str, second: str, d: int, seed: int) -> None:
    p, q = make(first, d, seed), make(second, d, seed + 1)
    assert kl(p, q) >= 0
    assert log_affinity(p, q) <= 0
    for symmetric in (log_affinity, wasserstein2_squared):
        assert symmetric(p, q) == pytest.approx(symmetric(q, p), rel=1e-9, abs=1e-12)
    # H² ≤ KL, and −ln of the affinity at most half of it.
    assert -log_affinity(p, q) <= kl(p, q) / 2 + 1e-12
    again = make(first, d, seed)
    assert kl(p, again) <= 1e-13 * d
    assert log_affinity(p, again) >= -1e-13 * d
    assert wasserstein2_squared(p, again) <= 1e-12 * d


def test_equal_covariances_in_different_bases_are_at_zero() -> None:
    p = make("full", 20, 0)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert p.basis is not None
    q = Normal(p.mean, p.variances[order], p.basis[:, order])
    assert kl(p, q) == pytest.approx(0, abs=1e-12)
    assert hellinger_squared(p, q) == pytest.approx(0, abs=1e-12)
    assert wasserstein2_squared(p, q) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_small_differences_keep_their_digits(step: float) -> None:
    one = torch.ones(50).double()
    p, q = Normal(0 * one, one), Normal(0 * one, one * (1 + step))
    actual = float(q.variances[0] - 1)
    # ln cosh(½ ln(1 + s))/2 ≈ s²/16 in each dimension.
    assert hellinger_squared(p, q) == pytest.approx(50 * actual**2 / 16, rel=3 * step + 1e-7)


@pytest.mark.parametrize("form", ["full", "isotropic"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_thousand_dimensions_neither_over_nor_underflow(form: str, scale: float) -> None:
    p = make("isotropic", 1000, 0, scale=scale)
    q = make(form, 1000, 1, scale=scale)
    assert 0 < kl(p, q) < math.inf
    assert -math.inf < log_affinity(p, q) < -5
    assert 0.5 < affinity_per_dimension(p, q) < 1
    assert 0 < wasserstein2_squared(p, q) / scale**2 < math.inf
    extreme = Normal(q.mean, 1e-40 * q.variances, q.basis)
    assert log_affinity(p, extreme) == pytest.approx(-1000 * 0.25 * math.log(1e40), rel=0.1)


@pytest.mark.parametrize("regular", FORMS)
def test_a_singular_and_a_regular_one_share_no_density(regular: str) -> None:
    p, q = make("plane", 9, 0), make(regular, 9, 1)
    for first, second in ((p, q), (q, p)):
        assert kl(first, second) == math.inf
        assert log_affinity(first, second) == -math.inf
        assert affinity_per_dimension(first, second) == 0
        assert hellinger_squared(first, second) == 1
        assert math.isfinite(wasserstein2_squared(first, second))


@pytest.mark.parametrize("regular", FORMS)
def test_transport_to_a_plane_is_the_limit_of_thin_ones(regular: str) -> None:
    plane, q = make("plane", 9, 0), make(regular, 9, 1)
    thin = Normal(plane.mean, plane.variances, plane.basis, 1e-14)
    found = wasserstein2_squared(plane, q)
    assert found == pytest.approx(wasserstein2_squared(thin, q), rel=1e-5)
    assert kl(q, thin) > 1e10
    assert math.isfinite(kl(thin, q))


def test_two_in_one_plane_are_compared_there() -> None:
    d, k = 8, 3
    frame = random_frame(d, k, 0)
    turn = random_frame(k, k, 1)
    origin = torch.linspace(-1, 1, d).double()
    inner_p, inner_q = make("diagonal", k, 0), make("diagonal", k, 1)
    turned = Normal(turn @ inner_q.mean, inner_q.variances, turn)
    p = Normal(origin + frame @ inner_p.mean, inner_p.variances, frame)
    q = Normal(origin + frame @ turned.mean, turned.variances, frame @ turn)
    assert kl(p, q) == pytest.approx(kl(inner_p, turned), rel=1e-9)
    assert log_affinity(p, q) == pytest.approx(log_affinity(inner_p, turned), rel=1e-9)
    assert wasserstein2_squared(p, q) == pytest.approx(
        wasserstein2_squared(inner_p, turned), rel=1e-9
    )
    off = Normal(q.mean + random_frame(d, d, 3)[:, 0], q.variances, q.basis)
    other = Normal(q.mean, q.variances, random_frame(d, k, 9))
    smaller = Normal(q.mean, q.variances[:2], (frame @ turn)[:, :2])
    for apart in (off, other, smaller):
        assert kl(p, apart) == kl(apart, p) == math.inf
        assert log_affinity(p, apart) == -math.inf


def test_two_points_are_the_same_or_share_nothing() -> None:
    zero = torch.zeros(3).double()
    point, other = Normal(zero, zero), Normal(zero + 1, zero)
    assert kl(point, Normal(zero, zero)) == 0 == log_affinity(point, Normal(zero, zero))
    assert kl(point, other) == math.inf
    assert wasserstein2_squared(point, other) == 3


def test_a_direction_without_variance_is_singular_whatever_the_floor() -> None:
    frame = random_frame(5, 2, 0)
    holed = Normal(torch.zeros(5).double(), torch.tensor([0.0, 2.0]).double(), frame, 1.0)
    rest = torch.linalg.qr(frame[:, :1], mode="complete").Q[:, 1:]
    flat = Normal(torch.zeros(5).double(), torch.ones(4).double(), rest)
    # In their four dimensions: N(0, diag(2, 1, 1, 1)) to N(0, I).
    assert kl(holed, flat) == pytest.approx(0.5 * (1 - math.log(2)), rel=1e-10)
    assert kl(flat, holed) == pytest.approx(0.5 * (math.log(2) - 0.5), rel=1e-10)


def test_rounding_errors_of_an_eigenbasis_do_not_make_it_regular() -> None:
    rows = torch.randn(6, 20, generator=torch.Generator().manual_seed(0)).double()
    centred = rows - rows.mean(0)
    fitted = Normal.from_covariance(rows.mean(0), (centred.T @ centred / 5).numpy(), name="fit")
    unit = make("isotropic", 20, 0)
    assert kl(fitted, unit) == math.inf
    assert log_affinity(unit, fitted) == -math.inf


def test_expected_divergences_of_a_fitted_gaussian() -> None:
    """½[d/n − Σψ((n−i)/2) − d ln(2/(n−1))] and its reverse: a Wishart's expectations."""
    from scipy.special import digamma

    n, d, repeats = 40, 8, 300
    unit = Normal(torch.zeros(d).double(), torch.ones(d).double())
    there, back = [], []
    for repeat in range(repeats):
        rows = torch.from_numpy(generator(repeat, "fit").standard_normal((n, d)))
        values, basis = torch.linalg.eigh(torch.cov(rows.T))
        fitted = Normal(rows.mean(0), values, basis)
        there.append(kl(fitted, unit))
        back.append(kl(unit, fitted))
    sum_psi = sum(digamma((n - i) / 2) for i in range(1, d + 1))
    logs = sum_psi + d * math.log(2 / (n - 1))
    expected = (d / n - logs) / 2, ((n - 1) * d * (1 + 1 / n) / (n - d - 2) - d + logs) / 2
    for values, mean in zip((there, back), expected, strict=True):
        error = np.std(values, ddof=1) / math.sqrt(repeats)
        assert abs(np.mean(values) - mean) < 4 * error


@pytest.mark.parametrize("measure", ALL)
def test_dimensions_must_agree(measure) -> None:
    with pytest.raises(DataError, match="3 and 4 dimensions"):
        measure(make("diagonal", 3, 0), make("isotropic", 4, 0))
