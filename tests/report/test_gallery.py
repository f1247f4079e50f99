from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotone.core.errors import RecordError
from ecotone.core.tensors import write_tensors
from ecotone.report.gallery import DISTANCES, IMAGES, RawGallery, encode, fit_pairs, read_gallery


def raw(
    images: np.ndarray, *, nearest: list[float], second: list[float], **about: Any
) -> RawGallery:
    count = len(images)
    tensors = dict.fromkeys(IMAGES, images.astype(np.float32))
    tensors |= {
        "distance_training": np.array(nearest, dtype=np.float32),
        "distance_second": np.array(second, dtype=np.float32),
        "distance_holdout": np.ones(count, dtype=np.float32),
    }
    return RawGallery(tensors, {"step": 1000, "value_low": -1.0, "value_high": 1.0, **about})


def pixels(address: str) -> np.ndarray:
    scheme, _, data = address.partition(",")
    assert scheme == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_hold_the_values_without_loss(channels: int) -> None:
    levels = np.arange(64).reshape(1, 1, 8, 8).repeat(channels, axis=1) * 4
    shown = encode(raw(levels / 127.5 - 1, nearest=[1.0], second=[2.0])).pairs[0]
    wanted = levels[0, 0] if channels == 1 else levels[0].transpose(1, 2, 0)
    for address in shown.images:
        assert (pixels(address) == wanted).all()


def test_values_beyond_the_range_and_not_finite_are_clipped() -> None:
    images = np.array([-7.0, 7.0, np.nan, 1.0]).reshape(1, 1, 2, 2)
    shown = pixels(encode(raw(images, nearest=[1.0], second=[2.0])).pairs[0].images[0])
    assert shown.tolist() == [[0, 255], [0, 255]]


def test_a_copy_is_below_a_third_even_where_both_distances_are_zero() -> None:
    images = np.zeros((3, 1, 4, 4))
    shown = encode(raw(images, nearest=[0.0, 0.9, 2.0], second=[0.0, 3.0, 3.0]))
    assert [pair.copied for pair in shown.pairs] == [True, True, False]


def test_large_images_are_made_smaller() -> None:
    shown = encode(raw(np.zeros((1, 3, 256, 128)), nearest=[1.0], second=[2.0]))
    assert pixels(shown.pairs[0].images[0]).shape == (64, 32, 3)


def test_pairs_are_few_where_bytes_are() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, size=(30, 3, 32, 32))
    galleries = [raw(noise, nearest=[1.0] * 30, second=[2.0] * 30) for _ in range(4)]
    most = fit_pairs(galleries, 400_000)
    used = sum(encode(one, most).size for one in galleries)
    assert 1 <= most < 24
    assert used <= 1.02 * 400_000
    assert fit_pairs(galleries, 10**9) == 24


def test_identifiers_are_those_of_the_training_images() -> None:
    identifiers = ["a<b>", "c"]
    shown = encode(
        raw(np.zeros((2, 1, 4, 4)), nearest=[1.0] * 2, second=[2.0] * 2, training_ids=identifiers)
    )
    assert [pair.training_id for pair in shown.pairs] == ["a<b>", "c"]


def test_without_a_file_there_is_no_gallery(tmp_path: Path) -> None:
    assert read_gallery(tmp_path / "gallery.safetensors") is None


def test_a_harmed_gallery_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    write_tensors(path, {name: torch.zeros(1, 1, 4, 4) for name in IMAGES}, {})
    with pytest.raises(RecordError, match=r"gallery\.safetensors lacks distance_training"):
        read_gallery(path)
    whole = path.read_bytes()
    for data in (b"", whole[:40], whole[:-4], whole[:-1] + b"!"):
        path.write_bytes(data)
        with pytest.raises(RecordError, match=r"gallery\.safetensors"):
            read_gallery(path)


def test_pairs_of_unequal_number_are_named(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    tensors = {name: torch.zeros(2, 1, 4, 4) for name in IMAGES}
    tensors |= {name: torch.zeros(3) for name in DISTANCES}
    write_tensors(path, tensors, {})
    with pytest.raises(RecordError, match="does not fit 2 pairs"):
        read_gallery(path)
