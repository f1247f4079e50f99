"""Rows of features in a folder of safetensors files, each whole or absent."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecotone.core.errors import RecordError
from ecotone.core.tensors import read_tensors, write_tensors

__all__ = ["CacheFolder"]

_DIGEST = 16


class CacheFolder:
    """Rows by name, in files that are named by the names in them.

    Processes may write to one folder at once: the same rows are the same file, and a file appears
    whole. Files that were there when the folder was first read are known, and those written since
    by this object. A file that cannot be read counts as absent: its rows are computed again.

    Args:
        folder: made when something is first written.
        about: what is said in each file.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.about = dict(about)

    def read(self, names: Iterable[bytes]) -> dict[bytes, Tensor]:
        """Return the rows that are kept, of some names of 16 bytes."""
        wanted: dict[Path, list[bytes]] = defaultdict(list)
        for name in names:
            if name in self._index:
                wanted[self._index[name]].append(name)
        found: dict[bytes, Tensor] = {}
        for file, inside in wanted.items():
            rows = _read(file)
            found |= {name: rows[name] for name in inside if name in rows}
        return found

    def write(self, rows: Mapping[bytes, Tensor]) -> None:
        """Keep rows of one length and type.

        Raises:
            RecordError: where the folder cannot be written to.
        """
        names = sorted(rows)
        content = hashlib.blake2b(b"".join(names), digest_size=_DIGEST).hexdigest()
        file = self.folder / f"{content}.safetensors"
        tensors = {
            "names": torch.tensor([list(name) for name in names], dtype=torch.uint8),
            "rows": torch.stack([rows[name] for name in names]),
        }
        write_tensors(file, tensors, self.about)
        self._index.update(dict.fromkeys(names, file))

    @cached_property
    def _index(self) -> dict[bytes, Path]:
        files = sorted(self.folder.glob("*.safetensors"))
        return {name: file for file in files for name in _names(file)}


def _names(file: Path) -> list[bytes]:
    """Return the names in a file, without reading its rows."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            names = opened.get_tensor("names")
    except (OSError, SafetensorError):
        return []
    if names.dtype != torch.uint8 or names.ndim != 2 or names.shape[1] != _DIGEST:
        return []
    return [bytes(name) for name in names.tolist()]


def _read(file: Path) -> dict[bytes, Tensor]:
    try:
        tensors, _ = read_tensors(file)
    except RecordError:
        return {}
    names = [bytes(name) for name in tensors["names"].tolist()]
    return dict(zip(names, tensors["rows"], strict=True))
