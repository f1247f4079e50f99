"""Which scale the values of images are on, and how they come to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecotone.core.errors import DataError
from ecotone.populations.spool import blocks

__all__ = ["CENTRED", "EIGHT_BIT", "UNIT", "Range", "Values", "on_scale", "scan"]

Range = tuple[float, float]

UNIT: Range = (0.0, 1.0)
CENTRED: Range = (-1.0, 1.0)
EIGHT_BIT: Range = (0.0, 255.0)

_SLACK = 1e-6
"""By which a value may lie outside a range: what float32 arithmetic rounds."""
_TELLING = 32
"""Values that are all odd multiples of 1/255 lie on [-1, 1]; by chance, so many do not."""


@dataclass(frozen=True)
class Values:
    """What is known of all values of a set.

    Args:
        low: least value.
        high: greatest value.
        levels: the range, if there is one, of whose 256 evenly spaced levels every value is one:
            then the set came from 8 bits, and goes back to them without loss.
    """

    low: float
    high: float
    levels: Range | None

    @property
    def range(self) -> Range | None:
        """Range that the values of images lie on: that of their levels, [0, 1], [-1, 1] or none."""
        if self.levels is not None:
            return self.levels
        for least, most in (UNIT, CENTRED):
            if self.low >= least - _SLACK and self.high <= most + _SLACK:
                return least, most
        return None


def scan(array: NDArray, tell: Callable[[int], str]) -> Values:
    """Return what is known of an array's values, block by block.

    A value counts as a level of [0, 1] where it is within 1e-3/255 of a multiple of 1/255; those of
    [-1, 1] are the odd multiples. In float16, which cannot hold them so well, it is 0.2/255.

    Args:
        array: whole numbers, floats or truth values; items along the first axis.
        tell: names the item of an index, for errors.

    Raises:
        DataError: for a value that is not finite; the first such item is named.

    >>> scan(np.array([[0.0, 0.2]]), str)
    Values(low=0.0, high=0.2, levels=(0.0, 1.0))
    >>> scan(np.array([[0.0, 0.123]]), str).levels is None
    True
    """
    if array.dtype == np.uint8:
        return Values(float(array.min()), float(array.max()), EIGHT_BIT)
    levels = _Levels(0.2 if array.dtype == np.float16 else 1e-3)
    low, high = np.inf, -np.inf
    for rows in blocks(array):
        block = np.asarray(array[rows])
        if block.dtype.kind != "f" or block.dtype.itemsize < 4:
            block = block.astype(np.float32 if block.dtype.itemsize < 4 else np.float64)
        with np.errstate(invalid="ignore"):
            least, most = float(block.min()), float(block.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            wrong = ~np.isfinite(block.reshape(len(block), -1))
            row, place = (int(index) for index in np.argwhere(wrong)[0])
            value = block.reshape(len(block), -1)[row, place]
            place = tuple(int(index) for index in np.unravel_index(place, block.shape[1:]))
            raise DataError(
                f"{tell(rows.start + row)} holds {value} at index {place}",
                hint="remove it, or look at how it was made",
            )
        low, high = min(low, least), max(high, most)
        levels.look(block)
    return Values(low, high, levels.range)


class _Levels:
    """Whether every value seen so far is one of 256 levels of a range."""

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._of_255 = self._whole = True
        # Which multiples of 1/255 were seen, from −255 on.
        self._seen = np.zeros(511, dtype=bool)

    def look(self, block: NDArray[np.floating]) -> None:
        least, most = block.min(), block.max()
        self._whole &= bool(least > -0.5 and most < 255.5) and self._near(block, np.rint(block))
        self._of_255 &= bool(least > -1.0005 and most < 1.0005)
        if self._of_255:
            multiples = np.rint(block * 255)
            self._of_255 = self._near(block * 255, multiples)
            self._seen[(multiples + 255).astype(np.intp)] = True

    def _near(self, values: NDArray, whole: NDArray) -> bool:
        return bool(np.abs(values - whole).max() <= self._slack)

    @property
    def range(self) -> Range | None:
        if self._of_255:
            seen = np.flatnonzero(self._seen) - 255
            odd = bool((seen % 2 != 0).all())
            if seen[0] < 0:
                return CENTRED if odd else None
            return CENTRED if odd and len(seen) >= _TELLING else UNIT
        return EIGHT_BIT if self._whole else None


def on_scale(block: NDArray, values: Values, *, wanted: Range | None, dtype: np.dtype) -> NDArray:
    """Return some of a set's values on another scale and in another type.

    What lies on levels is brought to 8 bits first, so that equal levels are equal numbers after it
    however they were scaled before.

    Args:
        block: some of the values.
        values: what is known of all of them.
        wanted: the range to bring them to; None leaves them as they are.
        dtype: uint8 for values on levels; float32, float64.

    >>> signed = np.array([-1.0, 1.0])
    >>> on_scale(signed, scan(signed, str), wanted=EIGHT_BIT, dtype=np.dtype(np.uint8))
    array([  0, 255], dtype=uint8)
    >>> on_scale(signed, scan(signed, str), wanted=UNIT, dtype=np.dtype(np.float32))
    array([0., 1.], dtype=float32)
    """
    if values.levels is not None and wanted is not None:
        if block.dtype != np.uint8:
            low, high = values.levels
            block = (block.astype(np.float64) - low) * (255 / (high - low))
            block = np.rint(block).clip(0, 255).astype(np.uint8)
        if wanted == EIGHT_BIT:
            return block.astype(dtype)
        levels, most = block.astype(dtype), dtype.type(255)
        return levels / most if wanted == UNIT else (2 * levels - most) / most
    block, given = block.astype(dtype), values.range
    if given is None or wanted is None or given == wanted:
        return block
    # Of the two ranges that are left, one is twice as wide as the other.
    return 2 * block - 1 if wanted == CENTRED else (block + 1) / 2
