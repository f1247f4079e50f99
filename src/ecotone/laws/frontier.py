"""The frontier of novelty and fidelity: snapshots that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from ecotone.core.errors import DataError, nearest
from ecotone.laws.tables import DISTANCE, factors, need

__all__ = ["frontier"]

NOVELTY = "novelty"


def frontier(
    results: pl.DataFrame,
    *,
    novelty: str = NOVELTY,
    distance: str = DISTANCE,
    by: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Return every snapshot's novelty and distance, and whether another beats it in both.

    A snapshot is one run at one step where both were measured. Novelty is better higher, up to 1,
    that of an image never trained on; above 1 it is counted as 1, since images farther from the
    training set than the population's own are no more novel, only worse. The distance is better
    lower. One snapshot dominates another of its group where it is at least as good in both and
    better in one (Pareto). It does so *clearly* where even its worst corner (lower end of novelty,
    upper end of the distance) dominates the other's best corner; a reading without an interval is
    its own end. Among many noisy snapshots the frontier itself is too good: it collects the lucky
    ones, and what is not clearly dominated might belong to it.

    Args:
        results: as in results.parquet.
        novelty: the measure that is better higher.
        distance: the measure that is better lower.
        by: factors that make a group; every factor where None.

    Returns:
        One row a snapshot, sorted by group, novelty (capped) and distance: factors, ``seed``,
        ``step``, ``novelty``, ``novelty_low``, ``novelty_high`` (as measured), ``distance``,
        ``distance_low``, ``distance_high``, ``on_frontier`` and ``clearly_dominated``.

    Raises:
        DataError: for a missing column or factor, or two rows for one snapshot and measure.

    >>> rows = {"n": [64] * 6, "seed": [0] * 6, "step": [10, 100, 1000] * 2}
    >>> rows |= {"measure": ["novelty"] * 3 + ["frechet_holdout"] * 3}
    >>> rows |= {"value": [1.3, 1.0, 0.2, 9.0, 2.0, 1.0], "low": [None] * 6, "high": [None] * 6}
    >>> found = frontier(pl.DataFrame(rows))
    >>> found.select("step", "on_frontier").rows()
    [(1000, True), (100, True), (10, False)]
    """
    need(results, ("seed", "step", "measure", "value", "low", "high"), "results")
    known = factors(results)
    group = known if by is None else list(by)
    for name in group:
        if name not in known:
            raise DataError(f"the results have no factor {name!r}", hint=nearest(name, known))
    keys = [*factors(results), "seed", "step"]
    told: dict[tuple[object, ...], dict[str, tuple[float | None, ...]]] = {}
    numbers = ("value", "low", "high")
    usable = results.filter(
        pl.col("measure").is_in([novelty, distance]) & pl.col("value").cast(pl.Float64).is_finite()
    ).with_columns(pl.col(numbers).cast(pl.Float64).fill_nan(None))
    for row in usable.select(*keys, "measure", *numbers).rows():
        key, measure = row[: len(keys)], row[len(keys)]
        own = told.setdefault(key, {})
        if measure in own:
            raise DataError(
                f"{dict(zip(keys, key, strict=True))} has more than one row of {measure}",
                hint="add a factor column that tells the two apart",
            )
        own[measure] = row[len(keys) + 1 :]
    snapshots = [
        (*key, *own[novelty], *own[distance])
        for key, own in told.items()
        if {novelty, distance} <= set(own)
    ]
    schema = {
        **{key: results.schema[key] for key in keys},
        **{
            f"{lead}{part}": pl.Float64
            for lead in ("novelty", "distance")
            for part in ("", "_low", "_high")
        },
    }
    table = pl.DataFrame(snapshots, schema=schema, orient="row")
    parts = table.partition_by(group, maintain_order=True) if group else [table]
    flagged = [_flag(part) for part in parts if part.height] or [_flag(table)]
    order = (*group, pl.col("novelty").clip(upper_bound=1.0), "distance", *keys)
    return pl.concat(flagged).sort(*order, maintain_order=True)


def _flag(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return one group's snapshots with both flags."""
    value = {name: snapshots[name].to_numpy() for name in ("novelty", "distance")}
    ends = {
        f"{name}_{end}": snapshots.select(pl.coalesce(f"{name}_{end}", name).alias("end"))[
            "end"
        ].to_numpy()
        for name in value
        for end in ("low", "high")
    }
    beaten = _dominated(value["novelty"], value["distance"], value["novelty"], value["distance"])
    clearly = _dominated(
        ends["novelty_high"], ends["distance_low"], ends["novelty_low"], ends["distance_high"]
    )
    return snapshots.with_columns(
        on_frontier=pl.Series(~beaten), clearly_dominated=pl.Series(clearly)
    )


def _dominated(
    novelty: Float[np.ndarray, " snapshots"],
    distance: Float[np.ndarray, " snapshots"],
    by_novelty: Float[np.ndarray, " snapshots"],
    by_distance: Float[np.ndarray, " snapshots"],
) -> Bool[np.ndarray, " snapshots"]:
    """Return which points (novelty, distance) any of the others, (by_…, by_…), dominates."""
    best, rival = np.minimum(novelty, 1.0), np.minimum(by_novelty, 1.0)
    found = np.zeros(len(best), dtype=bool)
    # Row by row: thousands of snapshots squared would not fit.
    for i in range(len(best)):
        as_good = (rival >= best[i]) & (by_distance <= distance[i])
        better = (rival > best[i]) | (by_distance < distance[i])
        found[i] = bool((as_good & better).any())
    return found
