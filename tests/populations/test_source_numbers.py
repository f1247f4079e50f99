from __future__ import annotations

import numpy as np
import pytest
import torch

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations import spool
from ecotone.populations.arrays import Layout
from ecotone.populations.sources import open_items


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("limit", [0, 1 << 40])
@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((6, 5, 7), "auto", None),
        ((6, 5, 7), "nhw", None),
        ((6, 3, 5, 7), "auto", (0, 1, 2, 3)),
        ((6, 5, 7, 3), "auto", (0, 3, 1, 2)),
        ((6, 5, 7, 1), "auto", (0, 3, 1, 2)),
        ((6, 3, 5, 3), "nchw", (0, 1, 2, 3)),
        ((6, 3, 5, 3), "nhwc", (0, 3, 1, 2)),
    ],
)
def test_eight_bit_images_keep_their_bits_channels_first(
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    shape: tuple[int, ...],
    layout: Layout,
    axes: tuple[int, ...] | None,
) -> None:
    monkeypatch.setattr(spool, "LIMIT", limit)
    array = pixels(*shape)
    items = open_items(array, role="training", layout=layout)
    expected = array[:, None] if axes is None else array.transpose(axes)
    assert torch.equal(items.items, torch.from_numpy(np.ascontiguousarray(expected)))
    assert items.items.is_contiguous()
    assert (items.is_image, items.value_range) == (True, (0.0, 255.0))
    assert items.facts.sizes == {tuple(expected.shape[2:]): 6}


@pytest.mark.parametrize(
    "shape", [(6, 3, 5, 3), (6, 5, 7, 9), (6, 1, 2, 2, 2), (6, 30), (6, 4, 5, 7), (6, 5, 7, 4)]
)
def test_what_is_ambiguous_or_no_image_is_numbers_as_they_are(shape: tuple[int, ...]) -> None:
    array = pixels(*shape)
    items = open_items(array, role="training")
    assert not items.is_image
    assert items.value_range is None
    assert items.items.dtype == torch.float32
    assert sorted(items.items.flatten().tolist()) == sorted(array.flatten().tolist())
    assert items.facts.sizes == {}


def test_a_series_of_floats_is_no_image_unless_said() -> None:
    series = np.random.default_rng(0).uniform(0, 1, (6, 5, 7))
    assert not open_items(series, role="training").is_image
    image = open_items(series, role="training", layout="nhw")
    assert (image.is_image, image.items.shape) == (True, (6, 1, 5, 7))
    raw = open_items(pixels(6, 5, 7), role="training", layout="raw")
    assert (raw.is_image, raw.items.shape) == (False, (6, 5, 7))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", torch.float32),
        ("float32", torch.float32),
        ("float64", torch.float64),
        ("int8", torch.float32),
        ("uint16", torch.float32),
        ("int32", torch.float64),
        ("int64", torch.float64),
        ("bool", torch.float32),
    ],
)
def test_numbers_come_in_a_float_type_that_holds_them(dtype: str, expected: torch.dtype) -> None:
    array = np.random.default_rng(0).integers(0, 2, (6, 4)).astype(dtype)
    items = open_items(array, role="training")
    assert items.items.dtype == expected
    assert items.items.tolist() == array.tolist()
    assert items.facts.dtype == dtype


def test_what_needs_no_change_is_not_copied() -> None:
    for array in (
        np.random.default_rng(0).normal(size=(6, 4)),
        np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32),
        pixels(6, 3, 5, 5),
        pixels(6, 5, 5),
    ):
        items = open_items(array, role="training")
        assert items.items.data_ptr() == array.ctypes.data


def test_floats_of_eight_bits_become_bytes_again() -> None:
    array = pixels(6, 3, 5, 5)
    items = open_items(array / np.float32(127.5) - 1, role="training")
    assert torch.equal(items.items, torch.from_numpy(array))
    assert items.value_range == (0.0, 255.0)
    assert items.facts.changes == (
        "values of [-1, 1] brought to [0, 255]",
        "rounded to the 8 bits that they came from",
    )


@pytest.mark.parametrize(
    ("low", "high", "told"), [(0, 1, (0.0, 1.0)), (-1, 1, (-1.0, 1.0)), (-3, 3, None)]
)
def test_other_floats_stay_as_they_are(
    low: float, high: float, told: tuple[float, float] | None
) -> None:
    array = np.random.default_rng(0).uniform(low, high, (5, 1, 5, 5)).astype(np.float32)
    array.flat[:2] = low, high
    items = open_items(array, role="training")
    assert torch.equal(items.items, torch.from_numpy(array))
    assert items.value_range == told
    assert items.facts.changes == ()


def test_bytes_in_an_array_are_resized_as_images_are() -> None:
    from PIL import Image, ImageOps

    for channels in (1, 3):
        array = pixels(4, 9, 7, channels)
        items = open_items(array, role="training", size=5)
        for row, image in enumerate(array):
            picture = Image.fromarray(image[..., 0] if channels == 1 else image)
            fitted = ImageOps.fit(picture, (5, 5), method=Image.Resampling.LANCZOS)
            expected = np.asarray(fitted).reshape(5, 5, channels).transpose(2, 0, 1)
            assert np.array_equal(items.items[row].numpy(), expected)
        assert items.facts.resized_to == 5


def test_layouts_and_sizes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"shape \(6, 5, 7\), which is not nchw; the layout raw"):
        open_items(pixels(6, 5, 7), role="training", layout="nchw")
    with pytest.raises(ConfigError, match="size = 0 is too small"):
        open_items(pixels(6, 5, 7), role="training", size=0)
    with pytest.raises(DataError, match="are no images, which alone have a size"):
        open_items(pixels(6, 5), role="training", size=4)
    floats = np.random.default_rng(0).uniform(0, 1, (6, 1, 8, 8))
    with pytest.raises(DataError, match=r"of shape \(1, 8, 8\) are floats; floats are not resized"):
        open_items(floats, role="training", size=4)
