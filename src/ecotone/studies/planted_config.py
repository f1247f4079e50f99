"""What a block of replicates of the planted-copy benchmark is: data, copies, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from ecotone.core import ConfigError
from ecotone.core.errors import nearest
from ecotone.features import FEATURES
from ecotone.populations import POPULATIONS
from ecotone.populations.planted import TRANSFORMS
from ecotone.studies.config import NamedTenant, Tenant, Tenants, complete, or_default
from ecotone.studies.replicated_config import ReplicatedConfig

__all__ = ["NULL", "PlantedConfig"]

NULL = "none"
"""Stands where a transform does, where nothing was planted."""


def _listed(value: object) -> object:
    """Take one value for a list of one."""
    return [value] if isinstance(value, int | float | str | dict) else value


class PlantedConfig(ReplicatedConfig):
    """Replicates of: draw training images, a holdout and fresh images; plant copies; detect them.

    Args:
        n: training images.
        holdout: images that stand for what was never trained on.
        generated: how many images are judged, copies among them; each of several sizes.
        shares: of them that are copies, above 0; nothing planted is always judged too.
        transforms: what is done to copies, see ``ecotone.populations.planted.TRANSFORMS``.
        detectors: names in ``ecotone.measures.detectors.DETECTORS``; all where empty.
        level: of the detectors' tests.
        distance: feature space that distances between images are taken in.
        mirrored: whether an image and its mirror image count as the same, between pixels.
        features: feature space for distances between distributions, fitted on the holdout as it is
            in the former.
        replicates: how many. In a run, those of its block.
        first: number of the block's first replicate; set by the study.
    """

    kind = "planted"
    tenants: ClassVar[Tenants] = {
        "population": (POPULATIONS, None),
        "distance": (FEATURES, "pixels"),
        "features": (FEATURES, "pca"),
    }
    always = ("n", "holdout")
    block = 10

    n: int = Field(ge=2)
    holdout: int = Field(ge=2)
    generated: Annotated[tuple[int, ...], BeforeValidator(_listed)]
    shares: Annotated[tuple[float, ...], BeforeValidator(_listed)] = (0.01, 0.02, 0.05, 0.1, 0.2)
    transforms: Annotated[tuple[NamedTenant, ...], BeforeValidator(_listed)] = tuple(
        Tenant(kind=name) for name in TRANSFORMS
    )
    detectors: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    level: float = Field(default=0.05, gt=0, lt=1)
    distance: Annotated[Tenant, or_default("pixels")] = Tenant(kind="pixels")
    mirrored: bool = False
    features: Annotated[Tenant, or_default("pca")] = Tenant(kind="pca")

    def completed(self) -> PlantedConfig:
        """Return it with options checked, and all that is left to defaults written out.

        Raises:
            ConfigError: for sizes and shares out of range or without a single copy; an unknown
                detector, tenant or option; a transform given twice.
        """
        # Imported here: detectors need torch and scipy, which a study of another kind may not.
        from ecotone.measures.detectors import DETECTORS

        record = self.model_dump(mode="json")
        record["generated"] = sorted(set(self.generated))
        record["shares"] = sorted(set(self.shares))
        self._check_copies(record["generated"], record["shares"])
        unknown = [name for name in self.detectors if name not in DETECTORS]
        if unknown:
            hint = nearest(unknown[0], DETECTORS)
            raise ConfigError(f"unknown detector {unknown[0]!r}", hint=hint)
        record["detectors"] = list(dict.fromkeys(self.detectors or DETECTORS))
        if self.mirrored and self.distance.kind != "pixels":
            raise ConfigError(
                f"mirrored images in the space {self.distance.kind!r}: they count as the same "
                "between pixels only",
                hint="set mirrored=false or distance=pixels",
            )
        record["population"] = complete(POPULATIONS, self.population)
        record["distance"] = complete(FEATURES, self.distance)
        record["features"] = complete(FEATURES, self.features)
        record["transforms"] = [complete(TRANSFORMS, tenant) for tenant in self.transforms]
        whole = PlantedConfig.model_validate(record)
        if not 0 < len(whole.labels) == len(whole.transforms):
            raise ConfigError(
                "transforms holds the same one twice" if self.transforms else "transforms is empty",
                hint="name each once; known: " + ", ".join(TRANSFORMS),
            )
        return whole

    def _check_copies(self, sizes: list[int], shares: list[float]) -> None:
        """Refuse sizes and shares that do not make at least one copy."""
        if not sizes or not shares:
            raise ConfigError(
                "generated and shares say which sets to judge, and one of them is empty",
                hint="set generated=[100,500] and shares=[0.01,0.1]",
            )
        wrong = [share for share in shares if not 0 < share <= 1]
        if wrong:
            raise ConfigError(
                f"shares holds {wrong[0]}",
                hint="give shares above 0 and up to 1; nothing planted is always judged too",
            )
        if round(shares[0] * sizes[0]) < 1:
            raise ConfigError(
                f"a share of {shares[0]} of {sizes[0]} generated images is no copy",
                hint=f"set shares to 1/{sizes[0]} or more, or generated to {_least(shares[0])}",
            )
        for size in sizes:
            counts = [round(share * size) for share in shares]
            twice = [k for k, count in enumerate(counts[1:]) if count == counts[k]]
            if twice:
                raise ConfigError(
                    f"shares of {shares[twice[0]]} and {shares[twice[0] + 1]} of {size} generated "
                    "images are the same number of copies",
                    hint="give shares further apart, or more images",
                )

    @property
    def labels(self) -> Mapping[str, Tenant]:
        """The transforms by the names that tables have for them: with options that differ."""
        named: dict[str, Tenant] = {}
        for tenant in self.transforms:
            usual = TRANSFORMS.check(tenant.kind, {})
            changed = {k: v for k, v in tenant.options.items() if usual[k] != v}
            words = [f"{k}={v}" for k, v in changed.items()]
            named[" ".join([tenant.kind, *words])] = tenant
        return named


def _least(share: float) -> int:
    """Return how many images make a share at least one copy.

    >>> _least(0.01), _least(0.005)
    (51, 101)
    """
    n = 1
    while round(share * n) < 1:
        n += 1
    return n
