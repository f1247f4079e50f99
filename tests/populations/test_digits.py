from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from ecotone.core.errors import ConfigError
from ecotone.populations.digits import Digits


def test_the_pixels_are_exact() -> None:
    digits = Digits()
    flat, _ = load_digits(return_X_y=True)
    whole = (digits.items.double() + 1) * 8
    assert torch.equal(whole[:, 0], torch.from_numpy(flat).reshape(-1, 8, 8))
    assert float(digits.items.min()) == -1.0
    assert float(digits.items.max()) == 1.0
    assert (digits.ids[0], digits.ids[-1]) == ("digits-0000", "digits-1796")


def test_no_image_is_there_twice() -> None:
    assert len(Digits().items.flatten(1).unique(dim=0)) == 1797


def test_asking_for_too_many_says_how_many_there_are() -> None:
    with pytest.raises(ConfigError, match=r"n = 1500 .*maximum n = 1397"):
        Digits().split(1500, 400, seed=0)
