"""The blocks of diffusers' U-Net, passed through with fewer copies; the weights stay theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ecotone.denoisers.attention import attended

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.upsampling import Upsample2D

__all__ = ["shorten_passes"]

_Images = Float[Tensor, "batch channels height width"]

# PyTorch's kernel for channels innermost refuses to upsample to more numbers than this.
_INT_MAX = 2**31 - 1


def shorten_passes(network: nn.Module) -> None:
    """Let the residual, attention and upsampling blocks of a diffusers U-Net pass images shorter.

    What is computed is the same to rounding, from the same parameters under the same names, so that
    weights are saved and loaded as diffusers' own. Left out is what moves numbers about: copies to
    the other memory layout and back (in training diffusers makes the input of every shortcut, and
    of upsampling at 64 images and more, contiguous), divisions by scales that are 1, and two of
    attention's three products with the same input. On CPUs that is a twelfth of a training step at
    16×16 pixels, and a third in bfloat16.

    A block that does anything else than DDPM's does stays as it is.

    Args:
        network: changed in place.
    """
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.upsampling import Upsample2D

    for parent in list(network.modules()):
        for name, block in list(parent.named_children()):
            if type(block) is ResnetBlock2D and _is_plain_residual(block):
                setattr(parent, name, _Residual(block))
            elif type(block) is Attention and _is_plain_attention(block):
                setattr(parent, name, _Attention(block))
            elif type(block) is Upsample2D and _is_plain_upsampling(block):
                setattr(parent, name, _Upsampling(block))


class _Residual(nn.Module):
    """h = conv(silu(norm(x))) + time, x + conv(dropout(silu(norm(h)))) (Ho et al. 2020, app. B)."""

    def __init__(self, block: ResnetBlock2D) -> None:
        super().__init__()
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.time_emb_proj = cast("nn.Module", block.time_emb_proj)
        self.norm2, self.dropout, self.conv2 = block.norm2, block.dropout, block.conv2
        self.conv_shortcut = block.conv_shortcut

    def forward(
        self, x: _Images, temb: Float[Tensor, "batch embedding"]
    ) -> Float[Tensor, "batch out height width"]:
        h = self.conv1(functional.silu(_normalized(self.norm1, x)))
        h = h + self.time_emb_proj(functional.silu(temb))[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(_normalized(self.norm2, h))))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class _Attention(nn.Module):
    """x + out(attention(q, k, v)), of the normalized image's pixels."""

    def __init__(self, block: Attention) -> None:
        super().__init__()
        self.group_norm, self.heads = cast("nn.GroupNorm", block.group_norm), block.heads
        self.to_q, self.to_k, self.to_v = block.to_q, block.to_k, block.to_v
        self.to_out = cast("nn.ModuleList", block.to_out)

    def forward(self, x: _Images, temb: Tensor | None = None) -> _Images:  # noqa: ARG002
        batch, channels, height, width = x.shape
        # A view, where channels lie innermost.
        pixels = _normalized(self.group_norm, x).permute(0, 2, 3, 1).flatten(1, 2)
        layers: tuple[Any, ...] = (self.to_q, self.to_k, self.to_v)
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        together = functional.linear(pixels, weight, bias)
        heads = together.view(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = attended(*heads.unbind()).transpose(1, 2).reshape(batch, height, width, channels)
        for layer in self.to_out:
            seen = layer(seen)
        return x + seen.permute(0, 3, 1, 2)


class _Upsampling(nn.Module):
    """The nearest pixel, twice in each direction, and a convolution."""

    def __init__(self, block: Upsample2D) -> None:
        super().__init__()
        self.conv = cast("nn.Module", block.conv)

    def forward(
        self, x: _Images, output_size: tuple[int, int] | None = None
    ) -> Float[Tensor, "batch channels taller wider"]:
        if 4 * x.numel() >= _INT_MAX:
            x = x.contiguous()
        scale = 2.0 if output_size is None else None
        return self.conv(functional.interpolate(x, size=output_size, scale_factor=scale))


def _normalized(norm: nn.GroupNorm, x: _Images) -> _Images:
    """Return group-normalized images in the dtype of the layer's weights.

    So it is under autocast on GPUs too. CPUs would normalize bfloat16 as it is, four times slower.
    """
    weight = norm.weight
    x = x.to(weight.dtype)
    return functional.group_norm(x, norm.num_groups, weight, norm.bias, norm.eps)


def _is_plain_residual(block: ResnetBlock2D) -> bool:
    return (
        block.time_embedding_norm == "default"
        and block.time_emb_proj is not None
        and not block.skip_time_act
        and isinstance(block.nonlinearity, nn.SiLU)
        and block.upsample is None
        and block.downsample is None
        and block.output_scale_factor == 1
    )


def _is_plain_attention(block: Attention) -> bool:
    layers: tuple[Any, ...] = (block.to_q, block.to_k, block.to_v)
    return (
        block.group_norm is not None
        and block.spatial_norm is None
        and block.norm_q is None
        and block.norm_k is None
        and all(layer is not None and layer.bias is not None for layer in layers)
        and len({layer.weight.shape for layer in layers}) == 1
        and block.residual_connection
        and block.rescale_output_factor == 1
        and block.scale == (layers[0].out_features // block.heads) ** -0.5
    )


def _is_plain_upsampling(block: Upsample2D) -> bool:
    return (
        block.use_conv
        and not block.use_conv_transpose
        and block.interpolate
        and block.norm is None
        and block.name == "conv"
    )
