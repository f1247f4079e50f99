"""Factors as columns of a regression: logs of numbers, and indicators of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy.typing import NDArray

from ecotone.core.errors import DataError, nearest
from ecotone.laws.tables import factors

__all__ = ["Term", "terms", "varying"]


@dataclass(frozen=True, eq=False)
class Term:
    """One column of a regression of log tau.

    Args:
        name: of the column.
        factor: it stands for; None for what a study's own intercept takes up.
        level: whose indicator it is; None for the log of a number.
        reference: the level it is compared with; None likewise.
        values: one a run.
    """

    name: str
    factor: str | None
    level: object
    reference: object
    values: Float[np.ndarray, " runs"]


def varying(frame: pl.DataFrame) -> list[str]:
    """Return the factors of a table of onsets that take more than one value.

    >>> varying(pl.DataFrame({"n": [8, 16], "width": [4, 4], "seed": [0, 0]}))
    ['n']
    """
    return [name for name in factors(frame) if frame[name].drop_nulls().n_unique() > 1]


def terms(frame: pl.DataFrame, names: Sequence[str], seen: NDArray[np.bool_]) -> list[Term]:
    """Return the columns that the factors give.

    A factor of positive numbers gives its log; any other (text, truth values, numbers with a 0)
    gives one indicator a level, each compared with the first level (in sorted order) that has a
    run with an observed onset. Null stands for a factor that a study did not vary: runs that lack
    the same factors get an intercept of their own, which takes up whatever value it had.

    Args:
        frame: one row a run.
        names: of factors, each a column of it.
        seen: which runs' onsets are observed.

    Raises:
        DataError: for a factor that is not a column.

    >>> runs = pl.DataFrame({"n": [1, 10], "model": ["mlp", "unet"]})
    >>> [one.name for one in terms(runs, ["n", "model"], np.array([True, True]))]
    ['n', 'model=unet']
    """
    columns: list[Term] = []
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"the table of onsets has no factor {name!r}", hint=nearest(name, frame.columns)
            )
        factor = frame[name]
        known = factor.drop_nulls()
        if factor.dtype.is_numeric() and bool((known > 0).all()):
            log = factor.cast(pl.Float64).log()
            # Any number serves for null: the intercept of these runs takes it up.
            filled = log.fill_null(log.mean()) if len(known) else log.fill_null(0.0)
            columns.append(Term(name, name, None, None, filled.to_numpy()))
            continue
        levels = known.unique().sort().to_list()
        turned = set(factor.filter(pl.Series(seen)).to_list())
        reference = next((level for level in levels if level in turned), None)
        columns.extend(
            Term(
                f"{name}={level}",
                name,
                level,
                reference,
                np.array([float(one == level) for one in factor.to_list()]),
            )
            for level in levels
            if level != reference
        )
    lacking = frame.select(pl.col(names).is_null()).rows() if names else []
    for place, pattern in enumerate(sorted(set(lacking))[1:]):
        own = np.array([float(row == pattern) for row in lacking])
        columns.append(Term(f"study {place}", None, None, None, own))
    return columns
