from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cifar_files import encoded, labelled_images, write_hub, write_rows
from ecotone.core.errors import DataError
from ecotone.populations.cifar10 import CLASSES
from ecotone.populations.hub_layout import fetch_parquet, parquet_files, read_parquet
from ecotone.populations.image_rows import ImageRows

PIXELS, LABELS = labelled_images(12)
IMAGES: list[bytes | None] = [encoded(image) for image in PIXELS]


def rows_of(*files: Path) -> ImageRows:
    return read_parquet(files, "train", CLASSES, height=32, width=32)


def test_rows_come_back_in_order_and_only_those_asked_for(tmp_path: Path) -> None:
    rows = rows_of(write_hub(tmp_path, "train", PIXELS, LABELS))
    assert rows.labels.tolist() == LABELS.tolist()
    assert rows.ids[5] == "train/00005 dog"
    read = rows.read(np.array([7, 2]))
    assert np.array_equal(read, PIXELS[[7, 2]].transpose(0, 3, 1, 2))


def test_rows_count_through_the_files_of_a_part(tmp_path: Path) -> None:
    for number, chosen in enumerate((slice(5), slice(5, 12))):
        file = tmp_path / f"train-{number:05d}-of-00002.parquet"
        write_rows(file, IMAGES[chosen], LABELS[chosen].tolist())
    files = parquet_files(tmp_path)["train"]
    whole = rows_of(write_hub(tmp_path, "train", PIXELS, LABELS))
    divided = rows_of(*files)
    assert divided.ids == whole.ids
    every = np.arange(12)
    assert np.array_equal(divided.read(every), whole.read(every))


def test_a_bad_image_names_its_file_and_the_row_in_it(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "train-0.parquet", IMAGES[:5], LABELS[:5].tolist())
    second = write_rows(tmp_path / "train-1.parquet", [*IMAGES[5:8], b"no image"], [5, 6, 7, 8])
    rows = rows_of(first, second)
    rows.read(np.arange(8))  # what is not asked for is not decoded
    with pytest.raises(DataError, match=r"train-1\.parquet, row 3, as an image: neither"):
        rows.read(np.array([1, 8]))


def test_files_are_found_at_any_depth_and_names_are_no_patterns(tmp_path: Path) -> None:
    file = write_hub(tmp_path / "a[1]" / "part=3", "test", PIXELS, LABELS)
    assert parquet_files(tmp_path) == {"test": [file]}
    assert len(rows_of(file).labels) == 12


def test_two_data_sets_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("cifar10", "mnist"):
        write_hub(tmp_path / name, "train", PIXELS, LABELS)
    with pytest.raises(DataError, match=r"more folders than one: .*cifar10/plain_text, .*mnist"):
        parquet_files(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    file = write_hub(tmp_path, "train", PIXELS, LABELS)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(DataError, match=r"cannot read .*train-00000-of-00001\.parquet: ") as caught:
        rows_of(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [1], "label": [1]},
        {"img": [b"bytes, but in no struct"], "label": [1]},
        {"img": [{"path": "a.png"}], "label": [1]},
        {"img": [{"bytes": "text"}], "label": [1]},
        {"img": [{"bytes": b""}], "fine_label": [1]},
        {"img": [{"bytes": b""}], "label": ["dog"]},
        {"img": [{"bytes": b""}], "label": [1.0]},
    ],
)
def test_other_columns_are_named(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    file = tmp_path / "train-0.parquet"
    pl.DataFrame(columns).write_parquet(file)
    with pytest.raises(DataError, match=rf"train-0\.parquet holds {next(iter(columns))}: .*needs"):
        rows_of(file)


def test_what_is_missing_in_a_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "train-0.parquet"
    write_rows(file, [IMAGES[0], None, IMAGES[2]], [0, 1, 2])
    with pytest.raises(DataError, match=r"train-0\.parquet, row 1: bytes is missing"):
        rows_of(file)
    write_rows(file, IMAGES[:3], [0, 1, None])
    with pytest.raises(DataError, match=r"train-0\.parquet, row 2: label is missing"):
        rows_of(file)


@pytest.mark.parametrize("label", [-1, 10, 2**40])
def test_a_label_without_a_class_is_named(tmp_path: Path, label: int) -> None:
    file = write_rows(tmp_path / "train-0.parquet", IMAGES[:3], [0, label, 2])
    with pytest.raises(DataError, match=rf"train-0\.parquet, row 1: label {label} is none of 0 to"):
        rows_of(file)


def test_what_was_fetched_before_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    calls: list[dict[str, Any]] = []

    def download(**asked: Any) -> str:
        calls.append(asked)
        if asked["local_files_only"] and len(calls) == 1:
            raise LocalEntryNotFoundError("not there yet")
        return str(tmp_path / asked["filename"])

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for _ in range(2):
        assert fetch_parquet("owner/images", "a/b.parquet", tmp_path) == tmp_path / "a/b.parquet"
    assert [call["local_files_only"] for call in calls] == [True, False, True]
    assert {(c["repo_id"], c["repo_type"], c["local_dir"]) for c in calls} == {
        ("owner/images", "dataset", tmp_path)
    }


def test_a_network_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def download(**asked: Any) -> str:
        raise ConnectionError("no route to host\nwith much detail")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(DataError) as caught:
        fetch_parquet("owner/images", "a/b.parquet", None)
    assert str(caught.value) == (
        "cannot download a/b.parquet of the data set owner/images: no route to host; "
        "try again, or set population.path to a copy"
    )
