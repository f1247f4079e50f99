"""What a block of replicates of a linear study is: data, sizes, model, originals."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ecotone.core import ConfigError
from ecotone.denoisers.linear import LINEAR
from ecotone.populations import POPULATIONS
from ecotone.populations.exact import ExactPopulation
from ecotone.studies.config import NamedTenant, Tenants, complete
from ecotone.studies.replicated_config import ReplicatedConfig

__all__ = ["LinearConfig"]

BLOCK = 25
"""Replicates a run carries out."""

MOST_NUMBERS = 2_000_000_000
"""Numbers in a set of points above which one does not fit into memory (16 GB)."""


def _listed(value: object) -> object:
    """Take one value for a list of one."""
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


class LinearConfig(ReplicatedConfig):
    """Replicates of: draw an original and training sets, fit a linear denoiser, measure distances.

    Args:
        dimension: ambient dimension d; the population's own where None.
        n: sizes of the training sets; each replicate draws one of each.
        ratios: sizes as multiples of d, where ``n`` gives none.
        originals: points of the original set, N_O, shared by a replicate's sizes.
        fresh_originals: draw an original set for each size instead; no probability is changed.
        model: the linear denoiser, see ``ecotone.denoisers.linear.LINEAR``.
        replicates: how many. In a run, those of its block.
        first: number of the block's first replicate; set by the study.
    """

    kind = "linear"
    tenants: ClassVar[Tenants] = {
        "population": (POPULATIONS, "gaussian"),
        "model": (LINEAR, "one_step"),
    }
    always = ("dimension", "originals")
    block = BLOCK

    dimension: int | None = Field(default=None, ge=1)
    n: Annotated[tuple[int, ...], BeforeValidator(_listed)] = ()
    ratios: Annotated[tuple[float, ...], BeforeValidator(_listed)] = ()
    originals: int = 10_000
    fresh_originals: bool = False
    model: NamedTenant
    replicates: int = Field(default=300, ge=1)

    def completed(self) -> LinearConfig:
        """Return it with sizes and options written out.

        Raises:
            ConfigError: for sizes, originals or a dimension out of range; an unknown tenant or
                option; a population without an exact density.
        """
        record = self.model_dump(mode="json")
        if self.dimension is not None:
            said = self.population.options.get("dimension")
            if said not in (None, self.dimension):
                raise ConfigError(
                    f"dimension = {self.dimension}, but population.dimension = {said}",
                    hint="give one of them",
                )
            record["population"]["dimension"] = self.dimension
        tenant = POPULATIONS.find(self.population.kind)
        if not (isinstance(tenant, type) and issubclass(tenant, ExactPopulation)):
            raise ConfigError(
                f"population {self.population.kind!r} has no known density to measure against",
                hint="take gaussian, low_rank or mixture",
            )
        options = {name: v for name, v in record["population"].items() if name != "kind"}
        population: Any = POPULATIONS.create(self.population.kind, options)
        d = population.dimension
        if d > 20_000:
            raise ConfigError(
                f"dimension = {d}: its covariance alone takes {8e-9 * d * d:.0f} GB",
                hint="set dimension to 20000 or less",
            )
        record["dimension"] = d
        record["population"] = complete(
            POPULATIONS, type(self.population).model_validate(record["population"])
        )
        record["model"] = complete(LINEAR, self.model)
        record["n"] = self._sizes(d)
        record["ratios"] = []
        for name, size in (("originals", self.originals), *(("n", n) for n in record["n"])):
            if size < 2:
                raise ConfigError(
                    f"{name} = {size} is too small: one point has no covariance",
                    hint=f"set {name} to 2 or more",
                )
            if size * d > MOST_NUMBERS:
                raise ConfigError(
                    f"{name} = {size} points in {d} dimensions take {8e-9 * size * d:.0f} GB",
                    hint=f"set {name} to at most {MOST_NUMBERS // d}, or a smaller dimension",
                )
        return LinearConfig.model_validate(record)

    def _sizes(self, dimension: int) -> list[int]:
        """Return the sizes of the training sets, in order, each once."""
        if not self.n and not self.ratios:
            raise ConfigError(
                "neither n nor ratios says how large the training sets are",
                hint="set n=[50,100,200], or ratios=[0.5,1,2] for multiples of the dimension",
            )
        wrong = [ratio for ratio in self.ratios if not ratio > 0]
        if wrong:
            raise ConfigError(f"ratios holds {wrong[0]}", hint="give ratios n/d above 0")
        return sorted({*self.n} or {max(2, round(ratio * dimension)) for ratio in self.ratios})
