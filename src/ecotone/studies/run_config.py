"""What one training run is, to the last field; equal configurations are the same run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ecotone.core import ConfigError
from ecotone.core.errors import nearest
from ecotone.denoisers import MODELS, gains_from_bfloat16
from ecotone.features import FEATURES
from ecotone.measures import MEASURES
from ecotone.populations import POPULATIONS
from ecotone.samplers import SAMPLERS
from ecotone.studies.config import (
    TRAINING,
    ExperimentConfig,
    NamedTenant,
    Section,
    Tenant,
    Tenants,
    complete,
    or_default,
    parse,
)
from ecotone.training import Execution, Plan, multiplies_bfloat16

__all__ = ["Duplicates", "MonitorConfig", "RunConfig", "TrainingConfig"]

DEFAULT_MEASURES = (
    "copying",
    "closeness",
    "novelty",
    "fidelity",
    "support",
    "denoising",
    "memorizer",
)
"""What is measured unless a study says otherwise."""


class Duplicates(Section):
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
        precision: of the network's passes in training and sampling; ``auto`` is bfloat16 on GPUs
            that have it in hardware, and on CPUs that have it (AMX) for networks wide enough to
            gain by it, see :func:`ecotone.denoisers.gains_from_bfloat16`; float32 elsewhere, and
            for all runs of a study some of whose networks would not gain.
        channels_last: keep the channels of images innermost in memory, which convolutions want: it
            saves U-Nets some per cent of a step on CPUs, and tensor cores want it.
        compile: translate the network with ``torch.compile``: for long runs on GPUs.
        micro_batch: most images passed through the network at once; None for the whole batch.
    """

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    threads: int = Field(default=1, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    micro_batch: int | None = Field(default=None, ge=1)

    def completed(self, model: Tenant) -> TrainingConfig:
        """Return it with all that depends on the machine decided.

        Args:
            model: what is trained, its options complete.
        """
        import torch

        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        precision = self.precision
        if precision == "auto":
            gains = device != "cpu" or gains_from_bfloat16(model.kind, model.options)
            precision = "bfloat16" if gains and multiplies_bfloat16(device) else "float32"
        return self.model_copy(
            update={
                "device": device,
                "precision": precision,
                "checkpoint_every": self.checkpoint_every or max(1, self.steps // 20),
            }
        )

    @property
    def execution(self) -> Execution:
        """How the completed plan is carried out."""
        return Execution(
            precision="bfloat16" if self.precision == "bfloat16" else "float32",
            channels_last=self.channels_last,
            compile=self.compile,
            micro_batch=self.micro_batch,
        )


def _none_or_several(count: int) -> int:
    if count < 0 or count == 1:
        raise ValueError("0, or 2 images or more")
    return count


class MonitorConfig(Section):
    """What is measured, and how often.

    Args:
        samples: images drawn at each measurement.
        share: largest share of the run's network evaluations that measuring may take.
        first: earliest step to measure after.
        per_decade: most measurements in a factor of ten of steps.
        measures: which, see ``ecotone list``.
        features: feature space for distances between distributions.
        keep: images of each measurement that are written down, for runs to be compared by.
        stop: ``onset`` ends a run at the first measurement that shows copying
            (:func:`ecotone.core.alarm.copying_alarm`) and keeps the last checkpoint before it.
    """

    samples: int = Field(default=192, ge=2)
    share: float = Field(default=0.05, gt=0, lt=1)
    first: int = Field(default=50, ge=1)
    per_decade: int = Field(default=12, ge=1)
    measures: tuple[str, ...] = DEFAULT_MEASURES
    features: Annotated[Tenant, or_default("pca")] = Tenant(kind="pca")
    keep: Annotated[int, AfterValidator(_none_or_several)] = 0
    stop: Literal["never", "onset"] = "never"


class RunConfig(ExperimentConfig):
    """One training run: data, model, training, sampling, measuring, seed.

    Args:
        population: where the data come from.
        n: training images.
        holdout: images of the same population that the model never sees.
        duplicates: planted into the training set.
        flips: train on every image and its mirror image; both count as training images to what
            measures copying.
        twin_of: seed of another run: this one trains on as many images that the other does not
            train on, has its holdout, and samples from its noise, so that the two can be held
            against each other. ``previous`` in a study: every second seed is the twin of the one
            before.
        model: the denoiser.
        training: its training.
        sampler: how samples are drawn for measuring.
        monitor: what is measured and when.
        seed: of everything random in the run.
    """

    kind = TRAINING
    tenants: ClassVar[Tenants] = {
        "population": (POPULATIONS, None),
        "model": (MODELS, None),
        "sampler": (SAMPLERS, "heun"),
        "monitor.features": (FEATURES, "pca"),
    }
    always = ("n",)
    within: ClassVar[frozenset[str]] = frozenset({"seed", "twin_of"})

    n: int = Field(ge=2)
    holdout: int = Field(ge=2)
    duplicates: Duplicates = Duplicates()
    flips: bool = False
    twin_of: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | Literal["previous"] | None = None
    model: NamedTenant
    training: TrainingConfig
    sampler: Annotated[Tenant, or_default("heun")] = Tenant(kind="heun")
    monitor: MonitorConfig = MonitorConfig()

    @classmethod
    def runs(
        cls, record: Mapping[str, Any], seeds: Sequence[int], *, where: str
    ) -> list[ExperimentConfig]:
        """Return the runs, complete, that one combination of factors takes."""
        if record.get("twin_of") != "previous":
            return super().runs(record, seeds, where=where)
        if len(seeds) % 2:
            raise ConfigError(
                f"twin_of = previous in {where}, but there are {len(seeds)} seeds",
                hint="give an even number of seeds, such as seeds: [0, 1]",
            )
        return [
            parse(cls, {**record, "seed": seed, "twin_of": twin}, where=where).completed()
            for first, second in zip(seeds[::2], seeds[1::2], strict=True)
            for seed, twin in ((first, None), (second, first))
        ]

    @classmethod
    def alike(
        cls, configs: Sequence[ExperimentConfig], *, varied: Collection[str]
    ) -> Sequence[ExperimentConfig]:
        """Return the runs in one precision, float32 where only some would choose bfloat16.

        Else a study of widths would compare precisions too.
        """
        runs = [config for config in configs if isinstance(config, RunConfig)]
        chosen = {"training", "training.precision"}.intersection(varied)
        if chosen or len({run.training.precision for run in runs}) < 2:
            return configs
        return [
            run.model_copy(
                update={"training": run.training.model_copy(update={"precision": "float32"})}
            )
            for run in runs
        ]

    @property
    def length(self) -> int:
        """Training steps."""
        return self.training.steps

    @property
    def shared_seed(self) -> int:
        """Seed of the split and of the samples' noise: a twin's are those of its other half."""
        return self.twin_of if isinstance(self.twin_of, int) else self.seed

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
        if self.monitor.stop == "onset" and "copying" not in self.monitor.measures:
            raise ConfigError(
                "monitor.stop = onset needs the measure copying", hint="add it to monitor.measures"
            )
        if self.twin_of == self.seed:
            raise ConfigError(
                f"twin_of = {self.twin_of} is the run's own seed", hint="set twin_of=previous"
            )
        if self.twin_of is not None and not self.monitor.keep:
            raise ConfigError(
                "twin_of compares what runs generated, but monitor.keep = 0 keeps nothing",
                hint="set monitor.keep=64",
            )
        if not self.monitor.measures:
            raise ConfigError("monitor.measures is empty", hint="known: " + ", ".join(MEASURES))

        record = self.model_dump(mode="json")
        record["population"] = complete(POPULATIONS, self.population)
        record["model"] = complete(MODELS, self.model, "shape", "sigma_data")
        record["sampler"] = complete(SAMPLERS, self.sampler)
        record["monitor"]["features"] = complete(FEATURES, self.monitor.features)
        training = self.training.completed(Tenant.model_validate(record["model"]))
        record["training"] = training.model_dump(mode="json")
        return RunConfig.model_validate(record)
