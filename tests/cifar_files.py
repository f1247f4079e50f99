"""Small copies of CIFAR-10, of random pixels, in every layout that is read."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from ecotone.populations.cifar10 import CLASSES


def labelled_images(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (count, 32, 32, 3) bytes, and labels that take every class in turn."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return pixels, np.arange(count) % 10


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_rows(file: Path, images: list[bytes | None], labels: list[int | None]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    struct_of = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    pl.DataFrame(
        {"img": [{"bytes": image, "path": None} for image in images], "label": labels},
        schema={"img": struct_of, "label": pl.Int64},
    ).write_parquet(file)
    return file


def write_hub(root: Path, part: str, pixels: np.ndarray, labels: np.ndarray) -> Path:
    file = root / "plain_text" / f"{part}-00000-of-00001.parquet"
    return write_rows(file, [encoded(image) for image in pixels], labels.tolist())


def planes(pixels: np.ndarray) -> np.ndarray:
    """Return a row of bytes for each image: its red, then its green, then its blue plane."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), 3072)


def write_binary(file: Path, pixels: np.ndarray, labels: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([labels.astype(np.uint8)[:, None], planes(pixels)], axis=1)
    file.write_bytes(rows.tobytes())
    return file


def write_pickle(file: Path, whole: object, protocol: int = 2) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(whole, protocol=protocol))
    return file


def write_folders(root: Path, pixels: np.ndarray, labels: np.ndarray) -> Path:
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        file = root / CLASSES[label] / f"{index:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(image))
    return root


def python2_pickle(rows: np.ndarray, labels: list[int], *, columns_first: bool = False) -> bytes:
    """Return what Python 2's cPickle writes for a batch, instruction by instruction."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    raw = rows.tobytes(order="F" if columns_first else "C")
    dtype = b"cnumpy\ndtype\nq\x08" + text(b"u1") + b"K\x00K\x01\x87Rq\x09"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"\x87Rq\x07(K\x01" + b"".join(number(side) for side in rows.shape) + b"\x86" + dtype
    array += (b"\x88" if columns_first else b"\x89") + b"T" + struct.pack("<i", len(raw)) + raw
    parts = [
        b"\x80\x02}q\x01(",
        text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03",
        text(b"labels") + b"q\x04]q\x05(" + b"".join(number(v) for v in labels) + b"e",
        text(b"data") + array + b"tb",
        text(b"filenames") + b"](" + text(b"a_s_000001.png") + text(b"b_s_000002.png") + b"eu.",
    ]
    return b"".join(parts)
