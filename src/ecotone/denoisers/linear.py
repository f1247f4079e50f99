"""Linear models of diffusion, whose generated distribution is known in closed form.

Here are what every such model promises, their registry, and the one-step model. The multi-step
one is in :mod:`ecotone.denoisers.wiener`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.registry import Registry
from ecotone.core.seeds import derive, normal
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs
from ecotone.denoisers.least_squares import least_squares, singular_vectors
from ecotone.populations.normal import Normal

__all__ = [
    "LINEAR",
    "LinearFit",
    "LinearModel",
    "OneStep",
    "OneStepFit",
    "check_training",
    "flat",
    "spread",
]


@runtime_checkable
class LinearFit(Protocol):
    """A linear model fitted to a training set: a denoiser that generates a known Gaussian."""

    @property
    def generated(self) -> Normal:
        """The Gaussian that the fit generates, in closed form."""
        ...

    @property
    def published(self) -> Normal | None:
        """The Gaussian a paper took in its place by mistake, or None where there is none."""
        ...

    def __call__(self, x: Batch, sigma: Levels, /) -> Batch:
        """Denoise; see :class:`ecotone.denoisers.base.Denoiser`."""
        ...


@runtime_checkable
class LinearModel(Protocol):
    """Options of a linear model, which can be fitted."""

    def fit(self, training: Float64[Tensor, "n d"], *, seed: int) -> LinearFit:
        """Fit it; the same training set and seed give the same fit."""
        ...


LINEAR: Registry[LinearModel] = Registry(
    "linear model",
    {
        "one_step": "ecotone.denoisers.linear:OneStep",
        "wiener": "ecotone.denoisers.wiener:Wiener",
    },
)
"""Linear models by name: ``LINEAR.create("one_step", {"generalization": 0.5})``."""


@dataclass(frozen=True)
class OneStep:
    """The linear model that denoises once, by least squares (Halder 2024, arXiv:2411.17807).

    At time T a point is noised to y = e^{−T} x + sqrt(l(1 − e^{−2T})) ξ, x is regressed on y with
    an intercept, and the regression is applied to noise with the training set's mean and pooled
    variance. Divided by e^{−T} this is one EDM level, y = x + σz: time and factor l enter the fit
    and what it generates only through

        σ² = l(e^{2T} − 1) = generalization · (1 − e^{−2T}).

    Args:
        time: T, above 0.
        generalization: l e^{2T}, the generalization parameter of the paper's code, above 0.

    Raises:
        ConfigError: for values out of range.

    >>> model = OneStep()
    >>> round(model.sigma**2, 5), round(model.factor, 5)
    (0.98168, 0.01832)
    """

    time: float = 2.0
    generalization: float = 1.0

    def __post_init__(self) -> None:
        for name in ("time", "generalization"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(
                    f"{name} = {value} of a one_step model is out of range",
                    hint="give a number above 0, such as time 2 and generalization 1",
                )

    @property
    def factor(self) -> float:
        """The factor l = generalization · e^{−2T} on the noise variance of the process."""
        return self.generalization * math.exp(-2 * self.time)

    @property
    def sigma(self) -> float:
        """The one noise level σ, in the units of the data."""
        return math.sqrt(-math.expm1(-2 * self.time) * self.generalization)

    def noise(self, n: int, d: int, *, seed: int) -> Float64[Tensor, "n d"]:
        """Return the noise σξ that the fit adds to n training points of d values."""
        bits = np.random.SFC64(derive(seed, "one-step model", "noise"))
        draws = np.random.Generator(bits).standard_normal((n, d))
        return torch.from_numpy(draws).mul_(self.sigma)

    def fit(self, training: Float64[Tensor, "n d"], *, seed: int) -> OneStepFit:
        """Regress the training points on themselves with noise, one draw a point.

        Least squares with an intercept, of minimum norm where n ≤ d: there the training points are
        interpolated, and the slope has rank n − 1. All is centred, in float64, on the CPU.

        Args:
            training: the points, n of 2 or more.
            seed: of the noise; the first k points get the same noise whatever n is.

        Raises:
            ConfigError: for fewer than two points.
            DataError: for values that are not finite, or points that are all the same.

        >>> points = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
        >>> OneStep().fit(points, seed=0).generated.variances.shape  # a line through two points
        torch.Size([1])
        """
        training = check_training(training)
        n, d = training.shape
        noise = self.noise(n, d, seed=seed)
        training_mean, noise_mean = training.mean(0), noise.mean(0)
        clean = training - training_mean
        variance = spread(clean, training) ** 2 / ((n - 1) * d)
        left, right = least_squares(noise.sub_(noise_mean).add_(clean), clean)
        return OneStepFit(
            sigma=self.sigma,
            training_mean=training_mean,
            noisy_mean=training_mean + noise_mean,
            variance=variance,
            left=left,
            right=right,
        )


@dataclass(frozen=True, eq=False)
class OneStepFit:
    """A fitted one-step model: x̂ = x̄ + B(y − ȳ) at the level σ, with B = left · rightᵀ.

    It generates from y ~ N(x̄, (v̄ + σ²) I), so what it generates is N(μ, A Aᵀ) with
    A = sqrt(v̄ + σ²) B and μ = x̄ − B(ȳ − x̄).

    Args:
        sigma: the level it was fitted at.
        training_mean: x̄.
        noisy_mean: ȳ, the mean of the noised training points.
        variance: v̄, the unbiased variance of a coordinate, averaged over coordinates.
        left: d×k, k the rank: d where n > d, else n − 1.
        right: d×k, orthonormal columns; None for the identity.
    """

    sigma: float
    training_mean: Float64[Tensor, " d"]
    noisy_mean: Float64[Tensor, " d"]
    variance: float
    left: Float64[Tensor, "d k"]
    right: Float64[Tensor, "d k"] | None

    @property
    def slope(self) -> Float64[Tensor, "d d"]:
        """B, from noisy to clean."""
        return self.left if self.right is None else self.left @ self.right.T

    @property
    def rank(self) -> int:
        """Rank of what is generated."""
        return len(self._axes[1])

    @cached_property
    def mean(self) -> Float64[Tensor, " d"]:
        """μ, the mean of what is generated."""
        return self.denoise(self.training_mean[None])[0]

    @cached_property
    def generated(self) -> Normal:
        """N(μ, A Aᵀ), which it generates; of rank n − 1 where n ≤ d."""
        left, scales, _ = self._axes
        return Normal(self.mean, scales.square(), left)

    @cached_property
    def published(self) -> Normal:
        """N(μ, Aᵀ A), which the paper's code takes in its place: turned, as B is not symmetric."""
        _, scales, right = self._axes
        return Normal(self.mean, scales.square(), right)

    def denoise(self, y: Float64[Tensor, "batch d"]) -> Float64[Tensor, "batch d"]:
        """Return x̂ of points at the level it was fitted at."""
        here = y.device
        centred = y - self.noisy_mean.to(here)
        if self.right is not None:
            centred = centred @ self.right.to(here)
        return self.training_mean.to(here) + centred @ self.left.T.to(here)

    def __call__(self, x: Batch, sigma: Levels) -> Batch:
        """Denoise samples of d values each, in float64; x's shape and dtype come back.

        Raises:
            ConfigError: for a level other than the one it was fitted at.
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma)
        others = (sigma.double() - self.sigma).abs() > 1e-3 * self.sigma
        if bool(others.any()):
            raise ConfigError(
                f"a one_step model fitted at sigma = {self.sigma:.6g} was given "
                f"sigma = {float(sigma[others][0]):.6g}",
                hint=f"give {self.sigma:.6g}, or take the wiener model, which knows every level",
            )
        return self.denoise(flat(x, len(self.training_mean))).reshape(x.shape).to(x.dtype)

    def draw(self, seeds: Sequence[int]) -> Float64[Tensor, "batch d"]:
        """Generate one sample per seed by running the model, not from its closed form."""
        noise = normal(seeds, self.training_mean.shape, dtype=torch.float64)
        return self.denoise(self.training_mean + math.sqrt(self.variance + self.sigma**2) * noise)

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the singular vectors and values of A, without those that are rounding."""
        left, scales, right = singular_vectors(self.left)
        right = right if self.right is None else self.right @ right
        return left, math.sqrt(self.variance + self.sigma**2) * scales, right


def check_training(training: Tensor) -> Float64[Tensor, "n d"]:
    """Return a training set of flat points on the CPU in float64, if it can be fitted.

    Raises:
        ConfigError: for fewer than two points.
        DataError: for a set that is not n×d, or values that are not finite.
    """
    if training.ndim != 2 or training.shape[1] == 0:
        raise DataError(
            f"a linear model is fitted to n points of d values, not to {tuple(training.shape)}",
            hint="flatten each sample",
        )
    if len(training) < 2:
        raise ConfigError(f"n = {len(training)} is too small", hint="give n of 2 or more")
    training = training.detach().to("cpu", torch.float64)
    # Their sum is not finite if one value is not, and takes a fifth of the time to look at.
    if not math.isfinite(float(training.sum())) and not bool(training.isfinite().all()):
        raise DataError("the training set has NaN or infinite values")
    return training


def spread(centred: Tensor, training: Tensor) -> float:
    """Return the norm of the training set about its mean.

    Raises:
        DataError: for points that are all the same, but for rounding.
    """
    norm = float(torch.linalg.vector_norm(centred))
    if norm <= 1e-14 * float(torch.linalg.vector_norm(training)):
        raise DataError(
            f"the {len(training)} training points are all the same",
            hint="give points that differ",
        )
    return norm


def flat(x: Tensor, dimension: int) -> Float64[Tensor, "batch d"]:
    """Return samples as rows of so many values, in float64.

    Raises:
        ValueError: where a sample has another number of values.
    """
    if math.prod(x.shape[1:]) != dimension:
        raise ValueError(
            f"the model was fitted to {dimension} values, but a sample is {tuple(x.shape[1:])}"
        )
    return x.reshape(len(x), dimension).double()
