"""Effective memorization: the largest training set that a model still copies whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.optimize import isotonic_regression

from ecotone.core.errors import DataError, nearest
from ecotone.core.seeds import generator
from ecotone.laws.crossing import first_rise, measured, shares
from ecotone.laws.tables import SHARE, factors, need
from ecotone.laws.units import beside

__all__ = ["EffectiveMemorization", "effective_memorization"]

Status = Literal["observed", "left_censored", "right_censored"]
"""Whether the size is known, or known to lie below the smallest or above the largest set."""

RESAMPLED = 3
"""Runs of one size from which on the bootstrap also draws runs anew."""


@dataclass(frozen=True, slots=True)
class EffectiveMemorization:
    """The size of the training set up to which a model ends as a copier.

    Args:
        group: the other factors' values.
        status: ``"observed"``; ``"left_censored"``: below the smallest size, ``bound``;
            ``"right_censored"``: at or above the largest.
        value: images, interpolated in log n; None unless observed.
        low: lower end of the interval; None where open (below the smallest size) or not observed.
        high: upper end; None where open (above the largest) or not observed.
        bound: the size it is censored at; None where observed.
        how: what was done to get it, by name: ``epsilon``, ``measure``, ``sizes``, ``runs`` ...

    Raises:
        ValueError: for a value without "observed", a bound with it, or numbers out of order.
    """

    group: Mapping[str, object]
    status: Status
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    how: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status={self.status!r} is not one of {get_args(Status)}")
        observed = self.status == "observed"
        if (self.value is not None) != observed or (self.bound is None) != observed:
            raise ValueError(f"{self.status} with value={self.value} and bound={self.bound}")
        if self.value is not None:
            low = self.value if self.low is None else self.low
            high = self.value if self.high is None else self.high
            if not 0 < low <= self.value <= high < math.inf:
                raise ValueError(f"{low} <= {self.value} <= {high} is out of order")
        object.__setattr__(self, "group", MappingProxyType(dict(self.group)))
        object.__setattr__(self, "how", MappingProxyType(dict(self.how)))

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle.
        plain = (self.status, self.value, self.low, self.high, self.bound)
        return (EffectiveMemorization, (dict(self.group), *plain, dict(self.how)))


def effective_memorization(
    results: pl.DataFrame,
    runs: pl.DataFrame,
    *,
    epsilon: float = 0.1,
    measure: str = SHARE,
    by: Sequence[str] | None = None,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[EffectiveMemorization, ...]:
    """Return up to which n a model copies 1 − ε of what it generates once training has ended.

    Gu et al. 2023 ("On memorization in diffusion models") take the largest n with a copied share
    of at least 1 − ε, ε = 0.1, the share being the largest over a run's snapshots. A maximum over
    noisy snapshots is too large, the more so the more snapshots there are; here it is the share
    at each run's *last* measured step. Runs of one size are pooled, the shares made
    non-increasing in n (isotonic regression weighted by samples) and the crossing of 1 − ε
    interpolated linearly in log n.

    The interval is the percentile interval of a parametric bootstrap, k* ~ Binomial(m,
    (k + ½)/(m + 1)) for every run, as for :func:`ecotone.laws.tau_mem`; sizes with three runs or
    more also have their runs drawn anew, since runs differ by more than their samples do. Each
    replicate's crossing is drawn uniformly in log n between the two sizes it falls between.

    Args:
        results: as in results.parquet.
        runs: as in runs.parquet; only finished runs take part, the others had more to learn.
        epsilon: share of generated images that need not be copies, in (0, 1).
        measure: the copied share.
        by: factors to hold fixed; every factor but ``n`` where None.
        replicates: of the bootstrap.
        level: coverage of the interval.
        seed: of the bootstrap.

    Returns:
        One result a group that has finished runs, in order of the groups' values.

    Raises:
        DataError: for a missing column, a run that is not listed, or a share outside [0, 1].
        ValueError: for ``epsilon`` outside (0, 1).

    >>> n, copied = [16, 64, 256, 1024], [1.0, 0.98, 0.5, 0.0]
    >>> lead = {"n": n, "seed": [0] * 4}
    >>> told = {"step": [900] * 4, "measure": [SHARE] * 4, "value": copied, "samples": [500] * 4}
    >>> results = pl.DataFrame({**lead, **told})
    >>> runs = pl.DataFrame({**lead, "status": ["finished"] * 4})
    >>> (found,) = effective_memorization(results, runs)
    >>> found.status, round(found.value)
    ('observed', 81)
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon must lie between 0 and 1, not {epsilon}")
    need(results, ("n", "seed", "step", "measure", "value", "samples"), "results")
    known = [name for name in factors(results) if name != "n"]
    by = known if by is None else list(by)
    for name in by:
        if name not in known:
            raise DataError(f"the results have no factor {name!r}", hint=nearest(name, known))
    keys = [*factors(results), "seed"]
    curves = results.filter(pl.col("measure") == measure)
    listed = beside(curves.select(keys).unique(), runs, end="status")
    ended = set(listed.filter(pl.col("end") == "finished").select(keys).rows())
    last: list[pl.DataFrame] = []
    for key, rows in curves.partition_by(keys, as_dict=True).items():
        if key in ended:
            last.append(measured(rows, ("samples",)).tail(1))
    if not last:
        return ()
    table = pl.concat(last).sort(*by, "n", *keys)
    groups = table.partition_by(by, as_dict=True, maintain_order=True) if by else {(): table}
    found = []
    for key, rows in groups.items():
        if rows.is_empty():
            continue
        group = dict(zip(by, key, strict=True))
        random = generator(seed, "effective", *map(str, key))
        how = {"epsilon": epsilon, "measure": measure, "runs": rows.height}
        found.append(_crossing(rows, group, how, replicates, level, random))
    return tuple(found)


def _crossing(
    rows: pl.DataFrame,
    group: Mapping[str, object],
    how: Mapping[str, object],
    replicates: int,
    level: float,
    random: np.random.Generator,
) -> EffectiveMemorization:
    _, share, samples = shares(rows)
    sizes, place = np.unique(rows["n"].to_numpy().astype(np.float64), return_inverse=True)
    log_n = np.log(sizes)
    # Strictly below 1 − ε is what counts as no longer copied.
    epsilon = how["epsilon"]
    assert isinstance(epsilon, float)
    below = float(np.nextafter(-(1 - epsilon), 1.0))
    how = {**how, "sizes": len(sizes)}

    whole = np.arange(len(share))[None]
    fit = _fits((share * samples)[None], samples, whole, place, len(sizes))
    if -fit[0, 0] >= below:
        return EffectiveMemorization(group, "left_censored", bound=float(sizes[0]), how=how)
    if -fit[0, -1] < below:
        return EffectiveMemorization(group, "right_censored", bound=float(sizes[-1]), how=how)
    crossing = float(first_rise(-fit, np.array([below]), log_n)[0])

    chosen = np.tile(whole, (replicates, 1))
    for size in range(len(sizes)):
        own = np.flatnonzero(place == size)
        if len(own) >= RESAMPLED:
            chosen[:, own] = own[random.integers(len(own), size=(replicates, len(own)))]
    p = (share * samples + 0.5) / (samples + 1)
    copies = random.binomial(samples[chosen], p[chosen]).astype(np.float64)
    fits = _fits(copies, samples, chosen, place, len(sizes))
    between = random.random(replicates)
    crossings = first_rise(-fits, np.full(replicates, below), log_n, between=between)
    tail = (1 - level) / 2
    # Order statistics: nothing can be interpolated between a number and infinity.
    low = min(float(np.quantile(crossings, tail, method="lower")), crossing)
    high = max(float(np.quantile(crossings, 1 - tail, method="higher")), crossing)
    how |= {"interval": "percentile bootstrap", "replicates": replicates, "level": level}
    return EffectiveMemorization(
        group,
        "observed",
        value=math.exp(crossing),
        low=math.exp(low) if math.isfinite(low) else None,
        high=math.exp(high) if math.isfinite(high) else None,
        how=how,
    )


def _fits(
    copies: Float[np.ndarray, "replicates runs"],
    samples: Int[np.ndarray, " runs"],
    chosen: Int[np.ndarray, "replicates runs"],
    place: Int[np.ndarray, " runs"],
    sizes: int,
) -> Float[np.ndarray, "replicates sizes"]:
    """Return the non-increasing share by size, runs pooled."""
    at = np.eye(sizes)[place]
    trials = samples[chosen] @ at
    pooled = (copies @ at) / trials
    return np.stack(
        [
            isotonic_regression(row, weights=own, increasing=False).x
            for row, own in zip(pooled, trials, strict=True)
        ]
    )
