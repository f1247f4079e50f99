"""CIFAR-10's own files, binary or pickled, as its authors and torchvision lay them out.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009); the files are
described on https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecotone.core.errors import DataError
from ecotone.populations.image_rows import ImageRows, check_labels, numbered, read_bytes
from ecotone.populations.plain_pickles import read_plain_pickle

__all__ = ["batch_files", "missing_batches", "read_batches"]

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}


def batch_files(folder: Path) -> dict[str, list[Path]]:
    """Return the batches in a folder by part: the binary ones, or else the pickled ones."""
    for suffix in (".bin", ""):
        found: dict[str, list[Path]] = {}
        for part, names in _BATCHES.items():
            files = [folder / f"{name}{suffix}" for name in names]
            if present := [file for file in files if file.is_file()]:
                found[part] = present
        if found:
            return found
    return {}


def missing_batches(files: Sequence[Path], part: str) -> list[str]:
    """Return the names of the files that one part has besides these.

    >>> missing_batches([Path(f"data_batch_{number}.bin") for number in (1, 2, 3, 5)], "train")
    ['data_batch_4.bin']
    """
    suffix, present = files[0].suffix, {file.name for file in files}
    return [name for name in (f"{stem}{suffix}" for stem in _BATCHES[part]) if name not in present]


def read_batches(files: Sequence[Path], part: str, classes: Sequence[str]) -> ImageRows:
    """Return the images of one part's batches, in their order.

    An id is the row, counted through the part's batches as torchvision counts, and the class:
    ``train/00042 dog``.

    Args:
        files: batches. Those that end in ``.bin`` hold, for every image, one byte of label and 3072
            of its red, green and blue planes; others are pickles of a dictionary with the planes
            under ``data`` and whole numbers under ``labels``, which are read but never unpickled.
        part: of the data set, for the ids.
        classes: names of the labels.

    Raises:
        DataError: for a file that is truncated or anything else, or a label without a class.
    """
    batches = [_binary(file) if file.suffix == ".bin" else _pickled(file) for file in files]
    for file, (labels, _) in zip(files, batches, strict=True):
        check_labels(labels, classes, file)
    labels = np.concatenate([labels for labels, _ in batches])

    def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.concatenate([pixels for _, pixels in batches])[rows].reshape(-1, *_SHAPE)

    return ImageRows(labels, numbered(part, labels, classes), read)


def _binary(file: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    data = read_bytes(file)
    if not data or len(data) % (1 + _PIXELS):
        raise DataError(
            f"{file} has {len(data)} bytes, which is no multiple of {1 + _PIXELS} (a label and "
            "the pixels of one image): it is truncated, or no batch of CIFAR-10",
            hint="fetch it again",
        )
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 0].astype(np.int64), rows[:, 1:]


def _pickled(file: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    hint = "fetch it again; pickles could run code, so only plain batches of CIFAR-10 are read"
    try:
        found = read_plain_pickle(read_bytes(file))
    except ValueError as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{file} is no plain batch of CIFAR-10: {told}", hint=hint) from error
    pixels, labels = found.get("data"), found.get("labels")
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        shape = getattr(pixels, "shape", "none")
        raise DataError(f"{file} has no data of (images, {_PIXELS}) bytes: {shape}", hint=hint)
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f"{file} has no labels that are a list of whole numbers", hint=hint)
    if len(labels) != len(pixels):
        raise DataError(f"{file} has {len(labels)} labels for {len(pixels)} images", hint=hint)
    # A label too large for int64 is as wrong as one that is merely too large.
    return np.array([min(max(label, -1), 255) for label in labels], dtype=np.int64), pixels
