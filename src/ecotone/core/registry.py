"""Tenants by name: one line registers a population, denoiser, sampler or feature space."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from ecotone.core.errors import ConfigError, nearest

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of tenants and where they live; a tenant is imported when it is first asked for.

    Args:
        noun: what the tenants are, for errors: ``"population"``.
        entries: name to ``"module:attribute"``. The attribute is a class or function whose
            annotated parameters are the tenant's options.

    >>> colours = Registry[object]("number", {"fraction": "fractions:Fraction"})
    >>> "fraction" in colours, list(colours)
    (True, ['fraction'])
    """

    def __init__(self, noun: str, entries: Mapping[str, str]) -> None:
        self.noun = noun
        self._entries = dict(entries)
        self._forms: dict[tuple[str, tuple[str, ...]], type[BaseModel]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def find(self, name: str) -> Callable[..., T]:
        """Import and return a tenant.

        Raises:
            ConfigError: for an unknown name; the nearest known one is named.
        """
        if name not in self._entries:
            raise ConfigError(f"unknown {self.noun} {name!r}", hint=nearest(name, self._entries))
        module, _, attribute = self._entries[name].partition(":")
        return getattr(import_module(module), attribute)

    def check(self, name: str, options: Mapping[str, Any], *, given: tuple[str, ...] = ()) -> dict:
        """Return a tenant's options, complete with defaults and converted to their types.

        Args:
            name: of the tenant.
            options: as a user wrote them.
            given: parameters that the program itself will supply, unknown to the user.

        Raises:
            ConfigError: for an unknown option (the nearest is named), a missing or a wrong one.
        """
        form = self._form(name, given)
        for option in options:
            if option not in form.model_fields:
                hint = nearest(option, form.model_fields) if form.model_fields else "it takes none"
                raise ConfigError(f"unknown option {option!r} of {self.noun} {name!r}", hint=hint)
        try:
            return form(**options).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            told = "is missing" if first["type"] == "missing" else f"= {first['input']!r}"
            raise ConfigError(
                f"{self.noun} {name!r}: option {field!r} {told}: {first['msg']}",
                hint=f"set {self.noun}.{field}",
            ) from error

    def admits(self, name: str, option: str, value: object) -> bool:
        """Tell whether a value, a list for instance, can be that of a tenant's option."""
        form = self._form(name, ())
        if option not in form.model_fields:
            return False
        kind: Any = form.model_fields[option].annotation
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError:
            return False
        return True

    def create(self, name: str, options: Mapping[str, Any], **given: Any) -> T:
        """Build a tenant from a user's options and what the program supplies itself."""
        return self.find(name)(**self.check(name, options, given=tuple(given)), **given)

    def _form(self, name: str, given: tuple[str, ...]) -> type[BaseModel]:
        """Return a pydantic model of a tenant's parameters."""
        tenant = self.find(name)
        if (name, given) not in self._forms:
            hints = get_type_hints(tenant.__init__ if inspect.isclass(tenant) else tenant)
            fields: dict[str, Any] = {}
            for parameter in inspect.signature(tenant).parameters.values():
                if parameter.name in given:
                    continue
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[parameter.name] = (hints.get(parameter.name, Any), default)
            config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
            self._forms[name, given] = create_model(f"{name}_options", __config__=config, **fields)
        return self._forms[name, given]
