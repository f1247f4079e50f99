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
        "transformers": "ecotone.features.transformers_encoder:TransformersEncoder",
        "timm": "ecotone.features.timm_encoder:TimmEncoder",
        "onnx": "ecotone.features.onnx_encoder:OnnxEncoder",
        "callable": "ecotone.features.user_encoder:user_encoder",
    },
)
