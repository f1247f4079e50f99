"""Tensors on disk: safetensors, whole or absent, the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecotone.core.errors import RecordError
from ecotone.core.records import canonical_json, content_hash, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_tensors", "write_tensors"]

# One key, as safetensors writes several in an order that differs from process to process.
_KEY = "ecotone"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write named tensors, and what is to be said about them, with a hash of both.

    Raises:
        RecordError: where the file cannot be written; what stood there before stays.
    """
    from safetensors.torch import save

    data = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = canonical_json({"about": about, "content": _content(data, about)})
    write_atomic(path, save(data, metadata={_KEY: said}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file, on the CPU, and what is said about them.

    Raises:
        RecordError: where the file is missing, truncated or changed since it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said["content"] == _content(tensors, said["about"]):
            return tensors, said["about"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"cannot read {path}: {error}", hint="run the study again") from error
    raise RecordError(f"{path} was changed since it was written", hint="run the study again")


def _content(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    import torch

    parts: list[bytes | str] = [canonical_json(about)]
    for name in sorted(tensors):
        parts += [name, tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes()]
    return content_hash(*parts)
