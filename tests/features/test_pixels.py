from __future__ import annotations

import torch

from ecotone.features import FEATURES


def test_pixels_keep_every_distance() -> None:
    images = torch.randn(5, 3, 4, 4)
    rows = FEATURES.create("pixels", {}).fit(images)(images)
    assert rows.dtype == torch.float64
    torch.testing.assert_close(torch.pdist(rows), torch.pdist(images.flatten(1).double()))
