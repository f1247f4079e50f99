from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecotone.core import RecordError
from ecotone.core.records import content_hash, read_json, write_atomic, write_json


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "record.json"
    write_json(target, {"kept": True})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"record\.json: No space left"):
        write_atomic(target, b"half")
    assert read_json(target) == {"kept": True}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_truncated_and_missing_files_are_named(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    with pytest.raises(RecordError, match="no file"):
        read_json(target)
    write_json(target, {"a": [1, 2, 3]})
    target.write_bytes(target.read_bytes()[:-4])
    with pytest.raises(RecordError, match=r"record\.json"):
        read_json(target)


def test_hashes_tell_contents_apart() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash(b"a", b"") != content_hash(b"a")
    with pytest.raises(ValueError, match="JSON"):
        content_hash({"a": float("nan")})
