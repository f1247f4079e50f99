from __future__ import annotations

import io
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.seeds import sample_seeds
from ecotone.populations.digits import Digits
from ecotone.populations.image_transforms import Crop, Flip, Jpeg, Shift
from ecotone.populations.planted import TRANSFORMS
from ecotone.populations.transforms import Noise, Tone, Transform

RANGE = (-1.0, 1.0)


def apply(change: Transform, images: Tensor, *, value_range: tuple | None = RANGE) -> Tensor:
    return change(
        images,
        fresh=-images,
        seeds=sample_seeds(len(images), 0, "copy"),
        value_range=value_range,
    )


def colours(n: int, side: int = 32, seed: int = 0) -> Tensor:
    """Smooth colour images on the grid of 8 bits, in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=random)
    fine = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)
    return (2 * (fine * 255).round() - 255) / 255


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_an_image_is_changed_alike_in_any_batch(name: str) -> None:
    change, images = TRANSFORMS.create(name, {}), colours(6)
    seeds, before = sample_seeds(6, 0, "copy"), images.clone()
    together = change(images, fresh=-images, seeds=seeds, value_range=RANGE)
    assert torch.equal(images, before)
    for index in range(6):
        part = slice(index, index + 1)
        alone = change(images[part], fresh=-images[part], seeds=seeds[part], value_range=RANGE)
        assert torch.equal(alone, together[part])
    assert torch.equal(together, images) is (name == "exact")


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_a_file_holds(channels: int) -> None:
    images = colours(3)[:, :channels]
    found = apply(Jpeg(quality=60), images)
    levels = ((images + 1) * 127.5).round().byte().numpy()
    for image, got in zip(levels, found, strict=True):
        file = io.BytesIO()
        picture = Image.fromarray(image[0] if channels == 1 else np.moveaxis(image, 0, 2))
        picture.save(file, "JPEG", quality=60)
        read = np.asarray(Image.open(file)).reshape(32, 32, channels)
        assert np.abs(got.numpy() - (np.moveaxis(read, 2, 0) / 127.5 - 1)).max() < 1e-6
    # On the grid of 8 bits exactly as data themselves are.
    whole = (found.double() * 255 + 255) / 2
    assert torch.equal((2 * whole.round().float() - 255) / 255, found)


def test_a_better_jpeg_is_nearer() -> None:
    images = colours(8)
    errors = [float((apply(Jpeg(q), images) - images).square().mean()) for q in (95, 75, 30, 5)]
    assert errors == sorted(errors)
    assert 0 < errors[0] < 2e-3


def test_jpeg_needs_channels_and_a_range() -> None:
    with pytest.raises(DataError, match="1 channel or 3, not 2"):
        apply(Jpeg(), torch.zeros(1, 2, 8, 8))
    with pytest.raises(DataError, match="without a range of values"):
        apply(Jpeg(), torch.zeros(1, 1, 8, 8), value_range=None)


def test_flipping_twice_changes_nothing() -> None:
    images = Digits().draw(5, seed=0)
    once = apply(Flip(), images)
    assert torch.equal(once[..., 0], images[..., -1])
    assert torch.equal(apply(Flip(), once), images)


@settings(max_examples=20, deadline=None)
@given(pixels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_shift_moves_one_way_and_repeats_the_edge(pixels: int, seed: int) -> None:
    image = torch.rand(1, 2, 6, 7, generator=torch.Generator().manual_seed(seed))
    moved = Shift(pixels)(image, fresh=image, seeds=(seed,), value_range=None)[0]
    flat, p = image[0], pixels
    ways = [
        torch.cat([flat[..., p:], flat[..., -1:].expand(-1, -1, p)], dim=2),
        torch.cat([flat[..., :1].expand(-1, -1, p), flat[..., :-p]], dim=2),
        torch.cat([flat[:, p:], flat[:, -1:].expand(-1, p, -1)], dim=1),
        torch.cat([flat[:, :1].expand(-1, p, -1), flat[:, :-p]], dim=1),
    ]
    assert sum(torch.equal(moved, way) for way in ways) == 1


def test_shifts_go_all_ways() -> None:
    slope = torch.arange(5.0)[None, :, None] * 10 + torch.arange(5.0)[None, None, :]
    moved = apply(Shift(1), slope.expand(40, 1, 5, 5))
    assert {float(value) for value in moved[:, 0, 2, 2] - 22} == {-10.0, -1.0, 1.0, 10.0}


def test_images_no_larger_than_the_shift_are_refused() -> None:
    with pytest.raises(DataError, match="3×9 pixels cannot be shifted by 3"):
        apply(Shift(3), torch.zeros(1, 1, 3, 9))


@pytest.mark.parametrize("how", ["bilinear", "lanczos"])
def test_a_crop_magnifies_the_middle(how: Literal["bilinear", "lanczos"]) -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert (apply(Crop(filter=how), flat) - 0.3).abs().max() < 1e-6
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    cropped = apply(Crop(share=0.5, filter=how), ramp)[0, 0, 16]
    steps = cropped[4:-4].diff()
    assert (steps / (2 / 31) - 0.5).abs().max() < 0.05
    assert abs(float(cropped.mean())) < 1e-5


def test_a_crop_keeps_the_symmetry_of_odd_cuts() -> None:
    digits = Digits().draw(4, seed=1)  # 8 pixels, of which 7 are kept: half a pixel on each side
    mirrored = apply(Crop(), digits.flip(-1)).flip(-1)
    torch.testing.assert_close(apply(Crop(), digits), mirrored)


@pytest.mark.parametrize(("value_range", "unit"), [(None, 1.0), ((0.0, 255.0), 127.5)])
def test_noise_has_the_size_asked_for(value_range: tuple | None, unit: float) -> None:
    noise = apply(Noise(0.2), torch.zeros(400, 64), value_range=value_range)
    assert float(noise.std()) == pytest.approx(0.2 * unit, rel=0.02)
    assert abs(float(noise.mean())) < 0.01 * unit
    assert len(noise.unique(dim=0)) == 400


def test_tone_keeps_the_mean_but_for_brightness() -> None:
    images = Digits().draw(7, seed=2)
    found = apply(Tone(contrast=0.5, brightness=0.25), images)
    means = images.mean(dim=(1, 2, 3))
    torch.testing.assert_close(found.mean(dim=(1, 2, 3)), means + 0.25)
    torch.testing.assert_close(found.std(dim=(1, 2, 3)), images.std(dim=(1, 2, 3)) / 2)
