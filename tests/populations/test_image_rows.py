from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_files import encoded, labelled_images
from ecotone.core.errors import DataError
from ecotone.populations.image_rows import check_labels, decode_images, read_bytes


def decode(*images: bytes) -> np.ndarray:
    return decode_images(images, lambda index: f"rows.parquet, row {index},", height=32, width=32)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_pixels_come_back_exactly_channels_first() -> None:
    pixels, _ = labelled_images(3)
    assert np.array_equal(decode(*map(encoded, pixels)), pixels.transpose(0, 3, 1, 2))
    assert decode().shape == (0, 3, 32, 32)


def test_jpeg_is_what_pillow_makes_of_it() -> None:
    data = encoded(labelled_images(1)[0][0], "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode(data)[0].transpose(1, 2, 0), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "I;16"])
def test_other_channels_name_row_and_mode(mode: str) -> None:
    good = encoded(labelled_images(1)[0][0])
    with pytest.raises(DataError, match=rf"rows\.parquet, row 1, is of mode {mode}, not RGB"):
        decode(good, saved(Image.new(mode, (32, 32))))


def test_jpeg_of_grey_or_four_colours_is_refused() -> None:
    for mode in ("L", "CMYK"):
        with pytest.raises(DataError, match=f"mode {mode}, not RGB"):
            decode(saved(Image.new(mode, (32, 32)), "JPEG"))


def test_what_rgb_may_hide_is_refused() -> None:
    with pytest.raises(DataError, match="row 0, is RGB with a transparent colour"):
        decode(saved(Image.new("RGB", (32, 32)), transparency=(0, 0, 0)))
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    with pytest.raises(DataError, match="row 0, is of more than one frame"):
        decode(saved(frames[0], save_all=True, append_images=frames[1:]))


def test_sixteen_bits_a_channel_are_refused() -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = zlib.compress((b"\x00" + b"\x12\x34" * 3 * 32) * 32)
    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    deep = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match="row 0, is RGB of 16 bits a channel"):
        decode(deep)


def test_another_size_is_named_width_first() -> None:
    with pytest.raises(DataError, match=r"row 0, is 31×32 pixels \(width×height\), not 32×32"):
        decode(saved(Image.new("RGB", (31, 32))))


def test_a_huge_image_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = saved(Image.new("RGB", (64, 64)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(DataError, match=r"row 0, as an image: .*exceeds limit"):
        decode(wide)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF", "WEBP"])
def test_only_png_and_jpeg_are_opened(kind: str) -> None:
    with pytest.raises(DataError, match="row 0, as an image: neither PNG nor JPEG"):
        decode(saved(Image.new("RGB", (32, 32)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_image_is_named(kind: str) -> None:
    whole = encoded(labelled_images(1)[0][0], kind)
    for length in (0, 10, len(whole) // 2):
        with pytest.raises(DataError, match=r"cannot read rows\.parquet, row 0, as an image"):
            decode(whole[:length])


def test_a_label_without_a_class_is_named() -> None:
    check_labels(np.array([0, 1]), ["cat", "dog"], Path("rows"))
    for wrong in (-1, 2):
        with pytest.raises(DataError, match=f"rows, row 2: label {wrong} is none of 0 to 1"):
            check_labels(np.array([0, 1, wrong, wrong]), ["cat", "dog"], Path("rows"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*absent: No such file"):
        read_bytes(tmp_path / "absent")
