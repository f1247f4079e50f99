"""How a training run is carried out on a machine, which changes its results by rounding only."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Execution", "Precision", "multiplies_bfloat16"]

Precision = Literal["float32", "bfloat16"]


def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Tell whether a device has bfloat16 products in hardware.

    GPUs with tensor cores for it have, and CPUs with AMX tiles. Other CPUs take two to five times
    as long for them as for float32, whatever PyTorch says they support.

    >>> multiplies_bfloat16("meta")
    False
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    # Not public, so it may go.
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return kind == "cpu" and tiles is not None and bool(tiles())


@dataclass(frozen=True, slots=True)
class Execution:
    """Precision, memory layout and compilation of the network's passes.

    Args:
        precision: ``bfloat16`` runs the network under autocast; weights, their average, the loss
            and the rest of the denoiser stay float32.
        channels_last: keep images and convolutions' weights with channels innermost, which tensor
            cores want.
        compile: let ``torch.compile`` translate the network; it takes a minute or two at the first
            step.
        micro_batch: most images passed through the network at once; the gradients of a step's parts
            add up. None for the whole batch.

    >>> Execution().precision
    'float32'
    """

    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False
    micro_batch: int | None = None

    def arrange_weights(self, network: nn.Module) -> None:
        """Lay the network's weights out in memory as its images are."""
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prepare(self, network: nn.Module) -> nn.Module:
        """Return what to call in the network's place; its parameters stay the same objects."""
        self.arrange_weights(network)
        if self.compile:
            return torch.compile(network)  # type: ignore[return-value]
        return network

    def arrange(self, images: Tensor) -> Tensor:
        """Return images in the memory layout that the network wants."""
        if self.channels_last and images.ndim == 4:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which to call the network."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)
