"""What a block of replicates is, for experiments that repeat by replicates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from ecotone.core import ConfigError
from ecotone.studies.config import ExperimentConfig, parse

__all__ = ["ReplicatedConfig"]


class ReplicatedConfig(ExperimentConfig):
    """What a block of replicates is; replicate i is the same however many there are.

    Args:
        replicates: how many. In a run, those of its block.
        first: number of the block's first replicate; set by the study.
    """

    within = frozenset({"first", "replicates"})
    block: ClassVar[int]
    """Replicates a run carries out: enough to pay for its process, few enough to share among
    cores."""

    replicates: int = Field(default=100, ge=1)
    first: int = Field(default=0, ge=0)

    @classmethod
    def runs(
        cls, record: Mapping[str, Any], seeds: Sequence[int], *, where: str
    ) -> list[ExperimentConfig]:
        """Return one run per block of replicates.

        Raises:
            ConfigError: also for more than one seed, as the replicates already repeat it.
        """
        if len(seeds) != 1:
            raise ConfigError(
                f"seeds = {list(seeds)} in {where}: a {cls.kind} study repeats by replicates",
                hint="give one seed, such as seeds: [0], and set replicates",
            )
        if record.get("first"):
            raise ConfigError(f"first in {where} is set by the study", hint="remove it")
        whole = parse(cls, {**record, "seed": seeds[0]}, where=where).completed()
        return [
            whole.model_copy(
                update={"first": first, "replicates": min(cls.block, whole.replicates - first)}
            )
            for first in range(0, whole.replicates, cls.block)
        ]

    @abstractmethod
    def completed(self) -> ReplicatedConfig:
        """Return it with options checked, and all that is left to defaults written out."""

    @property
    def length(self) -> int:
        """Replicates."""
        return self.replicates

    @property
    def part(self) -> str:
        """The replicates of its block."""
        return f"replicates {self.first} to {self.first + self.replicates - 1}"

    @property
    def threads(self) -> int:
        """CPU threads it computes with: replicates run side by side instead."""
        return 1

    @property
    def on_gpu(self) -> bool:
        """It does not."""
        return False
