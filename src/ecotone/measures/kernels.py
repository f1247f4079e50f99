"""The kernel distance (KID) of two sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from ecotone.core.errors import DataError

__all__ = ["KernelSums", "kid"]

_TILE_ROWS = 1024


def kid(*, generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the kernel inception distance of two sets of features, of whatever space.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel
    k(x, y) = (x·y/d + 1)³, over all pairs of all images (Bińkowski et al. 2018, §4; Gretton et al.
    2012, eq. 3), in float64. As it is unbiased it can be below 0.

    Args:
        generated: features of generated images.
        reference: features of the images to compare with.

    Raises:
        DataError: for fewer than two images of either set, and values that are not finite.

    >>> points = torch.tensor([[0.0], [1.0]])
    >>> kid(generated=points, reference=points)
    -3.5
    """
    sums = KernelSums.of(generated=generated, reference=reference, groups=1)
    return sums.distance(np.arange(1))


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel over groups of generated images, whose distances cost next to nothing.

    Image i belongs to group i mod g.

    Args:
        sizes: of each group.
        within: sums over pairs of different generated images, by the groups of both.
        across: sums over pairs of a generated and a reference image, by group.
        reference_mean: mean over pairs of different reference images.
        reference_size: how many of these images there are.
    """

    sizes: Int[np.ndarray, " groups"]
    within: Float[np.ndarray, "groups groups"]
    across: Float[np.ndarray, " groups"]
    reference_mean: float
    reference_size: int

    @classmethod
    def of(
        cls, *, generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], groups: int
    ) -> KernelSums:
        """Sum the kernel over all pairs, one tile of rows at a time."""
        x, y = _checked("generated", generated), _checked("reference", reference)
        n, m = len(x), len(y)
        member = torch.zeros(n, groups, dtype=torch.float64, device=x.device)
        member[torch.arange(n), torch.arange(n) % groups] = 1.0
        to_groups = _row_sums(x, x, member)
        to_reference = _row_sums(x, y, torch.ones(m, 1, dtype=torch.float64, device=x.device))
        own = _row_sums(y, y, torch.ones(m, 1, dtype=torch.float64, device=x.device))
        within = member.T @ to_groups - torch.diag(member.T @ _kernel_of_self(x))
        return cls(
            sizes=member.sum(dim=0).long().cpu().numpy(),
            within=within.cpu().numpy(),
            across=(member.T @ to_reference)[:, 0].cpu().numpy(),
            reference_mean=float((own.sum() - _kernel_of_self(y).sum()) / (m * (m - 1))),
            reference_size=m,
        )

    def distance(self, groups: Int[np.ndarray, " kept"]) -> float:
        """Return the distance of the generated images of some groups."""
        n = int(self.sizes[groups].sum())
        within = float(self.within[np.ix_(groups, groups)].sum()) / (n * (n - 1))
        across = float(self.across[groups].sum()) / (n * self.reference_size)
        return within + self.reference_mean - 2 * across


def _checked(name: str, features: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    if len(features) < 2:
        raise DataError(
            f"{len(features)} {name} images have no pairs", hint="give two images or more"
        )
    rows = features.detach().double()
    if not bool(torch.isfinite(rows).all()):
        index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
        raise DataError(
            f"features of {name} image {index} are not finite", hint="look at how they were made"
        )
    return rows


def _row_sums(
    x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"], weights: Float64[Tensor, "m some"]
) -> Float64[Tensor, "n some"]:
    """Return the sums over y of weights · k(x, y)."""
    sums = []
    for rows in x.split(_TILE_ROWS):
        base = (rows @ y.T).div_(x.shape[1]).add_(1)
        sums.append((base * base).mul_(base) @ weights)
    return torch.cat(sums)


def _kernel_of_self(x: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
    return (x.square().sum(dim=1) / x.shape[1] + 1) ** 3
