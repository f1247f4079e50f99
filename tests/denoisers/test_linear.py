"""The one-step linear model against least squares done elsewhere, its limits and its own draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import sample_seeds, torch_generator
from ecotone.denoisers.linear import LINEAR, LinearFit, LinearModel, OneStep
from ecotone.populations.normal import Normal, random_frame

quick = settings(max_examples=20, deadline=None)


def points(n: int, d: int, seed: int = 0) -> Tensor:
    draws = torch.randn(n, d, generator=torch_generator(seed, "linear"), dtype=torch.float64)
    return draws * torch.linspace(0.5, 2.0, d, dtype=torch.float64) + 1


def covariance(normal: Normal) -> Tensor:
    assert normal.basis is not None
    assert normal.floor == 0
    return (normal.basis * normal.variances) @ normal.basis.T


def close(mine: Tensor, other: Tensor, relative: float = 1e-9) -> None:
    """Compare as wholes: entries near 0 have the error of the largest."""
    scale = float(other.abs().max())
    torch.testing.assert_close(mine, other, rtol=0, atol=relative * scale)


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_registered_models_keep_the_protocols(name: str) -> None:
    model = LINEAR.create(name, {})
    assert isinstance(model, LinearModel)
    fit = model.fit(points(12, 5), seed=0)
    assert isinstance(fit, LinearFit)
    assert isinstance(fit.generated, Normal)
    assert (fit.published is not None) == (name == "one_step")


@pytest.mark.parametrize(("n", "d"), [(30, 6), (7, 6), (200, 40)])
def test_equals_a_regression_done_elsewhere(n: int, d: int) -> None:
    model, x = OneStep(time=1.0, generalization=0.7), points(n, d)
    fit = model.fit(x, seed=3)
    y = (x + model.noise(n, d, seed=3)).numpy()
    other = LinearRegression().fit(y, x.numpy())
    close(fit.slope, torch.from_numpy(other.coef_))
    at = points(9, d, seed=5)
    close(fit.denoise(at), torch.from_numpy(other.predict(at.numpy())))
    # And what it generates: the same map applied to N(x̄, (v̄ + σ²) I).
    variance = float(x.var(0).mean()) + model.sigma**2
    slope = torch.from_numpy(other.coef_)
    close(covariance(fit.generated), variance * slope @ slope.T, 1e-8)
    close(fit.generated.mean, torch.from_numpy(other.predict(x.mean(0)[None].numpy())[0]))
    assert fit.rank == d


@pytest.mark.parametrize(("n", "d"), [(2, 2), (2, 5), (5, 8), (8, 8), (40, 100)])
def test_few_points_are_interpolated(n: int, d: int) -> None:
    model, x = OneStep(), points(n, d)
    fit = model.fit(x, seed=1)
    y = x + model.noise(n, d, seed=1)
    close(fit.denoise(y), x, 1e-8)
    # The least of all maps that interpolate: the pseudoinverse of the centred points.
    pseudo = np.linalg.pinv((y - y.mean(0)).numpy(), rcond=1e-10)
    close(fit.slope, (x - x.mean(0)).T @ torch.from_numpy(pseudo.T), 1e-7)
    assert fit.rank == n - 1
    assert fit.generated.variances.shape == (n - 1,)
    assert float(fit.generated.variances.min()) > 0
    # All that is generated lies in the flat through the training points.
    flat = torch.linalg.qr((x - x.mean(0)).T[:, : n - 1])[0]
    offsets = fit.draw(sample_seeds(20, 0, "draw")) - x.mean(0)
    close(offsets @ flat @ flat.T, offsets, 1e-8)


@pytest.mark.parametrize(("n", "d"), [(40, 4), (5, 4), (4, 6)])
def test_the_closed_form_is_what_it_draws(n: int, d: int) -> None:
    fit = OneStep().fit(points(n, d), seed=2)
    drawn, count = fit.draw(sample_seeds(20_000, 0, "draw")), 20_000
    expected = covariance(fit.generated)
    deviation = expected.diagonal().sqrt()
    errors = (drawn.mean(0) - fit.generated.mean) / deviation * math.sqrt(count)
    assert float(errors.abs().max()) < 4.5
    # An entry of the sample covariance has variance (C_ii C_jj + C_ij²)/n.
    spread = ((deviation[:, None] * deviation).square() + expected.square()).sqrt()
    errors = (drawn.T.cov() - expected) / spread * math.sqrt(count)
    assert float(errors.abs().max()) < 4.5


@quick
@given(time=st.floats(0.05, 5), other=st.floats(0.05, 5), level=st.floats(0.1, 3))
def test_time_and_factor_enter_through_the_level_alone(
    time: float, other: float, level: float
) -> None:
    first, second = (
        OneStep(time=t, generalization=level**2 / -math.expm1(-2 * t)) for t in (time, other)
    )
    assert first.sigma == pytest.approx(level, rel=1e-12)
    assert first.factor * math.expm1(2 * time) == pytest.approx(level**2, rel=1e-9)
    one, two = (model.fit(points(20, 5), seed=4) for model in (first, second))
    close(one.slope, two.slope)
    close(covariance(one.generated), covariance(two.generated))
    close(one.generated.mean, two.generated.mean)


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_with_many_points_the_variance_is_not_recovered(spread: float) -> None:
    """C has eigenvalues λ²(tr Σ/d + g')/(λ + g')²: r λ where all λ are the same."""
    n, d, model = 200_000, 4, OneStep()
    values = 1.5 * torch.logspace(-spread, spread, d, dtype=torch.float64)
    frame = random_frame(d, d, seed=1)
    z = torch.randn(n, d, generator=torch_generator(0, "many"), dtype=torch.float64)
    fit = model.fit((z * values.sqrt()) @ frame.T + 3, seed=0)
    noise = model.sigma**2
    limit = values.square() * (values.mean() + noise) / (values + noise).square()
    close(covariance(fit.generated), (frame * limit) @ frame.T, 8 / math.sqrt(n))
    close(fit.generated.mean, torch.full((d,), 3.0).double(), 8 / math.sqrt(n))
    if spread == 0:
        close(limit, values * values / (values + noise))


@quick
@given(
    shift=st.sampled_from([0.0, 10.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    n=st.sampled_from([4, 6, 7, 30]),
    seed=st.integers(0, 1000),
)
def test_follows_the_units_of_the_data(shift: float, scale: float, n: int, seed: int) -> None:
    x = points(n, 6, seed=seed)
    here = OneStep().fit(x, seed=seed)
    there = OneStep(generalization=scale**2).fit(scale * x + shift, seed=seed)
    # A map is as sensitive as its inputs are ill-conditioned; those of rounding are not.
    singular = torch.linalg.svdvals(x - x.mean(0))
    precision = 1e-9 * float(singular[0] / singular[: min(n - 1, 6)].min())
    close(there.slope, here.slope, precision)
    close(covariance(there.generated), scale**2 * covariance(here.generated), precision)
    close(covariance(there.published), scale**2 * covariance(here.published), precision)
    close(there.mean - shift, scale * here.mean, precision)


@pytest.mark.parametrize(("n", "d"), [(60, 5), (6, 5), (4, 5), (31, 30), (30, 30)])
def test_the_published_gaussian_is_the_generated_one_turned(n: int, d: int) -> None:
    fit = OneStep().fit(points(n, d), seed=0)
    A = math.sqrt(fit.variance + fit.sigma**2) * fit.slope
    close(covariance(fit.generated), A @ A.T, 1e-10)
    close(covariance(fit.published), A.T @ A, 1e-10)
    assert torch.equal(fit.published.mean, fit.generated.mean)
    assert torch.equal(fit.published.variances, fit.generated.variances)
    for normal in (fit.generated, fit.published):
        assert normal.basis is not None
        close(normal.basis.T @ normal.basis, torch.eye(fit.rank).double(), 1e-10)
    if n > d:  # Small eigenvalues keep their digits.
        log_volume = 2 * float(torch.linalg.slogdet(A)[1])
        assert float(fit.generated.variances.log().sum()) == pytest.approx(log_volume, abs=1e-8)


def test_noise_and_fit_follow_the_seed() -> None:
    model, x = OneStep(), points(20, 4)
    assert torch.equal(model.noise(20, 4, seed=1)[:7], model.noise(7, 4, seed=1))
    assert torch.equal(model.fit(x, seed=1).slope, model.fit(x, seed=1).slope)
    assert not torch.equal(model.fit(x, seed=1).slope, model.fit(x, seed=2).slope)
    unit = model.noise(500, 40, seed=0) / model.sigma
    assert abs(float(unit.square().mean()) - 1) < 4 * math.sqrt(2 / 20_000)


def test_denoises_at_its_own_level_alone() -> None:
    model, x = OneStep(), points(20, 4)
    fit, y = model.fit(x, seed=0), points(3, 4, seed=1)
    close(fit(y, torch.full((3,), model.sigma).double()), fit.denoise(y))
    images = fit(y.float().reshape(3, 2, 2), torch.full((3,), model.sigma))
    torch.testing.assert_close(images.reshape(3, 4), fit.denoise(y).float(), rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match=r"fitted at sigma = 0\.9908.* was given sigma = 0\.5"):
        fit(y, torch.tensor([model.sigma, 0.5, model.sigma]).double())
    with pytest.raises(ValueError, match="fitted to 4 values"):
        fit(points(3, 5), torch.full((3,), model.sigma).double())


def test_the_fit_minimizes_the_squared_error() -> None:
    model, x = OneStep(), points(40, 5)
    fit, y = model.fit(x, seed=0), x + model.noise(40, 5, seed=0)
    residual = fit.denoise(y) - x
    assert float(residual.mean(0).abs().max()) < 1e-12
    assert float((residual.T @ (y - y.mean(0))).abs().max()) < 1e-10


@pytest.mark.parametrize("field", ["time", "generalization"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_wrong_options_are_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field} = "):
        OneStep(**{field: value})


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_sets_that_cannot_be_fitted_are_refused(name: str) -> None:
    model = LINEAR.create(name, {})
    with pytest.raises(ConfigError, match="n = 1 is too small; give n of 2 or more"):
        model.fit(points(1, 3), seed=0)
    for bad in (math.nan, math.inf, -math.inf):
        x = points(5, 3)
        x[2, 1] = bad
        with pytest.raises(DataError, match="NaN or infinite"):
            model.fit(x, seed=0)
    with pytest.raises(DataError, match="all the same"):
        model.fit(torch.full((5, 3), 0.1).double(), seed=0)
    with pytest.raises(DataError, match=r"\(5, 0\)"):
        model.fit(torch.empty(5, 0).double(), seed=0)
