"""Mixtures of normal distributions around images, whose widths are fitted to others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import DataError

__all__ = ["GROUPS", "fitted_variances", "log_likelihoods", "standardized", "without_groups"]

GROUPS = 20
"""Groups of centres that are left out in turn."""
_NARROWEST = 1e-4
"""Least variance of a component, a hundredth of the features' standard deviation squared: nearer
than that a copy is no more a copy, and of exact ones the likelihood would be infinite."""
_STEPS = 100
_SETTLED = 1e-5
"""Nats per dimension that a step must gain for another to be made."""
_TILE = 1 << 17
_KEPT = 128
"""Squared distances of more dimensions than this are kept from step to step."""
_LOWEST = -700.0
_IDLE = 1e-200


def fitted_variances(
    *,
    centres: Float64[Tensor, "m d"],
    images: Float64[Tensor, "n d"],
    narrowest: float = _NARROWEST,
) -> Float64[Tensor, " m"]:
    """Return the variances under which a mixture around centres makes images most likely.

    Expectation maximization with equal weights: with r_ij the posterior of centre j for image i,
    σ_j² = Σ_i r_ij |x_i − g_j|² / (d Σ_i r_ij), from σ_j² = min_i |x_i − g_j|²/d on, until a step
    gains less than 1e-5 nats per dimension (some ten steps; at most 100). A centre that no image
    belongs to keeps its width.

    Args:
        centres: one row a component.
        images: what is to be likely.
        narrowest: least variance, above 0.

    >>> centres, images = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
    >>> fitted_variances(centres=centres, images=images).tolist()
    [12.5]
    """
    d = images.shape[1]
    tiles: Iterable[Tensor] = _Tiles(images, centres)
    if d > _KEPT:
        tiles = list(tiles)
    nearest = images.new_full((len(centres),), torch.inf)
    for squared in tiles:
        nearest = nearest.minimum(squared.amin(dim=0))
    variances = (nearest / d).clamp_min(narrowest)
    before = -math.inf
    for _ in range(_STEPS):
        total, belonging, spread = 0.0, torch.zeros_like(variances), torch.zeros_like(variances)
        for squared in tiles:
            logs, posterior, sums = _posterior(squared, variances, d)
            total += float(logs.sum())
            belonging += (1 / sums) @ posterior
            spread += (1 / sums) @ posterior.mul_(squared)
        mean = total / (len(images) * d)
        if mean - before < _SETTLED:
            break
        before = mean
        fitted = spread / (d * belonging.clamp_min(_IDLE))
        variances = torch.where(belonging > _IDLE, fitted, variances).clamp_min(narrowest)
    return variances


def log_likelihoods(
    images: Float64[Tensor, "n d"],
    *,
    centres: Float64[Tensor, "m d"],
    variances: Float64[Tensor, " m"],
) -> Float64[Tensor, " n"]:
    """Return log (1/m) Σ_j N(x; g_j, σ_j² I) of each image, in nats.

    >>> images = torch.zeros(1, 2).double()
    >>> found = log_likelihoods(images, centres=images, variances=torch.ones(1).double())
    >>> round(float(found), 6) == round(-math.log(2 * math.pi), 6)
    True
    """
    d = images.shape[1]
    logs = [_posterior(squared, variances, d)[0] for squared in _Tiles(images, centres)]
    return torch.cat(logs) - math.log(len(centres)) - d / 2 * math.log(2 * math.pi)


class _Tiles:
    """Squared distances of images to centres, some images at a time, as often as asked for."""

    def __init__(self, images: Tensor, centres: Tensor) -> None:
        self._images, self._centres = images, centres
        self._rows = max(1, _TILE // len(centres))

    def __iter__(self) -> Iterator[Float64[Tensor, "some m"]]:
        squares = self._centres.square().sum(dim=1)
        for rows in self._images.split(self._rows):
            own = rows.square().sum(dim=1, keepdim=True)
            yield torch.addmm(own, rows, self._centres.T, alpha=-2).add_(squares).clamp_min_(0)


def _posterior(
    squared: Float64[Tensor, "some m"], variances: Float64[Tensor, " m"], d: int
) -> tuple[Float64[Tensor, " some"], Float64[Tensor, "some m"], Float64[Tensor, " some"]]:
    """Return log Σ_j σ_j^−d exp(−|x − g_j|²/2σ_j²), and its terms and their sum, to a scale."""
    terms = (squared * (-0.5 / variances)).sub_(0.5 * d * variances.log())
    highest = terms.amax(dim=1, keepdim=True)
    # Smaller numbers than this take a hundred times as long.
    terms = terms.sub_(highest).clamp_min_(_LOWEST).exp_()
    sums = terms.sum(dim=1)
    return sums.log() + highest[:, 0], terms, sums


def without_groups(
    images: Float64[Tensor, "n d"],
    centres: Float64[Tensor, "m d"],
    variances: Float64[Tensor, " m"],
) -> Float64[Tensor, "n groups"]:
    """Return log-likelihoods over d, with all centres and without every g-th of them in turn."""
    m, d = centres.shape
    groups = min(GROUPS, m)
    parts = []
    for squared in _Tiles(images, centres):
        logs = [
            _posterior(squared[:, j::groups], variances[j::groups], d)[0] for j in range(groups)
        ]
        parts.append(torch.stack(logs, dim=1))
    of_groups = torch.cat(parts)
    # Sums of what is left, as a difference from the whole would be rounding where one centre rules.
    own = torch.eye(groups, dtype=torch.bool)
    left = [of_groups.masked_fill(out, -torch.inf).logsumexp(dim=1) for out in own]
    logs = torch.stack([of_groups.logsumexp(dim=1), *left], dim=1)
    sizes = torch.tensor([m] + [m - len(range(j, m, groups)) for j in range(groups)])
    return (logs - sizes.log()) / d - 0.5 * math.log(2 * math.pi)


def standardized(
    generated: Tensor, training: Tensor, holdout: Tensor, *, by: Tensor | None = None
) -> tuple[Float64[Tensor, "m d"], Float64[Tensor, "n d"], Float64[Tensor, "h d"]]:
    """Return features in units of the standard deviation of some: of T and H where None."""
    sets = {"generated": generated, "training": training, "holdout": holdout}
    for name, rows in sets.items():
        if not rows.numel():
            raise DataError(
                f"features of the {name} images are empty: their shape is {tuple(rows.shape)}",
                hint="give at least one image of at least one feature",
            )
        if not bool(torch.isfinite(rows).all()):
            index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
            raise DataError(
                f"features of {name} image {index} are not finite",
                hint="look at how they were made",
            )
    units = (torch.cat([training, holdout]) if by is None else by).detach().double()
    mean, scale = units.mean(dim=0), units.std(dim=0, correction=0)
    # Features that are the same throughout have no scale.
    scale = scale.masked_fill(scale <= 1e-12 * scale.max(), 1)
    first, second, third = ((rows.detach().double() - mean) / scale for rows in sets.values())
    return first, second, third
