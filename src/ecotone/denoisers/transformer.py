"""A diffusion transformer (DiT) for images whose sides its patches divide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.attention import attended
from ecotone.denoisers.ddpm import STEPS_PER_UNIT, Ddpm, predicting
from ecotone.denoisers.precondition import Preconditioned
from ecotone.noise import Prediction

__all__ = ["Transformer", "transformer"]

_WAVES = 128
# The longest wave of noise levels and positions, in steps and in patches (Vaswani et al. 2017).
_PERIOD = 10_000.0

Tokens = Float[Tensor, "batch tokens width"]
"""One vector for each patch of each image."""


def _waves(where: Float[Tensor, " places"], count: int) -> Float[Tensor, "places features"]:
    """Return cosines and sines of ``count`` frequencies, from 1 down to 1/10,000, in radians."""
    exponents = torch.arange(count, device=where.device, dtype=torch.float32) / count
    phase = where.float()[:, None] * _PERIOD**-exponents
    return torch.cat([phase.cos(), phase.sin()], dim=1)


def _positions(rows: int, columns: int, width: int) -> Float[Tensor, "tokens width"]:
    """Return fixed positions: half the channels tell the row of a patch, half its column."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    parts = [_waves(place.flatten().float(), width // 4) for place in (row, column)]
    return torch.cat(parts, dim=1)


def _modulate(
    h: Tokens, shift: Float[Tensor, "batch width"], scale: Float[Tensor, "batch width"]
) -> Tokens:
    return h * (1 + scale[:, None]) + shift[:, None]


class _Attention(nn.Module):
    """Self-attention of all patches to all."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mixed = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(width, width)

    def forward(self, h: Tokens) -> Tokens:
        batch, tokens, width = h.shape
        parts = self.mixed(h).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = attended(query, key, value)
        return self.outer(mixed.transpose(1, 2).reshape(batch, tokens, width))


class _Block(nn.Module):
    """h + gate · attention(norm(h)), and the same with a perceptron; the condition sets the rest.

    From the condition come scale and shift of both normalizations and both gates, which start at
    zero, so that a new block passes its input on (adaLN-Zero; Peebles and Xie 2023, § 3.2).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(width, heads)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )
        self.condition = nn.Linear(width, 6 * width)
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tokens, condition: Float[Tensor, "batch width"]) -> Tokens:
        shift, scale, gate, shift2, scale2, gate2 = self.condition(condition).chunk(6, dim=1)
        attended = self.attention(_modulate(self.norm(h), shift, scale))
        h = h + gate[:, None] * self.dropout(attended)
        changed = self.perceptron(_modulate(self.norm(h), shift2, scale2))
        return h + gate2[:, None] * self.dropout(changed)


class Transformer(nn.Module):
    """The network F(x, noise): blocks of self-attention on the image's patches (DiT).

    The last layer starts at zero, as do the gates, so a new denoiser is D = c_skip x, or what is
    DDPM's for F = 0. A patch knows its place by fixed sines and cosines of its row and column.

    Args:
        shape: of the images, (channels, height, width).
        width: length of the vector of a patch.
        depth: number of blocks.
        heads: of the attention.
        patch: height and width of a patch.
        dropout: share of the numbers set to zero in training, in what each block adds.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        self.patch = patch
        positions = _positions(height // patch, across // patch, width)
        self.register_buffer("positions", positions, persistent=False)
        self.positions: Tensor
        self.first = nn.Linear(channels * patch**2, width)
        self.embedding = nn.Sequential(
            nn.Linear(2 * _WAVES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.condition = nn.Linear(width, 2 * width)
        self.last = nn.Linear(width, channels * patch**2)
        self._initialize()

    def _initialize(self) -> None:
        for path, layer in self.named_modules():
            if not isinstance(layer, nn.Linear):
                continue
            nn.init.zeros_(layer.bias)
            if path == "last" or path.endswith("condition"):
                nn.init.zeros_(layer.weight)
            elif path.startswith("embedding"):
                nn.init.normal_(layer.weight, std=0.02)
            else:
                nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Batch, noise: Levels) -> Batch:
        """Return the network's prediction, in x's shape."""
        batch, channels, height, across = x.shape
        patch, rows, columns = self.patch, height // self.patch, across // self.patch
        patches = x.reshape(batch, channels, rows, patch, columns, patch)
        h = self.first(patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1))
        h = h + self.positions.to(h.dtype)
        condition = self.embedding(_waves(noise * STEPS_PER_UNIT, _WAVES).to(noise.dtype))
        for block in self.blocks:
            h = block(h, condition)
        h = self.last(_modulate(self.norm(h), *self.condition(condition).chunk(2, dim=1)))
        patches = h.reshape(batch, rows, columns, channels, patch, patch)
        return patches.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def _patch(shape: Sequence[int], patch: int | None) -> int:
    """Return the side of a patch, checked; see :func:`transformer`."""
    if len(shape) != 3 or min(shape) < 1:
        raise ConfigError(
            f"the transformer denoises images (channels, height, width), not {tuple(shape)}",
            hint="use the model mlp for other shapes",
        )
    if patch is None:
        patch = 2
        while max(shape[1:]) > 16 * patch:
            patch *= 2
    if patch < 1:
        raise ConfigError(f"patch = {patch} is too small", hint="give 1 or more")
    common = math.gcd(*shape[1:])
    if common % patch:
        fitting = [str(side) for side in range(1, common + 1) if common % side == 0]
        raise ConfigError(
            f"patches of {patch}×{patch} do not divide images of {shape[1]}×{shape[2]}",
            hint=f"set model.patch to one of {', '.join(fitting)}, or use the model unet",
        )
    return patch


def transformer(
    width: int = 128,
    depth: int = 6,
    heads: int = 4,
    patch: int | None = None,
    dropout: float = 0.0,
    prediction: Prediction = "edm",
    *,
    shape: Sequence[int],
    sigma_data: float,
) -> Preconditioned | Ddpm:
    """Build a diffusion transformer with adaLN-Zero blocks (DiT, Peebles and Xie 2023).

    Its initial weights, drawn as the paper's, come from torch's global random numbers. With w the
    width, p the patch and c the channels it has depth·(18w² + 15w) + (3w² + 261w) + p²c·(2w + 1)
    parameters: 1.87 million on (3, 32, 32) by default. DiT-S has width 384, depth 12 and 6 heads.

    Args:
        width: length of the vector of a patch, a multiple of ``heads`` and of 4.
        depth: number of blocks, 1 or more.
        heads: of the attention, 1 or more.
        patch: height and width of a patch, which must divide those of the images; where None, 2 up
            to 32 pixels, and so much more for larger images that a side has 16 patches or fewer.
        dropout: share dropped in training, from 0 to below 1.
        prediction: ``edm`` for EDM preconditioning; ``epsilon``, ``v`` or ``x0`` for what DDPM's
            network predicts, see :class:`~ecotone.denoisers.ddpm.Ddpm`.
        shape: of one image, (channels, height, width).
        sigma_data: standard deviation of the training data.

    Raises:
        ConfigError: for options or a shape out of range.

    >>> denoiser = transformer(8, depth=1, shape=(1, 8, 8), sigma_data=0.5)
    >>> denoiser(torch.ones(5, 1, 8, 8), torch.ones(5)).shape
    torch.Size([5, 1, 8, 8])
    """
    for name, value in (("depth", depth), ("heads", heads)):
        if value < 1:
            raise ConfigError(
                f"{name} = {value} is too small for a transformer", hint="give 1 or more"
            )
    step = math.lcm(heads, 4)
    if width < 1 or width % step:
        raise ConfigError(
            f"width = {width} does not divide into {heads} heads and four parts of a position",
            hint=f"give a multiple of {step}, such as {step * max(1, round(width / step))}",
        )
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout = {dropout} is no share", hint="give 0 or more, below 1")
    network = Transformer(
        shape, width=width, depth=depth, heads=heads, patch=_patch(shape, patch), dropout=dropout
    )
    return predicting(network, prediction, sigma_data=sigma_data)
