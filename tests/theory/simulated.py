"""Linear models fitted to random points with plain numpy, as the formulas must find them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Simulated:
    """A training set and the Gaussian generated from it: A Aᵀ, and AᵀA as it was published."""

    points: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    published: np.ndarray


def one_step(random, n, variances, noise) -> Simulated:
    x = random.standard_normal((n, len(variances))) * np.sqrt(variances)
    y = x + np.sqrt(noise) * random.standard_normal(x.shape)
    clean, noisy = x - x.mean(0), y - y.mean(0)
    slope = (np.linalg.pinv(noisy, rcond=1e-10) @ clean).T
    scale = np.square(clean).sum() / ((n - 1) * x.shape[1]) + noise
    mean = x.mean(0) - slope @ (y.mean(0) - x.mean(0))
    return Simulated(x, mean, scale * slope @ slope.T, scale * slope.T @ slope)


def plug_in(random, n, variances, ridge=0.0, sampler=None) -> Simulated:
    """``sampler`` turns eigenvalues into variances and shares of starting noise."""
    x = random.standard_normal((n, len(variances))) * np.sqrt(variances)
    mean, covariance = x.mean(0), np.cov(x.T) + ridge * np.eye(len(variances))
    if sampler is not None:
        values, axes = np.linalg.eigh(covariance)
        made, start = sampler(values)
        covariance = (axes * made) @ axes.T
        mean = mean - axes @ (start * (axes.T @ mean))
    return Simulated(x, mean, covariance, covariance)


def measures(model: Simulated, variances) -> dict[str, float]:
    """Divergences from N(0, diag variances), from their definitions."""
    c, mean, d = model.covariance, model.mean, len(variances)
    own, made = np.log(variances).sum(), np.linalg.slogdet(c)[1]
    both = c + np.diag(variances)
    bent = np.linalg.slogdet(both / 2)[1]
    log_affinity = (own + made) / 4 - bent / 2 - mean @ np.linalg.solve(both, mean) / 4
    root = np.sqrt(variances)
    # The trace of (Σ^½ C Σ^½)^½ from its eigenvalues.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root[:, None] * c * root), 0)).sum()
    return {
        "kl_generated_population": 0.5
        * (np.diag(c) @ (1 / variances) + mean @ (mean / variances) - d + own - made),
        "kl_population_generated": 0.5
        * (
            np.trace(np.linalg.solve(c, np.diag(variances)))
            + mean @ np.linalg.solve(c, mean)
            - d
            + made
            - own
        ),
        "log_det": made / d,
        "affinity": float(np.exp(log_affinity / d)),
        "hellinger_squared": -float(np.expm1(log_affinity)),
        "wasserstein2_squared": mean @ mean + np.trace(c) + variances.sum() - 2 * cross,
    }


def table(draw, variances, repeats) -> dict[str, np.ndarray]:
    rows = [measures(draw(), variances) for _ in range(repeats)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mean_and_error(values) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def signs(random, draw, n, originals, variances, *, published=False) -> float:
    """Whether Δ > 0 in one experiment, from pairs and overlaps as they are defined."""
    d, std2 = len(variances), float(np.mean(variances))
    model = draw()
    covariance = model.published if published else model.covariance

    def pairs(x):
        if len(x) > 2000:  # enough pairs for their sum to be its expectation
            width = std2 * len(x) ** (-2 / d)
            return np.log(len(x) - 1) - 0.5 * np.log1p(variances / width).sum()
        gaps = np.square(x[:, None] - x).sum(2)
        np.fill_diagonal(gaps, np.inf)
        powers = -gaps / (4 * std2 * len(x) ** (-2 / d))
        return np.logaddexp.reduce(powers.ravel()) - np.log(len(x))

    def overlap(x):
        width = std2 * len(x) ** (-2 / d)
        values, axes = np.linalg.eigh(covariance)
        values = np.maximum(values, 0) + width
        q = (np.square((x - model.mean) @ axes) / values).sum(1)
        mean = np.logaddexp.reduce(-q / 2) - np.log(len(x))
        return np.log(2) + d / 2 * np.log(2 * std2) - 0.5 * np.log(values).sum() + mean

    if originals is None:
        both = covariance + np.diag(variances)
        far = model.mean @ np.linalg.solve(both, model.mean)
        own = np.log(2) + d / 2 * np.log(2 * std2) - 0.5 * (np.linalg.slogdet(both)[1] + far)
        squared = np.prod(np.sqrt(std2 / variances))  # ∫ p² · (4π std²)^(d/2)
        own_pairs = np.log(squared - 1) if squared > 1 + 1e-12 else -np.inf
    else:
        fresh = random.standard_normal((originals, d)) * np.sqrt(variances)
        own, own_pairs = overlap(fresh), pairs(fresh)
    training = overlap(model.points)
    return float(np.logaddexp(pairs(model.points), own) > np.logaddexp(own_pairs, training))
