"""How small a share of copies a detector sees, read off its power over shares."""

from __future__ import annotations

import polars as pl

from ecotone.core.errors import DataError
from ecotone.laws.positive import passes_up
from ecotone.laws.tables import need

__all__ = ["POWERS", "smallest_shares"]

POWERS = ("detected", "detected_calibrated")
"""Measures that are powers: by a detector's own test, and by its statistic without copies."""

_OF_A_READING = ("value", "low", "high", "samples")
_SMALLEST = {
    "status": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "bound": pl.Float64,
}


def smallest_shares(
    results: pl.DataFrame, *, power: float = 0.8, replicates: int = 1000, seed: int = 0
) -> pl.DataFrame:
    """Return the smallest share of copies that each detector sees with a given power.

    The shares of replicates in which copies were detected are fitted by unimodal regression and
    interpolated in the logarithm of the share of copies; the interval is that of a parametric
    bootstrap (:func:`ecotone.laws.positive.passes_up`). A detector whose power is reached at the
    smallest share already, or is not by the largest, is censored there.

    Args:
        results: one row a reading, as in results.parquet of the planted-copy benchmark: any factor
            columns, ``generated``, ``transform``, ``share``, ``copies``, ``detector``, ``measure``,
            ``value``, ``low``, ``high``, ``samples``.
        power: to reach, between 0 and 1.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row for each detector, transform, number of generated images, factors and measure in
        :data:`POWERS`: those columns, ``status`` ("observed", "left_censored", "right_censored"),
        and as shares ``value``, ``low``, ``high`` (null where open or not observed) and ``bound``
        (null where observed).

    Raises:
        DataError: for a column that is missing, two rows for one share, or a power out of range.

    >>> shares, powers = [0.01, 0.02, 0.05], [0.1, 0.5, 1.0]
    >>> rows = {"generated": [500] * 3, "transform": ["exact"] * 3, "share": shares}
    >>> rows |= {"copies": [5, 10, 25], "detector": ["d"] * 3, "measure": ["detected"] * 3}
    >>> rows |= {"value": powers, "low": [None] * 3, "high": [None] * 3, "samples": [100] * 3}
    >>> found = smallest_shares(pl.DataFrame(rows)).row(0, named=True)
    >>> found["status"], round(found["value"], 3)
    ('observed', 0.035)
    """
    if not 0 < power < 1:
        raise DataError(f"power = {power} is not one", hint="give a number within 0 and 1")
    where = ("generated", "transform", "share", "copies", "detector", "measure")
    need(results, (*where, *_OF_A_READING), "results")
    left_out = {"share", "copies", *_OF_A_READING}
    keys = [column for column in results.columns if column not in left_out]
    relevant = results.filter(pl.col("measure").is_in(POWERS) & (pl.col("copies") > 0))
    rows = []
    for key, curve in relevant.partition_by(keys, as_dict=True, maintain_order=True).items():
        passage = passes_up(
            (curve["copies"] / curve["generated"]).to_numpy(),
            curve["value"].to_numpy(),
            curve["samples"].to_numpy(),
            threshold=power,
            replicates=replicates,
            seed=seed,
        )
        rows.append((*key, passage.status, passage.value, passage.low, passage.high, passage.bound))
    schema = {column: results.schema[column] for column in keys} | _SMALLEST
    return pl.DataFrame(rows, schema=schema, orient="row")
