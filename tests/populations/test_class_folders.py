from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cifar_files import encoded, labelled_images, write_folders
from ecotone.core.errors import DataError
from ecotone.populations.cifar10 import CLASSES
from ecotone.populations.class_folders import class_files, read_class_files
from ecotone.populations.image_rows import ImageRows

PIXELS, LABELS = labelled_images(12)


def rows_of(files: list[Path]) -> ImageRows:
    return read_class_files(files, "train", CLASSES, height=32, width=32)


def test_images_come_in_the_order_of_classes_and_names(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", PIXELS, LABELS)
    write_folders(tmp_path / "test", PIXELS[:2], LABELS[:2])
    found = class_files(tmp_path, CLASSES)
    assert {part: len(files) for part, files in found.items()} == {"train": 12, "test": 2}
    rows = rows_of(found["train"])
    order = np.argsort(LABELS, kind="stable")
    assert rows.labels.tolist() == LABELS[order].tolist()
    assert rows.ids[:3] == (
        "train/airplane/0000.png",
        "train/airplane/0010.png",
        "train/automobile/0001.png",
    )
    chosen = np.array([4, 0])
    assert np.array_equal(rows.read(chosen), PIXELS[order[chosen]].transpose(0, 3, 1, 2))


def test_classes_without_parts_are_for_training(tmp_path: Path) -> None:
    write_folders(tmp_path, PIXELS, LABELS)
    found = class_files(tmp_path, CLASSES)
    assert (len(found["train"]), found["test"]) == (12, [])


def test_one_part_alone_is_found_alone(tmp_path: Path) -> None:
    write_folders(tmp_path / "test", PIXELS, LABELS)
    assert class_files(tmp_path, CLASSES).keys() == {"test"}


def test_folders_of_other_things_are_no_classes(tmp_path: Path) -> None:
    assert class_files(tmp_path, CLASSES) == {}
    (tmp_path / "train").mkdir()
    (tmp_path / "notes").mkdir()
    assert class_files(tmp_path, CLASSES) == {}


def test_a_folder_that_is_no_class_is_told_the_nearest(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", PIXELS, LABELS)
    shutil.move(tmp_path / "train" / "dog", tmp_path / "train" / "dogs")
    with pytest.raises(DataError, match=r"train/dogs stands beside .*did you mean 'dog'"):
        class_files(tmp_path, CLASSES)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    write_folders(tmp_path, PIXELS, LABELS)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / "dog" / "._0.png").write_bytes(b"a Finder's file")
    (tmp_path / "dog" / "a.JPG").write_bytes(encoded(PIXELS[0], "JPEG"))
    assert [f.name for f in class_files(tmp_path, CLASSES)["train"]].count("a.JPG") == 1
    assert len(class_files(tmp_path, CLASSES)["train"]) == 13


def test_ids_are_one_line_of_text(tmp_path: Path) -> None:
    (tmp_path / "dog").mkdir()
    for name in ("two\nlines.png", "é.png", "raw\udcff.png"):
        (tmp_path / "dog" / name).write_bytes(encoded(PIXELS[0]))
    rows = rows_of(class_files(tmp_path, CLASSES)["train"])
    assert set(rows.ids) == {
        "train/dog/two\\nlines.png",
        "train/dog/é.png",
        "train/dog/raw\\udcff.png",
    }
    assert all(name.isprintable() for name in rows.ids)


def test_a_bad_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    write_folders(tmp_path, PIXELS, LABELS)
    (tmp_path / "cat" / "0003.png").write_bytes(b"words")
    rows = rows_of(class_files(tmp_path, CLASSES)["train"])
    with pytest.raises(DataError, match=r"cannot read .*cat/0003\.png as an image: neither PNG"):
        rows.read(np.arange(12))
    rows.read(np.flatnonzero(rows.labels != 3))
