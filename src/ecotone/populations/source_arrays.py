"""Files of arrays: ``.npy``, ``.npz`` and ``.safetensors``, read as far as they are needed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ecotone.core.errors import DataError
from ecotone.populations.arrays import MAGIC, UNREADABLE, Layout
from ecotone.populations.source_items import Label, NoGroupsError, check_labels, printable
from ecotone.populations.source_memory import tensor_array
from ecotone.populations.source_numbers import Numbers
from ecotone.populations.spool import room

__all__ = ["ARRAY_SUFFIXES", "array_file"]

ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")

_SMALL = 1 << 20
_STEP = 16 << 20
_PICKLED = "holds Python objects, which are pickled and are never loaded"


def array_file(
    file: Path, key: str | None, layout: Layout, groups: str | None, label: Label
) -> Numbers:
    """Look at an array in a file.

    A large ``.npy`` is not read but mapped into memory, copy on write.

    Args:
        file: of one array, or of several by name.
        key: which is meant; where None, the only one with two axes or more.
        layout: what its axes mean.
        groups: name of another array of the file, with one label per item.
        label: of the set.

    Raises:
        DataError: for a file that is damaged, holds pickled objects, or does not say which array
            is meant; for groups it does not have.
    """
    with _reading(file):
        if file.suffix.lower() == ".safetensors":
            return _chosen(_Tensors(file), file, key, layout, groups, label)
        with file.open("rb") as opened:
            begins = opened.read(6)
        if not begins.startswith(MAGIC):
            raise DataError(
                f"{_told(file)} is no numpy file, whatever its name: empty, text or a pickle",
                hint="save it with numpy.save; pickles could run code and are never loaded",
            )
        if begins.startswith(MAGIC[0]):
            return _chosen(_One(file), file, key, layout, groups, label)
        with zipfile.ZipFile(file) as archive:
            return _chosen(_Archive(archive), file, key, layout, groups, label)


def _chosen(
    arrays: _One | _Archive | _Tensors,
    file: Path,
    key: str | None,
    layout: Layout,
    groups: str | None,
    label: Label,
) -> Numbers:
    if groups is not None and groups not in arrays.axes:
        raise NoGroupsError(
            f"there are no groups {groups!r} in {label}, which holds {_names(arrays.axes)}",
            hint="give one of these, in a .npz or .safetensors, or the labels themselves",
        )
    axes = {name: count for name, count in arrays.axes.items() if name != groups}
    array = arrays.read(_key(axes, key, file, label))
    count = array.shape[0] if array.ndim else 0
    labels = None if groups is None else _labels(arrays.read(groups), groups, count, label)
    ids = [f"{printable(file.name)}#{index}" for index in range(count)]
    return Numbers(label, array, layout, ids, labels)


def _key(axes: dict[str, int], key: str | None, file: Path, label: Label) -> str:
    """Return the array that is named, or the only one that can be meant."""
    if key is not None and key not in axes:
        raise DataError(
            f"{label} holds {_names(axes)}, and none is {key!r}",
            hint=f"give {printable(str(file))}" + ("#NAME" if axes else ""),
        )
    meant = [name for name, count in axes.items() if count > 1] if len(axes) > 1 else list(axes)
    if key is None and axes and len(meant) != 1:
        typed = [f"{printable(str(file))}#{printable(name)}" for name in meant or axes]
        raise DataError(
            f"{label} holds {_names(axes)}, and nothing says which is meant",
            hint=f"give {' or '.join(typed)}",
        )
    return key or (meant[0] if meant else "")


def _names(axes: dict[str, int]) -> str:
    return ", ".join(map(printable, axes)) or "one array without a name"


def _labels(array: NDArray, groups: str, count: int, label: Label) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        raise DataError(
            f"groups {groups!r} of {label} are {array.dtype} of shape {array.shape}",
            hint="give one whole number or text per item",
        )
    return check_labels(array.tolist(), count, label)


class _One:
    """A ``.npy``: one array without a name."""

    axes: dict[str, int]

    def __init__(self, file: Path) -> None:
        self.axes = {}
        self._file = file

    def read(self, _: str) -> NDArray:
        # Copy on write: a tensor over it can be had, and the file never be changed.
        mode = None if self._file.stat().st_size < _SMALL else "c"
        return np.load(self._file, mmap_mode=mode, allow_pickle=False)


class _Archive:
    """A ``.npz``: arrays by name, with how many axes each has."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        inside = {name.removesuffix(".npy"): name for name in archive.namelist()}
        self._inside = {key: name for key, name in inside.items() if key != name}
        self.axes = {key: len(self._header(name)[0]) for key, name in self._inside.items()}
        if not self.axes:
            raise ValueError("it holds no arrays")

    def _header(self, name: str) -> tuple[Sequence[int], bool, np.dtype]:
        with self._archive.open(name) as stream:
            return _header(stream)

    def read(self, name: str) -> NDArray:
        """Return one array, read part by part into the room it will have."""
        inside = self._inside[name]
        with cast("zipfile.ZipExtFile", self._archive.open(inside)) as stream:
            shape, by_columns, dtype = _header(stream)
            size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
            if size > self._archive.getinfo(inside).file_size:
                raise ValueError(f"{name} is shorter than its header says")
            if dtype.hasobject:
                raise ValueError(_PICKLED)
            array = room(shape, dtype) if size and dtype.kind in "fiubSU" else None
            if array is not None and not by_columns:
                view = array.reshape(-1).view(np.uint8).data
                place = 0
                while place < size and (read := stream.readinto(view[place : place + _STEP])):
                    place += read
                if place < size:
                    raise ValueError(f"{name} is shorter than its header says")
                return array
        with self._archive.open(inside) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


class _Tensors:
    """A ``.safetensors``: tensors by name."""

    def __init__(self, file: Path) -> None:
        from safetensors import safe_open

        self._opened: Any = safe_open(file, framework="pt")
        names = sorted(self._opened.keys())
        self.axes = {name: len(self._opened.get_slice(name).get_shape()) for name in names}
        if not names:
            raise ValueError("it holds no tensors")

    def read(self, name: str) -> NDArray:
        return tensor_array(self._opened.get_tensor(name))


def _header(stream: Any) -> tuple[Sequence[int], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    # Version 3 differs from 2 only in the names that fields of records may have.
    return np.lib.format.read_array_header_2_0(stream)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (*UNREADABLE, SafetensorError) as error:
        if any(word in str(error) for word in ("allow_pickle", "Python objects", "Object arrays")):
            raise DataError(
                f"{_told(file)} {_PICKLED}",
                hint="save a plain array of numbers as .npy, .npz or .safetensors",
            ) from error
        raise DataError(
            f"cannot read {_told(file)}: {error or type(error).__name__}", hint="save it again"
        ) from error


def _told(file: Path) -> str:
    return printable(str(file))
