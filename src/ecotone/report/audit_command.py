"""What to type to run an audit again."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecotone.populations.source_items import printable
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.text import clean

__all__ = ["Again", "again"]

_PIPELINE = "samples of the pipeline "
"""What samples that were drawn from a pipeline are called, before its name."""

_SETS = ("generated", "training", "holdout")


@dataclass(frozen=True)
class Again:
    """How an audit is run again.

    Args:
        text: a command line, or a call in Python where sets or features were in memory.
        python: which of the two.
        relative: whether it names files from the folder that it was run in.
    """

    text: str
    python: bool
    relative: bool


@dataclass(frozen=True)
class _Given:
    """What was given as a set: a path or a name, or something in memory."""

    name: str | None


def again(folder: AuditFolder) -> Again:
    """Return what gives the same audit: the same sets, options and seed."""
    record = folder.record
    given = {name: _given(folder, name) for name in _SETS if name in record.sets}
    options: dict[str, Any] = {
        "features": record.settings.get("features"),
        "groups": record.settings.get("groups"),
        "mirrored": record.settings.get("mirrored"),
        "approximate": bool(record.settings.get("approximate")),
        "size": record.settings.get("size"),
        "layout": record.settings.get("layout", "auto"),
        "samples": record.settings.get("samples"),
        "download": bool(record.settings.get("download")),
    }
    kept = {name: value for name, value in options.items() if value not in (None, False, "auto")}
    if options["mirrored"] is False:
        kept["mirrored"] = False
    kept |= {"share": record.asked_share, "level": record.level, "seed": record.seed}
    at_hand = [name for name in ("features", "groups") if name not in kept and _had(folder, name)]
    paths = [one.name for one in given.values() if one.name is not None]
    relative = any(not path.startswith("/") for path in paths)
    written = all(one.name is not None for one in given.values()) and not at_hand
    # A terminal takes no control characters; Python has a way to write them.
    if written and all(clean(text) == text for text in _texts(paths, kept)):
        return Again(_typed(given, kept), python=False, relative=relative)
    return Again(_called(given, kept, at_hand), python=True, relative=relative)


def _given(folder: AuditFolder, name: str) -> _Given:
    held = folder.record.sets[name]
    called = held.name
    if held.kind == "memory":
        drawn = name == "generated" and folder.record.settings.get("samples") is not None
        called = called.removeprefix(_PIPELINE)
        # The name of a class is that of a pipeline in memory.
        if not drawn or (called.isidentifier() and called.endswith("Pipeline")):
            return _Given(None)
    return _Given(_unprinted(called))


def _unprinted(name: str) -> str:
    r"""Return a name as it was before :func:`ecotone.populations.source_items.printable`.

    >>> _unprinted("it's here"), _unprinted(r"two\nlines"), _unprinted("broken\\")
    ("it's here", 'two\nlines', 'broken\\')
    """
    for quote in ("'", '"'):
        try:
            found = ast.literal_eval(f"{quote}{name}{quote}")
        except (SyntaxError, ValueError):
            continue
        if isinstance(found, str) and printable(found) == name:
            return found
    return name


def _had(folder: AuditFolder, name: str) -> bool:
    """Tell whether features or groups were there that no setting names."""
    if name == "groups":
        return "group" in folder.training.columns
    return folder.record.features.get("distances", "pixels") != "pixels"


def _texts(paths: list[str], options: Mapping[str, Any]) -> list[str]:
    return [*paths, *(value for value in options.values() if isinstance(value, str))]


def _typed(given: Mapping[str, _Given], options: Mapping[str, Any]) -> str:
    """Return the command line."""
    paths = {name: _path(one.name or "") for name, one in given.items()}
    words = ["ecotone", "audit", shlex.quote(paths.pop("generated"))]
    for name, value in [*paths.items(), *options.items()]:
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--not-{name}")
        else:
            text = str(value)
            words.append(f"--{name}{'=' if text.startswith('-') else ' '}{shlex.quote(text)}")
    return " ".join(words)


def _path(text: str) -> str:
    """Return a path that does not look like an option.

    >>> _path("samples"), _path("-x")
    ('samples', './-x')
    """
    return f"./{text}" if text.startswith("-") else text


def _called(given: Mapping[str, _Given], options: Mapping[str, Any], at_hand: list[str]) -> str:
    """Return the call in Python; what was in memory goes by the name of its role."""
    known = {name: name if one.name is None else repr(one.name) for name, one in given.items()}
    parts = [f"{name}={value}" for name, value in known.items()]
    parts += [f"{name}={name}" for name in at_hand]
    parts += [f"{name}={value!r}" for name, value in options.items()]
    lines = "".join(f"    {clean(part)},\n" for part in parts)
    return f"ecotone.audit(\n{lines})"
