"""Denoisers known in closed form: the perfect memorizer and the perfect generalizer.

A trained network lies somewhere between the two, and they need no training: samplers and measures
are run on them to learn what full copying, and none, look like.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs

__all__ = ["EmpiricalDenoiser", "HasPosteriorMean", "PopulationDenoiser"]

# Float64 numbers in one tile of training images, and in one tile of weights: 64 MiB each.
_TILE = 1 << 23
_WEIGHTS = 1 << 23


class EmpiricalDenoiser:
    """The posterior mean over the training set: the minimizer of the training loss.

    D(x; σ) = Σ_i w_i x_i with w = softmax_i(−|x − x_i|²/2σ²) (Karras et al. 2022, eq. 57). Its
    samples are training images, so it is the perfect memorizer. As σ → 0 it returns the nearest
    training image, bit for bit.

    Weights and sums are float64, whatever the dtypes of ``training`` and ``x``. The square is not
    expanded as it stands: |x|² is common to all i and dropped, and the training mean is taken off
    first, so a log-weight is off by about 2⁻⁵² |x − x̄| |x_i − x̄| / σ², below 1e−6 for CIFAR-10
    at σ = 0.002. Memory beyond the training set stays below 400 MiB up to 2 million images.

    Args:
        training: the training set, (n, *shape), n of 1 or more. It is kept, not copied.

    Raises:
        DataError: for an empty training set, or one with NaN or infinity.
        ValueError: for numbers that are not floating point.

    >>> denoiser = EmpiricalDenoiser(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    >>> denoiser(torch.tensor([[2.0, 2.5]]), torch.tensor([1e-6])).tolist()
    [[3.0, 4.0]]
    """

    def __init__(self, training: Batch) -> None:
        if not training.is_floating_point():
            raise ValueError(f"training must be floating point, not {training.dtype}")
        if len(training) == 0:
            raise DataError("the training set is empty", hint="give one sample or more")
        self.shape = tuple(training.shape[1:])
        self._points = training.detach().reshape(len(training), -1)
        # By tiles throughout: one reduction over all in float64 would copy the whole set.
        tiles = (self._points[rows].double().sum(0) for rows in self._tiles())
        self._mean = sum(tiles, start=torch.zeros_like(self._points[0], dtype=torch.float64))
        self._mean /= len(training)
        if not bool(self._mean.isfinite().all()):
            raise DataError("the training set has NaN or infinite values")
        self._half_squares = torch.cat(
            [self._centred(rows).square().sum(1) / 2 for rows in self._tiles()]
        )

    def __call__(self, x: Batch, sigma: Levels) -> Batch:
        """Return the posterior mean of each sample.

        Args:
            x: the noisy batch, (batch, *shape).
            sigma: the levels, (batch,), above 0.

        Returns:
            The denoised batch, in x's shape and dtype.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma, self.shape)
        means = [self._average(self._log_weights(*part).exp()) for part in self._batches(x, sigma)]
        return torch.cat(means).to(x.dtype).reshape(x.shape)

    def log_weights(self, x: Batch, sigma: Levels) -> Float64[Tensor, "batch n"]:
        """Return ln w, the log posterior probability that x_i was the clean sample.

        The result holds batch × n numbers at once.
        """
        check_inputs(x, sigma, self.shape)
        return torch.cat([self._log_weights(*part) for part in self._batches(x, sigma)])

    def posterior_entropy(self, x: Batch, sigma: Levels) -> Float64[Tensor, " batch"]:
        """Return H(w) = −Σ_i w_i ln w_i, in nats, from 0 to ln n.

        e^H is the effective number of training images that a noisy sample could have come from:
        1 where the memorizer has collapsed onto one image, n where it sees only the mean.
        """
        check_inputs(x, sigma, self.shape)
        # entr is −w ln w, and 0 at w = 0.
        return torch.cat(
            [
                torch.special.entr(self._log_weights(*part).exp()).sum(1)
                for part in self._batches(x, sigma)
            ]
        )

    def _log_weights(self, x: Tensor, sigma: Tensor) -> Float64[Tensor, "batch n"]:
        centred = x.reshape(len(x), -1).double() - self._mean
        products = [centred @ self._centred(rows).T for rows in self._tiles()]
        logits = torch.cat(products, dim=1) - self._half_squares
        return torch.log_softmax(logits / sigma.double().square()[:, None], dim=1)

    def _average(self, weights: Float64[Tensor, "batch n"]) -> Float64[Tensor, "batch d"]:
        """Return Σ_i w_i x_i, leaving out images with weight exactly 0 throughout the batch.

        The training images are not centred here, so that a weight of exactly 1 gives back its
        image bit for bit.
        """
        average = weights.new_zeros(len(weights), self._points.shape[1])
        used = (weights > 0).any(dim=0)
        for rows in self._tiles():
            kept = used[rows].nonzero()[:, 0] + rows.start
            average = average + weights[:, kept] @ self._points[kept].double()
        return average

    def _centred(self, rows: slice) -> Float64[Tensor, "rows d"]:
        return self._points[rows].double() - self._mean

    def _tiles(self) -> Iterator[slice]:
        """Yield the rows of each tile of the training set."""
        n, dimension = self._points.shape
        size = max(1, _TILE // max(1, dimension))
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    def _batches(self, x: Tensor, sigma: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield parts of the batch whose weights fit into one tile."""
        size = max(1, _WEIGHTS // len(self._points))
        yield from zip(x.split(size), sigma.split(size), strict=True)


@runtime_checkable
class HasPosteriorMean(Protocol):
    """A population whose posterior mean is known, as far as a denoiser needs to know it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        ...

    def posterior_mean(self, x: Batch, sigma: Levels, /) -> Batch:
        """Return E[x0 | x0 + sigma·z = x] for x0 drawn from the population."""
        ...


class PopulationDenoiser:
    """The posterior mean over the whole population: the perfect generalizer.

    Args:
        population: with a ``posterior_mean(x, sigma)`` and the ``shape`` of one sample.

    >>> class Standard:
    ...     shape = (2,)
    ...     def posterior_mean(self, x, sigma):
    ...         return x / (1 + sigma[:, None] ** 2)
    >>> PopulationDenoiser(Standard())(torch.ones(1, 2), torch.ones(1)).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, population: HasPosteriorMean) -> None:
        self.population = population
        self.shape = tuple(population.shape)

    def __call__(self, x: Batch, sigma: Levels) -> Batch:
        """Return the posterior mean of each sample, in x's shape and dtype.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma, self.shape)
        return self.population.posterior_mean(x, sigma).to(x.dtype)
