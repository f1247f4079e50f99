"""A set of items as an audit takes it, and what is known of how it was stored."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.records import content_hash
from ecotone.populations.source_values import Range, Values
from ecotone.populations.spool import blocks

__all__ = ["Facts", "Form", "Groups", "Items", "Kind", "Label", "NoGroupsError", "Source"]
__all__ += ["check_labels", "fingerprint", "printable"]

Kind = Literal["folder", "array", "parquet", "memory"]

Groups = Sequence[object] | NDArray | Tensor
"""One label for each item."""


class NoGroupsError(DataError):
    """Groups that were asked for by a name that is not there."""


@dataclass(frozen=True)
class Facts:
    """How a set was stored, and what was done to bring it to the form it is compared in.

    Args:
        formats: image files by the format that their content has: ``{"PNG": 3, "JPEG": 1}``.
        modes: images by what their pixels hold, in Pillow's words: ``{"RGB": 3, "L": 1}``.
        sizes: images by (height, width), upright, before they were resized.
        left_out: files beside them that are no images, or columns that are no numbers.
        layout: what the axes of an array mean; None for image files.
        dtype: of the numbers as they were found.
        range: least and greatest value as they were found; after resizing, where image files were.
        resized_to: side that images were cut and resized to; None where they were not.
        changes: in words, all that was done to the values.
        fingerprint: hash of the items as they are compared, in whatever order.
    """

    formats: Mapping[str, int]
    modes: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    left_out: int
    layout: str | None
    dtype: str
    range: Range
    resized_to: int | None
    changes: tuple[str, ...]
    fingerprint: str

    def to_record(self) -> dict[str, Any]:
        """Return them as plain values that JSON can hold; sizes as [height, width, images]."""
        return {
            "formats": dict(self.formats),
            "modes": dict(self.modes),
            "sizes": [[height, width, count] for (height, width), count in self.sizes.items()],
            "left_out": self.left_out,
            "layout": self.layout,
            "dtype": self.dtype,
            "range": list(self.range),
            "resized_to": self.resized_to,
            "changes": list(self.changes),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, eq=False)
class Items:
    """One of the sets of an audit.

    Args:
        items: 8-bit images in uint8, (n, channels, height, width); others in float32 or float64.
            Not to be written to: they may be the user's own array, or a file.
        ids: a printable name for each, all different: relative path, file and row, or index.
        name: what the user gave, printable.
        kind: of the source.
        groups: a label for each item (patient, scene), or None.
        value_range: (0, 255) for uint8; (0, 1) or (-1, 1) where all values of other images lie
            there; None for other numbers.
        is_image: whether items are images of 1 channel or 3.
        facts: how they were stored.
    """

    items: Shaped[Tensor, " n *shape"]
    ids: tuple[str, ...]
    name: str
    kind: Kind
    groups: tuple[str, ...] | None
    value_range: Range | None
    is_image: bool
    facts: Facts

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Label:
    """What errors call a set, and where it came from.

    Args:
        role: generated, training or holdout.
        name: what the user gave, printable.
        kind: of the source.
    """

    role: str
    name: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.role} ({self.name})"


@dataclass(frozen=True)
class Form:
    """What sets are brought to, to be compared.

    Args:
        channels: of images; None for what is no image, which is left as it is.
        side: to cut and resize images to; None where all have one size already.
        dtype: uint8, float32 or float64.
        value_range: that values are brought to; None leaves them as they are.
    """

    channels: int | None
    side: int | None
    dtype: np.dtype
    value_range: Range | None


class Source(ABC):
    """A set that has been looked at, and has yet to be read.

    Its attributes are those of :class:`Facts` and :class:`Items`, and ``shape``: that of an item,
    channels first; (channels, 0, 0) for images of several sizes. The ``values`` of image files are
    known only once they have been read.
    """

    formats: Mapping[str, int]
    modes: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    shape: tuple[int, ...]
    values: Values
    is_image: bool
    dtype: np.dtype
    layout: str | None = None
    transparent: int = 0

    def __init__(
        self,
        label: Label,
        ids: Sequence[str],
        groups: tuple[str, ...] | None = None,
        left_out: int = 0,
    ) -> None:
        self.label = label
        self.ids = tuple(ids)
        self.groups = groups
        self.left_out = left_out

    @abstractmethod
    def read(self, form: Form, advance: Callable[[int], None]) -> NDArray:
        """Return all items in one form; ``advance`` is told of each few that have been read."""


def check_labels(labels: Groups, count: int, label: Label) -> tuple[str, ...]:
    """Return one group for each item, as text.

    Raises:
        DataError: for another number of labels than of items.

    >>> check_labels([3, "b"], 2, Label("training", "a", "memory"))
    ('3', 'b')
    """
    labels = labels.tolist() if isinstance(labels, np.ndarray | Tensor) else list(labels)
    if len(labels) != count:
        raise DataError(
            f"{len(labels)} groups for the {count} items of {label}",
            hint="give one label for each item",
        )
    return tuple(str(each) for each in labels)


def fingerprint(array: NDArray, value_range: Range | None) -> str:
    """Return a hash of items and their range that does not depend on their order.

    >>> items = np.arange(6.0).reshape(3, 2)
    >>> fingerprint(items, None) == fingerprint(items[::-1].copy(), None)
    True
    """
    digests = []
    for rows in blocks(array):
        block = np.ascontiguousarray(array[rows])
        flat = block.reshape(len(block), -1).view(np.uint8)
        digests += [hashlib.blake2b(row.data, digest_size=16).digest() for row in flat]
    about = {"dtype": str(array.dtype), "shape": list(array.shape), "value_range": value_range}
    return content_hash(b"".join(sorted(digests)), about)


def printable(text: str) -> str:
    r"""Return a name with what would break a line, or is no text, as Python writes it.

    >>> print(printable("a\nb"), printable("<é>.png"))
    a\nb <é>.png
    """
    return repr(text)[1:-1]
