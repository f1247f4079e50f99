"""Mixtures of Gaussians with any weights, means and covariances."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import helmert
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import normal
from ecotone.populations.exact import ExactPopulation, exact_shape
from ecotone.populations.gaussian import mean_vector, positive
from ecotone.populations.normal import Normal, random_frame

__all__ = ["Mixture", "simplex"]


class Mixture(ExactPopulation):
    """Σ_k w_k N(m_k, std² Σ_k), given in full or derived from a few numbers.

    Derived: ``components`` equal weights and identity covariances, with means that are all
    ``separation`` apart from one another and turned at random by ``seed``.

    Args:
        components: K; where None, as many as there are means or weights, else 2.
        dimension: d; where None, what the other options make it, else 16.
        separation: distance between any two derived means, 0 or more.
        std: scale of every component, above 0.
        seed: of the random rotation of derived means.
        shape: shape of one item, in place of ``dimension``.
        weights: w_k, above 0 and of sum 1; equal where None.
        means: m_k, K rows of d numbers; derived where None.
        covariances: Σ_k, K matrices of d rows of d numbers; identities where None.

    Raises:
        ConfigError: for options that disagree, weights that are no shares, more derived components
            than d + 1 (no more points can all be equally far apart), or a matrix that is no
            covariance.

    >>> pair = Mixture(means=[[-3.0], [3.0]], std=0.5)
    >>> pair.posterior_mean(torch.tensor([[2.0]]), torch.tensor([0.0]))
    tensor([[2.]])
    >>> pair.posterior_mean(torch.tensor([[0.0]]), torch.tensor([2.0]))
    tensor([[0.]])
    """

    def __init__(
        self,
        components: int | None = None,
        dimension: int | None = None,
        separation: float = 4.0,
        std: float = 1.0,
        seed: int = 0,
        shape: list[int] | None = None,
        weights: list[float] | None = None,
        means: list[list[float]] | None = None,
        covariances: list[list[list[float]]] | None = None,
    ) -> None:
        given = {"components": components, "weights": weights, "means": means}
        given["covariances"] = covariances
        counts = {
            option: value if isinstance(value, int) else len(value)
            for option, value in given.items()
            if value is not None
        }
        if len(set(counts.values())) > 1 or 0 in counts.values():
            listed = ", ".join(f"{option} make {count}" for option, count in counts.items())
            raise ConfigError(
                f"mixture: how many components? {listed}", hint="give as many of each"
            )
        K = next(iter(counts.values()), 2)
        implied = {
            "dimension": dimension,
            **{f"means[{k}]": len(mean) for k, mean in enumerate(means or [])},
            **{f"covariances[{k}]": len(matrix) for k, matrix in enumerate(covariances or [])},
        }
        shape_ = exact_shape("mixture", default=16, shape=shape, implied=implied)
        d, scale = math.prod(shape_), positive(std, "mixture: std")
        if means is None:
            centres = simplex(K, d, separation, seed)
        else:
            centres = torch.stack(
                [mean_vector(m, d, name=f"mixture: means[{k}]") for k, m in enumerate(means)]
            )
        self.weights = _shares(weights or [1 / K] * K)
        self.components = tuple(
            _component(centres[k], None if covariances is None else covariances[k], scale, k)
            for k in range(K)
        )
        options = {
            "components": K,
            "separation": separation if means is None else None,
            "std": std,
            "seed": seed if means is None else None,
            "weights": weights,
            "means": means,
            "covariances": covariances,
        }
        super().__init__("mixture", shape_, options)

    def _sample(self, seeds: Sequence[int]) -> Tensor:
        # The component is chosen by a third draw of each stream, made uniform by Φ.
        uniform = torch.special.ndtr(normal(seeds, (1,), index=2, dtype=torch.float64))[:, 0]
        edges = self.weights.cumsum(0)[:-1]
        chosen = torch.searchsorted(edges, uniform, right=True).numpy()
        x = torch.empty(len(seeds), self.dimension, dtype=torch.float64)
        for k, component in enumerate(self.components):
            rows = np.flatnonzero(chosen == k)
            if len(rows):
                x[torch.from_numpy(rows)] = component.sample([seeds[row] for row in rows.tolist()])
        return x

    def _stream(self, n: int, stream: np.random.Generator) -> Tensor:
        # Each sample's component is drawn before any of the samples, from a stream of its own.
        chooser, *drawers = stream.spawn(1 + len(self.components))
        uniform = torch.from_numpy(chooser.random(n))
        chosen = torch.searchsorted(self.weights.cumsum(0)[:-1], uniform, right=True)
        x = torch.empty(n, self.dimension, dtype=torch.float64)
        for k, (component, drawer) in enumerate(zip(self.components, drawers, strict=True)):
            rows = chosen == k
            x[rows] = component.stream(int(rows.sum()), drawer)
        return x

    @property
    def std(self) -> float:
        """Standard deviation of a coordinate, the spread of the components' means included."""
        means = torch.stack([component.mean for component in self.components])
        centre = self.weights @ means
        within = [float(component.total_variance) for component in self.components]
        total = float(self.weights @ torch.tensor(within, dtype=torch.float64))
        total += float(self.weights @ (means - centre).square().sum(1))
        return math.sqrt(total / self.dimension)

    def _log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self._joint(x, sigma).logsumexp(1)

    def _posterior_mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return Σ_k ρ_k E[x0 | x, k] with responsibilities ρ_k ∝ w_k N(x; m_k, Σ_k + σ² I)."""
        responsibilities = self._joint(x, sigma).softmax(1)
        means = torch.stack([part.posterior_mean(x, sigma) for part in self.components], 1)
        return (responsibilities[:, :, None] * means).sum(1)

    def _joint(self, x: Tensor, sigma: Tensor) -> Float64[Tensor, "batch components"]:
        parts = [part.log_density(x, sigma) for part in self.components]
        return torch.stack(parts, 1) + self.weights.to(x.device).log()


def simplex(
    components: int, dimension: int, separation: float, seed: int
) -> Float64[Tensor, "components dimension"]:
    """Return points around 0 that are all ``separation`` apart, turned at random by a seed.

    The columns of a Helmert matrix without its first row are the corners of a regular simplex of
    edge √2.

    Raises:
        ConfigError: for more than dimension + 1 components, or a negative separation.

    >>> torch.pdist(simplex(3, 4, 2.0, seed=0)).round(decimals=6)
    tensor([2., 2., 2.], dtype=torch.float64)
    """
    if not 1 <= components <= dimension + 1:
        raise ConfigError(
            f"mixture: {components} components cannot all be equally far apart in "
            f"{dimension} dimensions",
            hint=f"set components to between 1 and {dimension + 1}, or give population.means",
        )
    if not 0 <= separation < math.inf:
        raise ConfigError(
            f"mixture: separation = {separation} is out of range", hint="give 0 or more"
        )
    if components == 1:
        return torch.zeros(1, dimension, dtype=torch.float64)
    corners = torch.from_numpy(helmert(components).T * (separation / math.sqrt(2)))
    return corners @ random_frame(dimension, components - 1, seed).T


def _component(mean: Tensor, covariance: list[list[float]] | None, std: float, k: int) -> Normal:
    if covariance is None:
        return Normal(mean, torch.full_like(mean, std**2))
    unit = Normal.from_covariance(mean, covariance, name=f"mixture: covariances[{k}]")
    return Normal(mean, std**2 * unit.variances, unit.basis)


def _shares(weights: list[float]) -> Float64[Tensor, " components"]:
    values = torch.tensor(weights, dtype=torch.float64)
    total = float(values.sum())
    if not float(values.min()) > 0 or not abs(total - 1) < 1e-6:
        raise ConfigError(
            f"mixture: weights = {weights} are not shares: their sum is {total:.6g}",
            hint="give numbers above 0 whose sum is 1",
        )
    return values / total
