from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core import ConfigError, RecordError
from ecotone.features.base import FeatureSpace
from ecotone.features.cache import Cached, cached
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.features.user_encoder import UserEncoder
from features.tiny_encoders import pictures

IMAGES = pictures(20, side=4)


class Counting:
    """Doubles, or whatever the scale is, and notes which images it was given."""

    costly = True

    def __init__(self, scale: float = 2.0, told: float | None = None) -> None:
        self.told = scale if told is None else told
        self.seen: list[Tensor] = []
        self.function = lambda images: scale * images.flatten(1).double()

    def fit(self, images: Tensor) -> Counting:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return self.function(images)

    def describe(self) -> dict[str, Any]:
        return {"features": "counting", "scale": self.told}


def test_only_new_images_are_computed() -> None:
    space = Counting()
    kept = Cached(space)
    kept(IMAGES[:8])
    kept(IMAGES[4:12])
    kept(IMAGES[[3, 11, 0]])
    assert [len(seen) for seen in space.seen] == [8, 4]
    assert torch.equal(torch.cat(space.seen), IMAGES[:12])
    assert kept.computed == 12


@given(st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=30), max_size=8), st.data())
@settings(max_examples=40, deadline=None)
def test_features_are_the_same_bytes_in_any_order_and_subset(
    asked: list[list[int]], data: st.DataObject
) -> None:
    limit = data.draw(st.sampled_from([0, 2000, 2**30]))
    space = Counting(1 / 3)
    kept = Cached(space, limit=limit)
    for places in asked:
        assert torch.equal(kept(IMAGES[places]), space.function(IMAGES[places]))
    if limit == 2**30:
        assert kept.computed == len({place for places in asked for place in places})


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    space = Counting()
    row = 48 * 4 + 300
    kept = Cached(space, limit=5 * row)
    kept(IMAGES[:5])
    kept(IMAGES[:1])  # so that image 1 is the one used longest ago
    kept(IMAGES[5:6])
    before = kept.computed
    kept(IMAGES[[0, 2, 3, 4, 5]])
    assert kept.computed == before
    kept(IMAGES[1:2])
    assert kept.computed == before + 1
    with pytest.raises(ConfigError, match="limit = -1"):
        Cached(space, limit=-1)


def test_shape_and_type_are_part_of_an_image() -> None:
    kept = Cached(Counting())
    flat = IMAGES.flatten(1)
    for images in (IMAGES, flat, IMAGES.double(), IMAGES.transpose(1, 2)):
        assert torch.equal(kept(images), 2 * images.flatten(1).double())
    assert kept.computed == 80


def test_float64_features_lose_nothing() -> None:
    images = IMAGES.double() / 3
    kept = Cached(Counting(1 / 7))
    for _ in range(2):
        assert torch.equal(kept(images), images.flatten(1) * (1 / 7))


def test_a_row_does_not_keep_its_batch_in_memory() -> None:
    kept = Cached(Counting())
    kept(IMAGES)
    assert all(row.untyped_storage().nbytes() == 48 * 4 for row in kept._rows.values())


def test_fitting_gives_a_cache_of_the_fitted_space() -> None:
    kept = Cached(PrincipalComponents(3))
    fitted = kept.fit(IMAGES)
    assert fitted is not kept
    expected = PrincipalComponents(3).fit(IMAGES)
    for images in (IMAGES, IMAGES[5:], IMAGES.flip(0)):
        torch.testing.assert_close(fitted(images), expected(images), rtol=1e-12, atol=1e-12)
    again = fitted.fit(IMAGES[:10])
    assert not torch.allclose(again(IMAGES), fitted(IMAGES))
    encoder = Cached(Counting())
    assert encoder.fit(IMAGES) is encoder


def test_spaces_that_hold_other_numbers_share_nothing(tmp_path: Path) -> None:
    """Two fits of principal components may be described alike."""
    turned = IMAGES.flip(3)
    spaces = [PrincipalComponents(3).fit(images) for images in (IMAGES, turned)]
    one, two = (Cached(space, tmp_path) for space in spaces)
    rows = one(IMAGES)
    assert torch.equal(two(IMAGES), spaces[1](IMAGES))
    assert not torch.allclose(rows, two(IMAGES))
    assert (one.computed, two.computed) == (20, 20)


def test_only_what_is_costly_is_kept() -> None:
    encoder = UserEncoder(lambda images: images.flatten(1))
    cheap: list[FeatureSpace] = [Pixels(), PrincipalComponents()]
    assert all(cached(space) is space for space in cheap)
    kept = cached(encoder)
    assert isinstance(kept, Cached)
    assert cached(kept) is kept


# --- folders ---


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    expected = Cached(Counting(), tmp_path)(IMAGES)
    again = Cached(Counting(), tmp_path)
    assert torch.equal(again(IMAGES.flip(0)), expected.flip(0))
    assert again.computed == 1  # the row that is tried
    more = pictures(3, side=4, seed=1)
    again(torch.cat([more, IMAGES]))
    assert again.computed == 4
    assert Cached(Counting(), tmp_path)(more).shape == (3, 48)


def test_rows_that_memory_has_no_room_for_are_read_again(tmp_path: Path) -> None:
    kept = Cached(Counting(), tmp_path, limit=0)
    expected = kept(IMAGES)
    assert torch.equal(kept(IMAGES[3:]), expected[3:])
    assert torch.equal(kept(IMAGES), expected)
    assert kept.computed == 21


def test_other_spaces_share_a_folder_and_nothing_else(tmp_path: Path) -> None:
    for scale in (2.0, 3.0):
        kept = Cached(Counting(scale), tmp_path)
        assert torch.equal(kept(IMAGES), scale * IMAGES.flatten(1).double())
        assert kept.computed == 20


def test_a_space_that_changed_without_saying_so_is_found_out(tmp_path: Path) -> None:
    Cached(Counting(2.0, told=0), tmp_path)(IMAGES)
    with pytest.raises(RecordError, match=r"holds other features.*delete the folder"):
        Cached(Counting(3.0, told=0), tmp_path)(IMAGES)


def test_damaged_files_are_computed_again(tmp_path: Path) -> None:
    expected = Cached(Counting(), tmp_path)(IMAGES)
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    for damaged in (whole[:-7], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damaged)
        again = Cached(Counting(), tmp_path)
        assert torch.equal(again(IMAGES), expected)
        assert again.computed == 20
        assert file.read_bytes() == whole  # written again, to the byte
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot write"):
        Cached(Counting(), tmp_path / "file")(IMAGES)
