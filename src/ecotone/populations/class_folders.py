"""Folders of image files, one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecotone.core.errors import DataError, nearest
from ecotone.populations.image_rows import ImageRows, decode_images, read_bytes

__all__ = ["class_files", "read_class_files"]

_PARTS = ("train", "test")
_SUFFIXES = {".png", ".jpg", ".jpeg"}


def class_files(folder: Path, classes: Sequence[str]) -> dict[str, list[Path]]:
    """Return the images in ``train/<class>`` and ``test/<class>``, or in ``<class>``, by part.

    Where there are classes only, all images are for training and there are none for a test. Files
    are in the order of their classes, and of their names within one. A file is an image by its
    suffix (png, jpg, jpeg, in any case); others, and names that begin with a dot, are left alone.

    Raises:
        DataError: where folders that are classes have others beside them.
    """
    found = {part: _images(folder / part, classes) for part in _PARTS}
    parts = {part: files for part, files in found.items() if files is not None}
    if parts:
        return parts
    whole = _images(folder, classes)
    return {} if whole is None else {"train": whole, "test": []}


def read_class_files(
    files: Sequence[Path], part: str, classes: Sequence[str], *, height: int, width: int
) -> ImageRows:
    """Return the images of one part; an id is part, class and file: ``train/dog/0042.png``.

    Args:
        files: images, each in the folder of its class.
        part: of the data set, for the ids.
        classes: names of the labels.
        height: of every image, in pixels.
        width: of every image, in pixels.

    Raises:
        DataError: when read, for a file that is no image of 8-bit RGB in that size.
    """

    def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        chosen = [files[row] for row in rows]
        encoded = [read_bytes(file) for file in chosen]
        return decode_images(encoded, lambda index: str(chosen[index]), height=height, width=width)

    labels = np.array([classes.index(file.parent.name) for file in files], dtype=np.int64)
    ids = tuple(f"{part}/{file.parent.name}/{_printable(file.name)}" for file in files)
    return ImageRows(labels, ids, read)


def _images(folder: Path, classes: Sequence[str]) -> list[Path] | None:
    """Return the images in the folders of classes; None where there is no such folder."""
    if not folder.is_dir():
        return None
    named = {f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")}
    if not named & set(classes):
        return None
    for name in sorted(named - set(classes)):
        raise DataError(
            f"{folder / name} stands beside classes and is none", hint=nearest(name, classes)
        )
    return [
        file
        for name in classes
        if name in named
        for file in sorted((folder / name).iterdir())
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
    ]


def _printable(name: str) -> str:
    """Return a file's name with what is not text, or would break a line, as Python writes it."""
    return repr(name)[1:-1]
