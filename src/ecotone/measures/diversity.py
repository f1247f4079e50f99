"""How many different images a set is worth: the Vendi score."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import jackknife
from ecotone.core.readings import Reading
from ecotone.features import FeatureSpace
from ecotone.measures.evidence import Evidence
from ecotone.measures.fair_spaces import fair_space
from ecotone.measures.subsets import shuffled

__all__ = ["diversity", "unit_rows", "vendi_reading", "vendi_score"]

_LEVEL = 0.95
_GROUPS = 20
_MOST = 2048
"""Of images and features, one is at most so many: the work grows with the cube of the smaller."""
_FITTED = 2048
_FITTED_BYTES = 1 << 30
_BLOCK = 4096
_ROUNDING = 1e-12
"""A row of so small a norm, relative to the largest, has no direction but that of its rounding."""


def diversity(evidence: Evidence) -> dict[str, Reading]:
    """Return the Vendi score of the generated images, and of as many of the holdout.

    ``vendi`` is that of min(n_G, n_H) generated images and ``vendi_holdout_matched`` that of as
    many of the holdout, as the score grows with the number of images; without a holdout ``vendi``
    alone, of all. Beyond 2,048 features it is of 2,048 images at most. Copies of different training
    images are as diverse as these: the score sees images that are like one another, not like the
    training set.

    A space that was fitted to the holdout would spread it wider than other images, by some 5 % of
    the score for 24 principal components of 500 CIFAR-10 images. So what is fitted at all is fitted
    anew, to the training set, which is neither of the two compared.
    """
    seed, holdout = evidence.seed, evidence.holdout
    space = fair_space(evidence, "training")
    size = (
        len(evidence.generated) if holdout is None else min(len(evidence.generated), len(holdout))
    )
    if space(evidence.generated[:1]).shape[1] > _MOST:
        size = min(size, _MOST)
    sets = {"vendi": evidence.generated}
    if holdout is not None:
        sets["vendi_holdout_matched"] = holdout
    how = {**_told(space, evidence.features), "seed": seed}
    readings = {}
    for name, images in sets.items():
        order = shuffled(images, seed, "diversity")[:size]
        readings[name] = vendi_reading(images=space(images[order.to(images.device)]).cpu())
    return {name: reading.noting(**how) for name, reading in readings.items()}


def _told(space: FeatureSpace, given: FeatureSpace) -> dict[str, object]:
    notes = space.describe()
    return notes if space is given else {**notes, "features_fitted_to": "training images"}


def vendi_score(*, images: Float[Tensor, "n d"], order: float = 1.0) -> float:
    """Return the Vendi score of features: the effective number of different images.

    exp H_q(λ) of the eigenvalues λ of K/n, with H_1 = −Σ λ log λ, H_q = log(Σ λ^q) / (1 − q) and
    H_∞ = −log max λ (Friedman & Dieng 2023; Pasarkar & Dieng 2024 for q ≠ 1). K is the cosine
    kernel, K_ij = x_i·x_j / (|x_i||x_j|), whose nonzero eigenvalues are also those of the d × d
    matrix Σ x̂ x̂ᵀ, taken where d < n. Rows of zeros are like one another and like no other row.

    Args:
        images: features, one row an image.
        order: q above 0, ``math.inf`` included: the higher, the more common images count alone.

    Returns:
        The score, from 1 where all are alike to n where no two are.

    Raises:
        DataError: for no images, and values that are not finite.
        ConfigError: for an order of 0 or less.

    >>> round(vendi_score(images=torch.eye(4)), 9)
    4.0
    >>> round(vendi_score(images=torch.eye(4)[[0, 0, 1, 1]], order=2.0), 9)
    2.0
    """
    return _clipped(_Kernel(images, order, groups=1).entropy(), len(images))


def vendi_reading(*, images: Float[Tensor, "n d"], order: float = 1.0) -> Reading:
    """Return :func:`vendi_score` with its interval.

    The interval is for the chance in the images, at their number, by leaving out a twentieth of
    them in turn, on a log scale. What it does not show is the bias: n images count as n at most, so
    that only scores of equal numbers of images may be compared.

    Args:
        images: features, one row an image, in random order.
        order: as for :func:`vendi_score`.

    Returns:
        The score; without an interval for fewer than three images.

    Raises:
        DataError: for no images, and values that are not finite.
        ConfigError: for an order of 0 or less.

    >>> reading = vendi_reading(images=torch.eye(4))
    >>> round(reading.value, 9), reading.n, reading.unit
    (4.0, 4, 'effective images')
    """
    n = len(images)
    groups = max(1, min(_GROUPS, n))
    kernel = _Kernel(images, order, groups=groups)
    entropy = kernel.entropy()
    low = high = None
    error = None
    if n > 2:  # Two images less one have no spread to tell.
        error = jackknife(lambda kept: kernel.entropy(_left_out(kept, groups)), n, groups=groups)
    if error is not None:
        half = float(stdtrit(groups - 1, 0.5 + _LEVEL / 2)) * error
        low, high = _clipped(entropy - half, n), _clipped(entropy + half, n)
    return Reading(
        _clipped(entropy, n),
        n=n,
        unit="effective images",
        higher_is="better",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "kernel": "cosine",
            "order": str(order) if math.isinf(order) else order,
            "interval": "delete-a-group jackknife, at this number of images",
            "bias": "grows with the number of images: compare equal numbers",
        },
    )


def unit_rows(images: Float[Tensor, "n d"], least: float = 0.0) -> Float64[Tensor, "n e"]:
    """Return rows scaled to norm 1 in float64, with one more column.

    Rows of norm ``least`` or below have no direction. They get one of their own, the last column,
    so that they are equal to one another and orthogonal to all others.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = images.detach().double()
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    none = norms <= least
    directions = (rows / norms.masked_fill(none, 1)).masked_fill(none, 0)
    return torch.cat([directions, none.double()], dim=1)


class _Kernel:
    """The cosine kernel of images, whole or without every g-th of them.

    As the d × d products of unit rows where features are fewer than images.
    """

    def __init__(self, images: Float[Tensor, "n d"], order: float, *, groups: int) -> None:
        if not order > 0:
            raise ConfigError(f"order = {order} of the Vendi score", hint="give a number above 0")
        if not images.numel():
            raise DataError(
                f"features of shape {tuple(images.shape)} have no diversity",
                hint="give at least one image of at least one feature",
            )
        if not bool(torch.isfinite(images).all()):
            index = int((~torch.isfinite(images)).any(dim=1).int().argmax())
            raise DataError(
                f"features of image {index} are not finite", hint="look at how they were made"
            )
        self._images, self._order, self._groups = images, order, groups
        self._least = _ROUNDING * float(torch.linalg.vector_norm(images, dim=1).max())
        self._dual = images.shape[1] < len(images)
        if self._dual:
            size = images.shape[1] + 1
            self._whole = images.new_zeros(size, size, dtype=torch.float64)
            for block in images.split(_BLOCK):
                rows = self._unit(block)
                self._whole.addmm_(rows.T, rows)
        else:
            rows = self._unit(images)
            self._whole = rows @ rows.T

    def _unit(self, rows: Tensor) -> Tensor:
        return unit_rows(rows, self._least)

    def entropy(self, group: int | None = None) -> float:
        """Return H_q of the eigenvalues, without one group of images where it is given."""
        n, products = len(self._images), self._whole
        if group is not None:
            away = torch.arange(n, device=products.device) % self._groups == group
            n -= int(away.sum())
            if self._dual:
                rows = self._unit(self._images[away])
                products = products.addmm(rows.T, rows, alpha=-1)
            else:
                products = products[~away][:, ~away]
        values = torch.linalg.eigvalsh(products) / n
        # What rounding made of the eigenvalues that are 0.
        rounding = max(self._images.shape) * torch.finfo(torch.float64).eps
        return _entropy(values[values > rounding * values[-1]], self._order)


def _left_out(kept: NDArray[np.intp], groups: int) -> int:
    """Return which group of images is not kept."""
    return int(np.setdiff1d(np.arange(groups), kept)[0])


def _entropy(values: Float64[Tensor, " r"], order: float) -> float:
    if math.isinf(order):
        return -math.log(float(values.max()))
    if abs(order - 1) < 1e-9:
        return float(torch.special.entr(values).sum())
    return math.log(float((values**order).sum())) / (1 - order)


def _clipped(entropy: float, n: int) -> float:
    """Return the score, which lies between 1 and n."""
    return math.exp(min(max(entropy, 0.0), math.log(n)))
