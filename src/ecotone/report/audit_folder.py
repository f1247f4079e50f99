"""An audit's folder as its page reads it: the record, its tables and the pairs, all checked."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import ValidationError

from ecotone.auditing.files import GALLERY, GENERATED, HOLDOUT, RECORD, TRAINING
from ecotone.auditing.record import AuditRecord
from ecotone.core.errors import RecordError
from ecotone.core.records import read_json
from ecotone.core.tensors import read_tensors
from ecotone.report.audit_pairs import RawPairs
from ecotone.report.text import clean

__all__ = ["AGAIN", "AuditFolder", "is_audit", "read_audit"]

AGAIN = "run the audit again with the same --out"

Kind = Literal["count", "number", "text", "truth"]
"""What a column holds."""

_TRAINING: Mapping[str, Kind] = {
    "rank": "count",
    "training": "text",
    "copies": "count",
    "gap_ratio": "number",
    "distance": "number",
    "nearest_generated": "text",
    "p_value": "number",
    "duplicates": "count",
}
_GENERATED: Mapping[str, Kind] = {
    "rank": "count",
    "generated": "text",
    "copy": "truth",
    "distance": "number",
    "nearest_training": "text",
}
_HOLDOUT: Mapping[str, Kind] = {
    "holdout": "text",
    "distance": "number",
}
_MORE: Mapping[str, Kind] = {
    "group": "text",
    "gap_ratio": "number",
    "distance_holdout": "number",
}
"""Columns that not every audit has."""


@dataclass(frozen=True, eq=False)
class AuditFolder:
    """What the folder of an audit holds.

    Args:
        folder: where it is.
        record: ``audit.json``.
        training: the risk of every training image, the highest first.
        generated: the generated images, the most like a copy first.
        holdout: scores of held-out images; None without a holdout.
        pairs: those to look at; None where the data are no images.
    """

    folder: Path
    record: AuditRecord
    training: pl.DataFrame
    generated: pl.DataFrame
    holdout: pl.DataFrame | None
    pairs: RawPairs | None

    @property
    def is_image(self) -> bool:
        """Whether the items are images."""
        return self.record.sets["training"].is_image

    @property
    def noun(self) -> str:
        """What the items are called: images, or items of another kind."""
        return "images" if self.is_image else "items"


def is_audit(folder: Path) -> bool:
    """Tell whether a folder is that of an audit."""
    return (folder / RECORD).is_file()


def read_audit(folder: Path) -> AuditFolder:
    """Read and check the folder of an audit.

    Raises:
        RecordError: where a file is missing, truncated or not of this audit; it is named.
    """
    record = _record(folder / RECORD)
    held = record.sets.get("holdout")
    return AuditFolder(
        folder=folder,
        record=record,
        training=_table(folder / TRAINING, _TRAINING, record.sets["training"].items),
        generated=_table(folder / GENERATED, _GENERATED, record.sets["generated"].items),
        holdout=None if held is None else _table(folder / HOLDOUT, _HOLDOUT, held.items),
        pairs=_pairs(folder / GALLERY),
    )


def _record(path: Path) -> AuditRecord:
    held = read_json(path)
    try:
        record = AuditRecord.model_validate(held)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(clean(part) for part in first["loc"]) or "the record"
        raise RecordError(f"{path}: {where}: {first['msg']}", hint=AGAIN) from error
    for name in ("generated", "training"):
        if name not in record.sets:
            raise RecordError(f"{path} tells of no {name} set", hint=AGAIN)
    return record


def _table(path: Path, columns: Mapping[str, Kind], rows: int) -> pl.DataFrame:
    """Read a table of so many rows, whose columns have their types."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"there is no file {path}", hint=AGAIN) from error
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}", hint=AGAIN) from error
    try:
        # Names may look like numbers, and numbers like names: all is text until it is asked for.
        table = pl.read_csv(io.BytesIO(data), infer_schema=False)
        every: dict[str, Kind] = {**columns, **_MORE}
        for name, kind in every.items():
            if name in table.columns:
                table = table.with_columns(_typed(name, kind))
            elif name in columns:
                raise RecordError(f"{path} lacks the column {name!r}", hint=AGAIN)
    except pl.exceptions.PolarsError as error:
        raise RecordError(
            f"cannot read {path}: {str(error).splitlines()[0]}", hint=AGAIN
        ) from error
    # A row that was cut off has no end of line.
    last = table["rank" if "rank" in columns else "distance"]
    if table.height != rows or not data.endswith(b"\n") or last.null_count():
        raise RecordError(
            f"{path} holds {table.height:,} whole rows at most, where the audit has {rows:,}",
            hint=AGAIN,
        )
    if not table["distance"].is_finite().fill_null(value=False).all():
        raise RecordError(f"{path} has a distance that is no number", hint=AGAIN)
    return table


def _typed(name: str, kind: Kind) -> pl.Expr:
    """Return a column of text as what it holds."""
    column = pl.col(name)
    if kind == "truth":
        truths = {"true": True, "false": False, None: None}
        return column.replace_strict(truths, return_dtype=pl.Boolean)
    return column if kind == "text" else column.cast(pl.Int64 if kind == "count" else pl.Float64)


def _pairs(path: Path) -> RawPairs | None:
    """Read the pairs; None where there are none."""
    if not path.is_file():
        return None
    try:
        held, about = read_tensors(path)
    except RecordError as error:
        raise RecordError(error.message, hint=AGAIN) from error
    try:
        return RawPairs.of({name: tensor.numpy() for name, tensor in held.items()}, about)
    except ValueError as error:
        raise RecordError(f"{path}: {error}", hint=AGAIN) from error
