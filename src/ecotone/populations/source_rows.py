"""Items from parquet files: a column of images, a column of vectors, or all columns of numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecotone.core.errors import DataError
from ecotone.populations.arrays import Layout
from ecotone.populations.source_items import Label, NoGroupsError, Source, printable
from ecotone.populations.source_numbers import Numbers
from ecotone.populations.source_pictures import Pictures
from ecotone.populations.source_tables import Schema, Table, open_table
from ecotone.populations.spool import room

__all__ = ["parquet_source"]

# Their values are whole in float32.
_NARROW = (pl.Float32, pl.Int8, pl.UInt8, pl.Int16, pl.UInt16, pl.Boolean)


def parquet_source(
    root: Path,
    names: Sequence[str],
    fragment: str | None,
    layout: Layout,
    groups: str | None,
    label: Label,
) -> Source:
    """Look at a parquet file, or at several in a folder.

    What the items are is told by the types of the columns. Images are a column of structs with
    ``bytes``, as the Hugging Face hub has them, or of binary values. Without one, a column of lists
    is a vector (of lists of lists: an array) a row. Without these, all columns of numbers together
    are.

    Args:
        root: a folder.
        names: the files in it, by relative path.
        fragment: what was named: a part of them, a column, or ``part/column``.
        layout: what the axes of arrays mean.
        groups: name of a column of labels.
        label: of the set.

    Raises:
        DataError: for files that :func:`~ecotone.populations.source_tables.open_table` refuses,
            values that are missing, lists of different lengths, columns that are not there, or
            several of which one has to be named.
    """
    table, column = open_table(root, names, fragment, label)
    schema = dict(table.schema)
    labels = None
    if groups is not None:
        if groups not in schema:
            raise NoGroupsError(
                f"there are no groups {groups!r} in {label}", hint=f"columns: {_names(schema)}"
            )
        del schema[groups]
        found = (value for _, block in table.blocks([groups]) for value in block[groups])
        labels = tuple(str(value) for value in found)
    chosen = _chosen(schema, column, label)
    first = schema[chosen[0]]
    if _holds_bytes(first):
        return Pictures(label, table.ids, labels, lambda: _images(table, chosen[0]), table.told)
    if isinstance(first, pl.List | pl.Array):
        return Numbers(label, _lists(table, chosen[0]), layout, table.ids, labels)
    numbers, left_out = _numbers(table, chosen), len(schema) - len(chosen)
    return Numbers(label, numbers, layout, table.ids, labels, left_out=left_out)


def _chosen(schema: Schema, column: str | None, label: Label) -> list[str]:
    """Return the column of images or of lists, or all those of numbers."""
    if column is not None and column not in schema:
        raise DataError(
            f"{label} has no part or column {column!r}", hint=f"columns: {_names(schema)}"
        )
    asked = schema if column is None else {column: schema[column]}
    images = [name for name, dtype in asked.items() if _holds_bytes(dtype)]
    lists = [name for name, dtype in asked.items() if isinstance(dtype, pl.List | pl.Array)]
    found = images or lists
    if len(found) > 1:
        typed = " or ".join(f"{label.name}{_mark(label)}{printable(name)}" for name in found)
        raise DataError(f"{label} has several such columns: {_names(found)}", hint=f"give {typed}")
    found = found or [name for name, dtype in asked.items() if _is_number(dtype)]
    if not found:
        held = ", ".join(f"{printable(name)}: {dtype}" for name, dtype in asked.items())
        raise DataError(
            f"{label} holds {held or 'no columns'}",
            hint="it needs a column of images (a struct with bytes, or binary), of lists of "
            "numbers, or columns of numbers",
        )
    return found


def _mark(label: Label) -> str:
    return "/" if "#" in label.name else "#"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(printable, names)) or "none"


def _holds_bytes(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)
    return dtype == pl.Binary


def _is_number(dtype: Any) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _images(table: Table, column: str) -> Iterator[io.BytesIO]:
    for start, block in table.blocks([column]):
        encoded = block[column]
        if isinstance(encoded.dtype, pl.Struct):
            encoded = encoded.struct.field("bytes")
        if encoded.null_count():
            row = start + int(encoded.is_null().arg_max() or 0)
            raise DataError(
                f"{table.told(row)} holds no image, at most the path of one",
                hint="save the data set with its images in it",
            )
        yield from map(io.BytesIO, encoded)


def _numbers(table: Table, columns: list[str]) -> NDArray:
    narrow = all(table.schema[name] in _NARROW for name in columns)
    rows = room((sum(table.rows), len(columns)), np.float32 if narrow else np.float64)
    for start, block in table.blocks(columns):
        for place, name in enumerate(columns):
            values = block[name].cast(pl.Float32 if narrow else pl.Float64)
            rows[start : start + len(block), place] = values.to_numpy()
    return rows


def _lists(table: Table, column: str) -> NDArray:
    rows = None
    for start, block in table.blocks([column]):
        values = _dense(block[column], table, start)
        if rows is None:
            rows = room((sum(table.rows), *values.shape[1:]), values.dtype)
        if values.shape[1:] != rows.shape[1:]:
            raise _ragged(table, start, values.shape[1:], rows.shape[1:])
        rows[start : start + len(values)] = values
    assert rows is not None  # There is at least one row.
    return rows


def _dense(lists: pl.Series, table: Table, start: int) -> NDArray:
    """Return lists, and lists in them, as one array."""
    shape = [len(lists)]
    while isinstance(lists.dtype, pl.List | pl.Array):
        if isinstance(lists.dtype, pl.Array):
            lists = lists.arr.to_list()
        lengths = lists.list.len()
        # A list that is missing has no length, and counts as another one.
        wrong = ~lengths.eq_missing(lengths[0])
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            row_start = start + row // math.prod(shape[1:])
            raise _ragged(table, row_start, (lengths[row],), (lengths[0],))
        shape.append(lengths[0] or 0)
        if not shape[-1]:
            raise DataError(f"{table.told(start)} holds an empty list", hint="give numbers")
        lists = lists.explode()
    if not _is_number(lists.dtype):
        raise DataError(f"{table.told(start)} holds lists of {lists.dtype}", hint="give numbers")
    if lists.null_count():
        row = int(lists.is_null().arg_max() or 0) // math.prod(shape[1:])
        raise DataError(f"{table.told(start + row)} misses a number", hint="remove the row")
    return lists.to_numpy().reshape(shape)


def _ragged(
    table: Table, row: int, length: tuple[int | None, ...], first: tuple[int | None, ...]
) -> DataError:
    return DataError(
        f"{table.told(row)} has {length} numbers, the rows before it {first}",
        hint="give lists of one length",
    )
