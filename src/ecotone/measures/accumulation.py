"""How many different training images leak, and how many more would with more samples.

Copies are to training images what caught animals are to species: with every sample new ones turn
up, ever fewer of them new. So the estimators are those of species richness.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecotone.core.seeds import generator

__all__ = ["Accumulation", "accumulation", "leakable", "leaked_at"]

_BOOTSTRAPS = 100
_NO_TWO = math.log(20)
"""−log of the chance at which it is no longer believed that no two copies are of one image."""


@dataclass(frozen=True)
class Accumulation:
    """Different training images leaked against samples drawn.

    Args:
        samples: numbers of samples.
        unique: different training images among so many, expected.
        low: lower ends of 95 % intervals.
        high: upper ends.
        observed: which of the numbers is that of the samples there are.
        total: how many would leak in the end, at least (Chao 1984).
        total_low: lower end of its 95 % interval.
        total_high: upper end.
    """

    samples: tuple[int, ...]
    unique: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    observed: int
    total: float
    total_low: float
    total_high: float


def leaked_at(counts: Sequence[int], n: int, samples: int) -> float:
    """Return how many different images are expected among a number of samples.

    Below n, rarefaction: Σ_i [1 − C(n − c_i, t)/C(n, t)] (Hurlbert 1971), exact for samples drawn
    from those there are. Above, extrapolation: S + f0·[1 − (1 − f1/(n·f0 + f1))^(t−n)] (Chao et
    al. 2014, eq. 9), f1 and f2 being the images leaked once and twice and f0 Chao's estimate of
    those not seen yet. Up to 2n it is reliable; beyond it leans on f0, a lower bound.

    Args:
        counts: copies of each training image leaked, 1 or more each.
        n: samples drawn, copies or not.
        samples: t, 0 or more.

    >>> leaked_at([2, 1, 1], 10, 10), leaked_at([2, 1, 1], 10, 0)
    (3.0, 0.0)
    >>> leaked_at([2, 1, 1], 10, 20) > 3
    True
    """
    found = np.asarray(counts, dtype=np.int64)
    if samples <= n:
        return float(len(found) - np.exp(_log_missed(found, n, samples)).sum())
    unseen, once = _unseen(found, n), int((found == 1).sum())
    if unseen == 0 or once == 0:
        return float(len(found))
    missed = 1 - once / (n * unseen + once)
    return len(found) + unseen * (1 - missed ** (samples - n))


def leakable(counts: Sequence[int], n: int) -> tuple[float, float, float]:
    """Return a lower bound of how many images would leak in the end, with its 95 % interval.

    Chao1 with the correction for small samples: S + (n−1)/n · f1(f1 − 1)/(2(f2 + 1)) (Chao 1984,
    2005); the interval is log-normal about f0 (Chao 1987, eq. 12), so that it never reaches below
    the number seen. Where no image was leaked twice there is no upper end, and the lower one is
    that number N of equally likely images among which f1 copies have no two of one with a chance of
    5 %: exp(−f1(f1 − 1)/2N) = 0.05.

    >>> leakable([3, 2, 2], 10)
    (3.0, 3.0, 3.0)
    """
    found = np.asarray(counts, dtype=np.int64)
    seen, unseen = float(len(found)), _unseen(found, n)
    if unseen == 0:
        return seen, seen, seen
    once, twice, k = int((found == 1).sum()), int((found == 2).sum()), (n - 1) / n
    if not twice:
        return seen + unseen, max(seen, once * (once - 1) / 2 / _NO_TWO), math.inf
    variance = (
        k * once * (once - 1) / (2 * (twice + 1))
        + k**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
        + k**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
    )
    spread = math.exp(1.96 * math.sqrt(math.log1p(variance / unseen**2)))
    return seen + unseen, seen + unseen / spread, seen + unseen * spread


def accumulation(
    counts: Sequence[int], n: int, *, seed: int, most: float = math.inf, points: int = 8
) -> Accumulation:
    """Return the curve of different images leaked, up to twice the samples drawn.

    Intervals are by a bootstrap of the counts and of as many unseen images as are estimated, which
    share Good's chance of a new one, f1/n (Good 1953), evenly.

    Args:
        counts: copies of each training image leaked, 1 or more each; may be empty.
        n: samples drawn, 1 or more.
        seed: for the bootstrap.
        most: different images that there are to leak, which no estimate exceeds.
        points: of the curve up to n; as many again beyond.

    >>> curve = accumulation([5, 1, 1, 1], 40, seed=0)
    >>> curve.samples[curve.observed], curve.unique[curve.observed]
    (40, 4.0)
    """
    found = np.asarray(counts, dtype=np.int64)
    sizes = sorted({max(1, round(n * i / points)) for i in range(1, 2 * points + 1)})
    values = [leaked_at(counts, n, size) for size in sizes]
    drawn = np.array(
        [[leaked_at(again, n, size) for size in sizes] for again in _resampled(found, n, seed)]
    )
    spread = drawn.std(axis=0, ddof=1) if len(found) else np.zeros(len(sizes))
    total, total_low, total_high = leakable(counts, n)
    halves = [1.96 * float(error) for error in spread]

    def within(numbers: Iterable[float]) -> tuple[float, ...]:
        return tuple(min(max(0.0, number), most) for number in numbers)

    total, total_low, total_high = within((total, total_low, total_high))
    return Accumulation(
        samples=tuple(sizes),
        unique=within(values),
        low=within(value - half for value, half in zip(values, halves, strict=True)),
        high=within(value + half for value, half in zip(values, halves, strict=True)),
        observed=sizes.index(n),
        total=total,
        total_low=total_low,
        total_high=total_high,
    )


def _unseen(found: NDArray[np.int64], n: int) -> float:
    once, twice = int((found == 1).sum()), int((found == 2).sum())
    return (n - 1) / n * once * (once - 1) / (2 * (twice + 1))


def _log_missed(found: NDArray[np.int64], n: int, samples: int) -> NDArray[np.float64]:
    """Return log C(n − c, t)/C(n, t), the chance that an image is in none of t samples."""
    from scipy.special import gammaln

    possible = found <= n - samples
    kept = np.where(possible, found, 0)
    logs = (
        gammaln(n - kept + 1)
        - gammaln(n - kept - samples + 1)
        - gammaln(n + 1)
        + gammaln(n - samples + 1)
    )
    return np.where(possible, logs, -np.inf)


def _resampled(found: NDArray[np.int64], n: int, seed: int) -> list[list[int]]:
    """Return counts as other samples might have given them.

    A sample is of an image not seen so far with Good's chance f1/n, one as likely as another; else
    of one that was seen, or of none, as often as they were.
    """
    if not len(found):
        return [[]] * 2
    random = generator(seed, "accumulation")
    unseen = math.ceil(_unseen(found, n))
    new = int((found == 1).sum()) / n if unseen else 0.0
    seen = found / n * (1 - new)
    chances = np.concatenate([seen, [new, max(0.0, 1 - new - float(seen.sum()))]])
    again = []
    # Unseen images may be many more than samples: those drawn are drawn one by one.
    for drawn in random.multinomial(n, chances / chances.sum(), size=_BOOTSTRAPS):
        counts = drawn[:-2]
        fresh = np.unique(random.integers(max(unseen, 1), size=drawn[-2]), return_counts=True)[1]
        again.append([*counts[counts > 0].tolist(), *fresh.tolist()])
    return again
