"""Denoisers: D(x; σ) = E[x0 | x0 + σz = x], exact or learned, behind one contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "gains_from_bfloat16",
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

_GAINS_FROM = {"transformer": 64, "unet": 32}


def gains_from_bfloat16(name: str, options: Mapping[str, Any]) -> bool:
    """Tell whether a learned denoiser trains faster in bfloat16 on CPUs with tiles for it (AMX).

    Measured on one: U-Nets are 1.2 to 1.7 times as fast at width 32, by the size of the images, and
    2.4 times at width 64 and 32×32 pixels (``benchmarks/unet_training.py``); transformers 1.3 times
    at width 64 and 1.7 at 128. Narrower ones spend their time elsewhere than in products, and
    perceptrons lose by converting.

    Args:
        name: in :data:`MODELS`.
        options: of the model, complete.

    >>> gains_from_bfloat16("unet", {"width": 16}), gains_from_bfloat16("unet", {"width": 128})
    (False, True)
    """
    return name in _GAINS_FROM and options["width"] >= _GAINS_FROM[name]
