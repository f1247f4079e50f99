"""The multi-step linear model against samplers, integrated equations and trained weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import normal, sample_seeds, torch_generator
from ecotone.denoisers.wiener import Wiener, WienerFit
from ecotone.populations.normal import Normal
from ecotone.samplers import Euler, Heun, Sampler, Stochastic, sample

quick = settings(max_examples=20, deadline=None)

KINDS: dict[str, dict[str, Any]] = {
    "converged": {},
    "covariance ridge": {"ridge": 0.2},
    "weight ridge": {"ridge": 0.2, "convention": "weight"},
    "stopped": {"stopping_time": 0.7},
    "stopped, covariance ridge": {"stopping_time": 0.7, "ridge": 0.2},
    "stopped, weight ridge": {"stopping_time": 0.7, "ridge": 0.2, "convention": "weight"},
}
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def points(n: int, d: int, seed: int = 0) -> Tensor:
    draws = torch.randn(n, d, generator=torch_generator(seed, "wiener"), dtype=torch.float64)
    return draws * torch.linspace(0.3, 2.0, d, dtype=torch.float64) + 1


def dense(normal: Normal) -> Tensor:
    assert normal.basis is not None
    d = len(normal.mean)
    low_rank = (normal.basis * (normal.variances - normal.floor)) @ normal.basis.T
    return low_rank + normal.floor * torch.eye(d, dtype=torch.float64)


def jacobian(fit: WienerFit, sigma: float) -> Tensor:
    """Return W of D(y; σ) = μ̂ + W(y − μ̂), read off the denoiser."""
    d = len(fit.mean)
    steps = torch.cat([torch.zeros(1, d), torch.eye(d)]).double()
    clean = fit(fit.mean + steps, torch.full((d + 1,), sigma, dtype=torch.float64))
    torch.testing.assert_close(clean[0], fit.mean)
    return (clean[1:] - clean[:1]).T


@pytest.mark.parametrize(("n", "d"), [(30, 5), (6, 5), (4, 5), (2, 3)])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_it_is_the_posterior_mean_of_the_fitted_gaussian(n: int, d: int, ridge: float) -> None:
    x = points(n, d)
    covariance = x.T.cov() + ridge * torch.eye(d).double()
    gaussian = Normal.from_covariance(x.mean(0), covariance.numpy(), name="covariance")
    y, sigma = points(7, d, seed=1), torch.logspace(-1, 1, 7, dtype=torch.float64)
    mine = Wiener(ridge=ridge).fit(x, seed=0)(y, sigma)
    torch.testing.assert_close(mine, gaussian.posterior_mean(y, sigma), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [30, 4])
@pytest.mark.parametrize("convention", ["covariance", "weight"])
def test_the_ridge_minimizes_the_penalized_loss(n: int, convention: Any) -> None:
    """½E|x − W(x + σz)|² and ½c|W|², or the data with noise of variance c of their own."""
    d, c, sigma = 5, 0.4, 0.7
    fit = Wiener(ridge=c, convention=convention).fit(points(n, d), seed=0)
    W, eye = jacobian(fit, sigma).requires_grad_(), torch.eye(d).double()
    S = points(n, d).T.cov() + (c * eye if convention == "covariance" else 0)
    loss = ((eye - W) @ S @ (eye - W).T).trace() / 2 + sigma**2 * W.square().sum() / 2
    if convention == "weight":
        loss = loss + c * W.square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, W)
    assert float(gradient.abs().max()) < 1e-10


@every_kind
def test_stopping_is_gradient_descent_stopped(kind: str) -> None:
    """Small steps of descent on the loss; their error falls with the step, so half it and see."""
    model, sigma = Wiener(**{"stopping_time": 0.7, **KINDS[kind]}), 0.6
    x = points(12, 4)
    S, eye = x.T.cov(), torch.eye(4).double()
    c = model.ridge
    S = S + c * eye if model.convention == "covariance" else S
    penalty = c if model.convention == "weight" else 0.0
    assert model.stopping_time is not None
    errors = []
    for steps in (2000, 4000):
        W = torch.zeros(4, 4).double()
        for _ in range(steps):
            gradient = W @ (S + (sigma**2 + penalty) * eye) - S
            W -= model.stopping_time / steps * gradient
        errors.append(float((W - jacobian(model.fit(x, seed=0), sigma)).abs().max()))
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_stopping_late_is_not_stopping() -> None:
    x = points(20, 4)
    late, never = Wiener(stopping_time=1e7).fit(x, seed=0), Wiener().fit(x, seed=0)
    torch.testing.assert_close(jacobian(late, 0.5), jacobian(never, 0.5), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dense(late.generated), dense(never.generated))


def samplers(steps: int) -> dict[str, tuple[Sampler, dict[str, Any]]]:
    """The samplers that can be run, and the options of a Wiener model that say the same."""
    span: dict[str, Any] = {"steps": steps, "sigma_min": 0.05, "sigma_max": 20.0, "rho": 5.0}
    churn: dict[str, Any] = {"s_churn": 12.0, "s_min": 0.1, "s_max": 10.0, "s_noise": 1.01}
    return {
        "euler": (Euler(**span), {"sampler": "euler", **span}),
        "heun": (Heun(**span), {"sampler": "heun", **span}),
        "stochastic": (Stochastic(**span, **churn), {"sampler": "stochastic", **span, **churn}),
    }


@every_kind
@pytest.mark.parametrize("name", ["euler", "heun"])
@pytest.mark.parametrize("n", [30, 4])
@pytest.mark.parametrize("steps", [1, 2, 12])
def test_samplers_do_to_each_sample_what_the_recursion_says(
    kind: str, name: str, n: int, steps: int
) -> None:
    """Without fresh noise the map from noise to sample is linear, and known."""
    sampler, options = samplers(steps)[name]
    fit = Wiener(**KINDS[kind], **options).fit(points(n, 5), seed=0)
    seeds = sample_seeds(50, 0, "start")
    drawn = sample(fit, sampler, seeds=seeds, shape=(5,), dtype=torch.float64)
    start = sampler.sigma_max * normal(seeds, (5,), dtype=torch.float64)
    # The factors are positive or not, but the square of their matrix is the covariance.
    _, factors = fit.model.amplitudes(torch.cat([fit.variances, torch.zeros(1).double()]))
    beyond = factors[-1] * torch.eye(5).double()
    through = (fit.axes * (factors[:-1] - factors[-1])) @ fit.axes.T + beyond
    expected = fit.generated.mean + start @ through
    torch.testing.assert_close(drawn, expected, rtol=1e-9, atol=1e-9)
    square = sampler.sigma_max**2 * through @ through
    torch.testing.assert_close(dense(fit.generated), square, rtol=1e-9, atol=1e-9)


@every_kind
@pytest.mark.parametrize("n", [30, 4])
def test_the_stochastic_sampler_generates_the_closed_form(kind: str, n: int) -> None:
    sampler, options = samplers(6)["stochastic"]
    fit = Wiener(**KINDS[kind], **options).fit(points(n, 5), seed=0)
    count = 4000
    seeds = sample_seeds(count, 0, "start")
    drawn = sample(fit, sampler, seeds=seeds, shape=(5,), batch_size=count, dtype=torch.float64)
    expected = dense(fit.generated)
    deviation = expected.diagonal().sqrt()
    errors = (drawn.mean(0) - fit.generated.mean) / deviation * math.sqrt(count)
    assert float(errors.abs().max()) < 4.5
    spread = ((deviation[:, None] * deviation).square() + expected.square()).sqrt()
    errors = (drawn.T.cov() - expected) / spread * math.sqrt(count)
    assert float(errors.abs().max()) < 4.5
    # Without churn it is Heun's method.
    still = Wiener(**KINDS[kind], **{**options, "s_churn": 0.0}).fit(points(n, 5), seed=0)
    heun = Wiener(**KINDS[kind], **samplers(6)["heun"][1]).fit(points(n, 5), seed=0)
    torch.testing.assert_close(dense(still.generated), dense(heun.generated))


@every_kind
@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_more_steps_come_nearer_to_exact(kind: str, sampler: Any, order: int) -> None:
    variances = torch.tensor([0.0, 0.3, 1.0, 4.0]).double()
    exact, factor = Wiener(**KINDS[kind]).amplitudes(variances)
    torch.testing.assert_close(factor, exact / 80)
    errors = []
    for steps in (200, 400, 800):
        model = Wiener(**KINDS[kind], sampler=sampler, steps=steps)
        errors.append(float((model.amplitudes(variances)[0] - exact).abs().max()))
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.06)


@every_kind
@pytest.mark.parametrize("variance", [0.0, 0.05, 3.0])
def test_exact_is_the_integrated_equation(kind: str, variance: float) -> None:
    """dy/dσ = (y − D)/σ with D from the denoiser's own weights, by an integrator."""
    model = Wiener(**KINDS[kind], sigma_min=0.02, sigma_max=30.0)
    mode = torch.tensor([variance], dtype=torch.float64)

    def share(sigma: float) -> float:
        return float(model.shares(mode, torch.tensor([sigma], dtype=torch.float64)))

    found = solve_ivp(
        lambda u, _: [1 - share(math.exp(u))],
        (math.log(30.0), math.log(0.02)),
        [math.log(30.0)],
        rtol=1e-9,
        atol=1e-10,
    )
    expected = math.exp(found.y[0, -1]) * share(0.02)
    assert float(model.amplitudes(mode)[0]) == pytest.approx(expected, rel=1e-6, abs=1e-14)


@quick
@given(
    variance=st.floats(1e-6, 1e3),
    ridge=st.floats(0, 10),
    tau=st.floats(1e-3, 1e3),
    weight=st.booleans(),
)
def test_exact_equals_quadrature_everywhere(
    variance: float, ridge: float, tau: float, weight: bool
) -> None:
    convention = "weight" if weight else "covariance"
    model = Wiener(ridge=ridge, convention=convention, stopping_time=tau)
    mode = torch.tensor([variance], dtype=torch.float64)

    def lost(u: float) -> float:
        return 1 - float(model.shares(mode, torch.tensor([math.exp(u)], dtype=torch.float64)))

    ends = math.log(0.002), math.log(80.0)
    total = sum(
        quad(lost, low, high, epsabs=1e-11)[0] for low, high in pairwise(np.linspace(*ends, 9))
    )
    amplitude = math.log(80) - total + math.log(1 - lost(ends[0]))
    assert math.log(float(model.amplitudes(mode)[0])) == pytest.approx(amplitude, abs=1e-7)


def test_closed_forms_of_both_ridges() -> None:
    """The probability-flow equation alone: y ∝ √(λ + c + σ²), or with a power of σ besides."""
    values, c, low, high = torch.tensor([0.0, 0.5, 2.0]).double(), 0.3, 0.01, 50.0
    b = values + c
    covariance = Wiener(ridge=c, sigma_min=low, sigma_max=high)
    flow = high * ((b + low**2) / (b + high**2)).sqrt()
    torch.testing.assert_close(covariance.amplitudes(values)[0], flow * b / (b + low**2))
    weight = Wiener(ridge=c, convention="weight", sigma_min=low, sigma_max=high)
    power = (low / high) ** (c / b) * ((b + low**2) / (b + high**2)) ** (values / (2 * b))
    torch.testing.assert_close(
        weight.amplitudes(values)[0], high * power * values / (b + low**2), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("n", [30, 4])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_over_all_levels_the_plug_in_gaussian_is_generated(n: int, ridge: float) -> None:
    x = points(n, 5)
    expected = x.T.cov() + ridge * torch.eye(5).double()
    everything = Wiener(ridge=ridge, sigma_min=0.0, sigma_max=math.inf).fit(x, seed=0).generated
    torch.testing.assert_close(dense(everything), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(everything.mean, x.mean(0))
    assert len(everything.variances) == min(n - 1, 5)
    # Down to 0 from a finite level, λ + c is missing a share (λ + c)/(λ + c + σ_max²).
    partly = Wiener(ridge=ridge, sigma_min=0.0, sigma_max=7.0).fit(x, seed=0).generated
    inverse = torch.linalg.inv(expected + 49 * torch.eye(5).double())
    torch.testing.assert_close(dense(partly), 49 * expected @ inverse, rtol=1e-10, atol=1e-12)
    # And usual levels come near to both.
    usual = Wiener(ridge=ridge).fit(x, seed=0).generated
    torch.testing.assert_close(dense(usual), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", ["weight ridge", "stopped"])
def test_shrinking_models_collapse_to_the_mean(kind: str) -> None:
    values = torch.tensor([0.5, 2.0]).double()
    ends = [
        Wiener(**KINDS[kind], sigma_min=low).amplitudes(values)[0].max().item()
        for low in (1e-2, 1e-4, 1e-8, 1e-32)
    ]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] < ends[0] / 10
    with pytest.raises(ConfigError, match="generates its mean alone"):
        Wiener(**KINDS[kind], sigma_min=0.0)


@quick
@given(
    kind=st.sampled_from(sorted(KINDS)),
    sampler=st.sampled_from(["exact", "euler", "heun", "stochastic"]),
    scale=st.sampled_from([1e-3, 1e3]),
    n=st.sampled_from([4, 30]),
)
def test_follows_the_units_of_the_data(kind: str, sampler: Any, scale: float, n: int) -> None:
    x = points(n, 5)
    units: dict[str, Any] = {"sigma_min": 0.01, "sigma_max": 50.0, "s_min": 0.05, "s_max": 40.0}
    there: dict[str, Any] = {name: scale * value for name, value in units.items()}
    options = KINDS[kind]
    moved = {**options}
    if "ridge" in options:
        moved["ridge"] = options["ridge"] * scale**2
    if "stopping_time" in options:
        moved["stopping_time"] = options["stopping_time"] / scale**2
    one = Wiener(**options, **units, sampler=sampler).fit(x, seed=0).generated
    two = Wiener(**moved, **there, sampler=sampler).fit(scale * x, seed=0).generated
    torch.testing.assert_close(dense(two) / scale**2, dense(one), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(two.mean / scale, one.mean, rtol=1e-8, atol=1e-9)


@every_kind
def test_moving_the_data_far_away_changes_no_shape(kind: str) -> None:
    x = 1e-3 * points(30, 5)
    units: dict[str, Any] = {"sigma_min": 1e-5, "sigma_max": 1.0}
    here = Wiener(**KINDS[kind], **units).fit(x, seed=0).generated
    there = Wiener(**KINDS[kind], **units).fit(x + 10, seed=0).generated
    relative = (there.variances / here.variances - 1).abs().max()
    assert float(relative) < 1e-9


def test_images_and_dtypes_are_taken() -> None:
    fit = Wiener().fit(points(30, 4), seed=0)
    x, sigma = points(3, 4, seed=1), torch.tensor([0.1, 1.0, 10.0])
    images = fit(x.reshape(3, 2, 2).float(), sigma)
    assert images.dtype == torch.float32
    expected = fit(x, sigma.double())
    torch.testing.assert_close(images.reshape(3, 4).double(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="fitted to 4 values"):
        fit(points(3, 5), sigma.double())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ridge": -1.0}, "ridge = -1"),
        ({"stopping_time": 0.0}, "stopping_time = 0"),
        ({"stopping_time": math.inf}, "stopping_time = inf"),
        ({"sigma_min": -0.1}, "sigma_min = -0.1"),
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_max = 1"),
        ({"sigma_min": 0.0, "sampler": "euler"}, "sigma_min = 0"),
        ({"sigma_max": math.inf, "sampler": "heun"}, "sigma_max = inf"),
        ({"steps": 0, "sampler": "heun"}, "steps = 0"),
        ({"s_churn": -1.0}, "s_churn = -1"),
        ({"s_min": 2.0, "s_max": 1.0}, "s_max = 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Wiener(**options)
