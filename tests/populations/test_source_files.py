from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecotone.core.errors import DataError
from ecotone.populations.source_files import is_pipeline_folder, located
from ecotone.populations.sources import open_items
from stored_sets import encoded, photos, write_folder, write_hub


def test_a_part_is_what_follows_the_last_hash_of_a_path_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a#1").mkdir()
    assert located(tmp_path / "a#1") == (tmp_path / "a#1", None)
    assert located(f"{tmp_path}/a#1#test") == (tmp_path / "a#1", "test")


@pytest.mark.parametrize("name", ["absent", "absent#train", "#train", "a" * 300, "a\0b", ""])
def test_what_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder|cannot look for"):
        located(f"{tmp_path}/x/{name}")


def test_an_empty_path_is_not_the_folder_one_stands_in() -> None:
    for empty in ("", "#test"):
        with pytest.raises(DataError, match=rf"no file or folder '{empty}'"):
            located(empty)


def test_a_pipeline_is_known_by_its_index(tmp_path: Path) -> None:
    assert not is_pipeline_folder(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    assert is_pipeline_folder(tmp_path)
    assert is_pipeline_folder(str(tmp_path))
    assert not is_pipeline_folder(photos(2))
    with pytest.raises(DataError, match="is a pipeline, which has no items"):
        open_items(tmp_path, role="training")


def test_names_of_any_characters_are_printable_and_different(tmp_path: Path) -> None:
    names = [
        "<b>&amp;.png",
        "a\nb.png",
        "a\\nb.png",
        "é.png",
        "it's.png",
        "\"'.png",
        "\x1b[31m.png",
    ]
    names += [os.fsdecode(b"\xff\xfe.png"), "\u202egnp.png"]
    images = write_folder(tmp_path / "new", photos(len(names)))
    for file, name in zip(sorted(images.iterdir()), names, strict=True):
        file.rename(images / name)
    items = open_items(images, role="training")
    assert len(set(items.ids)) == len(names)
    assert all(name.isprintable() and name.encode() for name in items.ids)
    assert {"<b>&amp;.png", "é.png", r"a\nb.png", r"a\\nb.png"} < set(items.ids)
    broken = images / os.fsdecode(b"\xfd.png")
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read .*\\udcfd\.png as an image: it is none of"):
        open_items(images, role="training")


def test_a_folder_of_odd_name_is_told_in_one_line(tmp_path: Path) -> None:
    items = open_items(write_folder(tmp_path / "a\nb", photos(2)), role="training")
    assert items.name == f"{tmp_path}/a\\nb"


def test_other_files_are_left_alone_and_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "er", photos(3))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "deep" / "table.csv").write_text("a,b")
    (tmp_path / "deep" / "._001.png").write_bytes(b"a Finder's file")
    items = open_items(tmp_path, role="training")
    assert items.ids == ("deep/er/000.png", "deep/er/001.png", "deep/er/002.png")
    assert items.facts.left_out == 2


def test_links_are_followed_once_and_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / ".cache", photos(3))
    write_folder(tmp_path / "elsewhere", photos(2))
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    items = open_items(tmp_path / "set", role="training")
    assert items.ids == ("a/000.png", "a/001.png")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert len(open_items(tmp_path / "link", role="training")) == 2


def test_the_folder_of_an_image_is_its_group(tmp_path: Path) -> None:
    for scene in ("a", "b/c"):
        write_folder(tmp_path / scene, photos(2))
    write_folder(tmp_path, photos(1))
    items = open_items(tmp_path, role="training", groups="folder")
    assert items.groups == (".", "a", "a", "b/c", "b/c")
    with pytest.raises(
        DataError, match=r"no groups 'scene' in training .*images in folders.*folder"
    ):
        open_items(tmp_path, role="training", groups="scene")


@pytest.mark.parametrize(
    "homes", [("train", "test"), ("cat/train", "cat/Test"), ("x/val", "train")]
)
def test_training_images_are_not_mixed_with_those_of_a_test(
    tmp_path: Path, homes: tuple[str, str]
) -> None:
    for home in homes:
        write_folder(tmp_path / home, photos(2, seed=len(home)))
    parts = sorted(Path(home).name.lower() for home in homes)
    with pytest.raises(DataError) as caught:
        open_items(tmp_path, role="training")
    assert f"has several parts: {', '.join(parts)}" in str(caught.value)
    assert f"give {tmp_path}#{parts[0]} or {tmp_path}#{parts[1]}" in str(caught.value)
    chosen = open_items(f"{tmp_path}#{parts[1]}", role="training")
    assert len(chosen) == 2
    assert all(parts[1] in name.lower() for name in chosen.ids)
    with pytest.raises(DataError, match="has no part 'unseen'; parts: "):
        open_items(f"{tmp_path}#unseen", role="training")


def test_one_part_beside_others_is_a_class_of_trains(tmp_path: Path) -> None:
    for home in ("train", "car"):
        write_folder(tmp_path / home, photos(2))
    assert len(open_items(tmp_path, role="training")) == 4
    with pytest.raises(DataError, match=r"has no part 'x'; give it without #"):
        open_items(f"{write_folder(tmp_path / 'plain', photos(1))}#x", role="training")


def test_folders_that_hold_no_set(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty\) has no images; known suffixes: \.bmp"):
        open_items(tmp_path / "empty", role="training")
    (tmp_path / "empty" / "a.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"has no images but arrays; give .*a\.npy"):
        open_items(tmp_path / "empty", role="training")
    write_hub(tmp_path / "both" / "a.parquet", [encoded(photos(1)[0])])
    write_folder(tmp_path / "both", photos(1))
    with pytest.raises(DataError, match=r"has images and parquet files; .*a\.parquet"):
        open_items(tmp_path / "both", role="training")


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "in", photos(1))
    look = os.scandir

    def refuse(path: str):
        if str(path).endswith("in"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    # Who may read everything, as root may, could not be refused otherwise.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot look into .*in: Permission denied"):
        open_items(tmp_path, role="training")
