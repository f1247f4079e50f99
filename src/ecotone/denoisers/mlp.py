"""A multilayer perceptron for vectors, and for images small enough to be treated as such."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels, Vectors
from ecotone.denoisers.ddpm import Ddpm, predicting
from ecotone.denoisers.precondition import Preconditioned
from ecotone.noise import Prediction

__all__ = ["MLP", "mlp"]

_FREQUENCIES = 16


class _FourierEmbedding(nn.Module):
    """Cosines and sines of the noise input at fixed frequencies, 1/8 to 8 cycles per unit.

    EDM's c_noise = ¼ ln σ moves by about 2.6 from σ = 0.002 to 80, and DDPM's input by 3.9, so the
    slowest wave is monotonic over all levels in use and the fastest tells apart levels that differ
    by a few per cent.
    """

    def __init__(self) -> None:
        super().__init__()
        frequencies = 2 * math.pi * torch.logspace(-3, 3, _FREQUENCIES, base=2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor

    def forward(self, noise: Levels) -> Float[Tensor, "batch features"]:
        phase = noise[:, None] * self.frequencies.to(noise.dtype)
        return torch.cat([phase.cos(), phase.sin()], dim=1)


class _Block(nn.Module):
    """h + W2 silu(W1 norm(h) + W3 embedding)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.noise = nn.Linear(2 * _FREQUENCIES, width)
        self.outer = nn.Linear(width, width)

    def forward(self, h: Vectors, embedding: Float[Tensor, "batch features"]) -> Vectors:
        return h + self.outer(nn.functional.silu(self.inner(self.norm(h)) + self.noise(embedding)))


class MLP(nn.Module):
    """The network F(x, noise): residual blocks on the flattened sample.

    The output layer starts at zero, so a new denoiser is D = c_skip x, or what is DDPM's for F = 0.

    Args:
        shape: of one sample.
        width: of the hidden layers.
        depth: number of residual blocks, two hidden layers each.
    """

    def __init__(self, shape: Sequence[int], *, width: int, depth: int) -> None:
        super().__init__()
        dimension = math.prod(shape)
        self.embedding = _FourierEmbedding()
        self.first = nn.Linear(dimension, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, dimension)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Batch, noise: Levels) -> Batch:
        """Return the network's prediction, in x's shape."""
        embedding = self.embedding(noise)
        h = self.first(x.reshape(len(x), -1))
        for block in self.blocks:
            h = block(h, embedding)
        return self.last(self.norm(h)).reshape(x.shape)


def mlp(
    width: int = 128,
    depth: int = 3,
    prediction: Prediction = "edm",
    *,
    shape: Sequence[int],
    sigma_data: float,
) -> Preconditioned | Ddpm:
    """Build a perceptron for samples of any shape.

    Its initial weights come from torch's global random numbers.

    Args:
        width: of the hidden layers, 1 or more; the parameters grow as ``2 · depth · width²``.
        depth: number of residual blocks, 1 or more.
        prediction: ``edm`` for EDM preconditioning; ``epsilon``, ``v`` or ``x0`` for what DDPM's
            network predicts, see :class:`~ecotone.denoisers.ddpm.Ddpm`.
        shape: of one sample.
        sigma_data: standard deviation of the training data.

    Raises:
        ConfigError: for a width or depth below 1.

    >>> denoiser = mlp(16, shape=(2,), sigma_data=1.0)
    >>> denoiser(torch.ones(5, 2), torch.ones(5)).shape
    torch.Size([5, 2])
    """
    for name, value in (("width", width), ("depth", depth)):
        if value < 1:
            raise ConfigError(f"{name} = {value} is too small for an mlp", hint="give 1 or more")
    return predicting(MLP(shape, width=width, depth=depth), prediction, sigma_data=sigma_data)
