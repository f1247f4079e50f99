"""Pairs a reader can judge by eye: each suspicious sample beside what it might be a copy of."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ecotone.core.errors import RecordError
from ecotone.core.tensors import read_tensors
from ecotone.report.text import clean, number

__all__ = ["Gallery", "Pair", "RawGallery", "encode", "fit_pairs", "png", "read_gallery"]

MOST_PAIRS = 24
TEXT = 600
"""Bytes of a page around one pair's images."""

LARGEST = 64
"""Longest edge of an embedded image in pixels; larger ones are made smaller."""

IMAGES = ("generated", "nearest_training", "second_training", "nearest_holdout")
DISTANCES = ("distance_training", "distance_second", "distance_holdout")


@dataclass(frozen=True)
class RawGallery:
    """What a run's gallery file holds, most suspicious pair first.

    Args:
        tensors: the four stacks of images (k, channels, height, width) and three of distances.
        about: step, range of values, identifiers of the training images, how near was measured.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    about: Mapping[str, Any]

    @property
    def size(self) -> int:
        """How many pairs there are."""
        return len(self.tensors["generated"])


@dataclass(frozen=True)
class Pair:
    """A generated image, three real ones, and how far it is from them."""

    images: tuple[str, ...]
    training_id: str
    training: str
    second: str
    holdout: str
    ratio: str
    copied: bool


@dataclass(frozen=True)
class Gallery:
    """One run's pairs as the page shows them."""

    step: str
    pairs: tuple[Pair, ...]
    total: int
    note: str

    @property
    def size(self) -> int:
        """About how many bytes it takes on the page."""
        return sum(TEXT + sum(map(len, pair.images)) for pair in self.pairs)


def read_gallery(path: Path) -> RawGallery | None:
    """Read a run's gallery; None where it has none, as studies of vectors do.

    Raises:
        RecordError: for a file that is truncated or lacks what a gallery holds.
    """
    if not path.is_file():
        return None
    held, about = read_tensors(path)
    hint = "delete its folder and start the study again with the same --out"
    missing = [name for name in (*IMAGES, *DISTANCES) if name not in held]
    if missing:
        raise RecordError(f"{path} lacks {missing[0]}", hint=hint)
    tensors = {name: held[name].numpy() for name in (*IMAGES, *DISTANCES)}
    count = len(tensors["generated"])
    for name, tensor in tensors.items():
        if len(tensor) != count or (name in IMAGES and tensor.ndim != 4):
            raise RecordError(
                f"{path}: {name} of shape {tensor.shape} does not fit {count} pairs", hint=hint
            )
    return RawGallery(tensors, about) if count else None


def encode(raw: RawGallery, most: int = MOST_PAIRS) -> Gallery:
    """Return the most suspicious pairs with their images as PNG data addresses.

    Args:
        raw: as read.
        most: how many pairs to keep.
    """
    low, high = float(raw.about.get("value_low", -1.0)), float(raw.about.get("value_high", 1.0))
    identifiers = _identifiers(raw.about.get("training_ids"), raw.size)
    step = raw.about.get("step")
    pairs = []
    for index in range(min(most, raw.size)):
        training, second, holdout = (float(raw.tensors[name][index]) for name in DISTANCES)
        # 0/0: the sample and both neighbours are the same image, the clearest copy of all.
        ratio = training / second if second > 0 else 0.0
        pairs.append(
            Pair(
                images=tuple(png(raw.tensors[name][index], low, high) for name in IMAGES),
                training_id=identifiers[index],
                training=number(training),
                second=number(second),
                holdout=number(holdout),
                ratio=number(ratio, 2),
                copied=ratio < 1 / 3,
            )
        )
    return Gallery(
        step=f"{step:,}" if isinstance(step, int) else clean(step),
        pairs=tuple(pairs),
        total=raw.size,
        note=clean(raw.about.get("measure", "")),
    )


def fit_pairs(raws: Sequence[RawGallery], budget: int) -> int:
    """Return how many pairs a run may show for all galleries to stay within a size in bytes.

    Each gallery's first pairs stand for the rest.
    """
    bytes_a_pair = sum(encode(raw, 3).size / min(3, raw.size) for raw in raws)
    return max(1, min(MOST_PAIRS, int(budget / bytes_a_pair))) if raws else MOST_PAIRS


def png(image: NDArray[np.float32], low: float, high: float) -> str:
    """Return an image as a PNG data address, its longer edge 64 pixels at most.

    Args:
        image: (channels, height, width); of other than three channels the first is shown.
        low: value shown as black; NaN is, too.
        high: value shown as white, above ``low``.
    """
    scaled = np.clip((np.nan_to_num(image, nan=low) - low) / (high - low), 0, 1)
    pixels = np.round(255 * scaled).astype(np.uint8)
    if len(pixels) == 3:
        picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), mode="RGB")
    else:
        picture = Image.fromarray(np.ascontiguousarray(pixels[0]), mode="L")
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _identifiers(listed: object, count: int) -> list[str]:
    """Return the training images' identifiers; blanks where the file does not give them."""
    if not isinstance(listed, list) or len(listed) != count:
        return [""] * count
    return [clean(identifier) for identifier in listed]
