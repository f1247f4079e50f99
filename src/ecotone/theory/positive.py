"""What is known of P(Δ > 0): where it rises, and what the kernel densities' own terms expect.

Δ = E_TG − E_OG compares a generated Gaussian with the kernel densities of the training set and of
an original set, of widths ε_S = std·N_S^{−1/d}. As N ε^d = std^d, self-terms cancel, and

    Δ (4π std²)^{d/2} = (R_T − R_O) − (c_T − c_O),

R_S from pairs within a set and c_S from its overlap with what is generated. Derived in
docs/onset.md.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from ecotone.theory.base import root

__all__ = ["bandwidth_advantage", "fitting_advantage", "log_pair_sum", "onset"]


def log_pair_sum(count: float, *, variances: Float64[np.ndarray, " d"]) -> float:
    """Return log E R_N, R_N = (1/N) Σ_{i≠j} exp(−|x_i − x_j|²/4ε²), for N Gaussian points.

    (N − 1) Π_k (1 + λ_k/ε²)^{−½}; for isotropic data (N − 1)(1 + N^{2/d})^{−d/2}.

    Args:
        count: N, 1 or more.
        variances: eigenvalues λ of the population's covariance; std² is their mean.

    >>> round(math.exp(log_pair_sum(1000, variances=np.ones(16))), 4)
    0.0599
    """
    if count <= 1:
        return -math.inf
    d = len(variances)
    width = float(variances.mean()) * count ** (-2 / d)
    return math.log(count - 1) - 0.5 * float(np.log1p(variances / width).sum())


def bandwidth_advantage(n: float, *, originals: float, dimension: int, noise: float) -> float:
    """Return how much the originals' narrower kernels add to log c_O − log c_T.

    (d/2) log[(1 + b_T)/(1 + b_O)] with b_S = r + N_S^{−2/d}; it favours Δ > 0 while n < N_O.

    Args:
        n: size of the training set.
        originals: N_O.
        dimension: d.
        noise: g', in units of the population's variance.

    >>> bandwidth_advantage(500, originals=500, dimension=10, noise=1.0)
    0.0
    """
    kept = 1 / (1 + noise)
    wide = 1 + kept + n ** (-2 / dimension)
    narrow = 1 + kept + originals ** (-2 / dimension)
    return dimension / 2 * math.log(wide / narrow)


def fitting_advantage(n: float, *, dimension: int, noise: float) -> float:
    """Return how much having been fitted to them adds to log c_T of the training points.

    r(1 − r)d²/((1 + b)²n), b = r + n^{−2/d}; for n well above d.

    Args:
        n: size of the training set.
        dimension: d.
        noise: g', in units of the population's variance.
    """
    kept = 1 / (1 + noise)
    return kept * (1 - kept) * dimension**2 / ((1 + kept + n ** (-2 / dimension)) ** 2 * n)


def onset(*, dimension: int, originals: float, noise: float) -> float | None:
    """Return n_c, around which P(Δ > 0) of the one-step model passes a half.

    Where the originals' narrower kernels outweigh the fit to the training points:
    n_c log(N_O/n_c) = r(1 − r)d²/(1 + b), b = r + n_c^{−2/d}. Of order d²/log, not of order d.

    Args:
        dimension: d.
        originals: N_O.
        noise: g', in units of the population's variance.

    Returns:
        None where the equation has no root, or none as far above d as 2d, as its terms
        hold for n well above d: at n_c = 2d, 3d and 4d it comes out 40 %, 20 % and 5 % too low.

    >>> 250 < onset(dimension=100, originals=10_000, noise=1 - math.exp(-4)) < 350
    True
    >>> onset(dimension=16, originals=10_000, noise=1.0) is None
    True
    """
    kept = 1 / (1 + noise)

    def balance(n: float) -> float:
        wide = 1 + kept + n ** (-2 / dimension)
        return n * math.log(originals / n) * wide - kept * (1 - kept) * dimension**2

    # n log(N_O/n) rises up to N_O/e; what falls beyond it is not an onset.
    low, high = 2.0 * dimension, originals / math.e
    if not low < high or balance(low) > 0 or balance(high) < 0:
        return None
    return root(balance, low, high)
