"""What differs between sets of images by how they were stored, not by what they show.

JPEG leaves edges on a grid of 8×8 blocks; resizing and blur take fine detail away. Where the
training set and the held-out images differ in these, distances tell the two apart whatever was
generated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Shaped
from scipy.fft import dctn
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.readings import Reading
from ecotone.measures.membership import auc_interval

__all__ = ["Difference", "blockiness", "compare", "constant", "high_frequency_share"]

_BLOCK = 8
_LEAST_SIDE = 16
# Of the mean difference, added to both means, so that blocks without any detail stay finite.
_FLOOR = 1e-3
_BATCH_VALUES = 1 << 22
# Luma of red, green and blue (ITU-R 601), which JPEG cuts into blocks of 8.
_LUMA = (0.299, 0.587, 0.114)


def constant(images: Shaped[Tensor, "n ..."]) -> Bool[Tensor, " n"]:
    """Return which images show nothing: every channel has one value throughout.

    Args:
        images: (n, channels, height, width); items of another shape count as one channel.

    >>> constant(torch.tensor([[[[1.0, 1.0]], [[2.0, 2.0]]], [[[1.0, 1.0]], [[2.0, 3.0]]]]))
    tensor([ True, False])
    """
    first = images[:, :, :1, :1] if images.ndim == 4 else images.flatten(1)[:, :1]
    flat = images if images.ndim == 4 else images.flatten(1)
    found = torch.empty(len(images), dtype=torch.bool)
    for rows in _batches(images):
        found[rows] = (flat[rows] == first[rows]).flatten(1).all(dim=1).cpu()
    return found


def blockiness(images: Shaped[Tensor, "n ..."]) -> Float64[Tensor, " defined"]:
    """Return how strong the edges of JPEG's 8×8 blocks are in images.

    With d the differences of luma between horizontal and between vertical neighbours, the measure
    is log(B/A), B the mean |d| across the boundaries of the blocks (between pixels 8k−1 and 8k) and
    A the mean |d| within them: about 0 where there is no grid, above it where there is. B and A are
    the features of blocking and activity of Wang, Sheikh & Bovik (2002, eqs. 2 and 3), but that A
    is taken between pixels 2k−1 and 2k only, as B is: enlarging an image twofold makes these
    differences larger or smaller than those between. A thousandth of the mean |d| is added to both.
    The scale of the values does not matter.

    Args:
        images: (n, channels, height, width), of 1 channel or 3, in any type. The first pixel has to
            be that of a block.

    Returns:
        A number for each image that has differences at all; flat ones are left out. None for images
        of less than 16 pixels a side.

    Raises:
        DataError: for another number of channels.

    >>> tiles = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> tiles = tiles.repeat_interleave(8, 2).repeat_interleave(8, 3)
    >>> bool(blockiness(tiles) > 6)
    True
    """
    if min(_checked(images)) < _LEAST_SIDE:
        return torch.empty(0, dtype=torch.float64)
    found = []
    for luma in _lumas(images):
        along, down = luma.diff(dim=2).abs(), luma.diff(dim=1).abs()
        rows, columns = (torch.arange(1, side, device=luma.device) for side in luma.shape[1:])
        (edge, inner), (edge_down, inner_down) = _places(columns), _places(rows)
        across = _mean(along[:, :, edge], down[:, edge_down])
        elsewhere = _mean(along[:, :, inner], down[:, inner_down])
        floor = _FLOOR * _mean(along, down)
        ratio = (across + floor) / (elsewhere + floor)
        found.append(ratio[_shows(luma)].log().cpu())
    return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)


def high_frequency_share(images: Shaped[Tensor, "n ..."]) -> Float64[Tensor, " defined"]:
    """Return the share of images' energy above half the Nyquist frequency.

    The energy is that of luma less its mean, by frequency: the squares of its orthonormal discrete
    cosine transform (DCT-II), whose coefficient k of N stands for k/2N cycles a pixel. Counted are
    those of a quarter of a cycle or more in either direction: what an image that was halved and
    doubled again has lost. Unlike Fourier's transform it has no jump where an image meets its
    opposite edge, which would be told for fine detail.

    Args:
        images: (n, channels, height, width), of 1 channel or 3, in any type.

    Returns:
        A share in [0, 1] for each image that is not flat.

    Raises:
        DataError: for another number of channels.

    >>> stripes = torch.tensor([0.0, 1.0] * 8).repeat(1, 1, 16, 1)
    >>> bool(high_frequency_share(stripes) > 0.9)
    True
    """
    height, width = _checked(images)
    fine = (2 * torch.arange(height)[:, None] >= height) | (2 * torch.arange(width) >= width)
    found = []
    for luma in _lumas(images):
        centred = (luma - luma.mean(dim=(1, 2), keepdim=True)).cpu().numpy()
        energy = torch.from_numpy(dctn(centred, axes=(1, 2), norm="ortho")).square_()
        total = energy.sum(dim=(1, 2), dtype=torch.float64)
        above = energy[:, fine].sum(dim=1, dtype=torch.float64)
        found.append((above / total)[_shows(luma).cpu()])
    return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True)
class Difference:
    """How far two sets of numbers are apart.

    Args:
        auc: P(a number of the first set is the larger) + ½ P(both are equal), with its interval.
        p_value: of the two-sided Mann–Whitney test that neither tends to be the larger.
    """

    auc: Reading
    p_value: float


def compare(first: Float64[Tensor, " n"], second: Float64[Tensor, " m"]) -> Difference:
    """Compare two sets of numbers by their ranks.

    With a few thousand numbers the test sees differences that matter to nobody: look at the AUC as
    well. Images that are the same or come from the same scene are not independent, which makes the
    p-value too small.

    Args:
        first: what was measured of the images of one set, finite.
        second: the same of another's.

    Raises:
        DataError: for an empty set.

    >>> told = compare(torch.arange(20.0).double() + 15, torch.arange(20.0).double())
    >>> told.auc.value, told.p_value < 1e-6
    (0.96875, True)
    """
    # It takes half a second, which who does not compare need not wait for.
    from scipy.stats import mannwhitneyu

    n, m = len(first), len(second)
    if not n or not m:
        raise DataError(
            f"{n} numbers cannot be compared with {m}", hint="give at least one of each"
        )
    test = mannwhitneyu(first.cpu().numpy(), second.cpu().numpy(), alternative="two-sided")
    auc = float(test.statistic) / (n * m)
    low, high = auc_interval(auc, n, m)
    how = {"other": m, "interval": "Hanley and McNeil, inverted"}
    reading = Reading(auc, n, "AUC", "neither", low=low, high=high, how=how)
    # Where all numbers are equal there is nothing to test.
    return Difference(reading, float(test.pvalue) if np.isfinite(test.pvalue) else 1.0)


def _places(after: Tensor) -> tuple[Tensor, Tensor]:
    """Return which differences lie across boundaries of blocks, and which they are held against."""
    return after % _BLOCK == 0, (after % 2 == 0) & (after % _BLOCK != 0)


def _checked(images: Tensor) -> tuple[int, int]:
    """Return height and width of images, or say that they are none."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"items of shape {tuple(images.shape[1:])} are no images",
            hint="give (n, channels, height, width) with 1 channel or 3",
        )
    return images.shape[2], images.shape[3]


def _lumas(images: Tensor) -> Iterator[Float32[Tensor, "batch height width"]]:
    for rows in _batches(images):
        batch = images[rows].float()
        if batch.shape[1] == 1:
            yield batch[:, 0]
        else:
            yield torch.einsum("nchw,c->nhw", batch, batch.new_tensor(_LUMA))


def _batches(images: Tensor) -> Iterator[slice]:
    height = max(1, _BATCH_VALUES * len(images) // max(1, images.numel()))
    for start in range(0, len(images), height):
        yield slice(start, start + height)


def _shows(luma: Tensor) -> Bool[Tensor, " batch"]:
    """Return which images are not flat, to the precision that luma is computed with."""
    low, high = luma.amin(dim=(1, 2)), luma.amax(dim=(1, 2))
    return high - low > 1e-6 * torch.maximum(low.abs(), high.abs())


def _mean(along: Tensor, down: Tensor) -> Float64[Tensor, " batch"]:
    """Return each image's mean over both kinds of differences."""
    sums = [part.sum(dim=(1, 2), dtype=torch.float64) for part in (along, down)]
    return (sums[0] + sums[1]) / (along[0].numel() + down[0].numel())
