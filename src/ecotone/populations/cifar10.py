"""CIFAR-10, from any of the layouts in which people keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ecotone.core.errors import ConfigError, DataError, nearest
from ecotone.core.locations import DATA_VARIABLE, data_root
from ecotone.core.records import content_hash
from ecotone.populations.base import FiniteData, centred
from ecotone.populations.cifar_batches import batch_files, missing_batches, read_batches
from ecotone.populations.class_folders import class_files, read_class_files
from ecotone.populations.hub_layout import fetch_parquet, parquet_files, read_parquet
from ecotone.populations.image_rows import ImageRows

__all__ = ["CLASSES", "Cifar10"]

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
"""The classes; a label is an index into them."""

_SIDE = 32
_SIZES = (32, 16, 8)
_REPOSITORY = "uoft-cs/cifar10"
_FOLDERS = ("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py")
_CHUNK = 64  # images turned into floats at a time: what they pass through stays in the cache

_Reader = Callable[[list[Path], str, Sequence[str]], ImageRows]


class Cifar10(FiniteData):
    """60,000 colour images of ten classes, (channels, height, width) in [-1, 1].

    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009): 50,000 images to
    train on and 10,000 to test with, or any of them. An 8-bit value v becomes v/127.5 − 1.

    The data lie in ``path``, or else in the folder that the environment variable ``ECOTONE_DATA``
    names: in it, or in its ``cifar10``, ``cifar-10-batches-bin`` or ``cifar-10-batches-py``, as one
    of

    - CIFAR-10's own batches, which torchvision keeps: ``data_batch_1.bin`` … ``test_batch.bin``, or
      the pickles ``data_batch_1`` … ``test_batch``, which are read but never unpickled;
    - a folder for each class: ``train/dog/*.png`` and ``test/dog/*.png``, or ``dog/*.png``, all of
      which is then for training;
    - the hub's ``uoft-cs/cifar10``: ``train-*.parquet`` and ``test-*.parquet``, at any depth.

    Images keep the order of their files. An id leads back to the image: ``train/00042 dog`` is row
    42 of the files for training, counted from 0 through all of them, as torchvision and the hub
    count; ``train/dog/x.png`` is a file. Labels are in ``labels``, indices into :data:`CLASSES`.
    The fingerprint depends on pixels and labels, in their order, and not on where they lie or in
    which layout.

    Args:
        path: the folder.
        part: the images to train on, to test with, or the former and then the latter.
        size: side in pixels: 32, or 16 or 8 by the means of 2×2 or 4×4 blocks of 8-bit values.
            Means are exact and not rounded to 8 bits again: only their place in [-1, 1] is rounded,
            to float32.
        grey: one channel of luma (ITU-R 601, rounded to 8 bits as Pillow's ``L``) in place of red,
            green and blue; taken before any means.
        classes: names or numbers of the classes to keep, in any order; None keeps all.
        download: fetch the hub's files where the folder has none: into ``path``, or without one
            into the hub's own cache. Nothing is ever fetched otherwise.

    Raises:
        ConfigError: for another size, an unknown class or none.
        DataError: where there are no data, or a file or an image in it is damaged or of another
            kind; each names the file, and the row.

    >>> Cifar10(path="no/such/folder")
    Traceback (most recent call last):
    ecotone.core.errors.DataError: cifar10: there is no folder no/such/folder; set population.path
    or ECOTONE_DATA to a copy (...
    """

    def __init__(
        self,
        path: str | None = None,
        part: Literal["train", "test", "all"] = "train",
        size: int = 32,
        grey: bool = False,
        classes: list[str | int] | None = None,
        download: bool = False,
    ) -> None:
        if size not in _SIZES:
            raise ConfigError(
                f"cifar10: size = {size} is none that 32 pixels can be averaged to exactly",
                hint="set population.size to 32, 16 or 8",
            )
        numbers = _numbers(classes)
        pixels: list[NDArray[np.uint8]] = []
        labels: list[NDArray[np.int64]] = []
        ids: list[str] = []
        for rows in _locate(path, part, download):
            chosen = np.flatnonzero(np.isin(rows.labels, numbers))
            pixels.append(rows.read(chosen))
            labels.append(rows.labels[chosen])
            ids += [rows.ids[row] for row in chosen]
        label = np.concatenate(labels)
        items = _items(np.concatenate(pixels), size, grey)
        super().__init__(
            torch.from_numpy(items),
            ids,
            name="cifar10",
            value_range=(-1.0, 1.0),
            options={"size": size, "grey": grey, "labels": content_hash(label.tobytes())},
        )
        self.labels = torch.from_numpy(label)


def _numbers(classes: list[str | int] | None) -> list[int]:
    """Return the labels of the classes that were asked for."""
    known = {name: label for label, name in enumerate(CLASSES)}
    known |= {str(label): label for label in range(len(CLASSES))}
    asked = list(CLASSES) if classes is None else [str(name) for name in classes]
    if not asked:
        raise ConfigError("cifar10: classes = [] leaves no image", hint="remove population.classes")
    for name in asked:
        if name not in known:
            raise ConfigError(f"cifar10: there is no class {name!r}", hint=nearest(name, CLASSES))
    return [known[name] for name in asked]


def _locate(path: str | None, part: str, download: bool) -> list[ImageRows]:
    """Return the images of a part, or of both, from the first folder that has any.

    Raises:
        DataError: where there are none and none may be fetched, or they are not of that part.
    """
    root = data_root(path)
    within = [] if root is None else [*(root / name for name in _FOLDERS), root]
    folders = [folder for folder in within if folder.is_dir()]
    layouts = ((folder, *_layout(folder)) for folder in folders)
    place, read, found = next((layout for layout in layouts if layout[2]), (root, None, {}))
    wanted = ("train", "test") if part == "all" else (part,)
    if download and (read is None or read is _read_hub):
        read = _read_hub
        for missing in (name for name in wanted if name not in found):
            filename = f"plain_text/{missing}-00000-of-00001.parquet"
            found[missing] = [fetch_parquet(_REPOSITORY, filename, None if path is None else root)]
    if read is None:
        raise _nowhere(path, root)
    for name in wanted:
        # Classes that are not divided into parts have an empty one, which may join the other.
        if name not in found or not any(found[name] for name in wanted):
            raise DataError(
                f"cifar10: {place} has no {name} images",
                hint="add them, or set population.part to another part",
            )
    return [read(found[name], name, CLASSES) for name in wanted]


def _layout(folder: Path) -> tuple[_Reader, dict[str, list[Path]]]:
    """Return how to read what lies in a folder, and its files by part: none where it has none."""
    if found := batch_files(folder):
        return _read_batches, found
    if found := class_files(folder, CLASSES):
        return _read_folders, found
    # Last, as it looks through everything below the folder.
    return _read_hub, parquet_files(folder)


def _read_batches(files: list[Path], part: str, classes: Sequence[str]) -> ImageRows:
    if missing := missing_batches(files, part):
        raise DataError(
            f"cifar10: {files[0].parent} has no {', '.join(missing)}",
            hint="fetch it again: rows are counted through all batches of a part",
        )
    return read_batches(files, part, classes)


def _read_folders(files: list[Path], part: str, classes: Sequence[str]) -> ImageRows:
    return read_class_files(files, part, classes, height=_SIDE, width=_SIDE)


def _read_hub(files: list[Path], part: str, classes: Sequence[str]) -> ImageRows:
    return read_parquet(files, part, classes, height=_SIDE, width=_SIDE)


def _nowhere(path: str | None, root: Path | None) -> DataError:
    """Return the error that says where nothing was found, and the ways to come by data."""
    if root is None:
        told = (
            f"nothing says where the data lie: neither population.path nor {DATA_VARIABLE} is set"
        )
    else:
        named = "" if path is not None else f" ({DATA_VARIABLE})"
        told = f"{root}{named} has no files in a known layout" if root.is_dir() else ""
        told = told or f"there is no folder {root}{named}"
    return DataError(
        f"cifar10: {told}",
        hint=f"set population.path or {DATA_VARIABLE} to a copy (the hub's parquet files, "
        "CIFAR-10's batches, or folders train/dog/*.png); with torchvision, to the root given to "
        "torchvision.datasets.CIFAR10; or --set population.download=true fetches it",
    )


def _items(pixels: NDArray[np.uint8], size: int, grey: bool) -> NDArray[np.float32]:
    """Return images in [-1, 1], of one channel or three, made smaller by the means of blocks.

    >>> pixels = np.zeros((1, 3, 32, 32), dtype=np.uint8)
    >>> pixels[0, :, :2, :2] = [[0, 255], [255, 255]]
    >>> _items(pixels, 16, grey=True)[0, 0, 0, :2].tolist()
    [0.5, -1.0]
    """
    block = _SIDE // size
    # The sum of a block is one of few whole numbers, whose means float32 holds exactly.
    values = centred(np.arange(255 * block**2 + 1, dtype=np.float32) / np.float32(block**2))
    items = np.empty((len(pixels), 1 if grey else 3, size, size), dtype=np.float32)
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK]
        chunk = _luma(chunk) if grey else chunk
        sums = _block_sums(chunk, block) if block > 1 else np.ascontiguousarray(chunk)
        # No index is out of range, and to clip is faster than to check.
        np.take(values, sums, out=items[start : start + _CHUNK], mode="clip")
    return items


def _block_sums(pixels: NDArray[np.uint8], block: int) -> NDArray[np.uint16]:
    """Return the sums of the square blocks of images, at most 255·16 each."""
    places = [(row, column) for row in range(block) for column in range(block)]
    sums = np.zeros((*pixels.shape[:2], _SIDE // block, _SIDE // block), dtype=np.uint16)
    for row, column in places:
        sums += pixels[:, :, row::block, column::block]
    return sums


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded, to the bit as Pillow has it.

    The weights are Pillow's, in parts of 2¹⁶.

    >>> _luma(np.array([255, 0, 100], dtype=np.uint8).reshape(1, 3, 1, 1)).item()
    88
    """
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    weighted = 19595 * red.astype(np.uint32) + 38470 * green.astype(np.uint32)
    weighted += 7471 * blue.astype(np.uint32) + (1 << 15)
    return (weighted >> 16).astype(np.uint8)
