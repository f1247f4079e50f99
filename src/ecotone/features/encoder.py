"""What all encoders share: batches, checks of what comes out, hashes of weights."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.records import content_hash

__all__ = ["Encoder", "check_device", "check_images", "file_hash", "optional", "state_hash"]

# Batches of other sizes round differently: far below this share of the largest feature, and far
# above it where a network is in training mode.
_SAME = 1e-2


class Encoder(ABC):
    """A feature space whose features a network computes, image by image.

    Features do not depend on the batch but by rounding. Weights are loaded when they are first
    needed, by ``fit`` at the latest.

    Args:
        batch_size: how many images the network sees at once.

    Raises:
        ConfigError: for a batch size below 1.
    """

    costly: ClassVar[bool] = True
    """Whether features are worth keeping, see :mod:`ecotone.features.cache`."""

    def __init__(self, batch_size: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size = {batch_size} is too small", hint="give 1 or more")
        self.batch_size = batch_size

    def fit(self, images: Float[Tensor, " n *shape"]) -> Encoder:
        """Return itself, tried on the first two images: an encoder needs no fitting.

        Raises:
            DataError: for images that the encoder cannot take.
            ConfigError: where an image has other features when asked again, or beside another.
        """
        check_images(images)
        self._check(images)
        together = self(images[:2])
        for row in range(len(together)):
            alone = self(images[row : row + 1])[0]
            gap = float((alone - together[row]).abs().max())
            if gap > _SAME * float(together.abs().max()):
                raise ConfigError(
                    f"the encoder gives image {row} features that differ by {gap:.2g} when asked "
                    "again, or beside another image",
                    hint="have it in evaluation mode, model.eval(), and without random numbers",
                )
        return self

    def __call__(self, images: Float[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return one row of features an image, in float64, where the images are.

        Raises:
            DataError: for no images, images that the encoder cannot take or that are not finite,
                and features that are not finite or not one row an image.
        """
        check_images(images)
        parts: list[Tensor] = []
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            with torch.no_grad():
                rows = self._rows(self._encode(batch.detach()), len(batch), start)
            if parts and rows.shape[1] != parts[0].shape[1]:
                raise DataError(
                    f"the encoder gives {parts[0].shape[1]} features of some images and "
                    f"{rows.shape[1]} of others",
                    hint="have it return as many of each image",
                )
            parts.append(rows.to(images.device))
        return torch.cat(parts)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what was done, with hashes of the weights, in plain values."""

    @abstractmethod
    def _encode(self, batch: Tensor) -> Tensor:
        """Return the features of a batch as the network gives them."""

    def _check(self, images: Tensor) -> None:  # noqa: B027 as most functions take any
        """Refuse real images that the encoder cannot take."""

    def _rows(self, features: Tensor, count: int, start: int) -> Tensor:
        """Return features as float64 rows, once they are what they must be."""
        if features.ndim > 2 and all(side == 1 for side in features.shape[2:]):
            features = features.flatten(1)  # an average over places keeps axes of length 1
        if features.ndim != 2 or len(features) != count or not features.shape[1]:
            raise DataError(
                f"the encoder gives features of shape {tuple(features.shape)} for {count} images",
                hint=f"have it return ({count}, dimension): one row an image",
            )
        if features.is_complex():
            raise DataError("the encoder gives complex features", hint="have it return real ones")
        rows = features.double()
        _check_finite(rows, "the features of image", start, "look at how the encoder makes them")
        return rows


def check_images(images: Tensor) -> None:
    """Refuse what has no features.

    Raises:
        DataError: for no images, images of no values, and values that are not finite.
    """
    if images.ndim < 2 or not images.numel():
        raise DataError(
            f"there are no features of images of shape {tuple(images.shape)}",
            hint="give at least one image of at least one value",
        )
    _check_finite(images, "image", 0, "leave it out, or look at how it was made")


def check_device(device: str) -> str:
    """Return a device's name if something can be computed there.

    Raises:
        ConfigError: where nothing can.
    """
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"device = {device} cannot be used: {error}", hint="set device=cpu"
        ) from error
    return device


def optional(name: str, install: str) -> Any:
    """Import a package that ecotone can do without.

    Args:
        name: of the package.
        install: what to type to have it.

    Raises:
        ConfigError: where it is not installed, or cannot be imported.
    """
    try:
        return import_module(name)
    # A package whose own needs are not met fails in more ways than by ImportError.
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot be imported: {error}", hint=install) from error


def file_hash(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` has it; of several, that of theirs.

    Raises:
        DataError: where one cannot be read.
    """
    digests = []
    for file in files:
        try:
            with file.open("rb") as opened:
                digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    return digests[0] if len(digests) == 1 else content_hash(*digests)


def state_hash(module: torch.nn.Module) -> str:
    """Return a hash of a module's parameters and buffers: names, types, shapes and bytes."""
    parts: list[bytes | str] = []
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            data = tensor.detach().cpu().contiguous()
            parts += [f"{name} {data.dtype} {tuple(data.shape)}"]
            parts += [data.reshape(-1).view(torch.uint8).numpy().tobytes()]
    return content_hash(*parts)


def _check_finite(values: Tensor, what: str, start: int, hint: str) -> None:
    finite = torch.isfinite(values).flatten(1).all(dim=1)
    if not bool(finite.all()):
        index = start + int((~finite).int().argmax())
        holds = "hold" if what.startswith("the") else "holds"
        raise DataError(f"{what} {index} {holds} NaN or an infinity", hint=hint)
