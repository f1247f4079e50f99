"""Sets that are in memory already: arrays, tensors, lists of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.populations.arrays import Layout
from ecotone.populations.source_items import Label, Source
from ecotone.populations.source_numbers import Numbers
from ecotone.populations.source_pictures import Pictures
from ecotone.populations.spool import room

__all__ = ["from_memory", "tensor_array"]


def from_memory(source: Any, layout: Layout, role: str) -> Source:
    """Look at an array, a tensor, or a list of images or of arrays of one shape.

    Args:
        source: the items.
        layout: what the axes of an array mean.
        role: generated, training or holdout.

    Raises:
        DataError: for anything else, or a list of different things.
    """
    if isinstance(source, Image.Image):
        raise DataError(f"{role} is a single image", hint="give a list of images")
    if isinstance(source, Tensor):
        return _numbers(tensor_array(source), layout, role, "tensor")
    if isinstance(source, np.ndarray):
        return _numbers(source, layout, role, "array")
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return _from_list(source, layout, role)
    if hasattr(source, "__array__"):
        return _numbers(np.asarray(source), layout, role, type(source).__name__)
    raise DataError(
        f"{role} is given as {type(source).__name__}",
        hint="give a path, an array, a tensor, or a list of images",
    )


def tensor_array(tensor: Tensor) -> NDArray:
    """Return a tensor's values as an array, on the CPU; over the same memory where that can be.

    >>> tensor_array(torch.ones(2, dtype=torch.bfloat16))
    array([1., 1.], dtype=float32)
    """
    values = tensor.detach().cpu()
    if values.layout != torch.strided or values.is_quantized:
        raise DataError(
            f"a tensor is stored as {values.layout}, {values.dtype}", hint="give a plain, dense one"
        )
    if values.is_floating_point() and values.dtype not in (torch.float16, torch.float64):
        values = values.float()
    return values.resolve_conj().resolve_neg().numpy()


def _numbers(array: NDArray, layout: Layout, role: str, noun: str) -> Numbers:
    label = Label(role, f"{noun} of shape {tuple(array.shape)}", "memory")
    if isinstance(array, np.ma.MaskedArray):
        if array.mask.any():
            raise DataError(f"{label} hides some of its values", hint="give an array without mask")
        array = array.data
    count = array.shape[0] if array.ndim else 0
    return Numbers(label, array, layout, [str(index) for index in range(count)])


def _from_list(source: Sequence[Any], layout: Layout, role: str) -> Source:
    count = len(source)
    if not count:
        raise DataError(f"{role} is empty", hint="give items")
    if all(isinstance(item, Image.Image) for item in source):
        name = "1 image in memory" if count == 1 else f"{count} images in memory"
        label = Label(role, name, "memory")
        ids = [str(index) for index in range(count)]
        return Pictures(label, ids, None, lambda: source, lambda index: f"{role} image {index}")
    arrays = [tensor_array(item) if isinstance(item, Tensor) else item for item in source]
    for index, item in enumerate(arrays):
        first = arrays[0]
        if not isinstance(item, np.ndarray):
            raise DataError(
                f"item {index} of {role} is given as {type(item).__name__}",
                hint="give a list of PIL images, or of arrays, and of nothing else",
            )
        if item.shape != first.shape or item.dtype != first.dtype:
            raise DataError(
                f"item 0 of {role} is {first.dtype} of shape {first.shape}, item {index} is "
                f"{item.dtype} of shape {item.shape}",
                hint="give arrays of one shape and type, or PIL images",
            )
    if arrays[0].dtype.kind not in "fiub":
        raise DataError(f"item 0 of {role} holds {arrays[0].dtype}", hint="give numbers")
    stacked = room((count, *arrays[0].shape), arrays[0].dtype)
    for place, item in enumerate(arrays):
        stacked[place] = item
    return _numbers(stacked, layout, role, f"{count} arrays, together")
