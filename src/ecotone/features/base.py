"""The contract every feature space keeps."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Num, Shaped
from torch import Tensor

from ecotone.core.errors import DataError

__all__ = ["FeatureSpace", "flattened"]


@runtime_checkable
class FeatureSpace(Protocol):
    """What images are turned into before distributions of them are compared.

    Fit it to training set and holdout alike (:func:`ecotone.measures.fair_spaces.fitted_alike`): a
    space fitted to one of them makes the other look nearer, and one fitted to generated images is
    shaped by what it is to judge.
    """

    def fit(self, images: Num[Tensor, " n *shape"]) -> FeatureSpace:
        """Return this space fitted to images; what needs no fitting returns itself."""
        ...

    def __call__(self, images: Num[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return one row of features an image, in float64."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what was done, in plain values, for readings to quote."""
        ...


def flattened(images: Shaped[Tensor, "n ..."]) -> Float64[Tensor, "n dimension"]:
    """Return images as float64 rows.

    Raises:
        DataError: for no images, images of no values, and values that are not finite.

    >>> flattened(torch.zeros(2, 1, 3, 3)).shape
    torch.Size([2, 9])
    """
    if images.ndim < 2 or not images.numel():
        raise DataError(
            f"there are no features of images of shape {tuple(images.shape)}",
            hint="give at least one image of at least one value",
        )
    rows = images.detach().reshape(len(images), -1).double()
    if not bool(torch.isfinite(rows).all()):
        index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
        raise DataError(
            f"image {index} holds NaN or an infinity",
            hint="leave it out, or look at how it was made",
        )
    return rows
