from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecotone.core.errors import DataError
from ecotone.populations.folders import read_image
from ecotone.populations.sources import open_items
from stored_sets import channels_first, encoded, photos, write_folder


def test_pixels_come_back_as_they_are(tmp_path: Path) -> None:
    images = photos(5, 6, 8)
    items = open_items(write_folder(tmp_path, images), role="training")
    assert torch.equal(items.items, torch.from_numpy(channels_first(images)))
    assert (items.kind, items.value_range, items.is_image) == ("folder", (0.0, 255.0), True)
    facts = items.facts
    assert (facts.formats, facts.modes, facts.sizes) == ({"PNG": 5}, {"RGB": 5}, {(6, 8): 5})
    assert (facts.resized_to, facts.changes, facts.dtype) == (None, (), "uint8")
    assert facts.range == (images.min(), images.max())


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "webp", "jpg", "jpeg", "gif"])
def test_every_suffix_is_read_as_a_population_reads_it(tmp_path: Path, suffix: str) -> None:
    write_folder(tmp_path, photos(3), suffix=suffix)
    items = open_items(tmp_path, role="training")
    expected = [read_image(file).transpose(2, 0, 1) for file in sorted(tmp_path.iterdir())]
    assert np.array_equal(items.items.numpy(), np.stack(expected))


def test_formats_are_those_of_the_content_whatever_the_name(tmp_path: Path) -> None:
    for index, kind in enumerate(["PNG", "PNG", "JPEG"]):
        (tmp_path / f"{index}.png").write_bytes(encoded(photos(1)[0], kind))
    assert open_items(tmp_path, role="training").facts.formats == {"PNG": 2, "JPEG": 1}


def test_grey_images_have_one_channel_and_none_where_one_has_colours(tmp_path: Path) -> None:
    grey = photos(3)[..., 0]
    folder = write_folder(tmp_path, grey)
    items = open_items(folder, role="training")
    assert torch.equal(items.items[:, 0], torch.from_numpy(grey))
    Image.fromarray(photos(1)[0]).save(folder / "z.png")
    mixed = open_items(folder, role="training")
    assert mixed.items.shape == (4, 3, 6, 6)
    assert torch.equal(mixed.items[:3], items.items.expand(-1, 3, -1, -1))
    assert mixed.facts.modes == {"L": 3, "RGB": 1}


def test_mixed_sizes_are_brought_to_the_least_side_and_told(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", photos(2, 8, 12))
    write_folder(tmp_path / "b", photos(1, 16, 10))
    items = open_items(tmp_path, role="training")
    assert items.items.shape == (3, 3, 8, 8)
    assert items.facts.sizes == {(8, 12): 2, (16, 10): 1}
    assert items.facts.resized_to == 8
    assert items.facts.changes == ("cut to the central square and resized to 8×8 (Lanczos)",)
    expected = read_image(tmp_path / "b" / "000.png", size=8).transpose(2, 0, 1)
    assert np.array_equal(items.items[2].numpy(), expected)


def test_a_size_that_was_asked_for_is_given(tmp_path: Path) -> None:
    write_folder(tmp_path, photos(2, 8))
    assert open_items(tmp_path, role="training", size=5).items.shape == (2, 3, 5, 5)
    same = open_items(tmp_path, role="training", size=8)
    assert same.facts.resized_to is None
    assert torch.equal(same.items, open_items(tmp_path, role="training").items)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_sizes_are_those_of_upright_images(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = photos(1, 6, 10)[0]
    (tmp_path / "a.png").write_bytes(encoded(lying, kind, exif=exif))
    (tmp_path / "b.png").write_bytes(encoded(photos(1, 10, 6)[0], kind))
    items = open_items(tmp_path, role="training")
    assert items.facts.sizes == {(10, 6): 2}
    assert items.items.shape == (2, 3, 10, 6)


def test_transparency_is_laid_over_white_and_told(tmp_path: Path) -> None:
    layer = np.zeros((4, 4, 4), dtype=np.uint8)
    layer[2:, :, 3] = 255
    Image.fromarray(layer).save(tmp_path / "a.png")
    Image.fromarray(layer[..., :3]).save(tmp_path / "b.png")
    items = open_items(tmp_path, role="training")
    assert items.items[0, 0, :, 0].tolist() == [255, 255, 0, 0]
    assert items.facts.changes == ("transparency of 1 image laid over white",)


def test_sixteen_bits_of_colour_are_cut_to_eight_and_told(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = b"".join(b"\0" + struct.pack(">6H", *[0x1234] * 6) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    items = open_items(tmp_path, role="training")
    assert (items.items == 0x12).all()
    assert items.facts.modes == {"RGB;16": 1}
    assert items.facts.changes == ("16 bits a channel cut to 8",)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[: len(data) // 2], r"cannot read .*001\.png as an image"),
        (lambda data: b"", r"cannot read .*001\.png as an image: it is none of PNG, JPEG"),
        (lambda data: b"words", r"cannot read .*001\.png as an image: it is none of"),
        (lambda data: data[:60] + bytes(20) + data[80:], r"cannot read .*001\.png as an image"),
    ],
)
def test_a_damaged_image_is_named(tmp_path: Path, damage, told: str) -> None:
    write_folder(tmp_path, photos(3, 20))
    file = tmp_path / "001.png"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=told):
        open_items(tmp_path, role="training")


def test_films_deep_greys_and_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.fromarray(image) for image in photos(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"film\.gif has more than one frame"):
        open_items(tmp_path, role="training")
    (tmp_path / "film.gif").unlink()
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png has pixels of mode I;16"):
        open_items(tmp_path, role="training")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(DataError, match=r"deep\.png as an image.*exceeds limit"):
        open_items(tmp_path, role="training")


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, photos(2))
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"link\.png"):
        open_items(tmp_path, role="training")


def test_images_in_memory_are_read_as_those_in_files() -> None:
    images = photos(4)
    opened = [Image.open(io.BytesIO(encoded(image))) for image in images[:2]]
    held = [Image.fromarray(image) for image in images[2:]]
    items = open_items([*opened, *held], role="generated")
    assert torch.equal(items.items, torch.from_numpy(channels_first(images)))
    assert items.facts.formats == {"PNG": 2, "in memory": 2}
    assert (items.kind, items.ids, items.name) == (
        "memory",
        ("0", "1", "2", "3"),
        "4 images in memory",
    )
    again = open_items(held, role="generated", size=3)  # they were not closed
    assert again.items.shape == (2, 3, 3, 3)
    deep = Image.fromarray(np.zeros((4, 4), dtype=np.float32))
    with pytest.raises(DataError, match="generated image 1 has pixels of mode F"):
        open_items([held[0], deep], role="generated")
