"""What every kind of run has, and how a study's fields are checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ecotone.core import ConfigError
from ecotone.core.errors import nearest
from ecotone.core.records import content_hash
from ecotone.core.registry import Registry

__all__ = [
    "TRAINING",
    "ExperimentConfig",
    "NamedTenant",
    "Section",
    "Tenant",
    "Tenants",
    "complete",
    "or_default",
    "parse",
]

FORMAT = 3
"""Raised when the same configuration would give other bytes, so that old runs are not reused."""

TRAINING = "training"
"""The kind of experiment that a study carries out unless it names another."""

Model = TypeVar("Model", bound=BaseModel)

Tenants = dict[str, tuple[Registry[Any], str | None]]
"""Fields that name a tenant: their registry, and the tenant that is there by default."""


class Tenant(BaseModel):
    """A population, model, sampler or feature space by name, with its own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})


def _named(value: object) -> object:
    """Take a bare name for a tenant without options."""
    return {"kind": value} if isinstance(value, str) else value


def or_default(default: str) -> BeforeValidator:
    """Let options be given without the name of the tenant that is there by default."""

    def complete(value: object) -> object:
        value = _named(value)
        return {"kind": default} | value if isinstance(value, dict) else value

    return BeforeValidator(complete)


NamedTenant = Annotated[Tenant, BeforeValidator(_named)]


class Section(BaseModel):
    """A part of a configuration: no field but its own, and none that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExperimentConfig(Section, ABC):
    """What every kind of run has: a population, a seed, and a length to report progress by.

    Args:
        population: where the data come from.
        seed: of everything random in the run.
    """

    kind: ClassVar[str]
    """Name of the experiment, as a study's ``experiment`` says it."""
    tenants: ClassVar[Tenants]
    always: ClassVar[tuple[str, ...]]
    """Fields that are columns of the tables whether or not they vary."""
    within: ClassVar[frozenset[str]] = frozenset({"seed"})
    """Fields that differ between the runs of one combination of factors."""

    population: NamedTenant
    seed: int = Field(default=0, ge=0, lt=2**63)

    @classmethod
    def runs(
        cls, record: Mapping[str, Any], seeds: Sequence[int], *, where: str
    ) -> list[ExperimentConfig]:
        """Return the runs, complete, that one combination of factors takes."""
        return [parse(cls, {**record, "seed": seed}, where=where).completed() for seed in seeds]

    @classmethod
    def alike(
        cls,
        configs: Sequence[ExperimentConfig],
        *,
        varied: Collection[str],  # noqa: ARG003 - for those that choose
    ) -> Sequence[ExperimentConfig]:
        """Return a study's runs with the same choice wherever one was left to the machine.

        Args:
            configs: complete.
            varied: what the study varies.
        """
        return configs

    @abstractmethod
    def completed(self) -> ExperimentConfig:
        """Return it with options checked, and all that is left to defaults written out."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Steps until the run is finished."""

    @property
    @abstractmethod
    def threads(self) -> int:
        """CPU threads it computes with."""

    @property
    def part(self) -> str:
        """What tells it from the other runs of its combination of factors."""
        return f"seed={self.seed}"

    @property
    @abstractmethod
    def on_gpu(self) -> bool:
        """Whether it takes a GPU for itself."""

    def identity(self, fingerprint: str) -> str:
        """Return the run's name: a hash of its configuration and of the content of its data."""
        record = {"format": FORMAT, "data": fingerprint, "config": self.model_dump(mode="json")}
        if self.kind != TRAINING:
            record["experiment"] = self.kind
        return content_hash(record)[:16]


def complete(registry: Registry[Any], tenant: Tenant, *given: str) -> dict[str, Any]:
    """Return a tenant as a record with every option written out.

    Raises:
        ConfigError: for an unknown tenant or option; the nearest known one is named.
    """
    return {"kind": tenant.kind} | registry.check(tenant.kind, tenant.options, given=given)


def parse(form: type[Model], record: Mapping[str, Any], *, where: str) -> Model:
    """Validate a record against a form.

    Args:
        form: a pydantic model.
        record: what a user wrote.
        where: the file or option it stands in, for errors.

    Raises:
        ConfigError: for an unknown key (the nearest known one is named), a missing one or a wrong
            value.
    """
    try:
        return form.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), _keys(form, first["loc"][:-1]))
            raise ConfigError(f"unknown key {path!r} in {where}", hint=hint) from error
        if first["type"] == "missing":
            raise ConfigError(f"{where} has no {path!r}", hint=f"set {path}=...") from error
        message = first["msg"].removeprefix("Input should be ")
        raise ConfigError(
            f"{path} = {first['input']!r} in {where} is wrong", hint=f"it should be {message}"
        ) from error


def _keys(form: type[BaseModel], path: Sequence[object]) -> list[str]:
    """Return the field names at a path inside a form."""
    for part in path:
        inner = form.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            form = inner
    return list(form.model_fields)
