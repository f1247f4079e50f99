"""Pixels as they are."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float64, Num
from torch import Tensor

from ecotone.features.base import flattened

__all__ = ["Pixels"]


class Pixels:
    """The values of an image, flattened: one feature a pixel and channel.

    >>> import torch
    >>> images = torch.zeros(2, 1, 2, 2)
    >>> Pixels().fit(images)(images).shape
    torch.Size([2, 4])
    """

    def fit(self, images: Num[Tensor, " n *shape"]) -> Pixels:  # noqa: ARG002
        """Return itself: pixels need no fitting."""
        return self

    def __call__(self, images: Num[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return the flattened images in float64.

        Raises:
            DataError: for no images, and values that are not finite.
        """
        return flattened(images)

    def describe(self) -> dict[str, Any]:
        """Return what was done."""
        return {"features": "pixels"}
