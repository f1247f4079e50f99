"""Where a set lies: paths with a part after ``#``, and folders of which one part is meant."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ecotone.core.errors import DataError
from ecotone.populations.folders import SUFFIXES
from ecotone.populations.source_items import Label, NoGroupsError, printable
from ecotone.populations.source_pictures import Pictures

__all__ = ["files_below", "folder_groups", "image_folder", "is_pipeline_folder", "located"]
__all__ += ["one_part", "parts_of", "with_suffix"]

_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
_PARTS |= {"holdout"}
# train-00000-of-00001.parquet, with any name before the numbers.
_SHARD = re.compile(r"(.+)-\d+-of-\d+")


def located(source: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the path that is meant, and the part of it that was named after ``#``, or None.

    A path that exists is taken as it stands, whatever characters it has.

    Raises:
        DataError: where there is nothing at that path.
    """
    text = os.fsdecode(source)
    before, mark, part = text.rpartition("#")
    try:
        # An empty path would be the folder one stands in.
        if text and (whole := Path(text).expanduser()).exists():
            return whole, None
        if before and (path := Path(before).expanduser()).exists():
            return path, part
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"cannot look for {printable(text)}: {error}", hint="mend its name or its permissions"
        ) from error
    raise DataError(
        f"there is no file or folder {printable(before if mark else text) or repr(text)}",
        hint="give a folder of images or parquet files, or a .npy, .npz, .safetensors or .parquet",
    )


def is_pipeline_folder(path: object) -> bool:
    """Return whether a path is the folder of a diffusers pipeline.

    >>> is_pipeline_folder("no such folder"), is_pipeline_folder(3)
    (False, False)
    """
    if not isinstance(path, str | os.PathLike):
        return False
    try:
        return (Path(path).expanduser() / "model_index.json").is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def files_below(root: Path) -> list[str]:
    """Return the relative paths of the files below a folder, in their order, with ``/`` in them.

    What is hidden, as its name begins with a dot, is left out. Links are followed, each folder
    being looked into once.

    Raises:
        DataError: where a folder in it may not be looked into.
    """

    def refuse(error: OSError) -> None:
        raise DataError(
            f"cannot look into {printable(str(error.filename))}: {error.strerror}",
            hint="mend its permissions",
        ) from error

    found, seen = [], set()
    for home, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        place = os.path.realpath(home)
        folders[:] = [] if place in seen else sorted(f for f in folders if f[0] != ".")
        if place not in seen:
            seen.add(place)
            before = Path(home).relative_to(root).as_posix()
            before = "" if before == "." else f"{before}/"
            found += [before + name for name in names if name[0] != "."]
    return sorted(found)


def with_suffix(files: Sequence[str], suffixes: Collection[str]) -> list[str]:
    """Return the files whose names end in one of some suffixes, in small letters or large.

    >>> with_suffix(["a.PNG", "png", "b.txt"], {".png"})
    ['a.PNG']
    """
    return [file for file in files if file.lower().endswith(tuple(suffixes))]


def image_folder(
    root: Path, files: Sequence[str], part: str | None, groups: str | None, label: Label
) -> Pictures:
    """Look at the images below a folder.

    Args:
        root: the folder.
        files: in it, images and others.
        part: which images are meant: those in folders of that name.
        groups: ``folder`` makes the images of one folder a group.
        label: of the set.

    Raises:
        DataError: where there are no images, a part has to be named, or groups are unknown.
    """
    images = with_suffix(files, SUFFIXES)
    if not images:
        raise DataError(
            f"{label} has no images", hint=f"known suffixes: {', '.join(sorted(SUFFIXES))}"
        )
    chosen = one_part(images, part, label)
    return Pictures(
        label,
        [printable(file) for file in chosen],
        folder_groups(chosen, groups, label),
        lambda: (root / file for file in chosen),
        lambda index: printable(str(root / chosen[index])),
        left_out=len(files) - len(images),
    )


def folder_groups(files: Sequence[str], groups: str | None, label: Label) -> tuple[str, ...] | None:
    """Return the folder of each file, where these are asked for as groups.

    >>> folder_groups(["a/1.png", "b/1.png"], "folder", Label("training", "photos", "folder"))
    ('a', 'b')
    """
    if groups is None:
        return None
    if groups != "folder":
        raise NoGroupsError(
            f"there are no groups {groups!r} in {label}, a folder of images",
            hint="the groups of images in folders are: folder",
        )
    return tuple(printable(file.rpartition("/")[0] or ".") for file in files)


def one_part(files: Sequence[str], part: str | None, label: Label) -> list[str]:
    """Return the files of one part of a data set, such as ``train`` or ``test``.

    The part of a file is said by its name (``train-00000-of-00001.parquet``, ``test.parquet``) or
    by that of a folder it lies in (``test/0001.png``). Without a part all files are taken, unless
    they are of several: then training images might be held for images never trained on.

    Raises:
        DataError: where there is no such part, or there are several and none was named.
    """
    parts = parts_of(files)
    known = sorted({each for each in parts if each is not None})
    if part is not None:
        chosen = [file for file, of in zip(files, parts, strict=True) if of == part.lower()]
        if not chosen:
            said = f"parts: {', '.join(known)}" if known else "give it without #: it has no parts"
            raise DataError(f"{label} has no part {part!r}", hint=said)
        return chosen
    if len(known) > 1:
        typed = " or ".join(f"{label.name}#{each}" for each in known)
        raise DataError(f"{label} has several parts: {', '.join(known)}", hint=f"give {typed}")
    return list(files)


def parts_of(files: Sequence[str]) -> list[str | None]:
    """Return the part that each file says it is of, in small letters, or None.

    >>> parts_of(["train-00000-of-00001.parquet", "test/1.png", "a/1.png"])
    ['train', 'test', None]
    """
    return [_part(file) for file in files]


def _part(file: str) -> str | None:
    *folders, name = file.lower().split("/")
    if name.endswith(".parquet"):
        if shard := _SHARD.match(name):
            return shard[1]
        begins = re.match(r"[a-z]+", name)
        if begins and begins[0] in _PARTS:
            return begins[0]
    return next((folder for folder in folders if folder in _PARTS), None)
