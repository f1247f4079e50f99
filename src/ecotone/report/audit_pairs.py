"""Generated images beside the real ones that they may be copies of, for a reader to judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecotone.measures.neighbours import GAP_RATIO
from ecotone.report.gallery import png
from ecotone.report.text import clean, number

__all__ = ["Pair", "RawPairs", "Shown", "encode_pairs"]

FEWEST = 4
"""Pair shown however large their images are."""

_REAL = {
    "generated": ("generated", "generated_ids", None),
    "nearest_training": ("nearest training", "training_ids", "distance_training"),
    "second_training": ("second nearest", "second_ids", "distance_second"),
    "nearest_holdout": ("nearest held-out", "holdout_ids", "distance_holdout"),
}
"""What each stack of images is called, and where its names and distances stand."""


@dataclass(frozen=True, eq=False)
class RawPairs:
    """What ``gallery.safetensors`` of an audit holds, the most suspicious first.

    Args:
        tensors: stacks of images (k, channels, height, width), and of distances (k,).
        ids: names of the images of every stack.
        value_range: of the images.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    ids: Mapping[str, tuple[str, ...]]
    value_range: tuple[float, float]

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[np.float32]], about: Mapping[str, Any]) -> RawPairs:
        """Check what a file holds.

        Raises:
            ValueError: for what is missing or does not fit together.
        """
        if "generated" not in tensors:
            raise ValueError("it lacks generated")
        count = len(tensors["generated"])
        held, ids = {}, {}
        for name, (_, names, distance) in _REAL.items():
            if name == "nearest_holdout" and name not in tensors:
                continue
            for part in (name, distance):
                if part is None:
                    continue
                if part not in tensors:
                    raise ValueError(f"it lacks {part}")
                held[part] = tensors[part]
                dimensions = 4 if part == name else 1
                if held[part].ndim != dimensions or len(held[part]) != count:
                    raise ValueError(f"{part} of shape {held[part].shape} is not of {count} pairs")
            listed = about.get(names)
            if not isinstance(listed, list) or len(listed) != count:
                raise ValueError(f"its {names} are not those of {count} pairs")
            ids[name] = tuple(clean(one) for one in listed)
        return cls(held, ids, _range(about.get("value_range"), held))

    @property
    def size(self) -> int:
        """How many pairs there are."""
        return len(self.tensors["generated"])

    @property
    def copies(self) -> int:
        """How many of them count as copies."""
        return sum(ratio < GAP_RATIO for ratio in self.ratios)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Gap ratios; 0/0, a copy of an image that is there more than once, is 0."""
        near, second = (
            self.tensors[name].astype(np.float64)
            for name in ("distance_training", "distance_second")
        )
        return tuple(
            float(d / e) if e > 0 else 0.0
            for d, e in zip(near.tolist(), second.tolist(), strict=True)
        )


@dataclass(frozen=True)
class Shown:
    """One image of a pair: its picture, what it is, its name, and how far away it is."""

    picture: str
    role: str
    name: str
    distance: str


@dataclass(frozen=True)
class Pair:
    """One pair as the page shows it."""

    images: tuple[Shown, ...]
    ratio: str
    copied: bool


def encode_pairs(raw: RawPairs, budget: int) -> tuple[Pair, ...]:
    """Return the first pairs with their pictures, as many as fit into so many bytes.

    Args:
        raw: as read.
        budget: bytes; a few pairs are kept whatever they take.
    """
    low, high = raw.value_range
    shown: list[Pair] = []
    for index, ratio in enumerate(raw.ratios):
        images = []
        for name, ids in raw.ids.items():
            role, _, distance = _REAL[name]
            images.append(
                Shown(
                    picture=png(raw.tensors[name][index], low, high),
                    role=role,
                    name=ids[index],
                    distance=""
                    if distance is None
                    else number(float(raw.tensors[distance][index])),
                )
            )
        budget -= sum(len(image.picture) for image in images)
        if budget < 0 and len(shown) >= FEWEST:
            break
        shown.append(Pair(tuple(images), number(ratio, 2), ratio < GAP_RATIO))
    return tuple(shown)


def _range(given: object, tensors: Mapping[str, NDArray[np.float32]]) -> tuple[float, float]:
    """Return the range of values: as given, or where it is not, that of all images."""
    if given is None:
        stacks = [tensor[np.isfinite(tensor)] for tensor in tensors.values() if tensor.ndim == 4]
        low = min((float(stack.min()) for stack in stacks if stack.size), default=0.0)
        high = max((float(stack.max()) for stack in stacks if stack.size), default=1.0)
        return (low, high) if low < high else (low, low + 1.0)
    match given:
        case [int() | float() as low, int() | float() as high] if low < high:
            return float(low), float(high)
    raise ValueError(f"its value_range {clean(given)} is no range")
