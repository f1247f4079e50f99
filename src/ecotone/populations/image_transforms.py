"""What may have been done to a copy of an image: JPEG, a shift, a crop, a flip."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import generator
from ecotone.populations.transforms import Images, ValueRange

__all__ = ["Crop", "Flip", "Jpeg", "Shift"]

_WAYS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Right, down, left and up."""


@dataclass(frozen=True)
class Jpeg:
    """Rounded to 8 bits, saved as JPEG and read back, by Pillow.

    Args:
        quality: 1 to 95; 75 is Pillow's own default. Colour is sampled at half the resolution, as
            it is by default (4:2:0).

    Raises:
        ConfigError: for a quality out of range.
    """

    quality: int = 75

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:
            raise ConfigError(f"quality = {self.quality} is no JPEG's", hint="give 1 to 95")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,
    ) -> Images:
        """Return the images as their files hold them.

        Raises:
            DataError: for what is no image of one channel or three, or has no range of values.
        """
        _check_images(images, "jpeg")
        if images.shape[1] not in (1, 3):
            raise DataError(f"a JPEG holds 1 channel or 3, not {images.shape[1]}")
        if value_range is None:
            raise DataError(
                "data without a range of values cannot be saved as JPEG",
                hint="say the range of values, or leave out the transform jpeg",
            )
        low, high = value_range
        levels = ((images - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
        decoded = np.stack([_through_jpeg(one.numpy(), self.quality) for one in levels.cpu()])
        found = torch.from_numpy(decoded).to(images.device, images.dtype)
        # Whole numbers where the range is, so that each level is rounded once, as data's own are.
        return (low * (255 - found) + high * found) / 255


@dataclass(frozen=True)
class Shift:
    """Moved left, right, up or down by chance; the edge that is left open repeats its neighbour.

    Args:
        pixels: how far, 1 or more.

    Raises:
        ConfigError: for fewer than one pixel.
    """

    pixels: int = 1

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ConfigError(f"pixels = {self.pixels} is no shift", hint="give 1 or more")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],
        value_range: ValueRange,  # noqa: ARG002
    ) -> Images:
        """Return the images, moved.

        Raises:
            DataError: for what is no image, or one that is not larger than the shift.
        """
        _check_images(images, "shift")
        height, width = images.shape[2:]
        if min(height, width) <= self.pixels:
            raise DataError(
                f"images of {height}×{width} pixels cannot be shifted by {self.pixels}",
                hint="set pixels to less than their side",
            )
        room = self.pixels
        padded = pad(images, (room,) * 4, mode="replicate")
        moved = torch.empty_like(images)
        for index, seed in enumerate(seeds):
            down, right = _WAYS[int(generator(seed, "shift").integers(4))]
            top, left = room * (1 - down), room * (1 - right)
            moved[index] = padded[index, :, top : top + height, left : left + width]
        return moved


@dataclass(frozen=True)
class Crop:
    """The middle of the image, brought back to its size by Pillow.

    Args:
        share: of each side that is kept, between 0 and 1; the cut may fall within a pixel.
        filter: how it is resized.

    Raises:
        ConfigError: for a share out of range.
    """

    share: float = 7 / 8
    filter: Literal["bilinear", "lanczos"] = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"share = {self.share} is no crop", hint="give one within 0 and 1")

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,  # noqa: ARG002
    ) -> Images:
        """Return the middles of the images.

        Raises:
            DataError: for what is no image.
        """
        _check_images(images, "crop")
        height, width = images.shape[2:]
        top, left = height * (1 - self.share) / 2, width * (1 - self.share) / 2
        box = (left, top, width - left, height - top)
        how = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}
        planes = images.float().cpu().numpy().reshape(-1, height, width)
        resized = [
            np.asarray(Image.fromarray(plane).resize((width, height), how[self.filter], box=box))
            for plane in planes
        ]
        return torch.from_numpy(np.stack(resized)).reshape(images.shape).to(images)


@dataclass(frozen=True)
class Flip:
    """Left and right exchanged."""

    def __call__(
        self,
        images: Images,
        *,
        fresh: Images,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        value_range: ValueRange,  # noqa: ARG002
    ) -> Images:
        """Return the mirror images.

        Raises:
            DataError: for what is no image.
        """
        _check_images(images, "flip")
        return images.flip(-1)


def _check_images(images: Tensor, name: str) -> None:
    if images.ndim != 4:
        raise DataError(
            f"items of shape {tuple(images.shape[1:])} are no images to {name}: an image is "
            "(channels, height, width)",
            hint="take the transforms exact, blend, noise and tone, which any shape can have",
        )


def _through_jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    """Return an image (channels, height, width) in uint8 as its JPEG file holds it."""
    grey = len(levels) == 1
    picture = Image.fromarray(
        levels[0] if grey else np.ascontiguousarray(levels.transpose(1, 2, 0))
    )
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file))
    return decoded[None] if grey else decoded.transpose(2, 0, 1)
