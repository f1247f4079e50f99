"""Room for large arrays: temporary files that no crash leaves behind, used like memory."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from ecotone.core.errors import DataError

__all__ = ["LIMIT", "as_tensor", "blocks", "room"]

LIMIT = 512 << 20
"""Bytes above which an array lies in a file; the system then holds of it what it has memory for."""

_BLOCK = 16 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def room(shape: Sequence[int], dtype: DTypeLike, *, limit: int | None = None) -> NDArray:
    """Return an array to be filled: in memory, or in a temporary file where it is large.

    The file has no name from the start (on Windows: is deleted when closed), so nothing is left of
    it when the array is no longer used, or when the process is killed. It lies where Python's
    ``tempfile`` puts files: set ``TMPDIR`` for another place.

    Args:
        shape: of the array.
        dtype: of its entries.
        limit: bytes up to which it lies in memory; :data:`LIMIT` where None.

    Raises:
        DataError: where the disk has no room for it.

    >>> room((2, 3), np.uint8).shape
    (2, 3)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= (LIMIT if limit is None else limit):
        return np.empty(shape, dtype=dtype)
    try:
        with tempfile.TemporaryFile(prefix="ecotone-") as file:
            _reserve(file.fileno(), size)
            return np.memmap(file, dtype=dtype, mode="r+", shape=tuple(shape))
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()} has no room for {size / 1e9:.1f} GB: "
            f"{error.strerror or error}",
            hint="set TMPDIR to a folder with more, or give fewer or smaller items",
        ) from error


def _reserve(descriptor: int, size: int) -> None:
    """Take the whole room at once: a disk that is full later would kill the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            # Some file systems cannot reserve.
            if error.errno in _FULL:
                raise
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, size)


def as_tensor(array: NDArray) -> Tensor:
    """Return a tensor over an array's own memory, be it writable or not.

    >>> array = np.zeros(2)
    >>> array.flags.writeable = False
    >>> as_tensor(array).tolist()
    [0.0, 0.0]
    """
    with warnings.catch_warnings():
        # Torch warns that a tensor can be written to where the array cannot; nothing here does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def blocks(array: NDArray, *, size: int = _BLOCK) -> Iterator[slice]:
    """Yield slices of an array's first axis that hold some ``size`` bytes each.

    >>> list(blocks(np.zeros((5, 2)), size=32))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    count = len(array)
    height = max(1, size * count // max(1, array.nbytes))
    for start in range(0, count, height):
        yield slice(start, min(count, start + height))
