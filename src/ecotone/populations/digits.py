"""The handwritten digits that come with scikit-learn: real images without a download."""

from __future__ import annotations

import torch

from ecotone.populations.base import FiniteData

__all__ = ["Digits"]


class Digits(FiniteData):
    """1797 grey 8×8 images of handwritten digits, (1, 8, 8) in [-1, 1].

    The test part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998),
    as ``sklearn.datasets.load_digits`` holds it: whole numbers v from 0 to 16, scaled to v/8 − 1,
    which float32 holds exactly. No two of the images are the same.

    >>> digits = Digits()
    >>> digits.size, digits.shape, digits.value_range
    (1797, (1, 8, 8), (-1.0, 1.0))
    """

    def __init__(self) -> None:
        # Imported here: scikit-learn takes a second that other populations need not wait for.
        from sklearn.datasets import load_digits

        flat, _ = load_digits(return_X_y=True)
        images = torch.from_numpy(flat).to(torch.float32).reshape(-1, 1, 8, 8) / 8 - 1
        ids = [f"digits-{index:04d}" for index in range(len(images))]
        super().__init__(images, ids, name="digits", value_range=(-1.0, 1.0))
