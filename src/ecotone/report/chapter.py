"""What a law says of a whole study, as the page tells it: sentences, figures, tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from ecotone.report.curves import Figure
from ecotone.report.study import Study
from ecotone.report.tables import Table
from ecotone.report.text import number

__all__ = ["MOST_ROWS", "Chapter", "Material", "cut", "spanned"]

MOST_ROWS = 100
"""Rows of a chapter's table on the page."""


@dataclass(frozen=True)
class Chapter:
    """One question to the whole study, and its answer.

    Args:
        key: names the chapter in the page's address, and its drawings.
        heading: the question.
        sentences: the answer, a paragraph each.
        figures: that show it.
        tables: that give its numbers; long ones are folded.
        note: how it was had.
        small: whether three figures stand side by side.
    """

    key: str
    heading: str
    sentences: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""
    small: bool = False

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        return sum(len(figure.drawing) for figure in self.figures)


@dataclass(frozen=True)
class Material:
    """What chapters are made of.

    Args:
        study: as read.
        onsets: of every run, as :func:`ecotone.laws.onsets` gives them.
        noun: what the training set is made of.
    """

    study: Study
    onsets: pl.DataFrame
    noun: str = "training samples"

    @property
    def batches(self) -> bool:
        """Whether every run says its batch size, which clocks are set by; older studies do not."""
        runs = self.study.runs
        return "batch_size" in runs.columns and not runs["batch_size"].null_count()


def spanned(values: list[float], digits: int = 3) -> str:
    """Return the least and the largest of some numbers.

    >>> spanned([3.0, 1.0, 2.0]), spanned([2.0, 2.0])
    ('1 to 3', '2')
    """
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def cut(table: Table) -> Table:
    """Return a table of as many rows as the page shows, which says so where there are more."""
    if len(table.rows) <= MOST_ROWS:
        return table
    note = f"The first {MOST_ROWS} of {len(table.rows):,} rows."
    return replace(table, rows=table.rows[:MOST_ROWS], note=note)
