from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.features.preparation import Preparation
from features.tiny_encoders import pictures

Range = tuple[float, float] | None


def plain(size: tuple[int, int], value_range: Range = None) -> Preparation:
    return Preparation(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), value_range)


def levels(images: Tensor, size: tuple[int, int], value_range: Range = None) -> Tensor:
    return 255 * plain(size, value_range)(images)


@pytest.mark.parametrize("value_range", [None, (-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-3.0, 2.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_of_8_bits_comes_through(value_range: Range, dtype: torch.dtype) -> None:
    low, high = value_range or (-1.0, 1.0)
    every = torch.arange(256, dtype=dtype)
    images = (low + every * (high - low) / 255).view(1, 1, 16, 16)
    found = levels(images, (16, 16), value_range=value_range)
    torch.testing.assert_close(found[0, 0].flatten(), every.float(), rtol=0, atol=1e-4)


@given(st.floats(-5, 5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_what_no_image_file_can_hold_is_not_seen(value: float, seed: int) -> None:
    """Preparing an image, or what a PNG file of it would hold, is the same."""
    generator = torch.Generator().manual_seed(seed)
    images = value + torch.randn(2, 3, 8, 8, generator=generator)
    saved = np.clip(np.rint((images.numpy().astype(np.float64) + 1) * 127.5), 0, 255)
    opened = torch.from_numpy((2 * saved - 255) / 255).float()
    assert torch.equal(levels(images, (8, 8)), levels(opened, (8, 8)))


@pytest.mark.parametrize("size", [(8, 8), (20, 13), (32, 32), (64, 50), (224, 224)])
def test_resizing_is_that_of_pillow(size: tuple[int, int]) -> None:
    # Half the contrast, as Pillow cuts at the ends of the range between its two passes as well.
    images = 0.5 * pictures(3)
    images = (2 * ((images + 1) * 127.5).round() - 255) / 255
    found = levels(images, size)
    for image, ours in zip(images, found, strict=True):
        pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        theirs = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        expected = torch.from_numpy(np.asarray(theirs).copy()).permute(2, 0, 1).float()
        # Pillow rounds to whole levels between its two passes and after them.
        torch.testing.assert_close(ours, expected, rtol=0, atol=1.6)


def test_resizing_stays_within_the_range_and_keeps_flat_images_flat() -> None:
    found = levels(pictures(4).sign(), (40, 40))
    assert 0 <= float(found.min()) < float(found.max()) <= 255
    flat = levels(torch.full((1, 3, 9, 7), -0.2), (31, 5))
    torch.testing.assert_close(flat, torch.full_like(flat, 102.0), rtol=0, atol=1e-4)


def test_channels_are_standardized_each_by_its_own() -> None:
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    images = pictures(2, side=8)
    found = Preparation((8, 8), mean, std)(images)
    for channel in range(3):
        expected = ((images[:, channel] + 1) / 2 - mean[channel]) / std[channel]
        torch.testing.assert_close(found[:, channel], expected, rtol=1e-5, atol=1e-5)


def test_grey_is_repeated() -> None:
    grey = pictures(2, channels=1)
    assert torch.equal(levels(grey, (16, 16)), levels(grey.expand(-1, 3, -1, -1), (16, 16)))


def test_real_images_outside_the_range_are_refused() -> None:
    preparation = plain((8, 8))
    preparation.check(pictures(3))
    with pytest.raises(DataError, match=r"do not lie in \[-1, 1\].*set value_range"):
        preparation.check(3 * pictures(3))
    # [0, 1] and the upper half of [-1, 1] look alike.
    with pytest.raises(DataError, match=r"may lie in \[0, 1\].*set value_range=\[0,1\]"):
        preparation.check(pictures(3).abs())
    for value_range in ((0.0, 1.0), (-1.0, 1.0)):
        plain((8, 8), value_range).check(pictures(3).abs())


@pytest.mark.parametrize("shape", [(4, 10), (4, 2, 8, 8), (4, 4, 8, 8), (8, 8, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    preparation = plain((8, 8))
    for call in (preparation, preparation.check):
        with pytest.raises(DataError, match=r"are not \(n, channels, height, width\)"):
            call(torch.zeros(shape) - 0.5)
    with pytest.raises(DataError, match="with 1 channel"):
        Preparation((8, 8), (0.0,), (1.0,))(pictures(2))


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"size = \(0, 8\)"):
        plain((0, 8))
    with pytest.raises(ConfigError, match=r"ImageNet's are mean=\[0.485"):
        Preparation((8, 8), (0.5, 0.5), (0.5, 0.5))
    with pytest.raises(ConfigError, match="is not positive"):
        Preparation((8, 8), (0.5,), (0.0,))
    with pytest.raises(ConfigError, match="is empty"):
        Preparation((8, 8), (0.5,), (0.1,), value_range=(1.0, 1.0))
