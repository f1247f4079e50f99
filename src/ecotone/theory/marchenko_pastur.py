"""Expectations under the Marchenko–Pastur law, the spectrum of large sample covariances.

For n points of d independent coordinates of variance 1 and ratio γ = d/n, the eigenvalues of the
sample covariance fill [(1 − √γ)², (1 + √γ)²] with density √((x₊ − x)(x − x₋))/(2πγx); for γ > 1
a share 1 − 1/γ of them is 0 (Marchenko and Pastur 1967).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

__all__ = ["expectation", "mean_log", "quadrature"]


def quadrature(
    ratio: float, *, nodes: int = 1024
) -> tuple[Float64[np.ndarray, " nodes"], Float64[np.ndarray, " nodes"]]:
    """Return nodes and weights for the continuous part; the weights add up to min(1, 1/γ).

    x = 1 + γ − 2√γ cos θ takes away the square roots at the edges and leaves an even periodic
    integrand, for which the midpoint rule converges geometrically. θ = u − sin(2u)/2 draws nodes to
    the edges, where near γ = 1 the density's 1/x and a logarithm come close.

    Args:
        ratio: γ = d/n, above 0.
        nodes: how many.

    >>> x, weights = quadrature(0.25)
    >>> round(float(weights.sum()), 12), round(float(weights @ x), 12)
    (1.0, 1.0)
    """
    if not 0 < ratio < math.inf:
        raise ValueError(f"ratio = {ratio} is not above 0")
    u = (np.arange(nodes) + 0.5) * math.pi / nodes
    theta = u - np.sin(2 * u) / 2
    root = math.sqrt(ratio)
    # 1 + γ − 2√γ cos θ without cancellation at θ = 0.
    x = (1 - root) ** 2 + 4 * root * np.sin(theta / 2) ** 2
    weights = 4 / nodes * np.sin(theta) ** 2 * np.sin(u) ** 2 / x
    return x, weights


def expectation(
    function: Callable[[Float64[np.ndarray, " nodes"]], Float64[np.ndarray, " nodes"]],
    ratio: float,
    *,
    nodes: int = 1024,
) -> float:
    """Return E f(x), x an eigenvalue of a large sample covariance.

    Args:
        function: f, of arrays; for γ > 1 it must be finite at 0.
        ratio: γ = d/n, above 0.
        nodes: of the quadrature.

    >>> round(expectation(np.reciprocal, 0.5), 12)  # 1/(1 − γ)
    2.0
    """
    x, weights = quadrature(ratio, nodes=nodes)
    total = float(weights @ function(x))
    if ratio > 1:
        total += (1 - 1 / ratio) * float(function(np.zeros(1))[0])
    return total


def mean_log(ratio: float) -> float:
    """Return E log x = −1 − ((1 − γ)/γ) log(1 − γ), for 0 < γ ≤ 1; −1 at γ = 1.

    >>> mean_log(1.0)
    -1.0
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio = {ratio} is not in (0, 1]: beyond, some eigenvalues are 0")
    return -1.0 if ratio == 1 else -1 - (1 - ratio) / ratio * math.log1p(-ratio)
