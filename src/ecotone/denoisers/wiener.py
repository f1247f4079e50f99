"""The multi-step linear model: a Wiener filter at every noise level, run by a sampler.

All levels share the eigenvectors of the training covariance, so each mode is denoised, and
generated, by itself: what a sampler makes of it is a recursion on one number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import torch
from jaxtyping import Float64
from scipy.special import exp1
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs
from ecotone.denoisers.linear import check_training, flat, spread
from ecotone.noise import karras_levels
from ecotone.populations.normal import Normal

__all__ = ["Convention", "Wiener", "WienerFit", "WienerSampler"]

Convention = Literal["covariance", "weight"]
"""What a ridge c makes of w: (λ + c)/(λ + c + σ²) or λ/(λ + c + σ²)."""

WienerSampler = Literal["exact", "euler", "heun", "stochastic"]
"""How what is generated is had; all but ``exact`` are the samplers of :mod:`ecotone.samplers`."""

# Directions of less than this share of the strongest's standard deviation are rounding.
_CUTOFF = 1e-10


@dataclass(frozen=True)
class Wiener:
    """The best linear denoiser at every level, D(y; σ) = μ̂ + Σ_k w_k(σ) v_k v_kᵀ (y − μ̂).

    λ_k and v_k are those of the training covariance Ŝ (unbiased, 1/(n−1)), and without options
    w = λ/(λ + σ²), which minimizes the training loss. Two departures from it may be combined:

    - a ridge c: ``covariance`` replaces λ by λ + c, the filter of Ŝ + cI; ``weight`` penalizes the
      weights by c|W|², w = λ/(λ + c + σ²);
    - early stopping: gradient flow on the loss ½E|x − W(x + σz)|² from W = 0, stopped at a time τ,
      multiplies w by 1 − e^{−τ(λ + c + σ²)}. Gradient descent by small steps η comes to
      τ = η × steps. The mean is fitted from the start.

    Sampling starts from N(0, σ_max² I), and after the last level, σ_min, one step is taken to
    D(y; σ_min). ``exact`` is the limit of infinitely many steps: the probability-flow equation
    solved in closed form from σ_max to σ_min, then that step. It also takes an infinite
    ``sigma_max`` and, unless a weight ridge or early stopping shrink so at the lowest levels that
    all would collapse to the mean, a ``sigma_min`` of 0. With both, N(μ̂, Ŝ + cI) is generated.

    Args:
        ridge: c, 0 or more, in squared units of the data.
        convention: what the ridge is added to.
        stopping_time: τ, above 0, in inverse squared units of the data; None where converged.
        sigma_min: the last level before 0.
        sigma_max: the level to start from.
        sampler: which.
        steps: of the sampler; ``exact`` has none.
        rho: how strongly the steps shorten towards low noise.
        s_churn: noise that ``stochastic`` adds over all steps, as in
            :class:`ecotone.samplers.Stochastic`, like the three that follow.
        s_min: the lowest level to add noise at.
        s_max: the highest level to add noise at.
        s_noise: standard deviation of the noise added.

    Raises:
        ConfigError: for values out of range.

    >>> points = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    >>> plug_in = Wiener(sigma_min=0.0, sigma_max=math.inf).fit(points, seed=0).generated
    >>> [round(float(value), 9) for value in (plug_in.mean, plug_in.variances)]
    [2.0, 1.0]
    """

    ridge: float = 0.0
    convention: Convention = "covariance"
    stopping_time: float | None = None
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sampler: WienerSampler = "exact"
    steps: int = 32
    rho: float = 7.0
    s_churn: float = 20.0
    s_min: float = 0.05
    s_max: float = 50.0
    s_noise: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("convention", Convention), ("sampler", WienerSampler)):
            if getattr(self, name) not in get_args(known):
                raise ConfigError(
                    f"{name} = {getattr(self, name)!r} of a wiener model is unknown",
                    hint=f"give one of {', '.join(get_args(known))}",
                )
        for name in ("ridge", "s_churn", "s_min", "s_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name} = {getattr(self, name)} is out of range", hint="give 0 or more"
                )
        if not self.s_max >= self.s_min:
            raise ConfigError(
                f"s_min = {self.s_min} and s_max = {self.s_max} do not span a range",
                hint="give s_min of s_max or less",
            )
        if self.stopping_time is not None and not 0 < self.stopping_time < math.inf:
            raise ConfigError(
                f"stopping_time = {self.stopping_time} is out of range",
                hint="give a number above 0, or none to let it converge",
            )
        if self.sampler != "exact":
            self.levels()
            return
        if not 0 <= self.sigma_min < self.sigma_max:
            raise ConfigError(
                f"sigma_min = {self.sigma_min} and sigma_max = {self.sigma_max} span no range",
                hint="give 0 <= sigma_min < sigma_max, such as 0.002 and 80",
            )
        weight_ridge = self.convention == "weight" and self.ridge > 0
        if self.sigma_min == 0 and (weight_ridge or self.stopping_time is not None):
            raise ConfigError(
                "at sigma_min = 0 a wiener model with a weight ridge or a stopping time "
                "generates its mean alone",
                hint="give a sigma_min above 0, such as 0.002",
            )

    def levels(self) -> list[float]:
        """Return the ``steps + 1`` levels that a sampler other than ``exact`` passes through."""
        return karras_levels(self.steps, self.sigma_min, self.sigma_max, self.rho).tolist()

    def fit(self, training: Float64[Tensor, "n d"], *, seed: int) -> WienerFit:  # noqa: ARG002
        """Estimate mean and covariance, and decompose it, in float64, on the CPU.

        Args:
            training: the points, n of 2 or more.
            seed: has no effect, as the fit is of the expected loss.

        Raises:
            ConfigError: for fewer than two points.
            DataError: for values that are not finite, or points that are all the same.
        """
        training = check_training(training)
        n, d = training.shape
        mean = training.mean(0)
        centred = training - mean
        spread(centred, training)
        # The triangle of a QR decomposition has the points' singular values, and d rows, not n.
        rows = torch.linalg.qr(centred, mode="r")[1] if n > d else centred
        _, values, axes = torch.linalg.svd(rows, full_matrices=False)
        kept = values > _CUTOFF * values[0]
        return WienerFit(self, mean, values[kept].square() / (n - 1), axes[kept].T)

    def shares(
        self, variances: Float64[Tensor, " modes"], sigma: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, "batch modes"]:
        """Return w, how much of each mode the denoiser keeps at each level, from 0 to 1.

        Args:
            variances: λ of each mode, 0 for those that no training point reaches.
            sigma: the levels, 0 or more.
        """
        signal, total = self._signal(variances)
        noisy = total + sigma.square()[:, None]
        kept = torch.where(noisy > 0, signal / noisy.where(noisy > 0, 1), 0.0)
        if self.stopping_time is not None:
            kept = kept * -torch.expm1(-self.stopping_time * noisy)
        return kept

    def amplitudes(self, variances: Float64[Tensor, " modes"]) -> tuple[Tensor, Tensor]:
        """Return what the sampler makes of each mode.

        Returns:
            The standard deviation of what is generated, and the factor by which the sampler
            multiplies the starting noise, and with it the distance to the mean.
        """
        if self.sampler == "exact":
            end = self._exact(variances)
            return end, end / self.sigma_max
        factor, variance = torch.ones_like(variances), torch.full_like(variances, self.sigma_max**2)
        for sigma, lower in pairwise(self.levels()):
            raised = self._raised(sigma)
            variance = variance + self.s_noise**2 * (raised**2 - sigma**2)
            step = self._step(variances, raised, lower)
            factor, variance = step * factor, step.square() * variance
        return variance.sqrt(), factor

    def _signal(self, variances: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b in w(σ) = a/(b + σ²) (1 − e^{−τ(b + σ²)})."""
        total = variances + self.ridge
        return (total if self.convention == "covariance" else variances), total

    def _raised(self, sigma: float) -> float:
        if self.sampler != "stochastic" or not self.s_min <= sigma <= self.s_max:
            return sigma
        return sigma * (1 + min(self.s_churn / self.steps, math.sqrt(2) - 1))

    def _step(self, variances: Tensor, sigma: float, lower: float) -> Tensor:
        """Return the factor of one step of Euler's or Heun's method on y − μ̂."""
        here, there = self.shares(variances, variances.new_tensor([sigma, lower]))
        euler = here + lower / sigma * (1 - here)
        if self.sampler == "euler" or lower == 0:
            return euler
        slopes = (1 - here) / sigma + (1 - there) * euler / lower
        return 1 + (lower - sigma) / 2 * slopes

    def _exact(self, variances: Tensor) -> Tensor:
        """Return σ_max · w(σ_min) · exp(−∫(1 − w) dσ/σ), the integral from σ_min to σ_max.

        With u = σ² and w as in :meth:`_signal`, partial fractions of 1/(u(b + u)) leave logarithms
        and, where training stopped early, exponential integrals E1. Written so that σ_max may be
        infinite, and σ_min 0.
        """
        signal, total = self._signal(variances)
        low, high, tau = self.sigma_min**2, self.sigma_max**2, self.stopping_time
        share = torch.where(total > 0, signal / total.where(total > 0, 1), 1.0)
        log_end = torch.special.xlogy(1 - share, torch.full_like(share, self.sigma_min))
        log_end = log_end + share / 2 * ((total + low).log() - torch.log1p(total / high))
        if tau is not None:
            early = torch.exp(-tau * total) * (_e1(tau * low) - _e1(tau * high))
            late = _e1(tau * (total + low)) - _e1(tau * (total + high))
            # A mode without signal is lost whether or not training went on.
            log_end = log_end - torch.where(total > 0, share / 2 * (early - late), 0.0)
        end = log_end.exp()
        if low == 0:  # Nothing is left to denoise.
            return end
        return end * self.shares(variances, variances.new_tensor([self.sigma_min]))[0]


@dataclass(frozen=True, eq=False)
class WienerFit:
    """A fitted Wiener model: a denoiser at every level, and the Gaussian its sampler generates.

    Args:
        model: the options.
        mean: μ̂.
        variances: λ, above 0: d of them where n > d, else n − 1.
        axes: v as columns, one for each.
    """

    model: Wiener
    mean: Float64[Tensor, " d"]
    variances: Float64[Tensor, " rank"]
    axes: Float64[Tensor, "d rank"]

    def __call__(self, x: Batch, sigma: Levels) -> Batch:
        """Denoise samples of d values each, in float64; x's shape and dtype come back.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma)
        here = x.device
        shares = self.model.shares(self._modes.to(here), sigma.double())
        axes, mean = self.axes.to(here), self.mean.to(here)
        centred = flat(x, len(self.mean)) - mean
        along = centred @ axes
        clean = mean + (along * shares[:, :-1]) @ axes.T
        if self._reaches_beyond:
            clean = clean + shares[:, -1:] * (centred - along @ axes.T)
        return clean.reshape(x.shape).to(x.dtype)

    @cached_property
    def generated(self) -> Normal:
        """What the sampler generates; beyond the axes all modes are alike, and are its floor."""
        deviations, factors = self.model.amplitudes(self._modes)
        along = self.axes.T @ self.mean
        start = self.axes @ (factors[:-1] * along)
        start = start + factors[-1] * (self.mean - self.axes @ along)
        squares = deviations.square()
        floor = float(squares[-1]) if len(self.variances) < len(self.mean) else 0.0
        return Normal(self.mean - start, squares[:-1], self.axes, floor=floor)

    @property
    def published(self) -> None:
        """No paper took another Gaussian in its place."""
        return

    @property
    def _modes(self) -> Tensor:
        """Return λ, and 0 for all modes that no training point reaches."""
        return torch.cat([self.variances, self.variances.new_zeros(1)])

    @property
    def _reaches_beyond(self) -> bool:
        """Tell whether the denoiser keeps anything of modes without training points."""
        beyond = len(self.variances) < len(self.mean)
        return beyond and self.model.ridge > 0 and self.model.convention == "covariance"


def _e1(x: Tensor | float) -> Tensor:
    """Return the exponential integral E1(x) = ∫_x^∞ e^{−t}/t dt; infinite at 0."""
    return torch.as_tensor(exp1(torch.as_tensor(x, dtype=torch.float64).numpy()))
