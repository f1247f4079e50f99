from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecotone.core.errors import DataError
from ecotone.populations.folders import read_image
from ecotone.populations.sources import Items, open_sets
from stored_sets import channels_first, encoded, photos, write_folder, write_hub

PHOTOS = photos(4)
IMAGES = channels_first(PHOTOS)
NOISE = np.random.default_rng(1).uniform(0, 1, (4, 3, 6, 6)).astype(np.float32)


def opened(generated: object, training: object, holdout: object = None, **options) -> list[Items]:
    sets = open_sets(generated=generated, training=training, holdout=holdout, **options)
    return [each for each in sets if each is not None]


def test_the_same_images_are_the_same_items_however_they_are_kept(tmp_path: Path) -> None:
    training = write_folder(tmp_path / "folder", PHOTOS)
    write_hub(tmp_path / "hub" / "train-00000-of-00001.parquet", [encoded(p) for p in PHOTOS])
    np.save(tmp_path / "hwc.npy", PHOTOS)
    np.save(tmp_path / "unit.npy", IMAGES / 255)
    np.save(tmp_path / "signed.npy", IMAGES.astype(np.float32) / 127.5 - 1)
    others = [tmp_path / "hub", tmp_path / "hwc.npy", tmp_path / "unit.npy"]
    others += [tmp_path / "signed.npy", torch.from_numpy(IMAGES)]
    others += [[Image.fromarray(photo) for photo in PHOTOS], IMAGES.astype(np.float16)]
    for generated in others:
        for items in opened(generated, training, IMAGES):
            assert torch.equal(items.items, torch.from_numpy(IMAGES))
            assert items.value_range == (0.0, 255.0)


def test_the_least_side_of_all_sets_is_that_of_each(tmp_path: Path) -> None:
    generated = write_folder(tmp_path / "g", photos(2, 9, 7))
    training = write_hub(tmp_path / "t.parquet", [encoded(p) for p in photos(3, 12, 10)])
    for items in opened(generated, training, photos(2, 8)):
        assert items.items.shape[1:] == (3, 7, 7)
        assert items.facts.resized_to == 7
    same = opened(generated, photos(2, 7))
    assert (same[0].facts.resized_to, same[1].facts.resized_to) == (7, None)
    assert same[1].facts.changes == ()
    file = sorted(generated.iterdir())[0]
    expected = read_image(file, size=7).transpose(2, 0, 1)
    assert np.array_equal(same[0].items[0].numpy(), expected)


def test_an_image_is_resized_alike_in_a_file_and_in_an_array(tmp_path: Path) -> None:
    both = opened(photos(3, 10, 8), write_folder(tmp_path, photos(3, 10, 8)), size=5)
    assert torch.equal(both[0].items, both[1].items)
    floats = photos(3, 10, 8).astype(np.float32) / 255
    assert torch.equal(opened(floats, tmp_path, size=5)[0].items, both[0].items)


def test_images_all_alike_are_not_cut_to_squares() -> None:
    assert opened(photos(2, 8, 6), photos(3, 8, 6))[0].items.shape == (2, 3, 8, 6)


def test_grey_images_get_three_channels_beside_colours(tmp_path: Path) -> None:
    grey = write_folder(tmp_path, PHOTOS[..., 0])
    assert opened(PHOTOS[..., 0], grey)[0].items.shape == (4, 1, 6, 6)
    generated, training = opened(IMAGES, grey)
    assert torch.equal(training.items, torch.from_numpy(IMAGES[:, :1].repeat(3, axis=1)))
    assert training.facts.changes == ("grey values repeated in three channels",)
    assert generated.facts.changes == ()
    assert opened(IMAGES[:, :1], IMAGES)[0].items.shape == (4, 3, 6, 6)


@pytest.mark.parametrize(
    ("floats", "scale"), [(NOISE, (0.0, 1.0)), (NOISE * 2 - 1, (-1.0, 1.0))], ids=["unit", "signed"]
)
def test_bytes_come_to_the_scale_of_floats(floats: np.ndarray, scale: tuple[float, float]) -> None:
    generated, training, holdout = opened(floats, IMAGES, IMAGES / 255)
    assert torch.equal(generated.items, torch.from_numpy(floats))
    expected = scale[0] + (scale[1] - scale[0]) * IMAGES / 255
    assert np.allclose(training.items, expected, atol=6e-8)
    # An image of both is at no distance from itself.
    assert torch.equal(training.items, holdout.items)
    for items in (generated, training, holdout):
        assert (items.items.dtype, items.value_range) == (torch.float32, scale)
    bounds = f"[{scale[0]:g}, {scale[1]:g}]"
    assert training.facts.changes == (f"8-bit values of [0, 255] brought to {bounds}",)


def test_floats_on_two_scales_come_to_one() -> None:
    generated, training = opened(NOISE, NOISE * 2 - 1)
    assert np.allclose(generated.items, training.items, atol=1e-7)
    assert generated.value_range == training.value_range == (-1.0, 1.0)
    assert generated.facts.changes == ("values of [0, 1] brought to [-1, 1]",)


def test_raw_samples_may_go_beyond_the_range_of_floats_but_not_beyond_its_scale() -> None:
    raw = 1.05 * (NOISE * 2 - 1)
    generated, training = opened(raw, NOISE * 2 - 1)
    assert torch.equal(generated.items, torch.from_numpy(raw))
    assert (generated.value_range, training.value_range) == (None, (-1.0, 1.0))
    with pytest.raises(DataError) as caught:
        opened(raw, IMAGES)
    told = str(caught.value)
    assert "generated (array of shape (4, 3, 6, 6)) has values from -1.04" in told
    assert "than training (array of shape (4, 3, 6, 6)), whose values lie in [0, 255]" in told
    assert "clip" in told
    with pytest.raises(DataError, match=r"values from 0.*to 25.*whose values lie in \[0, 1\]"):
        opened(NOISE * 255.4, NOISE)
    unrounded, plain = opened(NOISE * 250, IMAGES)
    assert (unrounded.value_range, plain.items.dtype) == (None, torch.float32)
    assert torch.equal(plain.items, torch.from_numpy(IMAGES).float())


def test_all_floats_of_no_scale_are_compared_as_they_are() -> None:
    generated, training = opened(NOISE * 7 - 3, NOISE * 9)
    assert torch.equal(training.items, torch.from_numpy(NOISE * 9))
    assert generated.value_range is training.value_range is None


def test_float64_stays_only_where_all_sets_have_it() -> None:
    double = NOISE.astype(np.float64)
    assert opened(double, double)[0].items.dtype == torch.float64
    generated, training = opened(double + 0.0, NOISE)
    assert torch.equal(generated.items, training.items)
    assert generated.facts.changes == ("rounded to float32",)
    assert opened(double, NOISE.astype(np.float16))[0].items.dtype == torch.float32
    # What float32 cannot hold stays float64.
    assert opened(double * 1e300, NOISE * 9, layout="raw")[1].items.dtype == torch.float64


def test_a_series_beside_grey_images_is_one_of_them() -> None:
    generated, training = opened(NOISE[:, 0], PHOTOS[..., 0])
    assert generated.items.shape == training.items.shape == (4, 1, 6, 6)
    assert generated.is_image


def test_vectors_and_volumes_are_never_rescaled() -> None:
    bytes_ = np.arange(40, dtype=np.uint8).reshape(4, 10)
    generated, training = opened(NOISE.reshape(4, -1)[:, :10], bytes_)
    assert torch.equal(training.items, torch.from_numpy(bytes_).float())
    assert generated.value_range is training.value_range is None
    volumes = NOISE.reshape(4, 3, 4, 3, 3)
    assert torch.equal(opened(volumes, volumes)[0].items, torch.from_numpy(volumes))


@pytest.mark.parametrize(
    ("generated", "training", "told"),
    [
        (NOISE.reshape(4, -1), NOISE, r"items of shape \(108,\), and training .* of \(3, 6, 6\)"),
        (NOISE.reshape(4, -1), IMAGES, r"items of shape \(108,\), and training .* of \(3, 6, 6\)"),
        (np.eye(3), np.eye(4), r"items of shape \(3,\), and training .* of \(4,\)"),
        (NOISE, photos(4, 5), r"shape \(3, 6, 6\), and training .* of \(3, 5, 5\); floats are not"),
        (NOISE[:, :, :5], NOISE, r"\(3, 5, 6\), and training .* of \(3, 6, 6\); floats are not"),
    ],
)
def test_sets_that_cannot_be_brought_together(
    generated: np.ndarray, training: np.ndarray, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        opened(generated, training)
