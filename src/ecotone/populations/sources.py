"""The sets of an audit, whatever they are kept in, opened and brought to one form."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecotone.core.errors import DataError
from ecotone.populations.arrays import Layout
from ecotone.populations.folders import SUFFIXES
from ecotone.populations.source_arrays import ARRAY_SUFFIXES, array_file
from ecotone.populations.source_files import (
    files_below,
    image_folder,
    is_pipeline_folder,
    located,
    with_suffix,
)
from ecotone.populations.source_forms import changes, common_form
from ecotone.populations.source_items import (
    Facts,
    Form,
    Groups,
    Items,
    Label,
    NoGroupsError,
    Source,
    check_labels,
    fingerprint,
    printable,
)
from ecotone.populations.source_memory import from_memory
from ecotone.populations.source_rows import parquet_source
from ecotone.populations.spool import as_tensor

__all__ = ["Facts", "Items", "is_pipeline_folder", "open_items", "open_sets"]

_PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"}


def open_items(
    source: Any,
    *,
    role: str,
    size: int | None = None,
    layout: Layout = "auto",
    groups: str | Groups | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Items:
    """Return the items of one source; what it may be, :func:`open_sets` says.

    Raises:
        ConfigError: for a size below 1, or a layout of other axes.
        DataError: for a source that cannot be read or is none.

    >>> import numpy as np
    >>> vectors = open_items(np.zeros((5, 3)), role="training")
    >>> tuple(vectors.items.shape), vectors.ids[0], vectors.is_image
    ((5, 3), '0', False)
    """
    found = _look(source, role, layout, groups)
    return _read([found], size, progress)[0]


def open_sets(
    *,
    generated: Any,
    training: Any,
    holdout: Any = None,
    size: int | None = None,
    layout: Layout = "auto",
    groups: str | Mapping[str, str | Groups] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Items, Items, Items | None]:
    """Return generated, training and held-out items in one form.

    A set is the path of a folder of images, of a ``.npy``, ``.npz`` or ``.safetensors``, of a
    ``.parquet`` or a folder of them as the Hugging Face hub has it; or an array, a tensor, a list
    of images or of arrays. Where a path holds several sets, ``PATH#part`` says which is meant: of a
    folder ``PATH#test``, of a file of several arrays ``PATH#key``, of a parquet file
    ``PATH#column``. The form is that of :func:`~ecotone.populations.source_forms.common_form`, and
    the items' facts tell what was done to bring them to it.

    Nothing is resized or rescaled but images; no pickle is ever loaded.

    Args:
        generated: what a generator made.
        training: what it was trained on.
        holdout: what it was not; or None.
        size: side in pixels to bring images to; None for the least that is found, where they
            differ.
        layout: what the axes of arrays mean, see :data:`~ecotone.populations.arrays.Layout`.
            ``auto`` takes what is ambiguous as numbers, which are compared all the same.
        groups: name of what holds the items' labels: ``folder`` for images, a column of a parquet
            file, a key of a ``.npz``. It is asked of the training set and the holdout; generated
            items have it where they can. Or, for each of ``generated``, ``training`` and
            ``holdout`` that has groups, such a name or the labels themselves.
        progress: called with the items read and to read.

    Raises:
        ConfigError: for a size below 1, or a layout of other axes.
        DataError: for a source that cannot be read, is empty or holds what is not finite, a
            training set of one item, groups that are not there, and sets that cannot be brought to
            one form.
    """
    given = {"generated": generated, "training": training, "holdout": holdout}
    found = []
    for role, source in given.items():
        if source is None and role == "holdout":
            continue
        wanted = groups.get(role) if isinstance(groups, Mapping) else groups
        try:
            found.append(_look(source, role, layout, wanted))
        except NoGroupsError:
            if role != "generated" or isinstance(groups, Mapping):
                raise
            found.append(_look(source, role, layout, None))
    if len(found[1].ids) < 2:
        raise DataError(f"{found[1].label} has 1 item", hint="give 2 or more to compare with")
    sets = _read(found, size, progress)
    return sets[0], sets[1], sets[2] if holdout is not None else None


def _look(source: Any, role: str, layout: Layout, groups: str | Groups | None) -> Source:
    """Look at a source, however it is given, without reading its items yet."""
    named = groups if isinstance(groups, str) else None
    if isinstance(source, str | os.PathLike):
        found = _look_at_path(source, role, layout, named)
    else:
        found = from_memory(source, layout, role)
        if named is not None:
            raise NoGroupsError(
                f"there are no groups {named!r} in {found.label}",
                hint=f"give the labels themselves: groups={{{role!r}: [...]}}",
            )
    if groups is not None and not isinstance(groups, str):
        found.groups = check_labels(groups, len(found.ids), found.label)
    return found


def _look_at_path(
    source: str | os.PathLike[str], role: str, layout: Layout, groups: str | None
) -> Source:
    path, part = located(source)
    name = printable(os.fsdecode(source))
    suffix = path.suffix.lower()
    if path.is_dir():
        return _look_at_folder(path, part, layout, groups, role, name)
    if suffix == ".parquet":
        label = Label(role, name, "parquet")
        return parquet_source(path.parent, [path.name], part, layout, groups, label)
    if suffix in ARRAY_SUFFIXES:
        return array_file(path, part, layout, groups, Label(role, name, "array"))
    if suffix in _PICKLES:
        raise DataError(
            f"{role} ({name}) is a pickle ({suffix}), which could run code and is never loaded",
            hint="save its numbers as .npy, .npz or .safetensors",
        )
    raise DataError(
        f"{role} ({name}) is of no known kind",
        hint="give a folder of images, or a .npy, .npz, .safetensors or .parquet file",
    )


def _look_at_folder(
    path: Path, part: str | None, layout: Layout, groups: str | None, role: str, name: str
) -> Source:
    if is_pipeline_folder(path):
        raise DataError(
            f"{role} ({name}) is a pipeline, which has no items", hint="give what it made"
        )
    files = files_below(path)
    tables, images = with_suffix(files, {".parquet"}), with_suffix(files, SUFFIXES)
    arrays = with_suffix(files, ARRAY_SUFFIXES)
    if tables and images:
        raise DataError(
            f"{role} ({name}) has images and parquet files",
            hint=f"give a folder that has one kind, or {printable(str(path / tables[0]))}",
        )
    if tables:
        label = Label(role, name, "parquet")
        return parquet_source(path, tables, part, layout, groups, label)
    if arrays and not images:
        raise DataError(
            f"{role} ({name}) has no images but arrays",
            hint=f"give {printable(str(path / arrays[0]))}",
        )
    return image_folder(path, files, part, groups, Label(role, name, "folder"))


def _read(
    found: Sequence[Source], size: int | None, progress: Callable[[int, int], None] | None
) -> list[Items]:
    form = common_form(found, size)
    done, total = 0, sum(len(source.ids) for source in found)

    def advance(items: int) -> None:
        nonlocal done
        done += items
        if progress is not None:
            progress(done, total)

    return [_items(source, form, advance) for source in found]


def _items(source: Source, form: Form, advance: Callable[[int], None]) -> Items:
    array = source.read(form, advance)
    known = source.is_image and source.values.range is not None
    value_range = form.value_range if known else None
    side = form.side if form.side and source.sizes.keys() != {(form.side, form.side)} else None
    facts = Facts(
        formats=dict(source.formats),
        modes=dict(source.modes),
        sizes=dict(sorted(source.sizes.items(), key=lambda each: (-each[1], each[0]))),
        left_out=source.left_out,
        layout=source.layout,
        dtype=str(source.dtype),
        range=(source.values.low, source.values.high),
        resized_to=side,
        changes=changes(source, form),
        fingerprint=fingerprint(array, value_range),
    )
    return Items(
        items=as_tensor(array),
        ids=source.ids,
        name=source.label.name,
        kind=source.label.kind,
        groups=source.groups,
        value_range=value_range,
        is_image=source.is_image,
        facts=facts,
    )
