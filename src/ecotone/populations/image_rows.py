"""Labelled images of one size as files hold them, not decoded before they are asked for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ecotone.core.errors import DataError

__all__ = ["ImageRows", "check_labels", "decode_images", "numbered", "read_bytes"]

# Named formats only: no file can call for a reader that runs another program.
_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True)
class ImageRows:
    """Images that lie in files, with what is known of them before their pixels are read.

    Args:
        labels: the number of each image's class.
        ids: one name per image, which leads back to where it lies.
        read: returns the pixels of the rows it is given, (rows, channels, height, width).
    """

    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]]


def read_bytes(file: Path) -> bytes:
    """Return what a file holds.

    Raises:
        DataError: where it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read {file}: {error.strerror or error}", hint="mend it, or its permissions"
        ) from error


def numbered(part: str, labels: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """Return an id for every row of a part: its number, counted from 0, and its class.

    >>> numbered("train", np.array([1, 0]), ["cat", "dog"])
    ('train/00000 dog', 'train/00001 cat')
    """
    return tuple(f"{part}/{row:05d} {classes[label]}" for row, label in enumerate(labels.tolist()))


def check_labels(labels: NDArray[np.int64], classes: Sequence[str], file: Path) -> None:
    """Refuse labels that are the number of no class, naming the first.

    Raises:
        DataError: for a label below 0 or above the last class's.
    """
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{file}, row {row}: label {labels[row]} is none of 0 to {len(classes) - 1}",
            hint=f"it should be one of {len(classes)} classes: is this another data set?",
        )


def decode_images(
    encoded: Sequence[bytes], place: Callable[[int], str], *, height: int, width: int
) -> NDArray[np.uint8]:
    """Return PNG or JPEG images as (images, 3, height, width), without any conversion of pixels.

    Args:
        encoded: the bytes of one file each.
        place: tells where the image of an index was found, for errors.
        height: that every image must have, in pixels.
        width: that every image must have, in pixels.

    Raises:
        DataError: for an image that is neither PNG nor JPEG, is damaged, has another size, several
            frames, or other channels than 8 bits each of red, green and blue.

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (3, 2), (1, 2, 255)).save(file, "PNG")
    >>> decode_images([file.getvalue()], str, height=2, width=3)[0, :, 0, 0].tolist()
    [1, 2, 255]
    """
    flat: list[bytes] = []
    with warnings.catch_warnings():
        # Pillow warns of damaged files by one, and of decompression bombs by the other.
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        for index, data in enumerate(encoded):
            try:
                with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                    # A header of the wrong kind is refused before anything is decoded.
                    fault = _fault(opened, height, width)
                    if fault is None:
                        flat.append(opened.tobytes())
            except Exception as error:  # Pillow's readers raise many kinds for damaged files
                # What Pillow says of bytes it cannot identify names an object in memory.
                told = "neither PNG nor JPEG" if "cannot identify" in str(error) else str(error)
                raise DataError(
                    f"cannot read {place(index)} as an image: {told}",
                    hint="remove it or mend it",
                ) from error
            if fault is not None:
                raise DataError(
                    f"{place(index)} is {fault}",
                    hint=f"give still images of {width}×{height} pixels (width×height) with 8 "
                    "bits each of red, green and blue; `folder` takes others",
                )
    pixels = np.frombuffer(b"".join(flat), dtype=np.uint8)
    return pixels.reshape(len(flat), height, width, 3).transpose(0, 3, 1, 2)


def _fault(opened: Image.Image, height: int, width: int) -> str | None:
    """Return what is wrong with an image whose header has been read."""
    if opened.size != (width, height):
        return f"{opened.width}×{opened.height} pixels (width×height), not {width}×{height}"
    if opened.mode != "RGB":
        return f"of mode {opened.mode}, not RGB"
    if "transparency" in opened.info:
        return "RGB with a transparent colour"
    # Pillow cuts the 16 bits a channel of a PNG down to 8 and says so only here.
    tiles = getattr(opened, "tile", [])
    if opened.format == "PNG" and tiles and "16" in str(tiles[0][3]):
        return "RGB of 16 bits a channel"
    # The second picture of a camera's MPO is a preview or another view of the first.
    if opened.format != "MPO" and getattr(opened, "n_frames", 1) != 1:
        return "of more than one frame"
    return None
