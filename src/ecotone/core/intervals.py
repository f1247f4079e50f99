"""Intervals for shares, means and statistics of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtrit

__all__ = ["jackknife", "mean_interval", "median_interval", "wilson"]


def wilson(successes: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval for a share.

    Centre (p + z²/2n) / (1 + z²/n), half width z / (1 + z²/n) · sqrt(p(1−p)/n + z²/4n²), with
    p = successes/n (Wilson 1927). It covers well near 0 and 1, where Wald's interval collapses.

    Args:
        successes: count of successes, 0 to n (ties may count one half).
        n: number of trials, 1 or more.
        level: coverage.

    Returns:
        (low, high), within [0, 1].

    Raises:
        ValueError: for n below 1 or successes outside [0, n].

    >>> low, high = wilson(0, 200)
    >>> low, round(high, 4)
    (0.0, 0.0188)
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials is not a share")
    p, z = successes / n, float(ndtri(0.5 + level / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the interval closes exactly; rounding must not leave 1e-18 there.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def mean_interval(
    values: Sequence[float] | NDArray[np.floating], *, level: float = 0.95
) -> tuple[float, float] | None:
    """Return Student's t interval for the mean of independent values; None for fewer than two.

    >>> [round(bound, 3) for bound in mean_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2:
        return None
    error = sample.std(ddof=1) / math.sqrt(sample.size)
    half = float(stdtrit(sample.size - 1, 0.5 + level / 2)) * float(error)
    centre = float(sample.mean())
    return centre - half, centre + half


def median_interval(
    values: Sequence[float] | NDArray[np.floating], *, level: float = 0.95
) -> tuple[float, tuple[float, float] | None]:
    """Return the median and an interval between order statistics, which holds for any law.

    The interval [x_(k), x_(n+1−k)] misses with probability 2 P(B < k), B ~ Binomial(n, ½); k is
    the largest that keeps this within 1 − level. None for too few values (fewer than six at 0.95).

    Raises:
        ValueError: for no values.

    >>> median_interval([5.0, 1.0, 3.0])
    (3.0, None)
    >>> median_interval(range(1, 21))
    (10.5, (6.0, 15.0))
    """
    sample = np.sort(np.asarray(values, dtype=np.float64))
    n = sample.size
    if n < 1:
        raise ValueError("no values have no median")
    k = int(np.searchsorted(bdtr(np.arange(n), n, 0.5), (1 - level) / 2, side="right"))
    median = float(np.median(sample))
    return median, None if k == 0 else (float(sample[k - 1]), float(sample[n - k]))


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], n: int, *, groups: int = 20
) -> float | None:
    """Return the standard error of a statistic of n samples by the delete-a-group jackknife.

    Sample i belongs to group i mod g; with θ_j the statistic without group j,
    se² = (g−1)/g · Σ_j (θ_j − θ̄)² (Shao & Tu 1995, §2.3). A resampling bootstrap would repeat
    samples, which biases distances between sets of samples; leaving some out does not repeat any.

    Args:
        statistic: takes the indices of the samples kept.
        n: number of samples.
        groups: how many groups to leave out in turn, at most n.

    Returns:
        The standard error, or None where there are fewer than two groups.

    >>> values = np.array([1.0, 2.0, 3.0, 4.0])
    >>> round(jackknife(lambda kept: values[kept].mean(), 4), 4)
    0.6455
    """
    g = min(groups, n)
    if g < 2:
        return None
    index = np.arange(n)
    left_out = np.array([statistic(index[index % g != j]) for j in range(g)])
    return math.sqrt((g - 1) / g * float(((left_out - left_out.mean()) ** 2).sum()))
