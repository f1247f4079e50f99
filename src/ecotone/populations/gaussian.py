"""Gaussian populations: isotropic, of any covariance, and low rank plus noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.populations.exact import ExactPopulation, exact_shape
from ecotone.populations.normal import Normal, random_frame, spectrum_values

__all__ = ["Gaussian", "LowRank", "SingleNormal", "mean_vector", "positive"]


class SingleNormal(ExactPopulation):
    """A population that is one multivariate normal."""

    normal: Normal

    def _sample(self, seeds: Sequence[int]) -> Tensor:
        return self.normal.sample(seeds)

    def _stream(self, n: int, stream: np.random.Generator) -> Tensor:
        return self.normal.stream(n, stream)

    @property
    def std(self) -> float:
        """Standard deviation of a coordinate: √(tr Σ / d)."""
        return math.sqrt(self.normal.total_variance / self.dimension)

    def _log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.normal.log_density(x, sigma)

    def _posterior_mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.normal.posterior_mean(x, sigma)


class Gaussian(SingleNormal):
    """N(mean, std² Σ), where Σ is the identity, has a given spectrum, or is given itself.

    Args:
        dimension: d; where None, what the other options make it, else 16.
        shape: shape of one item, such as [1, 8, 8], in place of ``dimension``.
        mean: one number for all coordinates, or d of them.
        std: scale, above 0; it multiplies whatever covariance the other options make.
        spectrum: eigenvalues of Σ: a list, or the exponent a of the power law λ_k = k^−a.
        covariance: Σ itself, d rows of d numbers, in place of ``spectrum``.
        rotation_seed: turns the eigenvectors of ``spectrum`` by a random orthogonal matrix drawn
            with this seed; None leaves them along the coordinates.
        normalized: first divide Σ by tr Σ / d, so that ``std`` is that of a coordinate on average
            whatever the spectrum is.

    Raises:
        ConfigError: for options that exclude one another, disagree about d, or make no covariance.

    >>> population = Gaussian(dimension=3, std=2.0)
    >>> population.draw(5, seed=0).shape, population.split(4, 2, seed=0).holdout_ids
    (torch.Size([5, 3]), ('gaussian-0000001', 'gaussian-0000003'))
    >>> x, sigma = torch.full((1, 3), 10.0), torch.ones(1)
    >>> population.posterior_mean(x, sigma)  # 4 / (4 + 1) of x
    tensor([[8., 8., 8.]])
    """

    def __init__(
        self,
        dimension: int | None = None,
        shape: list[int] | None = None,
        mean: float | list[float] = 0.0,
        std: float = 1.0,
        spectrum: float | list[float] | None = None,
        covariance: list[list[float]] | None = None,
        rotation_seed: int | None = None,
        normalized: bool = False,
    ) -> None:
        if covariance is not None and (spectrum is not None or rotation_seed is not None):
            raise ConfigError(
                "gaussian: covariance already holds its spectrum and its rotation",
                hint="remove population.spectrum and population.rotation_seed, or covariance",
            )
        implied = {
            "dimension": dimension,
            "mean": len(mean) if isinstance(mean, list) else None,
            "spectrum": len(spectrum) if isinstance(spectrum, list) else None,
            "covariance": None if covariance is None else len(covariance),
        }
        shape_ = exact_shape("gaussian", default=16, shape=shape, implied=implied)
        scale = positive(std, "gaussian: std")
        d = math.prod(shape_)
        centre = mean_vector(mean, d, name="gaussian: mean")
        if covariance is not None:
            name = "gaussian: covariance"
            unit = Normal.from_covariance(centre, covariance, name=name)
            values, basis = unit.variances, unit.basis
        else:
            values = spectrum_values(spectrum, d, name="gaussian")
            basis = None if rotation_seed is None else random_frame(d, d, rotation_seed)
        if normalized:
            values = values / values.mean()
        self.normal = Normal(centre, scale**2 * values, basis)
        options = {
            "mean": mean,
            "std": std,
            "spectrum": spectrum,
            "covariance": covariance,
            "rotation_seed": rotation_seed,
            **({"normalized": True} if normalized else {}),
        }
        super().__init__("gaussian", shape_, options)


class LowRank(SingleNormal):
    """N(mean, std² U Λ Uᵀ + noise² I): few directions carry the data, and the rest is noise.

    The k columns of U are random orthonormal directions. Densities and posterior means use the
    low-rank form (Woodbury), so that memory grows as d·k.

    Args:
        dimension: ambient dimension d; where None, what the other options make it, else 64.
        intrinsic_dimension: k, between 1 and d.
        shape: shape of one item, in place of ``dimension``.
        mean: one number for all coordinates, or d of them.
        std: scale of the k directions, above 0.
        spectrum: Λ, k eigenvalues, or the exponent a of λ_j = j^−a; all 1 where None.
        noise: standard deviation τ in every direction, 0 or more; at 0 there is no density
            without added noise.
        basis_seed: seed of the k directions.
        normalized: let ``std`` be that of a coordinate on average, noise included, whatever k is;
            ``noise`` is then in units of the first direction of signal.

    Raises:
        ConfigError: for options that disagree, or lie outside their ranges.

    >>> population = LowRank(dimension=1000, intrinsic_dimension=3, noise=0.1)
    >>> population.draw(2, seed=0).shape
    torch.Size([2, 1000])
    """

    def __init__(
        self,
        dimension: int | None = None,
        intrinsic_dimension: int = 4,
        shape: list[int] | None = None,
        mean: float | list[float] = 0.0,
        std: float = 1.0,
        spectrum: float | list[float] | None = None,
        noise: float = 0.1,
        basis_seed: int = 0,
        normalized: bool = False,
    ) -> None:
        implied = {
            "dimension": dimension,
            "mean": len(mean) if isinstance(mean, list) else None,
        }
        shape_ = exact_shape("low_rank", default=64, shape=shape, implied=implied)
        d, k = math.prod(shape_), intrinsic_dimension
        if not 1 <= k <= d:
            raise ConfigError(
                f"low_rank: intrinsic_dimension = {k} does not fit into {d} dimensions",
                hint=f"give between 1 and {d}",
            )
        if isinstance(spectrum, list) and len(spectrum) != k:
            raise ConfigError(
                f"low_rank: spectrum has {len(spectrum)} values for intrinsic_dimension = {k}",
                hint=f"give {k} values",
            )
        if not 0 <= noise < math.inf:
            raise ConfigError(f"low_rank: noise = {noise} is out of range", hint="give 0 or more")
        scale, factor = positive(std, "low_rank: std"), 1.0
        signal = spectrum_values(spectrum, k, name="low_rank")
        if normalized:
            factor = scale**2 * d / (float(signal.sum()) + d * noise**2)
        else:
            signal = scale**2 * signal
        self.normal = Normal(
            mean=mean_vector(mean, d, name="low_rank: mean"),
            variances=factor * (signal + noise**2),
            basis=random_frame(d, k, basis_seed),
            floor=factor * noise**2,
        )
        options = {
            "intrinsic_dimension": k,
            "mean": mean,
            "std": std,
            "spectrum": spectrum,
            "noise": noise,
            "basis_seed": basis_seed,
            **({"normalized": True} if normalized else {}),
        }
        super().__init__("low_rank", shape_, options)


def mean_vector(mean: float | list[float], dimension: int, *, name: str) -> Tensor:
    """Return a mean for each coordinate, refusing values that are not finite."""
    vector = torch.tensor(mean, dtype=torch.float64).expand(dimension).clone()
    if not vector.isfinite().all():
        raise ConfigError(f"{name} = {mean} holds a value that is not finite")
    return vector


def positive(value: float, name: str) -> float:
    """Return a number that must be finite and above 0, refusing others by name."""
    if not 0 < value < math.inf:
        raise ConfigError(f"{name} = {value} is out of range", hint="give a number above 0")
    return value
