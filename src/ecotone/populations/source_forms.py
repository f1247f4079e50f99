"""One form for the sets of an audit: the same size, channels, scale and type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.source_items import Form, Source
from ecotone.populations.source_numbers import Numbers
from ecotone.populations.source_values import CENTRED, EIGHT_BIT, UNIT, Range

__all__ = ["changes", "common_form"]

_FLOAT32_MOST = float(np.finfo(np.float32).max)


def common_form(sources: Sequence[Source], size: int | None) -> Form:
    """Return the form in which sets can be compared.

    Images of several sizes are cut to their central squares and resized to the least side found.
    Grey images get three equal channels where others have colours. Where every set lies on 8-bit
    levels, all are taken as 8 bits; else those that do are brought to the range of the floats of
    the others: [-1, 1] where any has it, or [0, 1]. Floats are float32, unless all are float64.
    Whatever is no image keeps its shape and its scale.

    Args:
        sources: the sets.
        size: side to bring images to; None for the least found, and only where they differ.

    Raises:
        ConfigError: for a size below 1.
        DataError: for sets that cannot be brought together; both are named.
    """
    if size is not None and size < 1:
        raise ConfigError(f"size = {size} is too small", hint="give 1 pixel or more")
    if any(source.is_image for source in sources):
        for source in sources:
            if isinstance(source, Numbers):
                source.take_as_images()
    first = sources[0]
    for other in sources[1:]:
        if other.is_image != first.is_image or not (other.is_image or other.shape == first.shape):
            raise _apart(first, other, "bring both to one shape; layout= says what axes mean")
    if not first.is_image:
        if size is not None:
            raise DataError(
                f"{first.label} of shape {first.shape} are no images, which alone have a size",
                hint="leave size out",
            )
        return Form(None, None, _float_type(sources), None)
    channels = max(source.shape[0] for source in sources)
    side = _side(sources, size)
    if all(source.values.levels is not None for source in sources):
        return Form(channels, side, np.dtype(np.uint8), EIGHT_BIT)
    return Form(channels, side, _float_type(sources), _range(sources))


def changes(source: Source, form: Form) -> tuple[str, ...]:
    """Return in words what is done to a set to bring it to a form.

    Args:
        source: the set.
        form: of all.
    """
    told = []
    if any(mode.endswith(";16") for mode in source.modes):
        told.append("16 bits a channel cut to 8")
    if source.transparent:
        noun = "image" if source.transparent == 1 else "images"
        told.append(f"transparency of {source.transparent} {noun} laid over white")
    side = form.side
    if side is not None and source.sizes.keys() != {(side, side)}:
        told.append(f"cut to the central square and resized to {side}×{side} (Lanczos)")
    if source.is_image and source.shape[0] != form.channels:
        told.append("grey values repeated in three channels")
    given, wanted = source.values.range, form.value_range
    if wanted is not None and given is not None and given != wanted:
        words = "8-bit values" if source.values.levels == EIGHT_BIT else "values"
        told.append(f"{words} of {_bounds(given)} brought to {_bounds(wanted)}")
    if form.dtype == np.uint8 and source.dtype != np.uint8:
        told.append("rounded to the 8 bits that they came from")
    elif form.dtype == np.float32 and source.dtype.itemsize > 4:
        told.append("rounded to float32")
    return tuple(told)


def _side(sources: Sequence[Source], size: int | None) -> int | None:
    sizes = {each for source in sources for each in source.sizes}
    if len(sizes) == 1 and (size is None or sizes == {(size, size)}):
        return None
    side = min(min(each) for each in sizes) if size is None else size
    for source in sources:
        if source.values.levels is None and source.sizes.keys() != {(side, side)}:
            other = next((each for each in sources if each.sizes != source.sizes), source)
            hint = "floats are not resized: save both as 8-bit images, or resize them yourself"
            raise _apart(source, other, hint)
    return side


def _range(sources: Sequence[Source]) -> Range | None:
    """Return the range for images of which some lie on no 8-bit levels."""
    floats = [source for source in sources if source.values.levels is None]
    known = {source.values.range for source in floats} - {None}
    levels = {source.values.levels for source in sources} - {None}
    if not known and not levels:
        return None
    wanted = [CENTRED if CENTRED in known else UNIT] if known else [r for r in levels if r]
    off = [source for source in floats if source.values.range is None]
    for each in wanted:
        if all(_fits(source, each) for source in off):
            return each
    stray = next(source for source in off if not _fits(source, wanted[0]))
    other = next(source for source in sources if source.values.range is not None)
    raise DataError(
        f"{stray.label} has values from {stray.values.low:g} to {stray.values.high:g}, on another "
        f"scale than {other.label}, whose values lie in {_bounds(other.values.range)}",
        hint="bring them to one scale; what goes beyond [0, 1] or [-1, 1], clip there, as saving "
        "it as an image does",
    )


def _fits(source: Source, scale: Range) -> bool:
    """Return whether values that go beyond a range may still be on its scale."""
    width = scale[1] - scale[0]
    low, high = source.values.low, source.values.high
    within = low >= scale[0] - width / 2 and high <= scale[1] + width / 2
    return within and high - low >= width / 16


def _float_type(sources: Sequence[Source]) -> np.dtype:
    types = [source.plain if isinstance(source, Numbers) else np.float32 for source in sources]
    most = max(max(abs(source.values.low), abs(source.values.high)) for source in sources)
    wide = most > _FLOAT32_MOST or all(each == np.float64 for each in types)
    return np.dtype(np.float64 if wide else np.float32)


def _bounds(values: Range | None) -> str:
    return "no range" if values is None else f"[{values[0]:g}, {values[1]:g}]"


def _apart(one: Source, other: Source, hint: str) -> DataError:
    if one is other:
        return DataError(f"{one.label} of shape {one.shape} are floats", hint=hint)
    return DataError(
        f"{one.label} holds items of shape {one.shape}, and {other.label} of {other.shape}",
        hint=hint,
    )
