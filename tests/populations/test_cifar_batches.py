from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cifar_files import labelled_images, planes, python2_pickle, write_binary, write_pickle
from ecotone.core.errors import DataError
from ecotone.populations.cifar10 import CLASSES
from ecotone.populations.cifar_batches import batch_files, read_batches

PIXELS, LABELS = labelled_images(8)
EVERY = np.arange(8)


def test_binary_and_pickled_batches_hold_the_same(tmp_path: Path) -> None:
    binary = write_binary(tmp_path / "data_batch_1.bin", PIXELS, LABELS)
    pickled = tmp_path / "data_batch_1"
    pickled.write_bytes(python2_pickle(planes(PIXELS), LABELS.tolist()))
    rewritten = tmp_path / "data_batch_2"
    write_pickle(rewritten, {"data": planes(PIXELS), "labels": LABELS.tolist()})
    for file in (binary, pickled, rewritten):
        rows = read_batches([file], "train", CLASSES)
        assert rows.labels.tolist() == LABELS.tolist()
        assert rows.ids[5] == "train/00005 dog"
        assert np.array_equal(rows.read(EVERY), PIXELS.transpose(0, 3, 1, 2))


def test_rows_count_through_the_batches_of_a_part(tmp_path: Path) -> None:
    for number in (2, 1):
        half = slice(4 * number - 4, 4 * number)
        write_binary(tmp_path / f"data_batch_{number}.bin", PIXELS[half], LABELS[half])
    write_binary(tmp_path / "test_batch.bin", PIXELS, LABELS)
    (tmp_path / "data_batch_9.bin").write_bytes(b"none of theirs")
    found = batch_files(tmp_path)
    assert {part: [f.name for f in files] for part, files in found.items()} == {
        "train": ["data_batch_1.bin", "data_batch_2.bin"],
        "test": ["test_batch.bin"],
    }
    rows = read_batches(found["train"], "train", CLASSES)
    assert rows.ids[4] == "train/00004 deer"
    assert np.array_equal(rows.read(np.array([6, 1])), PIXELS[[6, 1]].transpose(0, 3, 1, 2))


def test_binary_batches_come_before_pickled_ones(tmp_path: Path) -> None:
    assert batch_files(tmp_path) == {}
    (tmp_path / "data_batch_1").write_bytes(b"pickled")
    assert batch_files(tmp_path) == {"train": [tmp_path / "data_batch_1"]}
    (tmp_path / "data_batch_1.bin").write_bytes(b"binary")
    assert batch_files(tmp_path) == {"train": [tmp_path / "data_batch_1.bin"]}


@pytest.mark.parametrize("length", [0, 1, 3072, 3073 * 8 - 1])
def test_a_truncated_binary_batch_is_named(tmp_path: Path, length: int) -> None:
    file = write_binary(tmp_path / "data_batch_1.bin", PIXELS, LABELS)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=rf"data_batch_1\.bin has {length} bytes, .* truncated"):
        read_batches([file], "train", CLASSES)


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_without_a_class_is_named(tmp_path: Path, label: int) -> None:
    labels = LABELS.copy()
    labels[3] = label
    file = write_binary(tmp_path / "test_batch.bin", PIXELS, labels)
    with pytest.raises(DataError, match=rf"test_batch\.bin, row 3: label {label} is none of 0"):
        read_batches([file], "test", CLASSES)
    whole = {"data": planes(PIXELS), "labels": [*LABELS.tolist()[:-1], 2**70]}
    file = write_pickle(tmp_path / "test_batch", whole)
    with pytest.raises(DataError, match=r"test_batch, row 7: label .* is none of 0"):
        read_batches([file], "test", CLASSES)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": planes(PIXELS)[:, :-1]}, "no data of"),
        ({"data": planes(PIXELS).reshape(-1)}, "no data of"),
        ({"data": planes(PIXELS).tobytes()}, "no data of"),
        ({"data": None}, "no data of"),
        ({"data": planes(PIXELS).astype(np.float32)}, "an array of f4, not of bytes"),
        ({"labels": None}, "no labels that are a list"),
        ({"labels": tuple(LABELS.tolist())}, "no labels that are a list"),
        ({"labels": [True] * 8}, "no labels that are a list"),
        ({"labels": [1] * 7}, "7 labels for 8 images"),
    ],
)
def test_what_is_no_batch_is_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    whole = {"data": planes(PIXELS), "labels": LABELS.tolist()} | change
    file = write_pickle(tmp_path / "data_batch_1", whole)
    with pytest.raises(DataError, match=rf"data_batch_1 .*{told}"):
        read_batches([file], "train", CLASSES)


def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "it-was-run"

    class Command:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, (f"touch {mark}",))

    whole = {"data": planes(PIXELS), "labels": LABELS.tolist(), "filenames": Command()}
    file = write_pickle(tmp_path / "data_batch_1", whole)
    with pytest.raises(
        DataError, match=rf"data_batch_1 is no plain batch.* names {os.name}\.system"
    ):
        read_batches([file], "train", CLASSES)
    assert not mark.exists()


def test_a_truncated_pickle_is_named(tmp_path: Path) -> None:
    data = python2_pickle(planes(PIXELS), LABELS.tolist())
    file = tmp_path / "data_batch_1"
    for length in (0, 20, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(DataError, match="data_batch_1 is no plain batch") as caught:
            read_batches([file], "train", CLASSES)
        assert "\n" not in str(caught.value)
