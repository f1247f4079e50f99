"""Principal components of pixels."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.features.base import flattened

__all__ = ["PrincipalComponents"]


class PrincipalComponents:
    """Projections of the centred pixels on the directions of greatest variance.

    The eigenvectors of the covariance (of the Gram matrix, where images are fewer than pixels) in
    float64. Each direction is signed so that its largest entry, the first of equals, is positive:
    the same images give the same features on every machine. Projections are not rescaled, so
    distances are in the units of the images.

    Args:
        components: how many, 1 or more; as many as the images span where that is less.

    Raises:
        ConfigError: for ``components`` below 1.

    >>> images = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    >>> space = PrincipalComponents(components=2).fit(images)
    >>> space(images).tolist(), space.describe()["components"]
    ([[-2.0], [0.0], [2.0]], 1)
    """

    def __init__(self, components: int = 24) -> None:
        if components < 1:
            raise ConfigError(
                f"components = {components} is too few", hint="give 1 component or more"
            )
        self.components = components
        self._mean: Tensor | None = None
        self._directions: Tensor | None = None
        self._fitted: dict[str, Any] = {}

    def fit(self, images: Float[Tensor, " n *shape"]) -> PrincipalComponents:
        """Return this space with the directions of some images.

        Raises:
            DataError: for no images, images that are all the same, and values that are not finite.
        """
        rows = flattened(images)
        n, d = rows.shape
        mean = rows.mean(dim=0)
        centred = rows - mean
        if n > d:
            variances, vectors = torch.linalg.eigh(centred.T @ centred)
        else:
            variances, left = torch.linalg.eigh(centred @ centred.T)
            vectors = centred.T @ left
        # Eigenvalues are known to within this much, as is the rank.
        floor = variances[-1] * max(n, d) * torch.finfo(torch.float64).eps
        # Pixels that are equal but for rounding have no direction to speak of.
        floor = floor.maximum(rows.square().sum() * torch.finfo(torch.float64).eps ** 2 * n)
        rank = int((variances > floor).sum())
        if rank == 0:
            raise DataError(
                f"the {n} images that principal components are fitted to are all the same",
                hint="give at least two different images, or take the features 'pixels'",
            )
        kept = min(self.components, rank)
        directions = vectors[:, -kept:].flip(1)
        directions = directions / torch.linalg.vector_norm(directions, dim=0)
        largest = directions.abs().argmax(dim=0, keepdim=True)
        fitted = type(self)(self.components)
        fitted._mean = mean
        fitted._directions = directions * directions.gather(0, largest).sign()
        fitted._fitted = {
            "components": kept,
            "images": n,
            "variance_share": float(variances[-kept:].sum() / variances.clamp_min(0).sum()),
        }
        return fitted

    def __call__(self, images: Float[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return the projections of images, in float64.

        Raises:
            DataError: for no images, another number of pixels, and values that are not finite.
            ValueError: before fitting.
        """
        if self._mean is None or self._directions is None:
            raise ValueError("principal components must be fitted before they are used")
        rows = flattened(images)
        if rows.shape[1] != len(self._mean):
            raise DataError(
                f"images of {rows.shape[1]} values do not fit principal components of "
                f"{len(self._mean)}",
                hint="bring all images to one shape",
            )
        device = rows.device
        return (rows - self._mean.to(device)) @ self._directions.to(device)

    def describe(self) -> dict[str, Any]:
        """Return what was done: components asked for and had, and their share of the variance."""
        return {"features": "pca", "components_asked": self.components, **self._fitted}
