"""What one run is, to the last field; equal configurations are the same run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ecotone.core import ConfigError
from ecotone.core.errors import nearest
from ecotone.core.records import content_hash
from ecotone.core.registry import Registry
from ecotone.denoisers import MODELS
from ecotone.features import FEATURES
from ecotone.measures import MEASURES
from ecotone.populations import POPULATIONS
from ecotone.samplers import SAMPLERS
from ecotone.training import Plan

__all__ = [
    "ExperimentConfig",
    "MonitorConfig",
    "NamedTenant",
    "RunConfig",
    "Tenant",
    "Tenants",
    "TrainingConfig",
    "complete",
    "parse",
]

FORMAT = 1
"""Raised when the same configuration would give other bytes, so that old runs are not reused."""

DEFAULT_MEASURES = ("copying", "closeness", "fidelity", "denoising")
"""What is measured unless a study says otherwise."""

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


def _or(default: str) -> BeforeValidator:
    """Let options be given without the name of the tenant that is there by default."""

    def complete(value: object) -> object:
        value = _named(value)
        return {"kind": default} | value if isinstance(value, dict) else value

    return BeforeValidator(complete)


NamedTenant = Annotated[Tenant, BeforeValidator(_named)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Duplicates(_Section):
    """Training images replaced by copies of others, to study what duplicates do.

    Args:
        exact: how many exact copies.
        near: how many copies with noise.
        noise: standard deviation of that noise, in the units of the data.
    """

    exact: int = Field(default=0, ge=0)
    near: int = Field(default=0, ge=0)
    noise: float = Field(default=0.05, gt=0)


class TrainingConfig(Plan):
    """The plan, and where and how it is carried out.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ..., or ``"auto"`` for a GPU where there is one.
        threads: CPU threads of the run; more than one rarely pays for small models.
        checkpoint_every: steps between checkpoints; a twentieth of the run where None.
    """

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    threads: int = Field(default=1, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)


class MonitorConfig(_Section):
    """What is measured, and how often.

    Args:
        samples: images drawn at each measurement.
        share: largest share of the run's network evaluations that measuring may take.
        first: earliest step to measure after.
        per_decade: most measurements in a factor of ten of steps.
        measures: which, see ``ecotone list``.
        features: feature space for distances between distributions.
    """

    samples: int = Field(default=192, ge=2)
    share: float = Field(default=0.12, gt=0, lt=1)
    first: int = Field(default=50, ge=1)
    per_decade: int = Field(default=12, ge=1)
    measures: tuple[str, ...] = DEFAULT_MEASURES
    features: Annotated[Tenant, _or("pca")] = Tenant(kind="pca")


class ExperimentConfig(_Section, ABC):
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
        if self.kind != RunConfig.kind:
            record["experiment"] = self.kind
        return content_hash(record)[:16]


def complete(registry: Registry[Any], tenant: Tenant, *given: str) -> dict[str, Any]:
    """Return a tenant as a record with every option written out.

    Raises:
        ConfigError: for an unknown tenant or option; the nearest known one is named.
    """
    return {"kind": tenant.kind} | registry.check(tenant.kind, tenant.options, given=given)


class RunConfig(ExperimentConfig):
    """One training run: data, model, training, sampling, measuring, seed.

    Args:
        population: where the data come from.
        n: training images.
        holdout: images of the same population that the model never sees.
        duplicates: planted into the training set.
        model: the denoiser.
        training: its training.
        sampler: how samples are drawn for measuring.
        monitor: what is measured and when.
        seed: of everything random in the run.
    """

    kind = "training"
    tenants: ClassVar[Tenants] = {
        "population": (POPULATIONS, None),
        "model": (MODELS, None),
        "sampler": (SAMPLERS, "heun"),
        "monitor.features": (FEATURES, "pca"),
    }
    always = ("n",)

    n: int = Field(ge=2)
    holdout: int = Field(ge=2)
    duplicates: Duplicates = Duplicates()
    model: NamedTenant
    training: TrainingConfig
    sampler: Annotated[Tenant, _or("heun")] = Tenant(kind="heun")
    monitor: MonitorConfig = MonitorConfig()

    @property
    def length(self) -> int:
        """Training steps."""
        return self.training.steps

    @property
    def threads(self) -> int:
        """CPU threads it computes with."""
        return self.training.threads

    @property
    def on_gpu(self) -> bool:
        """Whether it takes a GPU for itself."""
        return self.training.device != "cpu"

    def completed(self) -> RunConfig:
        """Return it with tenants' options checked, and all that is left to defaults written out.

        Raises:
            ConfigError: for an unknown tenant or option; the nearest known one is named.
        """
        unknown = [name for name in self.monitor.measures if name not in MEASURES]
        if unknown:
            raise ConfigError(f"unknown measure {unknown[0]!r}", hint=nearest(unknown[0], MEASURES))
        if not self.monitor.measures:
            raise ConfigError("monitor.measures is empty", hint="known: " + ", ".join(MEASURES))

        record = self.model_dump(mode="json")
        record["population"] = complete(POPULATIONS, self.population)
        record["model"] = complete(MODELS, self.model, "shape", "sigma_data")
        record["sampler"] = complete(SAMPLERS, self.sampler)
        record["monitor"]["features"] = complete(FEATURES, self.monitor.features)
        if self.training.device == "auto":
            import torch

            record["training"]["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        if self.training.checkpoint_every is None:
            record["training"]["checkpoint_every"] = max(1, self.training.steps // 20)
        return RunConfig.model_validate(record)


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
