"""What may have been done to a copy of whatever shape: nothing, a blend, noise, another tone.

A transform is a frozen dataclass of its options, called on data in floating point. What it draws by
chance it draws from one seed an image, so that an image's copy is the same in any batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import normal

__all__ = ["Blend", "Exact", "Images", "Noise", "Tone", "Transform", "ValueRange"]

ValueRange = tuple[float, float] | None
"""Lowest and highest value that the data can hold; None for no bounds."""

Images = Float[Tensor, " n *shape"]
"""As many images as are to be copied."""


@runtime_checkable
class Transform(Protocol):
    """What is done to training images before they stand among generated ones."""

    def __call__(
        self, images: Images, *, fresh: Images, seeds: Sequence[int], value_range: ValueRange
    ) -> Images:
        """Return each image, transformed.

        Args:
            images: to copy.
            fresh: as many that are no copies: those whose places the copies take.
            seeds: one an image.
            value_range: of the data. Results may overshoot it; whoever plants them cuts them.
        """
        ...


@dataclass(frozen=True)
class Exact:
    """Every value as it is; of any shape."""

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,  # noqa: ARG002
    ) -> Images:
        """Return the images."""
        return images.clone()


@dataclass(frozen=True)
class Blend:
    """A mixture with the image whose place it takes, which is no copy; of any shape.

    Args:
        weight: of the copy, above 0 and below 1.

    Raises:
        ConfigError: for a weight out of range.
    """

    weight: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ConfigError(f"weight = {self.weight} is no blend", hint="give one within 0 and 1")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,  # noqa: ARG002
    ) -> Images:
        """Return weight · image + (1 − weight) · fresh."""
        return self.weight * images + (1 - self.weight) * fresh


@dataclass(frozen=True)
class Noise:
    """Independent normal noise on every value; of any shape.

    Args:
        sigma: its standard deviation in units of half the range of values, which are those of
            images in [−1, 1]; in the units of the data where these have no range.

    Raises:
        ConfigError: for a standard deviation that is not above 0.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise ConfigError(f"sigma = {self.sigma} is no noise", hint="give a number above 0")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],
        value_range: ValueRange,
    ) -> Images:
        """Return the images with noise."""
        noise = normal(seeds, images.shape[1:], dtype=images.dtype, device=images.device)
        return images + self.sigma * _half(value_range) * noise


@dataclass(frozen=True)
class Tone:
    """Less contrast and more light, or the reverse; of any shape.

    Args:
        contrast: factor of the differences from an image's own mean, above 0.
        brightness: added, in units of half the range of values, or of the data without one.

    Raises:
        ConfigError: for a contrast that is not above 0.
    """

    contrast: float = 0.8
    brightness: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.contrast < math.inf:
            raise ConfigError(f"contrast = {self.contrast} is none", hint="give a number above 0")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,
    ) -> Images:
        """Return mean + contrast · (image − mean) + brightness."""
        mean = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
        return mean + self.contrast * (images - mean) + self.brightness * _half(value_range)


def _half(value_range: ValueRange) -> float:
    return 1.0 if value_range is None else (value_range[1] - value_range[0]) / 2
