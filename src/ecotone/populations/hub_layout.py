"""Image data sets in the layout of the Hugging Face hub: parquet files, one row an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecotone.core.errors import DataError
from ecotone.populations.image_rows import ImageRows, check_labels, decode_images, numbered

__all__ = ["fetch_parquet", "parquet_files", "read_parquet"]

_PARTS = ("train", "test")
_NUMBERED = re.compile(r"-(?P<number>\d+)-of-(?P<total>\d+)\.parquet$")
# What polars raises for files that are damaged; some damage makes its Rust code panic.
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


def parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files ``train-*.parquet`` and ``test-*.parquet`` below a folder, by part.

    Raises:
        DataError: where those of one part lie in several folders, and may be several data sets.
    """
    found: dict[str, list[Path]] = {}
    for part in _PARTS:
        files = sorted(folder.rglob(f"{part}-*.parquet"))
        homes = sorted({file.parent for file in files})
        if len(homes) > 1:
            raise DataError(
                f"{folder} has {part}-*.parquet in more folders than one: {homes[0]}, {homes[1]}",
                hint=f"--set population.path={homes[0]}",
            )
        if files:
            found[part] = files
    return found


def read_parquet(
    files: Sequence[Path], part: str, classes: Sequence[str], *, height: int, width: int
) -> ImageRows:
    """Return the images of one part's files, in their order.

    An id is the row, counted through the part's files, and the class: ``train/00042 dog``.

    Args:
        files: parquet files with columns ``img``, a struct with the ``bytes`` of a PNG or JPEG, and
            ``label``, a whole number.
        part: of the data set, for the ids.
        classes: names of the labels.
        height: of every image, in pixels.
        width: of every image, in pixels.

    Raises:
        DataError: for a file that is damaged, has other columns or none of these in a row, a label
            without a class, or a file that the others' names say is there too; reading refuses
            what is no such image.
    """
    _check_whole(files)
    tables = [_table(file, classes) for file in files]
    starts = np.cumsum([0, *(len(table) for table in tables)])
    labels = np.concatenate([table["label"].to_numpy() for table in tables])
    encoded = pl.concat([table["bytes"] for table in tables])

    def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        def place(index: int) -> str:
            number = int(np.searchsorted(starts, rows[index], side="right")) - 1
            return f"{files[number]}, row {rows[index] - starts[number]},"

        return decode_images(encoded.gather(rows).to_list(), place, height=height, width=width)

    return ImageRows(labels, numbered(part, labels, classes), read)


def _check_whole(files: Sequence[Path]) -> None:
    """Raise an error where names, such as ``train-00000-of-00002``, tell of files not there."""
    named = [match for file in files if (match := _NUMBERED.search(file.name))]
    for total in {int(match["total"]) for match in named}:
        there = {int(match["number"]) for match in named if int(match["total"]) == total}
        missing = next((number for number in range(total) if number not in there), None)
        if missing is not None:
            raise DataError(
                f"{files[0].parent} has {len(there)} of {total} files of its kind: number "
                f"{missing} (counted from 0) is missing",
                hint="fetch it again: rows are counted through all files of a part",
            )


def _table(file: Path, classes: Sequence[str]) -> pl.DataFrame:
    """Return the columns ``bytes`` and ``label`` of one file, checked."""
    try:
        # Otherwise polars takes a file's name for a pattern, and its folder's for a column.
        rows = pl.scan_parquet(file, glob=False, hive_partitioning=False)
        _check_columns(rows, file)
        image, label = pl.col("img").struct.field("bytes"), pl.col("label").cast(pl.Int64)
        table = rows.select(image, label).collect()
    except _UNREADABLE as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"cannot read {file}: {told}", hint="fetch it again") from error
    for column in table.columns:
        if table[column].null_count():
            row = table[column].is_null().arg_max()
            raise DataError(f"{file}, row {row}: {column} is missing", hint="remove the row")
    check_labels(table["label"].to_numpy(), classes, file)
    return table


def _check_columns(rows: pl.LazyFrame, file: Path) -> None:
    schema = rows.collect_schema()
    label = schema.get("label")
    fields = {field.name: field.dtype for field in getattr(schema.get("img"), "fields", [])}
    if fields.get("bytes") != pl.Binary or label is None or not label.is_integer():
        held = ", ".join(f"{name}: {dtype}" for name, dtype in schema.items()) or "no columns"
        raise DataError(
            f"{file} holds {held}",
            hint="it needs img, a struct with the bytes of an image, and label, a whole number",
        )


def fetch_parquet(repository: str, filename: str, folder: Path | None) -> Path:
    """Return a file of a data set on the hub, downloaded where it has not been before.

    Args:
        repository: of the data set: ``"uoft-cs/cifar10"``.
        filename: in it.
        folder: where to keep it; None keeps it in the hub's own cache.

    Raises:
        DataError: where it cannot be had.
    """
    # Imported here: only who asks for a download needs it.
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fetch(*, local_only: bool) -> Path:
        return Path(
            hf_hub_download(
                repo_id=repository,
                repo_type="dataset",
                filename=filename,
                local_dir=folder,
                local_files_only=local_only,
            )
        )

    try:
        try:
            return fetch(local_only=True)
        except LocalEntryNotFoundError:
            return fetch(local_only=False)
    except Exception as error:  # the hub, its client and the network raise many kinds
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"cannot download {filename} of the data set {repository}: {told}",
            hint="try again, or set population.path to a copy",
        ) from error
