"""Arrays of numbers: images, volumes, series, vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.arrays import Layout, auto_layout
from ecotone.populations.source_items import Form, Label, Source
from ecotone.populations.source_values import EIGHT_BIT, on_scale, scan
from ecotone.populations.spool import blocks, room

__all__ = ["Numbers"]

_AXES = {"nchw": 4, "nhwc": 4, "nhw": 3}
_COLOURS = (1, 3)
# Whole numbers of more bytes than this have values that float32 cannot hold.
_EXACT = 2


class Numbers(Source):
    """An array that has been looked at, and has yet to be read; see ``source_items.Source``.

    Args:
        label: of the set.
        array: items along the first axis; may lie in a file.
        layout: what its axes mean. ``auto`` takes three axes of uint8 as images (n, height, width),
            and four as (n, channels, height, width) or (n, height, width, channels) by which one
            alone of the second and the last has 1, 3 or 4 entries; the rest is numbers as they are.
        ids: of the items.
        groups: of the items, or None.
        left_out: columns beside these that are no numbers.

    Raises:
        ConfigError: for a layout of other axes.
        DataError: for what is no array of numbers, is empty, or holds NaN or infinity.
    """

    def __init__(
        self,
        label: Label,
        array: NDArray,
        layout: Layout,
        ids: Sequence[str],
        groups: tuple[str, ...] | None = None,
        left_out: int = 0,
    ) -> None:
        _check(array, label)
        super().__init__(label, ids, groups, left_out)
        self.formats, self.modes = {}, {}
        self._array = array
        self._open = layout == "auto"
        self._lay(_layout(array, layout, label))
        self.dtype = array.dtype
        self.values = scan(array, lambda row: f"{label}: {self.ids[row]}")

    def _lay(self, layout: Layout) -> None:
        shape = self._array.shape[1:]
        if layout == "nhw":
            shape = (1, *shape)
        elif layout == "nhwc":
            shape = (shape[2], *shape[:2])
        self.layout = layout
        self.shape = shape
        self.is_image = layout != "raw" and shape[0] in _COLOURS
        size = cast("tuple[int, int]", shape[1:])
        self.sizes = {size: len(self._array)} if self.is_image else {}

    def take_as_images(self) -> None:
        """Take three axes of a layout that was left open as those of grey images."""
        if self._open and self._array.ndim == 3:
            self._lay("nhw")

    @property
    def plain(self) -> np.dtype:
        """Type that its values keep where nothing is said: float64 only where float32 is short."""
        dtype = self.dtype
        short = dtype.itemsize <= (4 if dtype.kind == "f" else _EXACT)
        return np.dtype(np.float32 if short else np.float64)

    def read(self, form: Form, advance: Callable[[int], None]) -> NDArray:
        """Return all items; the array itself where nothing has to be done to it."""
        side = form.side if self.shape[1:] != (form.side, form.side) else None
        shape = self.shape
        if form.channels is not None:
            shape = (form.channels, *(shape[1:] if side is None else (side, side)))
        wanted = form.value_range
        upright = self._upright(self._array)
        kept = (
            self.dtype == form.dtype
            and shape == upright.shape[1:]
            and upright.flags.c_contiguous
            and (wanted is None or wanted == self.values.range)
            # What lies on levels is put on them exactly, so that others can be too.
            and (self.values.levels is None or self.dtype == np.uint8 or wanted is None)
        )
        if kept:
            advance(len(self.ids))
            return upright
        out = room((len(self.ids), *shape), form.dtype)
        for rows in blocks(self._array):
            block = np.asarray(upright[rows])
            if side is not None:
                block = on_scale(block, self.values, wanted=EIGHT_BIT, dtype=np.dtype(np.uint8))
                block = _fitted(block, side)
            # One grey channel is repeated by broadcasting.
            out[rows] = on_scale(block, self.values, wanted=wanted, dtype=form.dtype)
            advance(len(block))
        return out

    def _upright(self, block: NDArray) -> NDArray:
        if self.layout == "nhw":
            return block[:, None]
        return block.transpose(0, 3, 1, 2) if self.layout == "nhwc" else block


def _check(array: NDArray, label: Label) -> None:
    if array.dtype.kind == "O":
        raise DataError(
            f"{label} holds Python objects, which are pickled and are never loaded",
            hint="save a plain array of numbers as .npy, .npz or .safetensors",
        )
    if array.dtype.kind not in "fiub":
        raise DataError(f"{label} holds {array.dtype}", hint="give whole numbers or floats")
    if array.ndim < 2:
        raise DataError(
            f"{label} holds an array of shape {array.shape}",
            hint="give items along the first axis: of single numbers, array[:, None]",
        )
    if array.size == 0:
        raise DataError(f"{label} holds nothing: its shape is {array.shape}", hint="give items")


def _layout(array: NDArray, layout: Layout, label: Label) -> Layout:
    if layout == "auto":
        return auto_layout(array) or "raw"
    if _AXES.get(layout, array.ndim) != array.ndim:
        raise ConfigError(
            f"{label} holds shape {array.shape}, which is not {layout}",
            hint="the layout raw keeps any shape",
        )
    return layout


def _fitted(block: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Cut images to their central squares and resize these, as image files are."""
    out = np.empty((*block.shape[:2], side, side), dtype=np.uint8)
    for place, image in zip(out, block, strict=True):
        pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        fitted = ImageOps.fit(
            Image.fromarray(pixels), (side, side), method=Image.Resampling.LANCZOS
        )
        place[:] = np.atleast_3d(np.asarray(fitted)).transpose(2, 0, 1)
    return out
