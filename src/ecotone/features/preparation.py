"""What an image goes through before an encoder sees it: 8 bits, size, colour and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import interpolate

from ecotone.core.errors import ConfigError, DataError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Preparation", "pair"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet in [0, 1], by channel: what most encoders were trained with."""


@dataclass(frozen=True)
class Preparation:
    """Images as an encoder was trained to see them.

    In this order: values are brought from ``value_range`` to 0 … 255, cut there and rounded to
    whole numbers, as saving them as PNG would do, so that a difference which no image file can hold
    is not seen; divided by 255; resized to ``size``, whatever their sides were, by the bicubic
    filter (a = −½) that averages when it reduces, and cut to [0, 1] again, which it can overshoot;
    a grey channel is repeated as often as the encoder has channels; and x becomes (x − mean)/std.

    Args:
        size: height and width, in pixels.
        mean: of each channel, in units of [0, 1]; as many as the encoder has channels, 1 or 3.
        std: of each channel, likewise.
        value_range: lowest and highest value of the data. None is (-1, 1) for data that reach
            below 0: others might as well lie in [0, 1], and are refused until it is said.

    Raises:
        ConfigError: for sizes below 1, another number of channels, a standard deviation or a range
            that is not positive.

    >>> prepared = Preparation((2, 2), mean=(0.5,), std=(0.5,))
    >>> images = torch.tensor([-1.0, 0.0, 1.0, 7.0]).reshape(1, 1, 2, 2)
    >>> prepared(images).flatten().round(decimals=3)
    tensor([-1.0000,  0.0040,  1.0000,  1.0000])
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ConfigError(f"size = {self.size} is too small", hint="give 1 pixel or more")
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise ConfigError(
                f"mean = {list(self.mean)} and std = {list(self.std)} are not of 1 channel or 3",
                hint=f"ImageNet's are mean={list(IMAGENET_MEAN)}, std={list(IMAGENET_STD)}",
            )
        if min(self.std) <= 0:
            raise ConfigError(f"std = {list(self.std)} is not positive", hint="give it in [0, 1]")
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ConfigError(
                f"value_range = {list(self.value_range)} is empty", hint="give [lowest, highest]"
            )

    def check(self, images: Float[Tensor, " n *shape"]) -> None:
        """Refuse real images that this preparation would spoil.

        Generated images are not held to it: values beyond the range are cut, as when saved.

        Raises:
            DataError: for what is no image, colour where the encoder sees grey, values outside the
                range, or a range that is not said and cannot be told.
        """
        self._check_shape(images)
        low, high = float(images.min()), float(images.max())
        least, most = self._range
        # Half a grey level: what rounding puts right.
        slack = (most - least) / 510
        if low < least - slack or high > most + slack:
            raise DataError(
                f"images with values from {low:g} to {high:g} do not lie in [{least:g}, {most:g}]",
                hint="set value_range to the lowest and highest value of the data",
            )
        if self.value_range is None and low >= 0:
            raise DataError(
                f"images with values from {low:g} to {high:g} may lie in [0, 1] or in [-1, 1]",
                hint="set value_range=[0,1], or value_range=[-1,1]",
            )

    def __call__(
        self, images: Float[Tensor, " n *shape"]
    ) -> Float32[Tensor, "n channels height width"]:
        """Return images as the encoder takes them.

        Raises:
            DataError: for what is no image, and colour where the encoder sees grey.
        """
        self._check_shape(images)
        low, high = self._range
        # Whole numbers by float64, so that the type of the data does not decide how a value rounds.
        levels = ((images.detach().double() - low) * (255 / (high - low))).round().clamp(0, 255)
        pixels = levels.float() / 255
        if tuple(pixels.shape[2:]) != self.size:
            pixels = interpolate(
                pixels, self.size, mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, 1)
        mean, std = (
            torch.tensor(values, device=pixels.device).view(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        # A single grey channel is repeated by broadcasting.
        return (pixels - mean) / std

    def describe(self) -> dict[str, Any]:
        """Return what is done, in plain values."""
        return {
            "value_range": list(self._range),
            "quantized": "8 bits",
            "size": list(self.size),
            "resize": "bicubic, antialiased, sides as they come",
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @property
    def _range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.value_range is None else self.value_range

    def _check_shape(self, images: Tensor) -> None:
        channels = len(self.mean)
        if images.ndim != 4 or images.shape[1] not in (1, channels):
            raise DataError(
                f"images of shape {tuple(images.shape)} are not (n, channels, height, width) with "
                f"{'1 channel' if channels == 1 else f'1 channel or {channels}'}",
                hint="take an encoder for them, or the features 'pixels' or 'pca'",
            )


def pair(value: Sequence[float] | None) -> tuple[float, float] | None:
    """Return a range as a user's list gives it.

    Raises:
        ConfigError: for another number of entries than two.

    >>> pair([0, 1])
    (0.0, 1.0)
    """
    if value is None:
        return None
    if len(value) != 2:
        raise ConfigError(f"value_range = {list(value)} is no pair", hint="give [lowest, highest]")
    return float(value[0]), float(value[1])
