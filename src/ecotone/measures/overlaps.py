"""Overlaps of Gaussians with what they are compared to: points under a kernel, or a density.

An overlap is the cross term 2 ∫ p_G p_S of a squared distance of densities, in units in which
∫ p² of N(0, std² I) is 1.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.populations.normal import Normal

__all__ = ["overlaps"]

_BLOCK_BYTES = 1 << 22
"""Of points, and of their coordinates in all bases, that are worked on at a time."""

_BASES_BYTES = 64 << 20
"""Of bases that stand side by side in one product."""

_LOST = 1e-9
"""What w |x − μ|² less what lies along a basis may lose before the residual itself is taken."""


def overlaps(
    generated: Sequence[Normal], reference: KernelDensity | ExactDensity
) -> Float64[Tensor, " models"]:
    """Return log c of each Gaussian, c = 2 ∫ p_G p_S · (4π std²)^(d/2), in nats.

    For points, with C the Gaussian's covariance and μ its mean,

        c = 2 · 2^(d/2) std^d det(C + ε² I)^(−1/2) · mean_i exp(−q_i/2),
        q_i = (x_i − μ)ᵀ (C + ε² I)^(−1) (x_i − μ),

    and for N(m, Σ) the same with Σ for ε² I and m as the only point. One product takes the points
    to all eigenbases at once: O(n · Σ rank · d). Where a Gaussian has rank k < d, what lies beyond
    its basis is |x − μ|² less what lies along it, or the residual where that would cancel.

    Args:
        generated: the Gaussians; those of rank below d, down to points, are welcome.
        reference: what they are compared with.

    Raises:
        DataError: for a Gaussian of another dimension, or one that is not finite.

    >>> unit = Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    >>> overlaps([unit], ExactDensity(unit, std=1.0)).exp()  # of a density with itself: 2
    tensor([2.], dtype=torch.float64)
    """
    for normal in generated:
        _check_normal(normal, reference.dimension)
    if isinstance(reference, KernelDensity):
        variance = math.exp(reference.log_variance)
        return _from_points(generated, reference.points, variance, reference.std)
    if (variance := reference.isotropic) is not None:
        return _from_points(generated, reference.normal.mean[None], variance, reference.std)
    return _from_normal(generated, reference.normal, reference.std)


def _from_points(
    generated: Sequence[Normal], points: Float64[Tensor, "n d"], variance: float, std: float
) -> Float64[Tensor, " models"]:
    """Return log c against the mean of N(x_i, variance · I)."""
    n, d = points.shape
    centre = points.mean(dim=0)
    result = []
    for group in _groups(generated):
        forms = _Forms.of(group, points, centre, variance)
        step = max(16, _BLOCK_BYTES // (8 * (d + forms.columns.shape[1])))
        exponents = points.new_empty(n, len(group))
        # Memory that is made anew for every block costs as much as the products.
        room = points.new_empty(step * (d + 1 + forms.columns.shape[1]))
        for start in range(0, n, step):
            exponents[start : start + step] = forms(points[start : start + step], centre, room)
        logs = torch.logsumexp(-0.5 * exponents, dim=0) - math.log(n)
        for m, normal in enumerate(group):
            ratios = (2 * std**2 / (normal.variances + variance)).log().sum()
            beyond = d - len(normal.variances)
            if beyond:
                ratios = ratios + beyond * math.log(2 * std**2 / (normal.floor + variance))
            result.append(math.log(2) + 0.5 * float(ratios) + float(logs[m]))
    return torch.tensor(result, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class _Forms:
    """The quadratic forms q of several Gaussians, side by side, of points from a centre.

    With o = μ − centre and w = 1/(floor + ε²), each is

        q = w |x − o|² + Σ_k (1/(λ_k + ε²) − w) (u_k·(x − o))²,

    with w = 0 where the basis u spans all directions. Those whose sum would cancel, or whose
    covariance is diagonal, are had one by one.

    Args:
        columns: u_k, scaled to the root of its factor's size; a last row holds −u_k·o.
        places: of each Gaussian, its columns and the sign of their factors.
        whole: w of each.
        lines: −2 w o, and a last row w |o|².
        alone: those had one by one, with their place.
    """

    columns: Float64[Tensor, "augmented columns"]
    places: tuple[tuple[slice, int], ...]
    whole: Float64[Tensor, " models"]
    lines: Float64[Tensor, "augmented models"]
    alone: tuple[tuple[int, Normal, Tensor], ...]
    variance: float

    @classmethod
    def of(
        cls,
        group: Sequence[Normal],
        points: Float64[Tensor, "n d"],
        centre: Float64[Tensor, " d"],
        variance: float,
    ) -> _Forms:
        """Make them ready for points around a centre."""
        d = len(centre)
        low, high = torch.aminmax(points, dim=0)
        farthest = float(torch.maximum(high - centre, centre - low).square().sum())
        columns, places, alone, used = [points.new_empty(d + 1, 0)], [], [], 0
        whole, lines = points.new_zeros(len(group)), points.new_zeros(d + 1, len(group))
        for m, normal in enumerate(group):
            offset = normal.mean.to(points.device) - centre
            reach = 2 * (farthest + float(offset.square().sum()))
            loses = reach * d * torch.finfo(torch.float64).eps
            flat = normal.basis is None and bool((normal.variances == normal.variances[0]).all())
            lowest = float(normal.variances[0]) if flat else normal.floor
            spans = not flat and len(normal.variances) == d
            by_itself = normal.basis is None and not flat
            # Factors of both signs, or terms that cancel.
            mixed = not spans and float(normal.variances.min()) < lowest
            if by_itself or mixed or (not spans and loses > _LOST * (lowest + variance)):
                alone.append((m, normal, offset))
                places.append((slice(0, 0), 0))
                continue
            if not spans:
                whole[m] = 1 / (lowest + variance)
                lines[:d, m] = -2 * whole[m] * offset
                lines[d, m] = whole[m] * offset.square().sum()
            if normal.basis is not None:
                basis = normal.basis.to(points.device)
                factors = 1 / (normal.variances.to(points.device) + variance) - whole[m]
                scaled = basis * factors.abs().sqrt()
                columns.append(torch.cat([scaled, -(offset @ scaled)[None]]))
            taken = columns[-1].shape[1] if normal.basis is not None else 0
            places.append((slice(used, used + taken), 1 if spans else -1))
            used += taken
        return cls(torch.cat(columns, dim=1), tuple(places), whole, lines, tuple(alone), variance)

    def __call__(
        self,
        points: Float64[Tensor, "rows d"],
        centre: Float64[Tensor, " d"],
        room: Float64[Tensor, " numbers"],
    ) -> Float64[Tensor, "rows models"]:
        """Return q of some points; ``room`` is overwritten."""
        rows, d = points.shape
        augmented = room[: rows * (d + 1)].view(rows, d + 1)
        block = augmented[:, :d]
        # Far from the origin, products of what was not centred would lose digits.
        torch.sub(points, centre, out=block)
        augmented[:, d] = 1
        squares = room[rows * (d + 1) :][: rows * self.columns.shape[1]].view(rows, -1)
        torch.mm(augmented, self.columns, out=squares).square_()
        found = augmented @ self.lines
        found.addcmul_(block.square().sum(dim=1, keepdim=True), self.whole)
        for m, (place, sign) in enumerate(self.places):
            if place.start < place.stop:
                found[:, m].add_(squares[:, place].sum(dim=1), alpha=sign)
        for m, normal, offset in self.alone:
            found[:, m] = _exponents(normal, block, offset, self.variance)
        return found


def _exponents(
    normal: Normal,
    block: Float64[Tensor, "rows d"],
    offset: Float64[Tensor, " d"],
    variance: float,
) -> Float64[Tensor, " rows"]:
    """Return q of centred points, with what lies beyond the basis as the residual itself."""
    centred = block - offset
    weights = 1 / (normal.variances.to(block.device) + variance)
    if normal.basis is None:
        return centred.square_() @ weights
    basis = normal.basis.to(block.device)
    along = centred @ basis
    exponents = along.square() @ weights
    if along.shape[1] < len(basis):
        rest = torch.addmm(centred, along, basis.T, alpha=-1).square_().sum(dim=1)
        exponents += rest / (normal.floor + variance)
    return exponents


def _from_normal(
    generated: Sequence[Normal], original: Normal, std: float
) -> Float64[Tensor, " models"]:
    """Return log c against a density of any covariance."""
    d = len(original.mean)
    _check_memory(
        4 * 8 * d * d, f"covariance matrices of {d} × {d}", "compare with points, or reduce d"
    )
    result = []
    for normal in generated:
        root = torch.linalg.cholesky(normal.covariance() + original.covariance())
        offset = (normal.mean - original.mean)[:, None]
        squared = torch.linalg.solve_triangular(root, offset, upper=False).square().sum()
        ratios = math.log(2 * std**2) - 2 * root.diagonal().log()
        result.append(math.log(2) + 0.5 * float(ratios.sum()) - 0.5 * float(squared))
    return torch.tensor(result, dtype=torch.float64)


def _groups(generated: Sequence[Normal]) -> Iterator[list[Normal]]:
    """Yield runs of Gaussians whose bases fit side by side."""
    group: list[Normal] = []
    size = 0
    for normal in generated:
        added = 0 if normal.basis is None else 8 * normal.basis.numel()
        if group and size + added > _BASES_BYTES:
            yield group
            group, size = [], 0
        group.append(normal)
        size += added
    if group:
        yield group


def _check_normal(normal: Normal, dimension: int) -> None:
    if len(normal.mean) != dimension:
        raise DataError(
            f"a generated Gaussian of {len(normal.mean)} dimensions is compared with "
            f"{dimension} dimensions",
            hint="generate and compare in one space",
        )
    parts = [normal.mean, normal.variances]
    finite = all(bool(part.isfinite().all()) for part in parts) and math.isfinite(normal.floor)
    if not finite or bool((normal.variances < 0).any()) or normal.floor < 0:
        raise DataError(
            "a generated Gaussian has a mean that is not finite, or a variance that is not finite "
            "or is negative",
            hint="check what it was fitted to",
        )


def _check_memory(needed: int, what: str, hint: str) -> None:
    """Refuse what this machine cannot hold before the system ends the process for it."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Not every system tells.
        return
    if needed > there:
        raise DataError(
            f"{what} take {needed / 2**30:.0f} GB, more than the {there / 2**30:.0f} GB here",
            hint=hint,
        )
