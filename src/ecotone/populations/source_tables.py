"""Parquet files as one table: which of a folder are meant, and their rows a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from ecotone.core.errors import DataError
from ecotone.populations.source_files import one_part, parts_of
from ecotone.populations.source_items import Label, printable

__all__ = ["Schema", "Table", "open_table"]

T = TypeVar("T")
Schema = Mapping[str, Any]
"""Polars' type of each column, by name."""

# What polars raises for files that are damaged; some damage makes its Rust code panic.
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
_STEP = 64 << 20


@dataclass(frozen=True)
class Table:
    """Files of the same columns.

    Args:
        names: of the files, by relative path.
        files: in the same order.
        rows: of each file.
        schema: types of the columns, by name.
    """

    names: Sequence[str]
    files: Sequence[Path]
    rows: Sequence[int]
    schema: Schema

    @property
    def ids(self) -> list[str]:
        """A name for each row: its file, and which of its rows it is."""
        each = zip(map(printable, self.names), self.rows, strict=True)
        return [f"{name}#{row}" for name, count in each for row in range(count)]

    def told(self, row: int) -> str:
        """Return what errors call a row."""
        starts = np.cumsum([0, *self.rows])
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{printable(str(self.files[number]))}, row {row - starts[number]},"

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield some columns a part at a time, each with its first row's number.

        Raises:
            DataError: for a row that misses one of these values.
        """
        before = 0
        for file, count in zip(self.files, self.rows, strict=True):
            height = max(1, count * _STEP // max(1, file.stat().st_size))
            for start in range(0, count, height):
                part = _rows(file).select(columns).slice(start, height)
                block = _collected(file, part)
                for name in columns:
                    if block[name].null_count():
                        row = before + start + int(block[name].is_null().arg_max() or 0)
                        raise DataError(
                            f"{self.told(row)} misses {printable(name)}",
                            hint="remove the row, or the column",
                        )
                yield before + start, block
            before += count


def open_table(
    root: Path, names: Sequence[str], fragment: str | None, label: Label
) -> tuple[Table, str | None]:
    """Return the files that are meant, and the column that was named, or None.

    Args:
        root: a folder.
        names: the files in it, by relative path.
        fragment: what was named: a part of them, a column, or ``part/column``.
        label: of the set.

    Raises:
        DataError: for files that are damaged or have different columns, for several parts of which
            none was named, and for one that may be several data sets.
    """
    first, _, rest = (fragment or "").partition("/")
    known = set(parts_of(names))
    # Where there are several parts, one has to be named, before a column is.
    of_part = first.lower() in known or (first and len(known - {None}) > 1)
    part, column = (first, rest or None) if of_part else (None, fragment)
    names = one_part(names, part, label)
    files = [root / name for name in names]
    homes = sorted({file.parent for file in files})
    if len(homes) > 1 and known != {None}:
        raise DataError(
            f"{label} has parquet files of one part in several folders: "
            f"{printable(str(homes[0]))}, {printable(str(homes[1]))}",
            hint=f"give {printable(str(homes[0]))}",
        )
    schemas = [_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        if schema != schemas[0]:
            raise DataError(
                f"{printable(str(files[0]))} has {_columns(schemas[0])}, but "
                f"{printable(str(file))} has {_columns(schema)}",
                hint="give a folder of files with the same columns",
            )
    rows = [int(_collected(file, _rows(file).select(pl.len())).item()) for file in files]
    if not sum(rows):
        raise DataError(f"{label} has no rows", hint="give items")
    return Table(names, files, rows, schemas[0]), column


def _schema(file: Path) -> Schema:
    return dict(_reading(file, lambda: _rows(file).collect_schema()))


def _collected(file: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    return _reading(file, rows.collect)


def _rows(file: Path) -> pl.LazyFrame:
    # Otherwise polars takes a file's name for a pattern, and its folder's for a column.
    return _reading(file, lambda: pl.scan_parquet(file, glob=False, hive_partitioning=False))


def _reading(file: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except _UNREADABLE as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"cannot read {printable(str(file))}: {told}", hint="save it again"
        ) from error


def _columns(schema: Schema) -> str:
    return (
        ", ".join(f"{printable(name)}: {dtype}" for name, dtype in schema.items()) or "no columns"
    )
