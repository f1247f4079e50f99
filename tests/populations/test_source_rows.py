from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from ecotone.core.errors import DataError
from ecotone.populations import source_tables
from ecotone.populations.sources import Items, open_items
from stored_sets import channels_first, encoded, photos, write_hub

IMAGES = photos(6)
BYTES: list[bytes | None] = [encoded(image) for image in IMAGES]
VALUES = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def opened(path: object, **options) -> Items:
    return open_items(path, role="training", **options)


def write(file: Path, columns: dict, **options) -> Path:
    pl.DataFrame(columns, **options).write_parquet(file)
    return file


@pytest.mark.parametrize("step", [1, 1 << 26])
def test_images_are_a_column_of_structs_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(source_tables, "_STEP", step)
    file = write_hub(tmp_path / "train-00000-of-00001.parquet", BYTES, column="pic", label=[1] * 6)
    items = opened(tmp_path)
    assert torch.equal(items.items, torch.from_numpy(channels_first(IMAGES)))
    assert (items.kind, items.is_image, items.ids[1]) == ("parquet", True, f"{file.name}#1")
    assert items.facts.formats == {"PNG": 6}


def test_images_are_a_column_of_bytes_too(tmp_path: Path) -> None:
    items = opened(write(tmp_path / "i.parquet", {"data": BYTES, "label": range(6)}))
    assert torch.equal(items.items, torch.from_numpy(channels_first(IMAGES)))


def test_images_of_several_sizes_and_formats_are_brought_together(tmp_path: Path) -> None:
    held = [encoded(photos(1, 8, 10)[0], "JPEG"), encoded(photos(1, 12)[0])]
    items = opened(write_hub(tmp_path / "i.parquet", held))
    assert items.items.shape == (2, 3, 8, 8)
    assert items.facts.formats == {"JPEG": 1, "PNG": 1}


def test_a_bad_image_names_its_file_and_row(tmp_path: Path) -> None:
    write_hub(tmp_path / "a.parquet", BYTES)
    file = write_hub(tmp_path / "b.parquet", [*BYTES[:3], b"no image"])
    with pytest.raises(DataError, match=r"b\.parquet, row 3, as an image: it is none of PNG"):
        opened(tmp_path)
    write_hub(file, [BYTES[0], (BYTES[1] or b"")[:60]])
    with pytest.raises(DataError, match=r"b\.parquet, row 1, as an image"):
        opened(tmp_path)
    write_hub(file, [BYTES[0], None])
    with pytest.raises(DataError, match=r"b\.parquet, row 1, holds no image, at most the path"):
        opened(tmp_path)
    write(file, {"image": [BYTES[0], None]})
    with pytest.raises(DataError, match=r"b\.parquet, row 1, misses image"):
        opened(file)


def test_of_several_columns_of_images_one_has_to_be_named(tmp_path: Path) -> None:
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    masks = [{"bytes": encoded(255 - image), "path": None} for image in IMAGES]
    write_hub(file, BYTES, mask=masks)
    with pytest.raises(DataError) as caught:
        opened(file)
    assert f"several such columns: image, mask; give {file}#image or {file}#mask" in str(
        caught.value
    )
    expected = torch.from_numpy(channels_first(255 - IMAGES))
    for path in (f"{file}#mask", f"{tmp_path}#mask", f"{tmp_path}#train/mask"):
        assert torch.equal(opened(path).items, expected)
    with pytest.raises(DataError, match=r"give .*#train/image or .*#train/mask"):
        opened(f"{tmp_path}#train")
    with pytest.raises(DataError, match=r"no part or column 'x'; columns: image, mask"):
        opened(f"{file}#x")


def test_columns_of_numbers_are_a_vector_a_row(tmp_path: Path) -> None:
    columns = {"a": VALUES[:, 0], "b": range(6), "c": [True, False] * 3}
    items = opened(write(tmp_path / "v.parquet", {**columns, "name": list("abcdef")}))
    expected = np.stack([VALUES[:, 0], np.arange(6), [1, 0] * 3], axis=1)
    assert items.items.tolist() == expected.tolist()
    assert items.items.dtype == torch.float64  # as whole numbers of 64 bits need
    assert (items.is_image, items.facts.left_out) == (False, 1)
    narrow = write(tmp_path / "n.parquet", {"a": VALUES[:, 0], "b": VALUES[:, 1]})
    assert opened(narrow).items.dtype == torch.float32
    alone = opened(f"{tmp_path / 'v.parquet'}#b")
    assert alone.items.tolist() == [[each] for each in range(6)]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("step", [1, 1 << 26])
def test_a_column_of_lists_is_a_vector_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, fixed: bool
) -> None:
    monkeypatch.setattr(source_tables, "_STEP", step)
    kind = pl.Array(pl.Float32, 3) if fixed else pl.List(pl.Float32)
    rows = pl.Series("e", VALUES.tolist(), dtype=kind)
    items = opened(write(tmp_path / "v.parquet", {"e": rows, "label": range(6)}))
    assert torch.equal(items.items, torch.from_numpy(VALUES))


@pytest.mark.parametrize("fixed", [False, True])
def test_lists_of_lists_are_arrays(tmp_path: Path, fixed: bool) -> None:
    volumes = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 4))
    kind = pl.Array(pl.Int64, (2, 3, 4)) if fixed else pl.List(pl.List(pl.List(pl.Int64)))
    rows = pl.Series("v", volumes.tolist(), dtype=kind)
    items = opened(write(tmp_path / "v.parquet", {"v": rows}), layout="raw")
    assert items.items.tolist() == volumes.tolist()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], r"row 1, has \(1,\) numbers, the rows before it \(2,\)"),
        ([[1.0, 2.0], [1.0, None]], r"row 1, misses a number"),
        ([[1.0, 2.0], None], r"row 1, misses e"),
        ([[], []], r"row 0, holds an empty list"),
        ([["a"], ["b"]], r"row 0, holds lists of String"),
        ([[[1, 2], [3]], [[1, 2], [3, 4]]], r"row 0, has \(1,\) numbers"),
        ([[[1, 2], [3, 4]], [[1, 2], None]], r"row 1, has \(None,\) numbers"),
    ],
)
def test_lists_that_are_no_array_are_named(tmp_path: Path, rows: list, told: str) -> None:
    with pytest.raises(DataError, match=told):
        opened(write(tmp_path / "v.parquet", {"e": rows}))


def test_lists_of_other_lengths_are_found_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_tables, "_STEP", 1)
    file = write(tmp_path / "v.parquet", {"e": [[1.0, 2.0], [1.0, 2.0], [1.0]]})
    with pytest.raises(DataError, match=r"row 2, has \(1,\) numbers, the rows before it \(2,\)"):
        opened(file)


def test_a_column_of_labels_is_no_number(tmp_path: Path) -> None:
    columns = {"a": VALUES[:, 0], "b": VALUES[:, 1], "site": [1, 1, 2, 2, 3, 3]}
    file = write(tmp_path / "v.parquet", columns)
    items = opened(file, groups="site")
    assert items.groups == tuple("112233")
    assert items.items.tolist() == VALUES[:, :2].tolist()
    with pytest.raises(DataError, match=r"no groups 'patient' in .*; columns: a, b, site"):
        opened(file, groups="patient")
    write(file, {**columns, "site": [1, None, 2, 2, 3, 3]})
    with pytest.raises(DataError, match="row 1, misses site"):
        opened(file, groups="site")
    hub = write_hub(tmp_path / "i.parquet", BYTES, patient=list("aabbcc"))
    assert opened(hub, groups="patient").groups == tuple("aabbcc")


def test_a_table_of_words_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "w.parquet", {"name": list("ab"), "when": list("cd")})
    with pytest.raises(DataError, match=r"holds name: String, when: String; it needs a column of"):
        opened(file)
    with pytest.raises(DataError, match="holds no columns"):
        opened(write(tmp_path / "l.parquet", {"y": [1, 2]}), groups="y")
