"""Distances between two normal distributions, in closed form.

A linear model generates a normal distribution that is known exactly; held against a normal
population its distances need no samples. All work in the eigenbases that a
:class:`~ecotone.populations.normal.Normal` holds. Where the two covariances share one, as they do
where one of them is a multiple of the identity, no d×d matrix is formed.

A distribution is singular where its covariance is: it lies in a plane of fewer dimensions. As
eigenvalues of a matrix come with rounding errors, one along a basis counts as 0 below d·2⁻⁵² times
the largest; variances of coordinates (no basis) and the floor count as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.populations.normal import Normal

__all__ = [
    "affinity_per_dimension",
    "hellinger_squared",
    "kl",
    "log_affinity",
    "wasserstein2_squared",
]

_EPS = torch.finfo(torch.float64).eps


def kl(p: Normal, q: Normal) -> float:
    """Return the Kullback–Leibler divergence KL(p‖q), in nats.

    ½ [tr(Σq⁻¹Σp) − d + δᵀΣq⁻¹δ + ln det Σq − ln det Σp], δ the difference of the means. Where both
    are singular in the same plane it is that of their densities in the plane.

    Returns:
        0 or more; infinity where the two do not fill the same plane: one is singular, the other
        is not or is so elsewhere.

    Raises:
        DataError: for different dimensions.

    >>> narrow = Normal(torch.zeros(2).double(), torch.ones(2).double())
    >>> wide = Normal(torch.zeros(2).double(), 4 * torch.ones(2).double())
    >>> round(kl(narrow, wide), 4), round(kl(wide, narrow), 4)
    (0.6363, 1.6137)
    """
    pair = _in_their_plane(p, q)
    if pair is None:
        return math.inf
    p, q = pair
    shared = _shared(p, q)
    if shared is not None:
        ratio = shared.first / shared.second
        terms = ratio - 1 - shared.log_ratio + shared.squares / shared.second
        return max(0.0, 0.5 * float((shared.counts * terms).sum()))
    trace = _trace_of_quotient(p, q)
    terms = (
        trace
        + _mahalanobis(p.mean - q.mean, q)
        - len(p.mean)
        + q.log_determinant
        - p.log_determinant
    )
    return max(0.0, 0.5 * terms)


def log_affinity(p: Normal, q: Normal) -> float:
    """Return the logarithm of the affinity ∫√(pq) (Bhattacharyya's coefficient), in nats.

    (d/2) ln 2 + ¼ ln det Σp + ¼ ln det Σq − ½ ln det(Σp + Σq) − ¼ δᵀ(Σp + Σq)⁻¹δ.

    Returns:
        0 or less: 0 where they are the same; −infinity where they do not fill the same plane.

    Raises:
        DataError: for different dimensions.

    >>> unit = Normal(torch.zeros(1).double(), torch.ones(1).double())
    >>> log_affinity(unit, Normal(torch.ones(1).double(), torch.ones(1).double()))
    -0.125
    """
    pair = _in_their_plane(p, q)
    if pair is None:
        return -math.inf
    p, q = pair
    shared = _shared(p, q)
    if shared is not None:
        # ¼ ln a + ¼ ln b − ½ ln((a + b)/2) = −½ ln cosh(½ ln(a/b)), which keeps small differences.
        half = 0.5 * shared.log_ratio.abs()
        ln_cosh = torch.where(
            half < 1,
            torch.log1p(2 * torch.sinh(half.clamp(max=1) / 2).square()),
            half + torch.log1p(torch.exp(-2 * half)) - math.log(2),
        )
        terms = 0.5 * ln_cosh + 0.25 * shared.squares / (shared.first + shared.second)
        return min(0.0, -float((shared.counts * terms).sum()))
    # In units of the largest variance, so that no scale over- or underflows.
    scale = max(_largest(p), _largest(q))
    lower = torch.linalg.cholesky((p.covariance() + q.covariance()) / scale)
    log_det = 2 * float(lower.diagonal().log().sum()) + len(lower) * math.log(scale / 2)
    gap = ((p.mean - q.mean) / math.sqrt(scale))[:, None]
    distance = float(torch.linalg.solve_triangular(lower, gap, upper=False).square().sum())
    return min(
        0.0, 0.25 * (p.log_determinant + q.log_determinant) - 0.5 * log_det - 0.25 * distance
    )


def affinity_per_dimension(p: Normal, q: Normal) -> float:
    """Return (∫√(pq))^{1/d}, which, unlike the Hellinger distance, does not saturate at large d.

    Returns:
        1 for equal distributions, 0 for those that do not fill the same plane.

    >>> unit = Normal(torch.zeros(900).double(), torch.ones(900).double())
    >>> wide = Normal(torch.zeros(900).double(), 4 * torch.ones(900).double())
    >>> round(affinity_per_dimension(unit, wide), 4), hellinger_squared(unit, wide)
    (0.8944, 1.0)
    """
    return math.exp(log_affinity(p, q) / len(p.mean))


def hellinger_squared(p: Normal, q: Normal) -> float:
    """Return the squared Hellinger distance 1 − ∫√(pq), between 0 and 1.

    It keeps its digits where it is small; at large d it is 1 but for rounding, see
    :func:`affinity_per_dimension`.
    """
    return -math.expm1(log_affinity(p, q))


def wasserstein2_squared(p: Normal, q: Normal) -> float:
    """Return the squared 2-Wasserstein distance, finite for singular distributions too.

    |δ|² + tr(Σp + Σq − 2 (Σp^½ Σq Σp^½)^½) (Dowson & Landau 1982); the trace of the root is the sum
    of the singular values of Σp^½ Σq^½.

    Returns:
        0 or more, in squared units of the coordinates.

    Raises:
        DataError: for different dimensions.

    >>> unit = Normal(torch.zeros(2).double(), torch.ones(2).double())
    >>> point = Normal(torch.ones(2).double(), torch.zeros(2).double())
    >>> wasserstein2_squared(unit, point)
    4.0
    """
    _check(p, q)
    shared = _shared(p, q)
    if shared is not None:
        roots = (shared.first.sqrt() - shared.second.sqrt()).square()
        return float((shared.counts * (roots + shared.squares)).sum())
    means = float((p.mean - q.mean).square().sum())
    traces = p.total_variance + q.total_variance
    product = _root_rows(p) @ _root_rows(q).T
    return max(0.0, means + traces - 2 * float(torch.linalg.svdvals(product).sum()))


@dataclass(frozen=True, eq=False)
class _Shared:
    """Two covariances in an eigenbasis that they share.

    Args:
        first: eigenvalues of one.
        second: of the other.
        squares: squared difference of the means along each; the mean square over a repeated one.
        counts: how often each is repeated.
    """

    first: Float64[Tensor, " k"]
    second: Float64[Tensor, " k"]
    squares: Float64[Tensor, " k"]
    counts: Float64[Tensor, " k"]

    @property
    def log_ratio(self) -> Float64[Tensor, " k"]:
        near = (self.first - self.second) / self.second
        # log1p keeps the digits of a small difference, and the difference of logs a large one.
        far = self.first.log() - self.second.log()
        return torch.where(near.abs() < 0.5, torch.log1p(near.clamp(min=-0.5)), far)


def _shared(p: Normal, q: Normal) -> _Shared | None:
    """Return the covariances in a common eigenbasis, or None where none is at hand."""
    p_scale, q_scale = _scalar(p), _scalar(q)
    if q_scale is not None:
        first, squares, counts = _spectrum(p, p.mean - q.mean)
        return _Shared(first, torch.full_like(first, q_scale), squares, counts)
    if p_scale is not None:
        second, squares, counts = _spectrum(q, p.mean - q.mean)
        return _Shared(torch.full_like(second, p_scale), second, squares, counts)
    same = p.basis is q.basis or (
        p.basis is not None and q.basis is not None and torch.equal(p.basis, q.basis)
    )
    if not same:
        return None
    first, squares, counts = _spectrum(p, p.mean - q.mean)
    return _Shared(first, _spectrum(q, p.mean - q.mean)[0], squares, counts)


def _spectrum(normal: Normal, gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues, the squares of a vector along their directions, and multiplicities."""
    d, values = len(normal.mean), normal.variances
    ones = torch.ones_like(values)
    if normal.basis is None:
        return values, gap.square(), ones
    along = normal.basis.T @ gap
    beyond = d - len(values)
    if not beyond:
        return values, along.square(), ones
    rest = float((gap - normal.basis @ along).square().sum())
    return (
        torch.cat([values, values.new_tensor([normal.floor])]),
        torch.cat([along.square(), values.new_tensor([rest / beyond])]),
        torch.cat([ones, values.new_tensor([beyond])]),
    )


def _scalar(normal: Normal) -> float | None:
    """Return c where the covariance is c·I, which every basis diagonalizes."""
    low, high = (float(bound) for bound in torch.aminmax(normal.variances))
    covered = normal.basis is None or len(normal.variances) == len(normal.mean)
    return high if low == high and (covered or normal.floor == high) else None


def _check(p: Normal, q: Normal) -> None:
    if len(p.mean) != len(q.mean):
        raise DataError(
            f"normals of {len(p.mean)} and {len(q.mean)} dimensions cannot be compared",
            hint="give two of one dimension",
        )


def _in_their_plane(p: Normal, q: Normal) -> tuple[Normal, Normal] | None:
    """Return both as regular normals in the plane that they fill; None where that is not one."""
    _check(p, q)
    plane, other = _plane(p), _plane(q)
    if plane is None and other is None:
        return p, q
    if plane is None or other is None or plane.shape != other.shape:
        return None
    d = len(p.mean)
    gap = p.mean - q.mean
    outside = other - plane @ (plane.T @ other)
    off = gap - plane @ (plane.T @ gap)
    slack = 64 * d * _EPS
    sizes = p.mean.square().sum() + q.mean.square().sum()
    elsewhere = float(outside.square().sum()) > slack**2
    if elsewhere or float(off.square().sum()) > slack**2 * float(sizes):
        return None
    if plane.shape[1] == 0:  # Two equal points differ as little as two equal normals do.
        unit = Normal(gap[:1] * 0, torch.ones_like(gap[:1]))
        return unit, unit
    inside = gap.new_zeros(plane.shape[1])
    return (
        Normal(plane.T @ gap, *_restricted(p, plane)),
        Normal(inside, *_restricted(q, plane)),
    )


def _restricted(normal: Normal, plane: Float64[Tensor, "d k"]) -> tuple[Tensor, Tensor | None]:
    """Return variances and basis, in a plane's coordinates, of a normal that fills the plane."""
    kept = _positive(normal)
    basis = _columns(normal)[:, kept]
    values = normal.variances[kept]
    missing = plane.shape[1] - len(values)
    if missing:
        # A floor above 0 around directions of variance 0: the rest of the plane has the floor's.
        inner = torch.linalg.qr(plane.T @ basis, mode="complete").Q[:, len(values) :]
        basis = torch.cat([basis, plane @ inner], dim=1)
        values = torch.cat([values, values.new_full((missing,), normal.floor)])
    return values, plane.T @ basis


def _positive(normal: Normal) -> Bool[Tensor, " k"]:
    """Return which variances are above 0, or above rounding errors where there is a basis."""
    if normal.basis is None:
        return normal.variances > 0
    return normal.variances > len(normal.mean) * _EPS * _largest(normal)


def _plane(normal: Normal) -> Float64[Tensor, "d k"] | None:
    """Return orthonormal columns that span what a singular normal fills; None for a regular one."""
    d, kept = len(normal.mean), _positive(normal)
    covered = len(kept) == d or normal.floor > 0
    if covered and bool(kept.all()):
        return None
    if len(kept) == d or normal.floor == 0:
        return _columns(normal)[:, kept]
    empty = _columns(normal)[:, ~kept]
    return torch.linalg.qr(empty, mode="complete").Q[:, empty.shape[1] :]


def _beyond(normal: Normal) -> int:
    """Return how many directions have the floor's variance."""
    return 0 if normal.basis is None else len(normal.mean) - len(normal.variances)


def _largest(normal: Normal) -> float:
    return max(float(normal.variances.max()), normal.floor if _beyond(normal) else 0.0)


def _mahalanobis(gap: Tensor, normal: Normal) -> float:
    values, squares, counts = _spectrum(normal, gap)
    return float((counts * squares / values).sum())


def _trace_of_quotient(p: Normal, q: Normal) -> float:
    """Return tr(Σq⁻¹Σp), a sum of positive terms for each pair of directions."""
    columns, rows = _columns(p), _columns(q)
    inside = rows.T @ columns
    squares = inside.square()
    total = (1 / q.variances) @ squares @ p.variances
    # What of p's directions lies beyond q's, and of q's beyond p's; 1 − |inside|² would cancel.
    if _beyond(q):
        outside = (columns - rows @ inside).square().sum(0)
        total = total + outside @ p.variances / q.floor
    if _beyond(p):
        outside = (rows - columns @ inside.T).square().sum(0)
        total = total + p.floor * (outside / q.variances).sum()
        if _beyond(q):
            neither = max(0.0, _beyond(p) - float(outside.sum()))
            total = total + p.floor * neither / q.floor
    return float(total)


def _columns(normal: Normal) -> Float64[Tensor, "d k"]:
    """Return the basis, written out where it is the coordinates."""
    if normal.basis is not None:
        return normal.basis
    return torch.eye(len(normal.mean), dtype=normal.mean.dtype)


def _root_rows(normal: Normal) -> Float64[Tensor, "k d"]:
    """Return rows whose products are the covariance, as few as there are directions."""
    roots = normal.variances.sqrt()
    if normal.basis is None:
        return torch.diag(roots)
    if not _beyond(normal) or normal.floor == 0:
        return roots[:, None] * normal.basis.T
    root = math.sqrt(normal.floor)
    matrix = (normal.basis * (roots - root)) @ normal.basis.T
    return matrix + root * torch.eye(len(matrix), dtype=matrix.dtype)
