"""Least squares of full rank and below it, and singular vectors, at the speed fits are made at."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

__all__ = ["least_squares", "singular_vectors"]

# Directions weaker than this share of the strongest are rounding. Centring n ≤ d points leaves
# such a direction, of about 1e-16.
_CUTOFF = 1e-10
_CUTOFF_GENERATED = 1e-12
_WELL_ABOVE = 1e-5


def least_squares(
    inputs: Float64[Tensor, "n d"], outputs: Float64[Tensor, "n m"]
) -> tuple[Float64[Tensor, "m k"], Float64[Tensor, "d k"] | None]:
    """Return B = left · rightᵀ, of minimum norm, which minimizes Σ|output − B input|².

    Args:
        inputs: a row for each point, centred.
        outputs: likewise.

    Returns:
        left, and right with orthonormal columns, k the rank of the inputs; right is None, for the
        identity, where n > d inputs are of full rank.

    >>> line = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    >>> left, right = least_squares(line, 2 * line)
    >>> round(left.item(), 9), right
    (2.0, None)
    """
    n, d = inputs.shape
    if n > d:
        # Householder QR without forming Q: a third of the time of an SVD.
        packed, scales = torch.geqrf(inputs)
        triangle = packed[:d].triu()
        identity = torch.eye(d, dtype=torch.float64)
        if bool((triangle.diagonal() != 0).all()):
            inverse = torch.linalg.solve_triangular(triangle, identity, upper=True)
            condition = float(torch.linalg.norm(triangle) * torch.linalg.norm(inverse))
            if condition < 1 / _CUTOFF:
                turned = torch.ormqr(packed, scales, outputs, left=True, transpose=True)[:d]
                return (inverse @ turned).T, None
    left, values, right_t = torch.linalg.svd(inputs, full_matrices=False)
    kept = values > _CUTOFF * values[0]
    return outputs.T @ (left[:, kept] / values[kept]), right_t[kept].T


def singular_vectors(
    matrix: Float64[Tensor, "d k"],
) -> tuple[Float64[Tensor, "d r"], Float64[Tensor, " r"], Float64[Tensor, "k r"]]:
    """Return the singular vectors and values of a d×k matrix, k ≤ d, but those that are rounding.

    The eigenvectors of MᵀM are had in a third of the time, but as singular values they have only
    half the digits: they are taken where all values are well above that. The order is not settled.

    >>> singular_vectors(torch.diag(torch.tensor([2.0, 0.0], dtype=torch.float64)))[1]
    tensor([2.], dtype=torch.float64)
    """
    squares, right = torch.linalg.eigh(matrix.T @ matrix)
    if bool(squares[0] > _WELL_ABOVE * squares[-1]):
        scales = squares.sqrt()
        return matrix @ (right / scales), scales, right
    left, scales, right_t = torch.linalg.svd(matrix, full_matrices=False)
    kept = scales > _CUTOFF_GENERATED * scales[0]
    return left[:, kept], scales[kept], right_t[kept].T
