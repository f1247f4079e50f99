"""Images as Pillow opens them: looked at first, decoded once it is known to which size."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ecotone.core.errors import DataError
from ecotone.populations.folders import FORMATS, read_image
from ecotone.populations.source_items import Form, Label, Source
from ecotone.populations.source_values import EIGHT_BIT, Values, on_scale
from ecotone.populations.spool import room

__all__ = ["Opener", "Pictures"]

Opener = Callable[[], Iterable[Path | BytesIO | Image.Image]]
"""Gives every image of a set in turn, encoded or not, as often as it is asked."""

_GREY = {"1", "L", "LA", "La"}
_ORIENTATION = 0x0112
_STEP = 64


class Pictures(Source):
    """Images that have been looked at, and have yet to be decoded; see ``source_items.Source``.

    Args:
        label: of the set.
        ids: of the images.
        groups: of the images, or None.
        opener: gives the images.
        tell: names the image of an index, for errors.
        left_out: files beside them that are no images.

    Raises:
        DataError: for what is no image, by its first bytes; it is named.
    """

    is_image = True
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        label: Label,
        ids: Sequence[str],
        groups: tuple[str, ...] | None,
        opener: Opener,
        tell: Callable[[int], str],
        left_out: int = 0,
    ) -> None:
        super().__init__(label, ids, groups, left_out)
        self._opener = opener
        self._tell = tell
        seen = [self._look(image, index) for index, image in enumerate(opener())]
        formats, modes, sizes, transparent = zip(*seen, strict=True)
        self.formats, self.modes, self.sizes = Counter(formats), Counter(modes), Counter(sizes)
        self.transparent = sum(transparent)
        grey = self.modes.keys() <= _GREY
        height, width = next(iter(self.sizes)) if len(self.sizes) == 1 else (0, 0)
        self.shape = (1 if grey else 3, height, width)
        self.values = Values(0.0, 255.0, EIGHT_BIT)

    def _look(
        self, image: Path | BytesIO | Image.Image, index: int
    ) -> tuple[str, str, tuple[int, int], bool]:
        """Return what an image's header says: format, mode, size, and whether one sees through."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                warnings.simplefilter("error", RuntimeWarning)
                held = isinstance(image, Image.Image)
                with nullcontext(image) if held else Image.open(image, formats=FORMATS) as opened:
                    size, mode, kind = opened.size, _mode(opened), opened.format or "in memory"
                    transparent = opened.has_transparency_data
                    # Reading the orientation of a PNG may decode it; a square has the same size.
                    if size[0] != size[1] and opened.getexif().get(_ORIENTATION, 1) in range(5, 9):
                        size = ImageOps.exif_transpose(opened).size
        except Exception as error:  # Pillow's readers raise many kinds for damaged files
            # What Pillow says of bytes names an object in memory.
            unknown = "cannot identify" in str(error)
            reason = f"it is none of {', '.join(FORMATS)}" if unknown else str(error)
            raise DataError(
                f"cannot read {self._tell(index)} as an image: {reason}",
                hint="remove it or mend it",
            ) from error
        return kind, mode, (size[1], size[0]), transparent

    def read(self, form: Form, advance: Callable[[int], None]) -> NDArray:
        """Return all images, decoded one by one into the room they will have.

        Raises:
            DataError: for an image that is damaged, has several frames, or more than 8 bits.
        """
        channels, (height, width) = form.channels, self.shape[1:]
        assert channels is not None
        if form.side is not None:
            height = width = form.side
        pixels = room((len(self.ids), channels, height, width), form.dtype)
        low, high, since = 255, 0, 0
        for index, image in enumerate(self._opener()):
            told = self._tell(index)
            grey = self.shape[0] == 1
            decoded = read_image(image, size=form.side, grey=grey, told=told)
            if decoded.shape[:2] != (height, width):
                raise DataError(f"{told} was changed while it was read", hint="start again")
            low, high = min(low, int(decoded.min())), max(high, int(decoded.max()))
            upright = decoded.transpose(2, 0, 1)
            # One grey channel is repeated by broadcasting.
            pixels[index] = on_scale(
                upright, self.values, wanted=form.value_range, dtype=form.dtype
            )
            since += 1
            if since == _STEP:
                advance(since)
                since = 0
        advance(since)
        self.values = Values(float(low), float(high), EIGHT_BIT)
        return pixels


def _mode(opened: Image.Image) -> str:
    # Pillow cuts the 16 bits a channel of a PNG down to 8 and says so only here.
    tiles = getattr(opened, "tile", [])
    deep = opened.format == "PNG" and tiles and "16" in str(tiles[0][3])
    return f"{opened.mode};16" if deep and opened.mode in ("RGB", "RGBA") else opened.mode
