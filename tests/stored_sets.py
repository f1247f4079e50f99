"""Small sets of random items, in every kind of file that an audit opens."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image


def photos(count: int, height: int = 6, width: int | None = None, *, seed: int = 0) -> np.ndarray:
    """Return (count, height, width, 3) random bytes."""
    shape = (count, height, width or height, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def channels_first(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def encoded(image: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def write_folder(root: Path, images: np.ndarray, *, suffix: str = "png") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(root / f"{index:03d}.{suffix}")
    return root


def write_hub(
    file: Path, images: Sequence[bytes | None], *, column: str = "image", **columns: list
) -> Path:
    """Write a file as the Hugging Face hub has it: structs of bytes and path, and columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    held = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    rows = [{"bytes": image, "path": f"{row}.png"} for row, image in enumerate(images)]
    pl.DataFrame({column: rows, **columns}, schema_overrides={column: held}).write_parquet(file)
    return file
