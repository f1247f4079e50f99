"""Principal components of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import normal, sample_seeds
from ecotone.features.base import flattened

__all__ = ["PrincipalComponents"]

_BLOCK_BYTES = 8 << 20
"""Images are turned into float64 by blocks of this many bytes, never all at once."""

_DENSE = 4096
"""Up to so many images or pixels, whichever are fewer, all eigenvectors are had at once."""

_TILE = 512
_SPARE = 8
_BLOCKS = 40
_TOLERANCE = 1e-11


class PrincipalComponents:
    """Projections of the centred pixels on the directions of greatest variance.

    The eigenvectors of the covariance (of the Gram matrix, where images are fewer than pixels) in
    float64. Where images and pixels are both more than 4,096 only the leading ones are looked for,
    by block Lanczos steps with full reorthogonalization, until their residuals are below 1e-11 of
    the greatest eigenvalue (Golub & Van Loan 2013, §10.3). Each direction is signed so that its
    largest entry, the first of equals, is positive: the same images give the same features on every
    machine. Projections are not rescaled, so distances are in the units of the images; those of
    images in uint8 are 8-bit units.

    Images are read by blocks, so that what is held beside them does not grow with their number.

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

    def fit(self, images: Num[Tensor, " n *shape"]) -> PrincipalComponents:
        """Return this space with the directions of some images.

        Raises:
            DataError: for no images, images that are all the same, and values that are not finite.
        """
        rows = _rows(images)
        n, d = rows.shape
        mean = rows.new_zeros(d, dtype=torch.float64)
        for _, block in _blocks(rows):
            mean += block.sum(dim=0) / n
        squares, spread = mean.new_zeros(()), mean.new_zeros(())
        for _, block in _blocks(rows):
            squares += block.square().sum()
            spread += (block - mean).square().sum()
        smaller = min(n, d)
        dense = smaller <= _DENSE or 8 * self.components > smaller
        if dense:
            variances, vectors = torch.linalg.eigh(_products(rows, mean))
        else:
            variances, vectors = _leading(rows, mean, self.components)
        # Eigenvalues are known to within this much, as is the rank.
        floor = variances[-1] * max(n, d) * torch.finfo(torch.float64).eps
        # Pixels that are equal but for rounding have no direction to speak of.
        floor = floor.maximum(squares * torch.finfo(torch.float64).eps ** 2 * n)
        kept = min(self.components, int((variances > floor).sum()))
        if kept == 0:
            raise DataError(
                f"the {n} images that principal components are fitted to are all the same",
                hint="give at least two different images, or take the features 'pixels'",
            )
        directions = vectors[:, -kept:].flip(1)
        if dense and n <= d:
            directions = _combined(rows, mean, directions)
        directions = directions / torch.linalg.vector_norm(directions, dim=0)
        largest = directions.abs().argmax(dim=0, keepdim=True)
        fitted = type(self)(self.components)
        fitted._mean = mean
        fitted._directions = directions * directions.gather(0, largest).sign()
        fitted._fitted = {
            "components": kept,
            "images": n,
            "variance_share": float(variances[-kept:].sum() / spread),
        }
        return fitted

    def __call__(self, images: Num[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return the projections of images, in float64.

        Raises:
            DataError: for no images, another number of pixels, and values that are not finite.
            ValueError: before fitting.
        """
        if self._mean is None or self._directions is None:
            raise ValueError("principal components must be fitted before they are used")
        rows = _rows(images)
        if rows.shape[1] != len(self._mean):
            raise DataError(
                f"images of {rows.shape[1]} values do not fit principal components of "
                f"{len(self._mean)}",
                hint="bring all images to one shape",
            )
        mean, directions = (part.to(rows.device) for part in (self._mean, self._directions))
        features = mean.new_empty(len(rows), directions.shape[1])
        for part, block in _blocks(rows):
            torch.mm(block - mean, directions, out=features[part])
        return features

    def describe(self) -> dict[str, Any]:
        """Return what was done: components asked for and had, and their share of the variance."""
        return {"features": "pca", "components_asked": self.components, **self._fitted}


def _rows(images: Num[Tensor, "n ..."]) -> Num[Tensor, "n d"]:
    """Return images flattened, in the type they came in."""
    if images.ndim < 2 or not images.numel():
        return flattened(images)  # which says what is wrong with them
    return images.detach().reshape(len(images), -1)


def _blocks(rows: Num[Tensor, "n d"]) -> Iterator[tuple[slice, Float64[Tensor, "some d"]]]:
    """Yield rows in float64, some at a time, and which they are."""
    n, d = rows.shape
    step = max(1, _BLOCK_BYTES // (8 * d))
    for start in range(0, n, step):
        block = rows[start : start + step]
        if rows.is_floating_point() and not bool(torch.isfinite(block).all()):
            index = start + int((~torch.isfinite(block)).any(dim=1).int().argmax())
            raise DataError(
                f"image {index} holds NaN or an infinity",
                hint="leave it out, or look at how it was made",
            )
        yield slice(start, start + len(block)), block.double()


def _columns(
    rows: Num[Tensor, "n d"], mean: Float64[Tensor, " d"]
) -> Iterator[tuple[slice, Float64[Tensor, "n some"]]]:
    """Yield centred columns in float64, some at a time, and which they are."""
    n, d = rows.shape
    step = max(1, _BLOCK_BYTES // (8 * n))
    for start in range(0, d, step):
        part = slice(start, min(d, start + step))
        yield part, rows[:, part].double() - mean[part]


def _products(rows: Num[Tensor, "n d"], mean: Float64[Tensor, " d"]) -> Float64[Tensor, "s s"]:
    """Return the covariance times n, or the Gram matrix where images are no more than pixels.

    All is there that is on the diagonal or below it.
    """
    n, d = rows.shape
    if n > d:
        size, blocks = d, (block - mean for _, block in _blocks(rows))
    else:
        size, blocks = n, (block.T for _, block in _columns(rows, mean))
    result = mean.new_zeros(size, size)
    tiles = [slice(start, start + _TILE) for start in range(0, size, _TILE)]
    for block in blocks:
        for index, down in enumerate(tiles):
            for across in tiles[: index + 1]:
                result[down, across].addmm_(block[:, down].T, block[:, across])
    return result


def _combined(
    rows: Num[Tensor, "n d"], mean: Float64[Tensor, " d"], weights: Float64[Tensor, "n k"]
) -> Float64[Tensor, "d k"]:
    """Return the sums of centred images that eigenvectors of the Gram matrix stand for."""
    result = weights.new_empty(rows.shape[1], weights.shape[1])
    for part, block in _columns(rows, mean):
        torch.mm(block.T, weights, out=result[part])
    return result


def _leading(
    rows: Num[Tensor, "n d"], mean: Float64[Tensor, " d"], count: int
) -> tuple[Float64[Tensor, " count"], Float64[Tensor, "d count"]]:
    """Return the greatest eigenvalues of the covariance times n, ascending, and their vectors.

    The covariance is never there: each step passes over the images once.
    """
    width = count + _SPARE
    seeds = sample_seeds(width, 0, "principal components")
    start = normal(seeds, (rows.shape[1],), dtype=torch.float64, device=rows.device)
    newest = torch.linalg.qr(start.T).Q
    basis, below = newest, newest.new_zeros(width, width)
    projected = newest.new_zeros(0, 0)
    while True:
        image = torch.zeros_like(newest)
        for _, block in _blocks(rows):
            centred = block - mean
            image.addmm_(centred.T, centred @ newest)
        # Within the basis the covariance is tridiagonal, by blocks; eigh reads its lower half.
        projected = torch.nn.functional.pad(projected, (0, width, 0, width))
        projected[-width:, -width:] = newest.T @ image
        if len(projected) > width:
            projected[-width:, -2 * width : -width] = below
        newest, below = _outside(image, basis)
        values, vectors = torch.linalg.eigh(projected)
        residuals = torch.linalg.vector_norm(below @ vectors[-width:, -count:], dim=0)
        settled = float(residuals.max()) <= _TOLERANCE * float(values[-1])
        if settled or len(projected) == _BLOCKS * width:
            return values[-count:], basis @ vectors[:, -count:]
        basis = torch.cat([basis, newest], dim=1)


def _outside(
    image: Float64[Tensor, "d b"], basis: Float64[Tensor, "d s"]
) -> tuple[Float64[Tensor, "d b"], Float64[Tensor, "b b"]]:
    """Return an orthonormal factor of what lies outside a basis, and the other factor."""
    image, factor = torch.linalg.qr(image - basis @ (basis.T @ image))
    # Again after scaling, as of what lies in the basis nothing but rounding was left.
    for _ in range(2):
        image, right = torch.linalg.qr(image - basis @ (basis.T @ image))
        factor = right @ factor
    return image, factor
