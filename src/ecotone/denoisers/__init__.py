"""Denoisers: D(x; σ) = E[x0 | x0 + σz = x], exact or learned, behind one contract."""

from __future__ import annotations

from torch import nn

from ecotone.core.registry import Registry
from ecotone.denoisers.base import Denoiser, check_inputs, expand_like
from ecotone.denoisers.ddpm import Ddpm
from ecotone.denoisers.exact import EmpiricalDenoiser, PopulationDenoiser
from ecotone.denoisers.precondition import Preconditioned

__all__ = [
    "MODELS",
    "Ddpm",
    "Denoiser",
    "EmpiricalDenoiser",
    "PopulationDenoiser",
    "Preconditioned",
    "check_inputs",
    "expand_like",
]

MODELS: Registry[nn.Module] = Registry(
    "model",
    {
        "mlp": "ecotone.denoisers.mlp:mlp",
        "transformer": "ecotone.denoisers.transformer:transformer",
        "unet": "ecotone.denoisers.unet:unet",
    },
)
"""Learned denoisers by name. The program supplies ``shape`` and ``sigma_data``; the rest are a
user's options: ``MODELS.create("unet", {"width": 16}, shape=(1, 8, 8), sigma_data=0.75)``."""
