"""Data sets kept as ``.npy`` or ``.npz`` files."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.base import FiniteData, centred

__all__ = ["MAGIC", "UNREADABLE", "Arrays", "Layout", "auto_layout", "load_arrays"]

Layout = Literal["auto", "nchw", "nhwc", "nhw", "raw"]
"""What the axes of an array mean: n items, channels, height, width; ``raw`` has items only."""

_CHANNELS = (1, 3, 4)
MAGIC = (b"\x93NUMPY", b"PK")
"""How a .npy file and a .npz file begin."""
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
"""What numpy raises for files that are damaged."""


class Arrays(FiniteData):
    """Items along the first axis of an array in a file.

    With an image layout, uint8 values v become v/127.5 − 1 in [-1, 1]. Floats are never rescaled:
    their ``value_range`` is (0, 1) where all of an image array lie there, (-1, 1) where all lie
    there, and None otherwise. With the layout ``raw`` every number stays as it is and there is no
    ``value_range``.

    Layout ``auto`` takes (n, d) as raw, three axes of uint8 as nhw, and four axes as nchw or nhwc
    by which one alone of the second and the last has 1, 3 or 4 entries. It refuses the rest.

    Args:
        path: of a ``.npy`` or ``.npz`` file. Pickled objects are never loaded.
        key: name of the array in a ``.npz`` that holds several.
        layout: what the axes mean.
        groups: one label per item, which a split never divides: a key in the same ``.npz``, or the
            path of a ``.npy`` file.

    Raises:
        ConfigError: for an unknown key, an ambiguous or unfitting layout, or missing groups.
        DataError: for a file that is missing, pickled, damaged or no array; another dtype than
            float, integer or (images) uint8; NaN or infinity.
    """

    def __init__(
        self,
        path: str,
        key: str | None = None,
        layout: Layout = "auto",
        groups: str | None = None,
    ) -> None:
        file = Path(path)
        found = load_arrays(file)
        labels = None if groups is None else _labels(groups, found, file)
        array = _choose({name: a for name, a in found.items() if name != groups}, key, file)
        layout = _resolve(layout, array, file)
        items, value_range = _items(array, layout, file)
        if labels is not None and len(labels) != len(array):
            raise DataError(f"{groups} has {len(labels)} labels for {len(array)} items of {file}")
        ids = [f"{file.stem}-{index:07d}" for index in range(len(array))]
        super().__init__(
            torch.from_numpy(items),
            ids,
            name="arrays",
            value_range=value_range,
            groups=labels,
            options={"layout": layout},
        )


def load_arrays(file: Path) -> dict[str, NDArray]:
    """Return the arrays of a ``.npz`` by name, or that of a ``.npy`` under ``""``.

    Raises:
        DataError: for a file that is missing, of another kind, damaged, or that holds pickles.
    """
    if file.suffix not in (".npy", ".npz"):
        raise DataError(f"{file} is neither .npy nor .npz", hint="save it with numpy.save")
    try:
        with file.open("rb") as opened:
            if not opened.read(6).startswith(MAGIC):
                raise DataError(
                    f"{file} is no numpy file, whatever its name: empty, text or a pickle",
                    hint="save it with numpy.save; pickles could run code and are never loaded",
                )
            opened.seek(0)
            loaded = np.load(opened, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            found = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}", hint="set population.path") from error
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{file} holds Python objects, which are pickled and are never loaded",
                hint="save a plain array of numbers with numpy.save(..., allow_pickle=False)",
            ) from error
        raise DataError(f"cannot read {file}: {error}", hint="save it again") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{file} holds {name!r}, which is no array", hint="remove it")
    return found


def _choose(found: dict[str, NDArray], key: str | None, file: Path) -> NDArray:
    if key is None and len(found) == 1:
        return next(iter(found.values()))
    if key is None or key not in found:
        asked = "no key says which" if key is None else f"none is {key!r}"
        names = ", ".join(sorted(name for name in found if name)) or "one array without a name"
        raise ConfigError(
            f"{file} holds {names}: {asked}",
            hint="remove population.key" if "" in found else "--set population.key=NAME",
        )
    return found[key]


def _labels(groups: str, found: dict[str, NDArray], file: Path) -> list[str]:
    if groups in found and groups:
        labels = found[groups]
    elif groups.endswith(".npy"):
        labels = _choose(load_arrays(Path(groups)), None, Path(groups))
    else:
        names = ", ".join(sorted(name for name in found if name)) or "one array without a name"
        raise ConfigError(
            f"there are no groups {groups!r} in {file}, which holds {names}",
            hint="set population.groups to one of its arrays, or to the path of a .npy file",
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iuSU":
        raise DataError(
            f"groups {groups!r} are {labels.dtype} of shape {labels.shape}",
            hint="give one whole number or text per item",
        )
    return [str(label) for label in labels.tolist()]


def auto_layout(array: NDArray) -> Layout | None:
    """Return what the axes of an array mean by its shape and type alone; None where that is open.

    >>> auto_layout(np.zeros((5, 8, 8, 3))), auto_layout(np.zeros((5, 3, 8, 3)))
    ('nhwc', None)
    """
    shape = array.shape
    if array.ndim == 2:
        return "raw"
    if array.ndim == 3 and array.dtype == np.uint8:
        return "nhw"
    if array.ndim == 4 and (shape[1] in _CHANNELS) != (shape[3] in _CHANNELS):
        return "nchw" if shape[1] in _CHANNELS else "nhwc"
    return None


def _resolve(layout: Layout, array: NDArray, file: Path) -> Layout:
    axes = {"nchw": 4, "nhwc": 4, "nhw": 3}
    shape = array.shape
    if array.ndim < 2:
        raise DataError(f"{file} holds shape {shape}", hint="give (n, d), or n images")
    if layout != "auto":
        if axes.get(layout, array.ndim) != array.ndim:
            raise ConfigError(
                f"{file} holds shape {shape}, which is not {layout}",
                hint="--set population.layout=raw keeps any shape",
            )
        return layout
    found = auto_layout(array)
    if found is not None:
        return found
    fitting = [name for name, ndim in axes.items() if ndim == array.ndim]
    raise ConfigError(
        f"{file} holds {array.dtype} of shape {shape}, which may be read in more ways than one",
        hint=" or ".join(f"--set population.layout={name}" for name in [*fitting, "raw"]),
    )


def _items(
    array: NDArray, layout: Layout, file: Path
) -> tuple[NDArray[np.float32], tuple[float, float] | None]:
    """Return the items as float32, channels first, and the range of their values."""
    if array.dtype.kind not in ("f" if layout != "raw" and array.dtype != np.uint8 else "fiu"):
        raise DataError(
            f"{file} holds {array.dtype}",
            hint="give uint8 or floats for images; --set population.layout=raw takes integers too",
        )
    # A float64 beyond float32 becomes infinite here, and is named by the check for finite values.
    with np.errstate(over="ignore"):
        items = np.ascontiguousarray(array, dtype=np.float32)
    if layout == "raw" or not items.size:
        return items, None
    if layout == "nhw":
        items = items[:, None]
    elif layout == "nhwc":
        items = np.ascontiguousarray(items.transpose(0, 3, 1, 2))
    if array.dtype == np.uint8:
        return centred(items), (-1.0, 1.0)
    low, high = float(items.min()), float(items.max())
    if low >= -1 and high <= 1:
        return items, (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    return items, None
