"""Feature spaces: what images are turned into before their distributions are compared."""

from __future__ import annotations

from ecotone.core.registry import Registry
from ecotone.features.base import FeatureSpace

__all__ = ["FEATURES", "FeatureSpace"]

FEATURES: Registry[FeatureSpace] = Registry(
    "feature space",
    {
        "pixels": "ecotone.features.pixels:Pixels",
        "pca": "ecotone.features.pca:PrincipalComponents",
    },
)
