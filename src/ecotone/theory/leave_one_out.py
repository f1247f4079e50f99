"""P(Δ > 0), predicted without training sets: a few fits, and one point left out of each.

Δ > 0 where R_T − R_O > c_T − c_O (see :mod:`ecotone.theory.positive`). Up to a factor common to
both sets, c_S is det(C + ε_S²)^{−½} times the mean of exp(−q/2) over the set, where
q = (x − μ)ᵀ(C + ε_S²)^{−1}(x − μ). The originals are independent of the fit. Training points are
not: each has drawn the fit towards itself. So a fit to n − 1 points is drawn from its own law, and
what one more point does to it is of rank one, B → B + u kᵀ for the slope of the one-step model and
S → S + vvᵀ for a covariance, so that q in the fit that has seen the point costs no second fit. The
points of a training set are then taken as independent given the fit. Derived in docs/onset.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from ecotone.core.seeds import generator
from ecotone.theory.positive import log_pair_sum

__all__ = ["probability_positive"]

Variant = Literal["exact", "as_published"]

Points = Float64[np.ndarray, "points d"]

_MOST = 2e7
"""Numbers drawn for originals, and for training points, above which fewer sets are drawn."""

_FIRST, _DOUBT = 8, 6.0
"""Fits that are drawn first, and standard deviations from 0 at which they leave no doubt."""


@dataclass(frozen=True, eq=False)
class _Fit:
    """A fitted model as the originals see it, and what makes of new points training points.

    ``left_out(points, width)`` draws training points and returns their q at ε² = width.
    """

    mean: Float64[np.ndarray, " d"]
    covariance: Float64[np.ndarray, "d d"]
    left_out: Callable[[int, float], Float64[np.ndarray, " points"]]


@threadpool_limits.wrap(limits=1)  # four times faster than two threads, and the same everywhere
def probability_positive(
    n: float,
    *,
    originals: float | None,
    variances: Float64[np.ndarray, " d"],
    model: Literal["one_step", "wiener"],
    noise: float = 0.0,
    ridge: float = 0.0,
    variant: Variant = "exact",
    fits: int | None = None,
    seed: int = 0,
) -> float | None:
    """Return the predicted share of experiments with Δ > 0.

    A second or two at d = 100; the work grows as d³ for each fit, and with n and N_O.

    Args:
        n: size of the training set, rounded to an integer.
        originals: N_O, size of the original set; None where it is the population's density itself.
        variances: eigenvalues of the population's covariance, above 0.
        model: which.
        noise: g' of the one-step model, in the units of ``variances``.
        ridge: c of the Wiener model's covariance, likewise.
        variant: ``"as_published"`` for AᵀA in place of AAᵀ in the one-step model.
        fits: how many are drawn at most; where None, fewer for larger d and n, from 100 down to 8.
            Where the first eight have Δ on one side of 0 by six standard deviations, they do.
        seed: of everything drawn.

    Returns:
        None for n below 3.

    >>> options = {"originals": 1000, "variances": np.ones(50), "noise": 1.0, "fits": 4}
    >>> probability_positive(25, model="one_step", **options)
    0.0
    """
    n, d = round(n), len(variances)
    if n < 3:
        return None
    fits = fits or max(8, min(100, 4800 // d, round(2.5 * _MOST / (n * d))))
    std = math.sqrt(float(variances.mean()))
    stream = generator(seed, "leave-one-out", d, n)
    sets = max(1, min(4, round(_MOST / (4 * fits * n * d))))
    published = variant == "as_published"

    def gaps(count: int) -> Float64[np.ndarray, "fits pairs"]:
        """Return, for more fits, by how much Δ is above 0, in nats, for sets of both kinds."""
        drawn = [
            _one_step(n, variances, noise, published, stream)
            if model == "one_step"
            else _plug_in(n, variances, ridge, stream)
            for _ in range(count)
        ]
        return _gaps(drawn, n, sets, originals, variances, std, stream)

    first = gaps(min(fits, _FIRST))
    # Where the first fits leave no doubt, more of them would say the same.
    if abs(first.mean()) > _DOUBT * max(first.std(), 1e-12):
        return float(first.mean() > 0)
    rest = gaps(fits - len(first)) if fits > len(first) else first[:0]
    return float((np.concatenate([first, rest]) > 0).mean())


def _gaps(
    drawn: list[_Fit],
    n: int,
    sets: int,
    originals: float | None,
    variances: Float64[np.ndarray, " d"],
    std: float,
    stream: np.random.Generator,
) -> Float64[np.ndarray, "fits pairs"]:
    """Return ln(R_T + c_O) − ln(R_O + c_T) of each fit, for training sets × original sets."""
    d = len(variances)
    width = std**2 * n ** (-2 / d)
    training = np.empty((len(drawn), sets))
    for row, fit in zip(training, drawn, strict=True):
        q = fit.left_out(n * sets, width).reshape(sets, n)
        row[:] = _log_mean(q) - np.log(np.diag(_root(fit.covariance, width))).sum()
    if originals is None:
        original, pair_sum = _density(drawn, variances), _log_excess(variances)
    else:
        original = _originals(drawn, round(originals), variances, std, stream)
        pair_sum = log_pair_sum(originals, variances=variances)
    constant = (1 + d / 2) * math.log(2) + d * math.log(std)
    nearer = np.logaddexp(original + constant, log_pair_sum(n, variances=variances))
    farther = np.logaddexp(training + constant, pair_sum)
    return (nearer[:, None, :] - farther[:, :, None]).reshape(len(drawn), -1)


def _one_step(
    n: int,
    variances: Float64[np.ndarray, " d"],
    noise: float,
    published: bool,
    stream: np.random.Generator,
) -> _Fit:
    """Draw a one-step fit to n − 1 points.

    With Y the n − 1 centred noisy points, K = (YᵀY)⁺ = JJᵀ and P the projection on their span,
    B = B₀P + R^½ G Jᵀ, where G is standard normal, B₀ = Σ(Σ + g')^{−1} and R = g'B₀. One more
    point at (dx, dy) from the means adds u kᵀ: with h = (n − 1)/n and e = dx − B dy, k = K dy and
    u = h e/(1 + h dyᵀk); but where n − 1 points do not span all directions, dy reaches beyond
    them, k = dy_⊥/|dy_⊥|² and u = e (Greville 1960).
    """
    d, m = len(variances), n - 1
    gain, squared = variances / (variances + noise), float(variances.mean()) + noise
    rows = _scatter_root(m - 1, variances + noise, stream)
    spans = len(rows) == d
    axes, triangle = (np.eye(d), rows.T) if spans else np.linalg.qr(rows.T)
    inverse = solve_triangular(triangle, axes.T, lower=spans).T  # J
    drawn = stream.standard_normal((d, len(rows))) * np.sqrt(noise * gain)[:, None]
    slope = gain[:, None] * (axes @ axes.T) + drawn @ inverse.T
    clean_mean = stream.standard_normal(d) * np.sqrt(variances / m)
    noise_mean = stream.standard_normal(d) * math.sqrt(noise / m)

    def seen(points: int) -> tuple[Points, Points, Points, Points]:
        """Draw points; return x and, in the fit that has seen it, x − μ, u and k."""
        x = stream.standard_normal((points, d)) * np.sqrt(variances)
        dx = x - clean_mean
        dy = dx + stream.standard_normal((points, d)) * math.sqrt(noise) - noise_mean
        error = dx - dy @ slope.T
        if spans:
            k = (dy @ inverse) @ inverse.T
            u = m * error / (n + m * (dy * k).sum(1, keepdims=True))
        else:
            k = dy - (dy @ axes) @ axes.T
            k /= np.square(k).sum(1, keepdims=True)
            u = error
        # μ = x̄ − B(ȳ − x̄), and both means have moved by a share 1/n towards the point.
        moved = noise_mean + (dy - dx) / n
        rest = (m / n) * dx + moved @ slope.T + u * (moved * k).sum(1, keepdims=True)
        return x, rest, u, k

    def squares(slope: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, "d d"]:
        return squared * (slope.T @ slope if published else slope @ slope.T)

    def left_out(points: int, width: float) -> Float64[np.ndarray, " points"]:
        _, rest, u, k = seen(points)
        first, second, other = (u @ slope, k, u) if published else (k @ slope.T, u, k)
        root = _root(squares(slope), width)
        rest, first, second = (_divided(rows, root) for rows in (rest, first, second))
        # C becomes C + [a b] S [a b]ᵀ with S^{−1} = [[−|other|², 1], [1, 0]]/s² (Woodbury).
        m11 = np.square(first).sum(1) - np.square(other).sum(1) / squared
        m12 = (first * second).sum(1) + 1 / squared
        m22 = np.square(second).sum(1)
        w1, w2 = (first * rest).sum(1), (second * rest).sum(1)
        gained = (w1 * w1 * m22 - 2 * w1 * w2 * m12 + w2 * w2 * m11) / (m11 * m22 - m12 * m12)
        return np.square(rest).sum(1) - gained

    x, rest, u, k = seen(1)
    return _Fit((x - rest)[0], squares(slope + u.T @ k), left_out)


def _plug_in(
    n: int, variances: Float64[np.ndarray, " d"], ridge: float, stream: np.random.Generator
) -> _Fit:
    """Draw a plug-in fit to n − 1 points; one more adds (n − 1)/n dx dxᵀ to their scatter."""
    d, m = len(variances), n - 1
    rows = _scatter_root(m - 1, variances, stream)
    before = rows.T @ rows / m + ridge * np.eye(d)
    centre = stream.standard_normal(d) * np.sqrt(variances / m)

    def draw(points: int) -> Points:
        return stream.standard_normal((points, d)) * np.sqrt(variances) - centre

    def left_out(points: int, width: float) -> Float64[np.ndarray, " points"]:
        far = np.square(_divided(draw(points), _root(before, width))).sum(1)
        return (m / n) ** 2 * far / (1 + far / n)

    one = draw(1)
    return _Fit(centre + one[0] / n, before + one.T @ one / n, left_out)


def _scatter_root(
    freedom: int, variances: Float64[np.ndarray, " d"], stream: np.random.Generator
) -> Float64[np.ndarray, "rows d"]:
    """Draw Y with YᵀY ~ Wishart(freedom, diag variances): as few rows as will do (Bartlett)."""
    d = len(variances)
    if freedom < d:
        return stream.standard_normal((freedom, d)) * np.sqrt(variances)
    rows = np.triu(stream.standard_normal((d, d)), 1)
    rows[np.diag_indices(d)] = np.sqrt(stream.chisquare(freedom - np.arange(d)))
    return rows * np.sqrt(variances)


def _originals(
    fits: list[_Fit],
    count: int,
    variances: Float64[np.ndarray, " d"],
    std: float,
    stream: np.random.Generator,
) -> Float64[np.ndarray, "fits sets"]:
    """Return log det(C + ε²)^{−½} mean exp(−q/2) over fresh original sets.

    A point is a direction and a length, which are independent. Directions are shared by the fits,
    as they cost most; lengths, which decide most, are drawn anew for each set and fit.
    """
    d, anew = len(variances), 4
    width = std**2 * count ** (-2 / d)
    # All axes of isotropic data are alike: coordinates can be taken along each fit's own.
    isotropic = bool((variances == variances[0]).all())
    pools = 2 if isotropic and count * d <= _MOST / 10 else 1
    spectra = [np.linalg.eigh(fit.covariance) for fit in fits]
    scale = np.array([1 / (np.maximum(values, 0) + width) for values, _ in spectra]).T
    mean = np.array([axes.T @ fit.mean for fit, (_, axes) in zip(fits, spectra, strict=True)]).T
    still = (scale * mean**2).sum(0)
    found = np.empty((len(fits), pools, anew))
    for pool in range(pools):
        z = stream.standard_normal((count, d))
        length = np.square(z).sum(1)
        z *= np.sqrt(variances)
        if isotropic:
            bent, straight = np.square(z) @ scale, z @ (scale * mean)
        else:
            bent, straight = np.empty((2, count, len(fits)))
            for row, (_, axes) in enumerate(spectra):
                along = z @ axes
                straight[:, row] = along @ (scale[:, row] * mean[:, row])
                bent[:, row] = np.square(along, out=along) @ scale[:, row]
        for row in range(len(fits)):
            stretch = stream.chisquare(d, (anew, count)) / length
            q = stretch * bent[:, row] - 2 * np.sqrt(stretch) * straight[:, row] + still[row]
            found[row, pool] = _log_mean(q)
    return found.reshape(len(fits), -1) + 0.5 * np.log(scale).sum(0)[:, None]


def _density(
    fits: list[_Fit], variances: Float64[np.ndarray, " d"]
) -> Float64[np.ndarray, "fits 1"]:
    """Return the same for the population's density: log ∫ exp(−q/2) over it, at ε = 0."""
    found = []
    for fit in fits:
        both = fit.covariance + np.diag(variances)
        far = fit.mean @ np.linalg.solve(both, fit.mean)
        found.append(-0.5 * (np.linalg.slogdet(both)[1] + far))
    return np.array(found)[:, None]


def _log_excess(variances: Float64[np.ndarray, " d"]) -> float:
    """Return log R of a density: ∫ p² in units of (4π std²)^(−d/2), less 1; 0 if isotropic."""
    excess = -0.5 * float(np.log(variances / variances.mean()).sum())
    # log(e^x − 1), which overflows for steep spectra if taken as it stands.
    return excess + math.log(-math.expm1(-excess)) if excess > 1e-12 else -math.inf


def _root(covariance: Float64[np.ndarray, "d d"], width: float) -> Float64[np.ndarray, "d d"]:
    """Return the lower root of C + ε²."""
    return np.linalg.cholesky(covariance + width * np.eye(len(covariance)))


def _divided(rows: Points, root: Float64[np.ndarray, "d d"]) -> Points:
    """Return rows whose squared lengths are xᵀ(LLᵀ)^{−1}x."""
    return solve_triangular(root, rows.T, lower=True).T


def _log_mean(q: Float64[np.ndarray, "sets points"]) -> Float64[np.ndarray, " sets"]:
    """Return log mean exp(−q/2) of each row."""
    nearest = q.min(1, keepdims=True)
    return np.log(np.exp((nearest - q) / 2).mean(1)) - nearest[:, 0] / 2
