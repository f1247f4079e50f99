from __future__ import annotations

import errno
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ecotone.core.errors import DataError
from ecotone.populations import spool
from ecotone.populations.spool import as_tensor, blocks, room


def test_small_arrays_lie_in_memory_and_large_ones_in_a_file() -> None:
    assert not isinstance(room((10, 10), np.uint8, limit=100), np.memmap)
    assert isinstance(room((10, 10), np.uint8, limit=99), np.memmap)


def test_the_limit_is_what_the_module_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "LIMIT", 8)
    assert isinstance(room((3,), np.float32), np.memmap)
    assert not isinstance(room((2,), np.float32), np.memmap)


def test_a_file_holds_what_is_written_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = room((1000, 7), np.float64, limit=0)
    values = np.random.default_rng(0).normal(size=array.shape)
    array[:] = values
    tensor = as_tensor(array)
    assert list(tmp_path.iterdir()) == []  # it has no name even while it is used
    del array
    assert torch.equal(tensor, torch.from_numpy(values))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    arrays = [room((100,), np.uint8, limit=0) for _ in range(20)]
    del arrays
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=r"no room for 0\.0 GB: .* set TMPDIR"):
        room((100,), np.uint8, limit=0)


def test_a_file_system_that_cannot_reserve_is_asked_for_its_free_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unable(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    assert room((100,), np.uint8, limit=0).shape == (100,)
    with pytest.raises(DataError, match="no room"):
        room((1 << 60,), np.uint8, limit=0)


def test_arrays_that_cannot_be_written_become_tensors_without_a_warning_or_a_copy() -> None:
    array = np.arange(4.0)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = as_tensor(array)
    assert tensor.data_ptr() == array.ctypes.data


def test_blocks_cover_every_row_once() -> None:
    for count, width in ((1, 5), (7, 100), (100, 3)):
        array = np.zeros((count, width))
        rows = np.concatenate([np.arange(count)[rows] for rows in blocks(array, size=900)])
        assert rows.tolist() == list(range(count))
        assert all(array[rows].nbytes <= max(900, 8 * width) for rows in blocks(array, size=900))
