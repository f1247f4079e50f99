"""A study: factors × seeds over any field of the run, from YAML, ``--scale`` and ``--set``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ecotone.core import ConfigError
from ecotone.core.errors import nearest
from ecotone.core.records import canonical_json
from ecotone.studies.config import TRAINING, ExperimentConfig, parse
from ecotone.studies.linear_config import LinearConfig
from ecotone.studies.planted_config import PlantedConfig
from ecotone.studies.run_config import RunConfig

__all__ = ["FORMS", "Cell", "Scalar", "StudyDesign", "load_design", "preset_names"]

Scalar = int | float | str | bool

FORMS: dict[str, type[ExperimentConfig]] = {
    form.kind: form for form in (RunConfig, LinearConfig, PlantedConfig)
}
"""What a run is made of, by the name of the experiment."""


class _Header(BaseModel):
    """What a study file says beside the fields of its runs."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    description: str = ""
    experiment: str = TRAINING
    scales: dict[str, dict[str, Any]] = {}
    factors: dict[str, list[Any] | dict[str, Any]] = {}
    seeds: list[int] = Field(default=[0], min_length=1)


_HEADER_KEYS = set(_Header.model_fields)


def _fields(form: type[ExperimentConfig]) -> set[str]:
    return set(form.model_fields) - {"seed"}


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        factors: the value of every factor, and of what the experiment always tells: ``n`` of a
            training run.
        config: of the run, complete.
    """

    factors: Mapping[str, Scalar]
    config: ExperimentConfig


@dataclass(frozen=True)
class StudyDesign:
    """Which runs a study makes.

    Args:
        header: name, title, factors and seeds.
        base: fields of the run that all cells share, as written.
        source: file or preset it was read from, for errors.
        scale: which of the study's scales it is, None where it has none.
    """

    header: _Header
    base: Mapping[str, Any]
    source: str
    scale: str | None = None

    @property
    def form(self) -> type[ExperimentConfig]:
        """What its runs are made of."""
        return FORMS[self.header.experiment]

    @property
    def name(self) -> str:
        """The study's name; a folder holds one study's runs only."""
        return self.header.name

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every run, factors in the order written, seeds innermost.

        The levels of a factor are a list of values, or a mapping of names to values; then the
        tables have the names.

        Raises:
            ConfigError: for a field that does not exist or a value that cannot be.
        """
        header, form = self.header, self.form
        for path in header.factors:
            if path.partition(".")[0] not in _fields(form):
                hint = "give seeds: [...]" if path == "seed" else nearest(path, _fields(form))
                raise ConfigError(
                    f"factor {path!r} in {self.source} is no field of a run", hint=hint
                )
        empty = [name for name, levels in header.factors.items() if not levels]
        if empty:
            raise ConfigError(f"factor {empty[0]!r} in {self.source} has no levels")
        cells: list[Cell] = []
        named = {path for path, levels in header.factors.items() if isinstance(levels, dict)}
        for names in itertools.product(*header.factors.values()):
            record = deepcopy(dict(self.base))
            chosen = dict(zip(header.factors, names, strict=True))
            for path, name in chosen.items():
                levels = header.factors[path]
                level = levels[name] if isinstance(levels, dict) else name
                _put(record, path, deepcopy(level), self.source)
            for config in form.runs(record, header.seeds, where=self.source):
                paths = dict.fromkeys([*header.factors, *form.always])
                factors = {p: chosen[p] if p in named else _get(config, p) for p in paths}
                cells.append(Cell(factors, config))
        alike = form.alike([cell.config for cell in cells], varied=header.factors)
        cells = [Cell(cell.factors, config) for cell, config in zip(cells, alike, strict=True)]
        if len({canonical_json(cell.config.model_dump(mode="json")) for cell in cells}) < len(
            cells
        ):
            raise ConfigError(f"{self.source} names the same run twice in its factors or seeds")
        return tuple(cells)

    def summary(self) -> list[dict[str, Any]]:
        """Return every combination of factors with its complete configuration.

        What tells the runs of one combination apart (seeds, blocks of replicates) is left out.
        """
        combinations: dict[str, dict[str, Any]] = {}
        for cell in self.cells:
            key = canonical_json(dict(cell.factors))
            config = cell.config.model_dump(mode="json", exclude=set(cell.config.within))
            combinations.setdefault(key, {"factors": dict(cell.factors), "config": config})
        return list(combinations.values())

    def to_record(self) -> dict[str, Any]:
        """Return the design as it would be written in YAML."""
        header = self.header.model_dump(exclude_defaults=True, exclude={"scales"})
        return {**header, "seeds": self.header.seeds, **self.base}


def preset_names() -> list[str]:
    """Return the names of the ready-made studies.

    >>> "digits" in preset_names()
    True
    """
    return sorted(item.name.removesuffix(".yaml") for item in _presets() if item.is_file())


def load_design(
    name_or_file: str, settings: Iterable[str] = (), *, scale: str | None = None
) -> StudyDesign:
    """Read a study and apply settings to it.

    Args:
        name_or_file: a ready-made study's name, or a YAML file.
        settings: ``"key=value"`` with a dotted key and a YAML value. A list given to a field that
            takes one value makes that field a factor.
        scale: one of the study's ``scales``, whose settings are applied first; the first of them
            where None.

    Raises:
        ConfigError: for an unknown study, scale or key, an unreadable file, or a wrong value.

    >>> design = load_design("digits", ["n=[32,64]", "training.steps=500"])
    >>> [cell.factors["n"] for cell in design.cells]
    [32, 64]
    """
    record, source = _read(name_or_file)
    form = _form(record, source)
    record["factors"] = record.get("factors") or {}
    _check_factors(record["factors"], source)
    scales = record.get("scales") or {}
    if scale is not None or scales:
        scale, changes = _scale(scales, scale, source)
        for key, value in changes.items():
            _apply(record, form, str(key), value, where=f"scale {scale} of {source}")
    settings = list(settings)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting!r} has no value", hint="write --set key=value")
        where = f"--set {setting}"
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is the latter
            raise ConfigError(f"{where} is not a YAML value", hint="try it in quotes") from error
        if key in {"experiment", "scales"}:
            raise ConfigError(f"--set cannot change {key!r}", hint="give another study")
        _apply(record, form, key, value, where=where)
    known = _HEADER_KEYS | _fields(form)
    unknown = [key for key in record if key not in known]
    if unknown:
        hint = nearest(str(unknown[0]), known)
        raise ConfigError(f"unknown key {str(unknown[0])!r} in {source}", hint=hint)
    if settings:
        source = f"{source} with --set {' --set '.join(settings)}"
    header = parse(_Header, {k: v for k, v in record.items() if k in _HEADER_KEYS}, where=source)
    base = {key: value for key, value in record.items() if key in _fields(form)}
    return StudyDesign(header, base, source, scale)


def _form(record: Mapping[str, Any], source: str) -> type[ExperimentConfig]:
    kind = record.get("experiment", TRAINING)
    if not isinstance(kind, str) or kind not in FORMS:
        hint = nearest(str(kind), FORMS)
        raise ConfigError(f"unknown experiment {kind!r} in {source}", hint=hint)
    return FORMS[kind]


def _scale(scales: object, scale: str | None, source: str) -> tuple[str, Mapping[str, Any]]:
    """Return the scale asked for, or the first, and what it sets."""
    if not isinstance(scales, dict) or not all(isinstance(s, dict) for s in scales.values()):
        hint = "write scales: {small: {training.steps: 100}}"
        raise ConfigError(f"scales = {scales!r} in {source} is no mapping", hint=hint)
    if not scales:
        raise ConfigError(f"{source} has no scales", hint="leave --scale out")
    scale = next(iter(scales)) if scale is None else scale
    if scale not in scales:
        raise ConfigError(f"unknown scale {scale!r} of {source}", hint=nearest(scale, scales))
    return scale, scales[scale]


def _apply(
    record: dict[str, Any],
    form: type[ExperimentConfig],
    key: str,
    value: object,
    *,
    where: str,
) -> None:
    """Set a field of the study or of its runs; levels for a field of one value make it a factor."""
    top, factors = key.partition(".")[0], record["factors"]
    known = _HEADER_KEYS | _fields(form)
    if top not in known:
        raise ConfigError(f"unknown key {key!r}", hint=nearest(key, known))
    outer = next((name for name in factors if key.startswith(f"{name}.")), None)
    if top in _HEADER_KEYS:
        _put(record, key, value, where)
        _check_factors(record["factors"], where)
    elif outer is not None:
        levels = factors[outer]
        inner = f"{next(iter(levels))}.{key[len(outer) + 1 :]}" if isinstance(levels, dict) else "…"
        raise ConfigError(
            f"{where}: {outer!r} is a factor, whose levels say what {key!r} is",
            hint=f"set factors.{outer}.{inner}",
        )
    elif key in factors or (isinstance(value, list) and not _takes(form, record, key, value)):
        factors[key] = value if isinstance(value, list) else [value]
    else:
        _put(record, key, value, where)


def _presets() -> Sequence[Traversable]:
    folder = files("ecotone.studies") / "presets"
    return [item for item in folder.iterdir() if item.name.endswith(".yaml")]


def _read(name_or_file: str) -> tuple[dict[str, Any], str]:
    path = Path(name_or_file)
    presets = {item.name.removesuffix(".yaml"): item for item in _presets()}
    if name_or_file in presets:
        text, source = presets[name_or_file].read_text(encoding="utf-8"), f"study {name_or_file}"
    elif path.suffix in {".yaml", ".yml"} or path.is_file():
        try:
            text, source = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the study file {path}: {error}") from error
    else:
        hint = f"{nearest(name_or_file, presets)}; or give a .yaml file"
        raise ConfigError(f"unknown study {name_or_file!r}", hint=hint)
    try:
        record = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(record, dict):
        raise ConfigError(f"{source} is not a mapping of keys", hint="see `ecotone list`")
    return record, source


def _check_factors(factors: object, where: str) -> None:
    if not isinstance(factors, dict):
        hint = "write factors: {n: [32, 64]}"
        raise ConfigError(f"factors = {factors!r} in {where} is no mapping", hint=hint)


def _takes(
    form: type[ExperimentConfig], record: Mapping[str, Any], key: str, value: list[Any]
) -> bool:
    """Tell whether a field of the run takes this list itself; if not, its items are levels."""
    place, _, option = key.rpartition(".")
    if place in form.tenants:
        registry, default = form.tenants[place]
        tenant: Any = record
        for part in place.split("."):
            tenant = tenant.get(part) if isinstance(tenant, dict) else None
        kind = tenant.get("kind", default) if isinstance(tenant, dict) else tenant or default
        return isinstance(kind, str) and kind in registry and registry.admits(kind, option, value)
    field: Any = form
    for part in key.split("."):
        if not hasattr(field, "model_fields") or part not in field.model_fields:
            return False
        info = field.model_fields[part]
        field = info.annotation
    try:
        TypeAdapter(field).validate_python(value)
    except ValidationError:
        return False
    return True


def _put(record: dict[str, Any], path: str, value: object, where: str) -> None:
    """Set a nested key, making the mappings on the way."""
    *parents, last = path.split(".")
    place = record
    for part in parents:
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{where}: {part!r} holds a value, not keys")
        place = inner
    place[last] = value


def _get(config: ExperimentConfig, path: str) -> Scalar:
    """Return the value at a path of a complete configuration."""
    value: Any = config.model_dump(mode="json")
    for part in path.split("."):
        value = value[part]
    return canonical_json(value) if isinstance(value, list | dict) or value is None else value
