"""Where data comes from: exact densities, embedded digits, arrays and folders of images.

Importing this package does not import torch; the names below are fetched when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecotone.core.registry import Registry

if TYPE_CHECKING:
    from ecotone.populations.base import FiniteData, Population, Split
    from ecotone.populations.duplicates import plant_duplicates
    from ecotone.populations.exact import ExactPopulation
    from ecotone.populations.planted import PlantedCopies, plant_copies

__all__ = [
    "POPULATIONS",
    "ExactPopulation",
    "FiniteData",
    "PlantedCopies",
    "Population",
    "Split",
    "plant_copies",
    "plant_duplicates",
]

POPULATIONS: Registry[Population] = Registry(
    "population",
    {
        "arrays": "ecotone.populations.arrays:Arrays",
        "cifar10": "ecotone.populations.cifar10:Cifar10",
        "digits": "ecotone.populations.digits:Digits",
        "folder": "ecotone.populations.folders:ImageFolder",
        "gaussian": "ecotone.populations.gaussian:Gaussian",
        "low_rank": "ecotone.populations.gaussian:LowRank",
        "mixture": "ecotone.populations.mixtures:Mixture",
    },
)
"""Every population by the name it has in a configuration."""

_HOMES = {
    "base": ("FiniteData", "Population", "Split"),
    "duplicates": ("plant_duplicates",),
    "exact": ("ExactPopulation",),
    "planted": ("PlantedCopies", "plant_copies"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
