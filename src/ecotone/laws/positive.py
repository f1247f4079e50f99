"""Where a share passes a half: from which size on, and up to which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from ecotone.core.errors import DataError
from ecotone.core.seeds import generator
from ecotone.laws.crossing import first_rise

__all__ = ["Passage", "passes_down", "passes_up"]

Status = Literal["observed", "left_censored", "right_censored"]


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a share passes a threshold along x, or the end of the measured range it lies beyond.

    Args:
        status: ``"observed"``; ``"left_censored"``: passed at the first measured x already;
            ``"right_censored"``: not passed by the last.
        value: where, in units of x; None unless observed.
        low: lower end of its interval; None where open (before the first x) or not observed.
        high: upper end; None where open (beyond the last x) or not observed.
        bound: the end of the range it lies beyond; None where observed.
    """

    status: Status
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None


def passes_up(
    x: Sequence[float] | NDArray,
    share: Sequence[float] | NDArray,
    samples: Sequence[int] | NDArray,
    *,
    threshold: float = 0.5,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Passage:
    """Return where a share that rises with x, and may fall again, first stays above a threshold.

    The shares are fitted by the unimodal regression (non-decreasing up to a peak, non-increasing
    beyond, weighted by samples, by pooling adjacent violators), so that a dip on the way up is
    averaged with its neighbours. The crossing on the way up is interpolated in log x. Its interval
    is the percentile interval of a parametric bootstrap, k* ~ Binomial(m, (k + ½)/(m + 1)) with
    the peak kept, each replicate's crossing drawn uniformly in log x between the two sizes it
    falls between, as for the onset of copying (:func:`ecotone.laws.tau_mem`).

    Args:
        x: sizes, positive, each once, in any order.
        share: in [0, 1]; ties may count one half.
        samples: trials of each share, 1 or more.
        threshold: to pass, between 0 and 1.
        replicates: of the bootstrap.
        level: coverage of the interval.
        seed: of the bootstrap.

    Raises:
        DataError: for no sizes, sizes that are not positive or not distinct, a share outside
            [0, 1], or fewer than one sample.

    >>> passage = passes_up([10, 20, 40, 80], [0.0, 0.1, 0.8, 1.0], [100] * 4)
    >>> passage.status, round(passage.value)
    ('observed', 30)
    >>> passes_up([10, 20], [0.9, 1.0], [100] * 2)
    Passage(status='left_censored', value=None, low=None, high=None, bound=10.0)
    """
    log_x, p, m = _checked(x, share, samples)
    stop = _peak(p, m) + 1
    at = np.array([threshold])
    fit = isotonic_regression(p[:stop], weights=m[:stop]).x
    crossing = float(first_rise(fit[None], at, log_x[:stop])[0]) if stop > 1 else _single(fit, at)
    if not math.isfinite(crossing):
        status = "left_censored" if crossing < 0 else "right_censored"
        bound = log_x[0] if crossing < 0 else log_x[-1]
        return Passage(status, bound=_plain(bound))
    random = generator(seed, "passage", "up")
    drawn = _drawn(p, m, replicates, random)[:, :stop]
    fits = np.stack([isotonic_regression(row, weights=m[:stop]).x for row in drawn])
    between = random.random(replicates)
    crossings = first_rise(fits, np.full(replicates, threshold), log_x[:stop], between=between)
    return _observed(crossing, crossings, level)


def passes_down(
    x: Sequence[float] | NDArray,
    share: Sequence[float] | NDArray,
    samples: Sequence[int] | NDArray,
    *,
    threshold: float = 0.5,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Passage | None:
    """Return where a share falls below a threshold again beyond its peak.

    As :func:`passes_up`, on the falling side.

    Returns:
        None where the fitted share does not reach the threshold at its peak, so that nothing can
        fall from it; right-censored where it is still above at the last x.

    >>> passage = passes_down([10, 20, 40, 80], [0.0, 1.0, 0.8, 0.1], [100] * 4)
    >>> round(passage.value)
    54
    """
    log_x, p, m = _checked(x, share, samples)
    start = _peak(p, m)
    fit = isotonic_regression(p[start:], weights=m[start:], increasing=False).x
    if fit[0] < threshold:
        return None
    # Strictly below is what counts as fallen.
    below = np.nextafter(-threshold, 1.0)
    if len(fit) < 2 or fit[-1] >= threshold:
        return Passage("right_censored", bound=_plain(log_x[-1]))
    crossing = float(first_rise(-fit[None], np.array([below]), log_x[start:])[0])
    random = generator(seed, "passage", "down")
    drawn = _drawn(p, m, replicates, random)[:, start:]
    fits = np.stack(
        [isotonic_regression(row, weights=m[start:], increasing=False).x for row in drawn]
    )
    between = random.random(replicates)
    crossings = first_rise(-fits, np.full(replicates, below), log_x[start:], between=between)
    return _observed(crossing, crossings, level)


def _checked(
    x: Sequence[float] | NDArray, share: Sequence[float] | NDArray, samples: Sequence[int] | NDArray
) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """Return log x in order, shares and numbers of samples."""
    sizes, p, m = (np.asarray(values, dtype=np.float64) for values in (x, share, samples))
    if not (sizes.size and sizes.shape == p.shape == m.shape):
        raise DataError(
            f"{sizes.size} sizes, {p.size} shares and {m.size} numbers of samples do not make a "
            "curve",
            hint="give one of each for every size, and at least one size",
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all() or np.unique(sizes).size < sizes.size:
        raise DataError(f"the sizes {sizes.tolist()} are not positive and distinct")
    if not ((p >= 0) & (p <= 1)).all():
        wrong = p[~((p >= 0) & (p <= 1))][0]
        raise DataError(f"a share of {wrong} is outside [0, 1]")
    if not (m >= 1).all():
        raise DataError(f"a share of {m[~(m >= 1)][0]:g} samples cannot be had")
    order = np.argsort(sizes)
    return np.log(sizes[order]), p[order], m[order]


def _peak(p: Float[np.ndarray, " sizes"], m: Float[np.ndarray, " sizes"]) -> int:
    """Return where the unimodal fit with the least squared error has its peak.

    A rise over the first sizes followed by a fall over the rest is unimodal wherever it is cut.
    """
    best, peak = math.inf, 0
    for cut in range(1, len(p) + 1):
        up = isotonic_regression(p[:cut], weights=m[:cut]).x
        error = float((m[:cut] * (p[:cut] - up) ** 2).sum())
        down = up[-1:]
        if cut < len(p):
            down = isotonic_regression(p[cut:], weights=m[cut:], increasing=False).x
            error += float((m[cut:] * (p[cut:] - down) ** 2).sum())
        if error < best:
            best, peak = error, cut - 1 if up[-1] >= down[0] else cut
    return peak


def _single(fit: Float[np.ndarray, " 1"], at: Float[np.ndarray, " 1"]) -> float:
    return -math.inf if fit[0] >= at[0] else math.inf


def _drawn(
    p: Float[np.ndarray, " sizes"],
    m: Float[np.ndarray, " sizes"],
    replicates: int,
    random: np.random.Generator,
) -> Float[np.ndarray, "replicates sizes"]:
    """Return shares as they might have come out, by Jeffreys' estimate."""
    counts = m.astype(np.int64)
    return random.binomial(counts, (p * m + 0.5) / (m + 1), size=(replicates, len(m))) / counts


def _observed(
    crossing: float, crossings: Float[np.ndarray, " replicates"], level: float
) -> Passage:
    """Return the crossing with its percentile interval, open where replicates never cross."""
    tail = (1 - level) / 2
    # Order statistics: nothing can be interpolated between a number and infinity.
    low = min(float(np.quantile(crossings, tail, method="lower")), crossing)
    high = max(float(np.quantile(crossings, 1 - tail, method="higher")), crossing)
    return Passage(
        "observed",
        value=math.exp(crossing),
        low=math.exp(low) if math.isfinite(low) else None,
        high=math.exp(high) if math.isfinite(high) else None,
    )


def _plain(log_size: float) -> float:
    """Return a measured size from its logarithm, whole where it was whole."""
    size = math.exp(log_size)
    return float(round(size)) if abs(size - round(size)) < 1e-9 * size else size
