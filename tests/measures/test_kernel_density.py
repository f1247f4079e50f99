from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.measures import pair_sums
from ecotone.measures.delta import delta, positive_share
from ecotone.measures.kernel_density import (
    ExactDensity,
    KernelDensity,
    distance,
    log_distance,
    overlaps,
)
from ecotone.populations.normal import Normal, random_frame


def points(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def gaussian(d: int, seed: int = 0, *, rank: int | None = None, floor: float = 0.0) -> Normal:
    generator = torch.Generator().manual_seed(seed)
    mean = 0.3 * torch.randn(d, dtype=torch.float64, generator=generator)
    k = d if rank is None else rank
    variances = 0.2 + torch.rand(k, dtype=torch.float64, generator=generator)
    return Normal(mean, variances, random_frame(d, k, seed), floor)


def covariance(normal: Normal) -> Any:
    d = len(normal.mean)
    basis = torch.eye(d, dtype=torch.float64) if normal.basis is None else normal.basis
    beyond = torch.eye(d, dtype=torch.float64) - basis @ basis.T
    return (basis @ normal.variances.diag() @ basis.T + normal.floor * beyond).numpy()


def kernel_pdf(x: np.ndarray, density: KernelDensity) -> np.ndarray:
    """Return the kernel density at points (n, d), by its definition."""
    n, d = density.points.shape
    variance = (density.std * n ** (-1 / d)) ** 2
    squares = ((x[:, None, :] - density.points.numpy()[None]) ** 2).sum(-1)
    return np.exp(-squares / (2 * variance)).mean(1) * (2 * math.pi * variance) ** (-d / 2)


@pytest.mark.parametrize("n", [2, 7, 40])
def test_on_the_line_it_is_the_integral(n: int) -> None:
    reference = KernelDensity(1.4 * points(n, 1), std=1.4)
    model = Normal(torch.tensor([0.3], dtype=torch.float64), torch.tensor([0.6]).double())

    def squared(x: float) -> float:
        gap = norm.pdf(x, 0.3, math.sqrt(0.6)) - kernel_pdf(np.array([[x]]), reference)[0]
        return float(gap) ** 2

    truth = quad(squared, -12, 12, limit=2000, epsabs=1e-12, points=[-3, 0, 3])[0]
    found = distance(model, reference)
    assert found.sign == 1
    assert math.exp(found.log_value) == pytest.approx(truth, rel=1e-7)


@pytest.mark.parametrize("n", [2, 9, 30])
def test_in_the_plane_it_is_the_integral(n: int) -> None:
    reference = KernelDensity(points(n, 2, seed=3), std=1.0)
    model = gaussian(2, seed=1)
    axis = np.linspace(-8, 8, 641)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    inside = multivariate_normal(model.mean.numpy(), covariance(model)).pdf(grid)
    gaps = [
        inside[part] - kernel_pdf(grid[part], reference)
        for part in np.array_split(np.arange(len(grid)), 60)
    ]
    truth = float((np.concatenate(gaps) ** 2).sum()) * (axis[1] - axis[0]) ** 2
    assert math.exp(distance(model, reference).log_value) == pytest.approx(truth, rel=1e-7)


def test_in_five_dimensions_it_is_the_expectation() -> None:
    # ∫ (p − q)² = E_p (p − q) − E_q (p − q), each by drawing.
    reference, model = KernelDensity(points(30, 5), std=1.0), gaussian(5)
    rng = np.random.default_rng(0)
    law = multivariate_normal(model.mean.numpy(), covariance(model))
    own = law.rvs(40_000, random_state=rng)
    chosen = reference.points.numpy()[rng.integers(30, size=40_000)]
    kernel = chosen + math.exp(reference.log_variance / 2) * rng.standard_normal((40_000, 5))
    over_own = law.pdf(own) - kernel_pdf(own, reference)
    over_kernel = law.pdf(kernel) - kernel_pdf(kernel, reference)
    error = math.sqrt((over_own.var() + over_kernel.var()) / 40_000)
    found = math.exp(distance(model, reference).log_value)
    assert abs(over_own.mean() - over_kernel.mean() - found) < 4 * error
    assert error < 0.02 * found


def test_a_density_is_what_many_points_come_to() -> None:
    model, unit = gaussian(1), Normal(torch.zeros(1).double(), torch.ones(1).double())
    exact = math.exp(distance(model, ExactDensity(unit, std=1.0)).log_value)
    quantiles = torch.from_numpy(norm.ppf((np.arange(3000) + 0.5) / 3000))[:, None]
    # Evenly spread points, so that only the bandwidth's blur is left.
    cross = float(overlaps([model], KernelDensity(quantiles, std=1.0))[0])
    unblurred = float(overlaps([model], ExactDensity(unit, std=1.0))[0])
    assert cross == pytest.approx(unblurred, abs=1e-3)
    squares = 1 / math.sqrt(float(model.variances[0])) + 1
    expected = (squares - math.exp(unblurred)) / math.sqrt(4 * math.pi)
    assert exact == pytest.approx(expected, rel=1e-9)


@given(
    n=st.integers(2, 25),
    m=st.integers(2, 40),
    d=st.integers(1, 4),
    std=st.sampled_from([0.3, 1.0, 5.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_the_identity_is_the_difference_of_distances(n, m, d, std, seed) -> None:
    training = KernelDensity(std * points(n, d, seed), std=std)
    original = KernelDensity(std * points(m, d, seed + 1), std=std)
    base = gaussian(d, seed)
    models = [
        Normal(std * base.mean, std**2 * base.variances, base.basis),
        Normal(torch.zeros(d).double(), torch.full((d,), std**2).double()),
    ]
    unit = (4 * math.pi * std**2) ** (d / 2)
    for against in (original, ExactDensity(models[0], std=std), ExactDensity(models[1], std=std)):
        found = delta(generated=models, training=training, original=against)
        for value, model in zip(found.tolist(), models, strict=True):
            sizes = [distance(model, side) for side in (training, against)]
            direct = sum(
                s * e.sign * math.exp(e.log_value) for s, e in zip((1, -1), sizes, strict=True)
            )
            assert value == pytest.approx(unit * direct, rel=1e-8, abs=1e-10)


@given(
    d=st.integers(2, 20),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-3, 1e3]),
    shift=st.sampled_from([0.0, 10.0]),
)
@settings(max_examples=25, deadline=None)
def test_shift_and_scale_do_not_matter(d, seed, scale, shift) -> None:
    training, original = points(12, d, seed), points(30, d, seed + 1)
    base = gaussian(d, seed, rank=max(1, d - 1))
    moved = Normal(shift + scale * base.mean, scale**2 * base.variances, base.basis)
    once, again = (
        delta(
            generated=[model],
            training=KernelDensity(b + a * training, std=a),
            original=KernelDensity(b + a * original, std=a),
        )
        for model, a, b in ((base, 1.0, 0.0), (moved, scale, shift))
    )
    torch.testing.assert_close(once, again, rtol=1e-9, atol=0)


def published(x: Tensor, model: Normal, std: float) -> float:
    """Return T2' − T3' by the published formulas, term by term."""
    n, d = x.shape
    variance = std**2 * n ** (-2 / d)
    data, mean = x.numpy(), model.mean.numpy()
    matrix = covariance(model) + variance * np.eye(d)
    second = sum(math.exp(-((a - b) ** 2).sum() / (4 * variance)) for a in data for b in data)
    second /= math.sqrt(2 * math.pi) * (2 * variance) ** (d / 2) * n**2
    third = sum(math.exp(-0.5 * (mean - a) @ np.linalg.inv(matrix) @ (mean - a)) for a in data)
    third *= 2 / n / math.sqrt(2 * math.pi) / math.sqrt(np.linalg.det(matrix))
    return second - third


@pytest.mark.parametrize(("n", "d", "rank"), [(9, 1, 1), (20, 2, 2), (25, 4, 2), (30, 7, 7)])
def test_the_published_value_is_its_formulas(n: int, d: int, rank: int) -> None:
    model, std = gaussian(d, seed=n, rank=rank), 0.8
    found = distance(model, KernelDensity(std * points(n, d), std=std), "as_published")
    value = found.sign * math.exp(found.log_value)
    assert value == pytest.approx(published(std * points(n, d), model, std), rel=1e-10)
    assert found.log_t1 == -math.inf


def test_published_prefactors_change_no_sign() -> None:
    training, original = (KernelDensity(points(n, 6, n), std=1.0) for n in (20, 90))
    models = [gaussian(6, seed) for seed in range(8)]
    signs = delta(generated=models, training=training, original=original).sign().tolist()
    direct = []
    for model in models:
        sides = [distance(model, side, "as_published") for side in (training, original)]
        values = [side.sign * math.exp(side.log_value) for side in sides]
        direct.append(math.copysign(1.0, values[0] - values[1]))
    assert signs == direct


@pytest.mark.parametrize(("n", "d"), [(60, 60), (40, 60), (150, 30), (300, 20)])
def test_signs_from_bounds_are_those_of_exact_sums(monkeypatch, n: int, d: int) -> None:
    training, original = points(n, d, 1), points(1200, d, 2)
    # Narrow models overlap with little, so that R decides; wide ones overlap with all.
    models = [
        Normal(0.5 * points(1, d, seed)[0], torch.full((d,), width, dtype=torch.float64))
        for seed in range(4)
        for width in (1e-6, 0.02, 0.3, 1.0, 3.0)
    ]
    # Means far off take c through every size there is, R's among them.
    models += [
        Normal(torch.full((d,), far, dtype=torch.float64), torch.full((d,), 0.05).double())
        for far in torch.linspace(0.5, 3, 25).tolist()
    ]
    monkeypatch.setattr(pair_sums, "_SMALL", 0)
    kernels = [KernelDensity(x, std=1.0) for x in (training, original)]
    by_bounds = [
        float(
            delta(
                generated=[model],
                training=KernelDensity(training, std=1.0),
                original=KernelDensity(original, std=1.0),
                tolerance=math.inf,
            )
        )
        for model in models
    ]
    r = [math.exp(kernel.pair_sum.log_value) / len(kernel.points) for kernel in kernels]
    c = [overlaps(models, kernel).exp() for kernel in kernels]
    exact = (r[0] - r[1]) - (c[0] - c[1])
    assert torch.equal(torch.tensor(by_bounds).sign(), exact.sign().float())
    close = delta(generated=models, training=kernels[0], original=kernels[1])
    torch.testing.assert_close(close, exact, rtol=1e-6, atol=0)


def test_bounds_as_close_as_asked(monkeypatch) -> None:
    monkeypatch.setattr(pair_sums, "_SMALL", 0)
    training, original = points(300, 20, 1), points(1200, 20, 2)
    model = gaussian(20)

    def run(tolerance: float) -> tuple[float, KernelDensity]:
        reference = KernelDensity(original, std=1.0)
        found = delta(
            generated=[model],
            training=KernelDensity(training, std=1.0),
            original=reference,
            tolerance=tolerance,
        )
        return float(found), reference

    exact, _ = run(1e-300)
    for tolerance in (math.inf, 0.1, 1e-3, 1e-6):
        found, reference = run(tolerance)
        assert abs(found / exact - 1) <= tolerance
        if tolerance == math.inf:
            assert not reference.pair_sum.exact


@pytest.mark.parametrize("order", [(60.0, 60.1), (60.1, 60.0)])
def test_the_sign_outlives_the_size(order: tuple[float, float]) -> None:
    d = 400
    training, original = (
        KernelDensity(side * torch.eye(3, d, dtype=torch.float64), std=1.0) for side in order
    )
    near = Normal(original.points.mean(0), torch.full((d,), 0.01).double())
    far = Normal(torch.full((d,), -60.0).double(), torch.full((d,), 0.01).double())
    r = [density.pair_sum.log_value for density in (training, original)]
    c = overlaps([near, far], original).tolist()
    # Nothing here is a float64: c of the near model e^−1000, R e^−1800, c of the far model less.
    assert -745 > c[0] > r[0] + 100 > c[1] + 200
    found = delta(generated=[near, far], training=training, original=original)
    larger = math.copysign(1, order[0] - order[1])
    # Points further apart overlap less with what lies between them (Δ > 0), and with themselves.
    assert found.sign().tolist() == [larger, -larger]
    assert found.isfinite().all()


def test_one_set_in_both_places_is_a_tie() -> None:
    x = points(30, 12)
    found = delta(
        generated=[gaussian(12), gaussian(12, rank=5)],
        training=KernelDensity(x, std=1.0),
        original=KernelDensity(x.clone(), std=1.0),
    )
    assert found.tolist() == [0.0, 0.0]


def test_a_copier_is_nearer_to_its_training_set() -> None:
    training, original = (KernelDensity(points(n, 30, n), std=1.0) for n in (20, 500))
    x = training.points
    u, s, _ = torch.linalg.svd((x - x.mean(0)).T, full_matrices=False)
    copier = Normal(x.mean(0), s[:19].square() / 20, u[:, :19])
    assert float(delta(generated=[copier], training=training, original=original)) < 0
    population = Normal(torch.zeros(30).double(), torch.ones(30).double())
    exact = ExactDensity(population, std=1.0)
    assert float(delta(generated=[population], training=training, original=exact)) > 0


def test_singular_covariances_are_infinitely_far() -> None:
    reference = KernelDensity(points(20, 4), std=1.0)
    found = distance(gaussian(4, rank=2), reference)
    assert found.log_t1 == found.log_value == math.inf
    assert math.isfinite(found.log_t2)
    assert math.isfinite(found.log_t3)
    flat = Normal(torch.zeros(4).double(), torch.tensor([1.0, 1.0, 1.0, 0.0]).double())
    assert distance(flat, reference).log_value == math.inf
    noisy = gaussian(4, rank=2, floor=0.3)
    assert math.isfinite(distance(noisy, reference).log_value)


@pytest.mark.parametrize(("n", "d"), [(30, 2), (200, 12), (900, 30)])
def test_the_log_distance_is_the_distance_in_its_unit(n: int, d: int) -> None:
    reference = KernelDensity(1.3 * points(n, d), std=1.3)
    model = gaussian(d)
    (overlap,) = overlaps([model], reference).tolist()
    found = log_distance(model, reference, log_overlap=overlap)
    unit = d / 2 * math.log(4 * math.pi * 1.3**2)
    assert found == pytest.approx(distance(model, reference).log_value + unit, abs=1e-8)
    singular = gaussian(d, rank=d - 1)
    assert log_distance(singular, reference, log_overlap=overlap) == math.inf


def test_a_thousand_dimensions_stay_finite() -> None:
    training, original = (KernelDensity(points(n, 1000, n), std=1.0) for n in (150, 2000))
    unit = Normal(torch.zeros(1000).double(), torch.ones(1000).double())
    found = distance(unit, training)
    assert all(math.isfinite(x) for x in (found.log_t1, found.log_t2, found.log_t3))
    assert found.sign == 1
    value = delta(generated=[unit], training=training, original=original)
    assert value.isfinite().all()
    assert float(value) != 0


def test_shares_count_ties_by_half() -> None:
    found = positive_share(torch.tensor([1.0, -2.0, 0.0, 0.0], dtype=torch.float64))
    assert found.value == 0.5
    assert found.n == 4
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.5 < found.high < 1
    assert positive_share(torch.full((9,), -math.inf, dtype=torch.float64)).value == 0
    for odd in (torch.zeros(0), torch.tensor([math.nan])):
        with pytest.raises(DataError):
            positive_share(odd.double())


def test_what_cannot_be_compared_is_refused() -> None:
    small, wide = KernelDensity(points(5, 2), std=1.0), KernelDensity(points(5, 3), std=1.0)
    with pytest.raises(ConfigError, match=r"as_publishd.*did you mean 'as_published'"):
        distance(gaussian(2), small, "as_publishd")
    with pytest.raises(ConfigError, match="compares with points"):
        distance(gaussian(2), ExactDensity(gaussian(2), std=1.0), "as_published")
    with pytest.raises(DataError, match="2 dimensions and the original 3"):
        delta(generated=[], training=small, original=wide)
    with pytest.raises(ConfigError, match=r"std = 1\.0 and the original 2\.0"):
        delta(generated=[], training=small, original=KernelDensity(points(5, 2), std=2.0))
    with pytest.raises(ConfigError, match="tolerance = 0"):
        delta(generated=[], training=small, original=small, tolerance=0.0)
    assert len(delta(generated=[], training=small, original=small)) == 0
