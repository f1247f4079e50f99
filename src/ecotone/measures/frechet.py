"""The Fréchet distance of two sets of features."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import DataError

__all__ = ["frechet_distance", "root_trace"]

_TOLERANCE = 2e-9
"""Estimated relative error that the trace term may have from the fast way."""

_BLOCK = 512


def frechet_distance(*, generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the Fréchet distance of the normal distributions fitted to two sets of features.

    |μ1 − μ2|² + tr(S1 + S2 − 2 (S1 S2)^½) (Dowson & Landau 1982; Heusel et al. 2017), means and
    unbiased covariances in float64. With centred features A/√(n−1) and B/√(m−1), the trace of
    (S1 S2)^½ is the sum of the singular values of A Bᵀ, real and nonnegative whatever the rank.
    Where these are all well above rounding they are had as roots of eigenvalues, several times
    faster, and A and B give way to d × d factors where images are more than features.

    Args:
        generated: features of generated images.
        reference: features of the images to compare with.

    Returns:
        The distance, in squared units of the features, 0 or more.

    Raises:
        DataError: for fewer than two images of either set, and values that are not finite.

    >>> points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> frechet_distance(generated=points + torch.tensor([3.0, 4.0]), reference=points)
    25.0
    """
    left, left_mean = _centred("generated", generated)
    right, right_mean = _centred("reference", reference)
    means = float((left_mean - right_mean).square().sum())
    traces = sum(float(torch.linalg.vector_norm(rows)) ** 2 for rows in (left, right))
    return max(0.0, means + traces - 2 * _root_trace(left, right))


def _centred(
    name: str, features: Float[Tensor, "n d"]
) -> tuple[Float64[Tensor, "n d"], Float64[Tensor, " d"]]:
    """Return rows whose products are the covariance, and the mean."""
    n = len(features)
    if n < 2:
        raise DataError(
            f"{n} {name} images have no covariance", hint="give two images or more of each set"
        )
    rows = features.detach().double()
    mean = rows.mean(dim=0)
    if not bool(torch.isfinite(mean).all()):
        index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
        raise DataError(
            f"features of {name} image {index} are not finite", hint="look at how they were made"
        )
    return (rows - mean).div_(math.sqrt(n - 1)), mean


def _root_trace(left: Float64[Tensor, "n d"], right: Float64[Tensor, "m d"]) -> float:
    """Return the trace of (S1 S2)^½ for S1 = leftᵀ left and S2 = rightᵀ right."""
    trace = _from_eigenvalues(*sorted((left, right), key=len))
    if trace is None:
        trace = float(torch.linalg.svdvals(_factor(left) @ _factor(right).T).sum())
    return trace


def _factor(rows: Float64[Tensor, "n d"]) -> Float64[Tensor, "r d"]:
    """Return as few rows as may be with the same products of columns."""
    n, d = rows.shape
    return rows if n <= d else torch.linalg.qr(rows, mode="r").R


def _from_eigenvalues(fewer: Float64[Tensor, "n d"], more: Float64[Tensor, "m d"]) -> float | None:
    """Return the trace from eigenvalues of F S2 Fᵀ with S1 = Fᵀ F; None where they are too unsure.

    It is several times faster than singular values, but rounds eigenvalues, their squares: small
    ones lose half their digits.
    """
    d = fewer.shape[1]
    if len(fewer) > d:
        return root_trace(_gram(fewer), _gram(more))
    factor = _contrasts(fewer)
    if len(more) > d:
        return _trace_of_roots(factor @ _gram(more) @ factor.T, d)
    half = factor @ more.T
    return _trace_of_roots(half @ half.T, d)


def root_trace(first: Float64[Tensor, "d d"], second: Float64[Tensor, "d d"]) -> float | None:
    """Return tr (S1 S2)^½ of two covariance matrices, of which the first is regular.

    With S1 = L Lᵀ the eigenvalues of S1 S2 are those of the symmetric Lᵀ S2 L.

    Args:
        first: positive definite.
        second: positive semidefinite.

    Returns:
        The trace, or None where rounding leaves it unsure: S1 or S2 are nearly singular.

    >>> round(root_trace(torch.diag(torch.tensor([4.0, 9.0]).double()), torch.eye(2).double()), 9)
    5.0
    """
    lower, failed = torch.linalg.cholesky_ex(first)
    return None if int(failed) else _trace_of_roots(lower.T @ second @ lower, len(first))


def _trace_of_roots(product: Float64[Tensor, "r r"], d: int) -> float | None:
    """Return the sum of the roots of the eigenvalues of a product of d terms, where it is sure."""
    values = torch.linalg.eigvalsh(product)
    if float(values[0]) <= 0:
        return None
    roots = values.sqrt()
    # Rounding errors of d terms add up like √d where their signs are random.
    rounding = math.sqrt(d) * torch.finfo(torch.float64).eps * float(values[-1])
    doubt = rounding / 2 * float((1 / roots).sum())
    trace = float(roots.sum())
    return trace if doubt <= _TOLERANCE * trace else None


def _gram(rows: Float64[Tensor, "n d"]) -> Float64[Tensor, "d d"]:
    """Return rowsᵀ rows, with products of blocks below the diagonal made once, not twice."""
    d = rows.shape[1]
    result = rows.new_empty(d, d)
    blocks = [slice(start, start + _BLOCK) for start in range(0, d, _BLOCK)]
    for index, down in enumerate(blocks):
        for across in blocks[: index + 1]:
            product = rows[:, down].T @ rows[:, across]
            result[down, across] = product
            result[across, down] = product.T
    return result


def _contrasts(centred: Float64[Tensor, "n d"]) -> Float64[Tensor, "n-1 d"]:
    """Return n − 1 rows with the same products of columns as n whose sum is 0.

    The reflection that turns (1, …, 1)/√n into (1, 0, …, 0) leaves the first of such rows 0.
    """
    n = len(centred)
    mirror = torch.full((n, 1), -1 / math.sqrt(n), dtype=centred.dtype, device=centred.device)
    mirror[0] += 1
    mirror = mirror / torch.linalg.vector_norm(mirror)
    return (centred - 2 * mirror @ (mirror.T @ centred))[1:]
