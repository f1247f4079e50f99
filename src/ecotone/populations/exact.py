"""Populations whose density is known in closed form at every noise level."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.records import content_hash
from ecotone.core.seeds import derive, sample_seeds
from ecotone.populations.base import Split, check_counts

__all__ = ["ExactPopulation", "exact_shape"]


class ExactPopulation(ABC):
    """Endless independent samples of a density that is known in closed form, at every noise level.

    Item i of a seed has its own stream of random numbers and a name that tells i. Training items
    are the even ones and holdout items the odd ones, so neither depends on the size of the other.

    Args:
        name: of the population.
        shape: of one item; the mathematics runs on flat float64 vectors.
        options: the parameters, as plain values; the fingerprint is their hash.
    """

    size: int | None = None
    value_range: tuple[float, float] | None = None

    def __init__(self, name: str, shape: Sequence[int], options: Mapping[str, Any]) -> None:
        self.name = name
        self.shape = tuple(shape)
        self.dimension = math.prod(shape)
        self.options = dict(options)
        self.fingerprint = content_hash(name, {"shape": list(shape), **self.options})

    @abstractmethod
    def _sample(self, seeds: Sequence[int]) -> Float64[Tensor, "batch dimension"]:
        """Draw one flat sample per seed."""

    @abstractmethod
    def _log_density(
        self, x: Float64[Tensor, "batch dimension"], sigma: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, " batch"]:
        """Return the log density of noised flat samples."""

    @abstractmethod
    def _posterior_mean(
        self, x: Float64[Tensor, "batch dimension"], sigma: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, "batch dimension"]:
        """Return the posterior mean given noised flat samples."""

    @abstractmethod
    def _stream(self, n: int, stream: np.random.Generator) -> Float64[Tensor, "n dimension"]:
        """Draw n flat samples from one stream, one after the other."""

    @property
    @abstractmethod
    def std(self) -> float:
        """Standard deviation of a coordinate: √(tr Σ / d), Σ the covariance of the data."""

    def stream(self, n: int, seed: int) -> Float64[Tensor, "n dimension"]:
        """Return n flat samples in float64, all from one stream of random numbers.

        The first k are the same whatever n is, as in :meth:`draw`, and the law is the same; but
        without a stream of its own for each sample it is 15 times faster, which experiments that
        draw thousands of sets live on.

        Raises:
            ConfigError: for n below 1.
        """
        if n < 1:
            raise ConfigError(f"cannot draw {n} samples of {self.name}", hint="set n to 1 or more")
        bits = np.random.SFC64(derive(seed, self.name, "stream"))
        return self._stream(n, np.random.Generator(bits))

    def draw(self, n: int, seed: int) -> Float[Tensor, " n *shape"]:
        """Return n samples; the first k are the same whatever n is, and none are in a split.

        Raises:
            ConfigError: for n below 1.
        """
        if n < 1:
            raise ConfigError(f"cannot draw {n} samples of {self.name}", hint="set n to 1 or more")
        return self._items(sample_seeds(n, seed, self.name, "draw"))

    def split(self, n: int, holdout: int, seed: int) -> Split:
        """Return n samples to train on and ``holdout`` others.

        Raises:
            ConfigError: for n or holdout below 2.
        """
        check_counts(n, holdout)
        indices = {"training": range(0, 2 * n, 2), "holdout": range(1, 2 * holdout, 2)}
        items = {
            side: self._items([derive(seed, self.name, "split", index) for index in numbers])
            for side, numbers in indices.items()
        }
        ids = {
            side: tuple(f"{self.name}-{index:07d}" for index in numbers)
            for side, numbers in indices.items()
        }
        return Split(items["training"], items["holdout"], ids["training"], ids["holdout"])

    def log_density(
        self, x: Float[Tensor, " batch *shape"], sigma: Float[Tensor, " batch"]
    ) -> Float64[Tensor, " batch"]:
        """Return log p_σ(x), the density (in nats) of x = x0 + σ z with z ~ N(0, I).

        Args:
            x: noised samples.
            sigma: noise level of each, 0 or more; 0 asks for the density of the data.

        Returns:
            Float64 whatever x is: a sum over dimensions loses its digits in float32.
        """
        return self._log_density(self._flat(x), sigma.to(torch.float64))

    def posterior_mean(
        self, x: Float[Tensor, " batch *shape"], sigma: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch *shape"]:
        """Return E[x0 | x0 + σ z = x], computed in float64 and returned in the dtype of x.

        By Tweedie's formula it is x + σ² ∇ log p_σ(x).
        """
        mean = self._posterior_mean(self._flat(x), sigma.to(torch.float64))
        return mean.reshape(x.shape).to(x.dtype)

    def denoiser(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the perfect generalizer: the posterior mean as a denoiser."""
        return self.posterior_mean

    def _flat(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"{self.name} has items of shape {self.shape}, not {x.shape[1:]}")
        return x.flatten(1).to(torch.float64)

    def _items(self, seeds: Sequence[int]) -> Tensor:
        return self._sample(seeds).reshape(len(seeds), *self.shape).to(torch.float32)


def exact_shape(
    name: str,
    *,
    default: int,
    shape: Sequence[int] | None,
    implied: Mapping[str, int | None],
) -> tuple[int, ...]:
    """Return the shape that a population's options agree on.

    Args:
        name: of the population, for errors.
        default: dimension where nothing says it.
        shape: the option of that name, or None.
        implied: option name to the dimension it implies, None where it implies none.

    Raises:
        ConfigError: where two options imply different dimensions, or one below 1.
    """
    said = {option: number for option, number in implied.items() if number is not None}
    if shape is not None:
        if not shape or min(shape) < 1:
            raise ConfigError(f"{name}: shape = {list(shape)} holds no value")
        said["shape"] = math.prod(shape)
    if len(set(said.values())) > 1:
        listed = " but ".join(f"{option} makes {number}" for option, number in said.items())
        raise ConfigError(
            f"{name}: the options disagree about the dimension: {listed}",
            hint="give one of them, or mend the others",
        )
    dimension = next(iter(said.values()), default)
    if dimension < 1:
        raise ConfigError(f"{name}: dimension = {dimension} is too small", hint="give 1 or more")
    return tuple(shape) if shape is not None else (dimension,)
