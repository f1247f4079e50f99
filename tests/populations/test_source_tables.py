from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.populations import source_tables
from ecotone.populations.sources import Items, open_items

ROWS = np.random.default_rng(0).normal(size=(10, 2))


def write(file: Path, rows: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"a": rows[:, 0], "b": rows[:, 1]}).write_parquet(file)
    return file


def opened(path: object, **options) -> Items:
    return open_items(path, role="training", **options)


@pytest.mark.parametrize("step", [1, 1 << 26])
def test_files_of_one_part_are_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(source_tables, "_STEP", step)
    for number, rows in enumerate((ROWS[:3], ROWS[3:7], ROWS[7:])):
        write(tmp_path / "data" / f"train-{number:05d}-of-00003.parquet", rows)
    items = opened(tmp_path)
    assert items.items.tolist() == ROWS.tolist()
    assert (items.kind, items.ids[4]) == ("parquet", "data/train-00001-of-00003.parquet#1")
    assert len(set(items.ids)) == 10


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("data/train-00000-of-00001-a0b1.parquet", "data/test-00000-of-00001-c2d3.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train.parquet", "Test.parquet"),
    ],
)
def test_the_part_of_a_folder_has_to_be_named(tmp_path: Path, first: str, second: str) -> None:
    write(tmp_path / first, ROWS[:6])
    assert len(opened(tmp_path)) == 6
    write(tmp_path / second, ROWS[6:])
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    assert "has several parts: test, train" in str(caught.value)
    assert f"give {tmp_path}#test or {tmp_path}#train" in str(caught.value)
    assert opened(f"{tmp_path}#train").items.tolist() == ROWS[:6].tolist()
    assert opened(f"{tmp_path}#test").items.tolist() == ROWS[6:].tolist()
    with pytest.raises(DataError, match=r"#a\) has no part 'a'; parts: test, train"):
        opened(f"{tmp_path}#a")
    assert opened(f"{tmp_path}#train/a").items.tolist() == ROWS[:6, :1].tolist()


def test_names_that_say_no_part_are_one_table(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", ROWS[5:])
    write(tmp_path / "a[0]" / "part=3" / "a.parquet", ROWS[:5])
    items = opened(tmp_path)
    assert items.items.tolist() == ROWS.tolist()
    assert items.ids[0] == "a[0]/part=3/a.parquet#0"


def test_a_part_in_several_folders_may_be_several_data_sets(tmp_path: Path) -> None:
    for name in ("cifar10", "mnist"):
        write(tmp_path / name / "train-00000-of-00001.parquet", ROWS)
    with pytest.raises(DataError, match=r"one part in several folders: .*cifar10, .*mnist; give"):
        opened(tmp_path)
    with pytest.raises(DataError, match="one part in several folders"):
        opened(f"{tmp_path}#train")


def test_files_with_other_columns_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ROWS)
    pl.DataFrame({"a": ["x"], "c": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"has a: Float64, b: Float64, but .*b\.parquet has a: Str"):
        opened(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    file = write(tmp_path / "v.parquet", ROWS)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(DataError, match=r"cannot read .*v\.parquet: ") as caught:
        opened(file)
    assert "\n" not in str(caught.value)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        opened(write(tmp_path / "v.parquet", ROWS[:0]))


def test_missing_values_name_their_file_row_and_column(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ROWS)
    pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, None, 3.0]}).write_parquet(
        tmp_path / "b.parquet"
    )
    with pytest.raises(DataError, match=r"b\.parquet, row 1, misses b; remove"):
        opened(tmp_path)
    nan = ROWS.copy()
    nan[3, 1] = np.nan
    with pytest.raises(DataError, match=r"n\.parquet#3 holds nan at index \(1,\)"):
        opened(write(tmp_path / "n.parquet", nan))
