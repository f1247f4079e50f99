from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from ecotone.core.errors import DataError
from ecotone.populations.sources import open_items
from stored_sets import channels_first, photos

IMAGES = channels_first(photos(4))


@pytest.mark.parametrize(
    "source",
    [
        IMAGES,
        photos(4),
        torch.from_numpy(IMAGES),
        torch.from_numpy(photos(4)).permute(0, 3, 1, 2),
        IMAGES[::-1][::-1],
        np.asfortranarray(IMAGES),
        list(IMAGES),
        [torch.from_numpy(image) for image in IMAGES],
        tuple(photos(4)),
        [Image.fromarray(image) for image in photos(4)],
    ],
    ids=["array", "hwc", "tensor", "view", "flipped", "fortran", "list", "tensors", "tuple", "PIL"],
)
def test_every_form_in_memory_gives_the_same_items(source: object) -> None:
    items = open_items(source, role="generated")
    assert torch.equal(items.items, torch.from_numpy(IMAGES))
    assert (items.kind, items.ids) == ("memory", ("0", "1", "2", "3"))
    assert items.facts.fingerprint == open_items(IMAGES, role="generated").facts.fingerprint


def test_names_say_what_was_given() -> None:
    for source, name in [
        (IMAGES, "array of shape (4, 3, 6, 6)"),
        (torch.from_numpy(IMAGES), "tensor of shape (4, 3, 6, 6)"),
        ([Image.fromarray(photos(1)[0])], "1 image in memory"),
    ]:
        assert open_items(source, role="generated").name == name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tensors_of_any_float_type_are_taken(dtype: torch.dtype) -> None:
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    items = open_items(values.requires_grad_(), role="generated").items
    assert torch.equal(items, values.detach().float())
    assert not items.requires_grad


def test_arrays_that_cannot_be_written_to_are_not_copied_and_not_warned_of() -> None:
    array = IMAGES.copy()
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = open_items(array, role="generated")
    assert items.items.data_ptr() == array.ctypes.data


def test_labels_are_groups() -> None:
    assert open_items(IMAGES, role="training", groups=[1, 1, 2, 2]).groups == ("1", "1", "2", "2")
    assert open_items(IMAGES, role="training", groups=np.array(list("aabb"))).groups == tuple(
        "aabb"
    )
    with pytest.raises(DataError, match="3 groups for the 4 items of training"):
        open_items(IMAGES, role="training", groups=[1, 2, 3])
    with pytest.raises(
        DataError, match=r"no groups 'patient' in .*groups=\{'training': \[\.\.\.\]"
    ):
        open_items(IMAGES, role="training", groups="patient")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ([], "training is empty"),
        (3, "training is given as int; give a path"),
        (b"bytes", "training is given as bytes"),
        ((image for image in IMAGES), "training is given as generator"),
        (Image.fromarray(photos(1)[0]), "training is a single image"),
        ([Image.fromarray(photos(1)[0]), IMAGES[0]], "item 0 of training is given as Image"),
        ([IMAGES[0], IMAGES[0, :, :3]], r"item 1 is uint8 of shape \(3, 3, 6\)"),
        ([IMAGES[0], IMAGES[0].astype(float)], r"item 1 is float64"),
        ([["a", "b"], ["c", "d"]], "item 0 of training is given as list"),
        ([np.array([None, 1])] * 2, "item 0 of training holds object"),
        (torch.eye(3).to_sparse(), "stored as torch.sparse_coo"),
        (torch.eye(3, dtype=torch.complex64), "holds complex64"),
        (np.ma.MaskedArray(np.eye(3), np.eye(3) > 0), "hides some of its values"),
    ],
)
def test_what_is_no_set_is_refused(source: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        open_items(source, role="training")


def test_a_mask_that_hides_nothing_is_no_matter() -> None:
    masked = np.ma.MaskedArray(np.eye(3), np.zeros((3, 3), dtype=bool))
    assert open_items(masked, role="training").items.tolist() == np.eye(3).tolist()


def test_tables_of_other_libraries_are_arrays() -> None:
    import polars as pl

    items = open_items(pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.5]}), role="training")
    assert items.items.tolist() == [[1.0, 3.0], [2.0, 4.5]]
    assert items.name == "DataFrame of shape (2, 2)"
