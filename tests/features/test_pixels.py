from __future__ import annotations

import pytest
import torch

from ecotone.core import DataError
from ecotone.features import FEATURES


def test_pixels_keep_every_distance() -> None:
    images = torch.randn(5, 3, 4, 4)
    rows = FEATURES.create("pixels", {}).fit(images)(images)
    assert rows.dtype == torch.float64
    torch.testing.assert_close(torch.pdist(rows), torch.pdist(images.flatten(1).double()))


@pytest.mark.parametrize("name", list(FEATURES))
def test_what_has_no_features_is_said(name: str) -> None:
    images = torch.randn(5, 3)
    space = FEATURES.create(name, {}).fit(images)
    with pytest.raises(DataError, match=r"shape \(0, 3\)"):
        space(images[:0])
    wrong = images.clone()
    wrong[4, 1] = torch.inf
    with pytest.raises(DataError, match="image 4"):
        space(wrong)
    assert space.describe()["features"] == name
