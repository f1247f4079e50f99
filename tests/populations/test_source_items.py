from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ecotone.core.errors import DataError
from ecotone.populations.source_items import Label, check_labels, fingerprint, printable

LABEL = Label("training", "photos", "folder")


@given(st.text(), st.text())
def test_names_stay_different_and_become_printable(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one).isprintable()
    if one.isprintable() and "\\" not in one and "'" not in one:
        assert printable(one) == one


def test_names_that_are_no_text_can_be_written() -> None:
    assert printable("\udcff.png").encode() == b"\\udcff.png"


def test_labels_of_any_kind_become_text() -> None:
    for labels in ([1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2]), ["1", "2"], range(1, 3)):
        assert check_labels(labels, 2, LABEL) == ("1", "2")
    with pytest.raises(DataError, match=r"3 groups for the 2 items of training \(photos\)"):
        check_labels([1, 2, 3], 2, LABEL)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=4)), st.randoms())
def test_fingerprints_follow_content_shape_type_and_range(items: np.ndarray, chance) -> None:
    order = list(range(len(items)))
    chance.shuffle(order)
    print_ = fingerprint(items, None)
    assert fingerprint(items[order], None) == print_
    assert fingerprint(np.asfortranarray(items), None) == print_
    others = [items ^ 1, items.astype(np.float32), np.concatenate([items, items[:1]])]
    others += [items.reshape(len(items), -1, 1, 1)]
    assert print_ not in {fingerprint(other, None) for other in others}
    assert fingerprint(items, (0.0, 255.0)) != print_
