"""Files that are either whole or absent, and hashes of what they hold."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecotone.core.errors import RecordError

__all__ = ["PARTIAL", "canonical_json", "content_hash", "read_json", "write_atomic", "write_json"]

PARTIAL = ".partial"
"""Ending of a file that is being written; one that is left over was left by a killed process."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old bytes or the new, never a part.

    The bytes go to a temporary file beside the target, reach the disk, and then take its name.

    Raises:
        RecordError: where the folder cannot be written to; what stood there before stays.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL
        )
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise RecordError(
            f"cannot write {path}: {error.strerror or error}",
            hint="give another folder, or mend its permissions or its disk",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def canonical_json(value: object) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces, no NaN.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(*parts: bytes | str | Mapping[str, Any]) -> str:
    """Return the SHA-256 of the parts, each prefixed by its length, as 64 hexadecimal digits.

    >>> content_hash("ab", "c") == content_hash("a", "bc")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Mapping):
            part = canonical_json(part)
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RecordError: where it is missing, truncated or not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise RecordError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise RecordError(
            f"cannot read {path}: {error}", hint="delete it and start again"
        ) from error
