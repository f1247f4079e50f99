from __future__ import annotations

from pathlib import Path

import pytest

from ecotone.core.locations import DATA_VARIABLE, data_root


def test_a_path_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, "elsewhere")
    assert data_root("here") == Path("here")
    assert data_root(None) == Path("elsewhere")


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_said_is_nowhere(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(DATA_VARIABLE, value)
    assert data_root(None) is None


def test_a_tilde_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(DATA_VARIABLE, "~/images")
    assert data_root(None) == data_root("~/images") == tmp_path / "images"
