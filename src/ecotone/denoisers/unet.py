"""A U-Net for images of any size, with one dial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.ddpm import STEPS_PER_UNIT, Ddpm, predicting
from ecotone.denoisers.precondition import Preconditioned
from ecotone.denoisers.unet_blocks import shorten_passes
from ecotone.noise import Prediction

__all__ = ["UNet", "UNetPlan", "unet"]

# diffusers' sinusoidal embedding is made for step numbers 0 to 1000, its fastest wave turning once
# in 2π of them. EDM's c_noise = ¼ ln σ runs from −1.6 (σ = 0.002) to 1.1 (σ = 80), so this factor
# spreads the levels in use over about 660.
_NOISE_SCALE = 250.0


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """What follows from the shape of the images and the width.

    Args:
        channels: of each level, from the image's own resolution downwards.
        attention: whether each level has self-attention.
        middle_attention: whether the middle has it.
        blocks: residual blocks per level on the way down (one more on the way up).
        groups: of the group normalization.
        multiple: what the sides of an image are padded to a multiple of.
    """

    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    middle_attention: bool
    blocks: int
    groups: int
    multiple: int

    @classmethod
    def derive(
        cls,
        width: int,
        shape: Sequence[int],
        *,
        attention: bool | None = None,
        blocks: int | None = None,
    ) -> UNetPlan:
        """Derive the plan; at (3, 32, 32) and width 128 it is DDPM's (Ho et al. 2020, app. B).

        - Levels: halve the shorter side while it is 8 or more, so the lowest has 4 to 7 (2 levels
          at 8×8, 3 at 16×16 and 28×28, 4 at 32×32).
        - Channels: the width at the top, twice the width below.
        - Images of 16 and more: two residual blocks a level, self-attention where the shorter side
          is 9 to 16 and in the middle. Smaller images, which are there for speed: one, and none.
        - Groups: a quarter of the width, 32 at most.

        Args:
            width: channels at the top.
            shape: of one image, (channels, height, width).
            attention: True for self-attention at every level of 16 or less and in the middle, False
                for none; where None, as above.
            blocks: residual blocks a level; where None, as above.

        Raises:
            ConfigError: for a width that is not a multiple of 4 (of 32 above 128), fewer blocks
                than one, or a shape that is not an image's.

        >>> UNetPlan.derive(128, (3, 32, 32)).channels
        (128, 256, 256, 256)
        >>> UNetPlan.derive(100, (1, 8, 8), attention=True, blocks=3).attention
        (True, True)
        """
        if len(shape) != 3 or min(shape) < 1:
            raise ConfigError(
                f"the unet denoises images (channels, height, width), not {tuple(shape)}",
                hint="use the model mlp for other shapes",
            )
        step = 4 if width <= 128 else 32
        if width < 4 or width % step:
            raise ConfigError(
                f"width = {width} does not divide into groups of channels",
                hint="give a multiple of 4 up to 128, of 32 above, such as 32 or 128",
            )
        if blocks is not None and blocks < 1:
            raise ConfigError(f"blocks = {blocks} is too small", hint="give 1 or more")
        side = min(shape[1:])
        levels = 1
        while side >> (levels - 1) >= 8:
            levels += 1
        multiple = 2 ** (levels - 1)
        large = side >= 16
        padded = -(-side // multiple) * multiple
        sides = [padded >> level for level in range(levels)]
        if attention is None:
            attending = tuple(large and 9 <= each <= 16 for each in sides)
        else:
            attending = tuple(attention and each <= 16 for each in sides)
        return cls(
            channels=(width, *[2 * width] * (levels - 1)),
            attention=attending,
            middle_attention=large if attention is None else attention,
            blocks=blocks or (2 if large else 1),
            groups=min(32, width // 4),
            multiple=multiple,
        )


class UNet(nn.Module):
    """The network F(x, noise): diffusers' U-Net on images padded to a size it can halve.

    Padding reflects the image at its lower and right borders; the result is cropped. The output
    convolution starts at zero, so a new denoiser is D = c_skip x, or what is DDPM's for F = 0.

    Args:
        plan: the sizes of its parts.
        shape: of the images, (channels, height, width).
        dropout: share of channels dropped in training, inside the residual blocks.
        scale: what the noise input is multiplied by before its sinusoidal embedding.
    """

    def __init__(
        self, plan: UNetPlan, *, shape: Sequence[int], dropout: float, scale: float
    ) -> None:
        super().__init__()
        # diffusers takes seconds to import; the other denoisers do not need it.
        from diffusers.models.unets.unet_2d import UNet2DModel

        kinds = ["Attn" if attention else "" for attention in plan.attention]
        self.multiple, self.scale = plan.multiple, scale
        self.model = UNet2DModel(
            sample_size=(shape[1], shape[2]),
            in_channels=shape[0],
            out_channels=shape[0],
            block_out_channels=plan.channels,
            down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
            layers_per_block=plan.blocks,
            add_attention=plan.middle_attention,
            norm_num_groups=plan.groups,
            dropout=dropout,
            # As in DDPM: one head, and its padding, embedding and epsilon.
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
        )
        shorten_passes(self.model)
        for parameter in self.model.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Batch, noise: Levels) -> Batch:
        """Return the network's prediction, in x's shape."""
        height, width = x.shape[2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            x = nn.functional.pad(x, (0, right, 0, bottom), mode="reflect")
        (predicted,) = self.model(x, noise * self.scale, return_dict=False)
        return predicted[:, :, :height, :width]


def unet(
    width: int = 32,
    dropout: float = 0.0,
    attention: bool | None = None,
    blocks: int | None = None,
    prediction: Prediction = "edm",
    *,
    shape: Sequence[int],
    sigma_data: float,
) -> Preconditioned | Ddpm:
    """Build a U-Net; :meth:`UNetPlan.derive` says what the width sets.

    Its initial weights come from torch's global random numbers. On (1, 8, 8) images it has 12.93
    million parameters at width 100 with attention and three blocks. DDPM's own network for
    CIFAR-10, with 35.75 million on (3, 32, 32), is that of width 128, dropout 0.1 and the
    prediction ``epsilon`` (Ho et al. 2020, app. B); here dropout is off unless asked for.

    Args:
        width: channels at the top level, a multiple of 4 (of 32 above 128).
        dropout: share of channels dropped in training, from 0 to below 1; DDPM's is 0.1.
        attention: True for self-attention at every level of 16 pixels or less, False for none; None
            for what the size of the images sets.
        blocks: residual blocks a level; None for what the size of the images sets.
        prediction: ``edm`` for EDM preconditioning; ``epsilon``, ``v`` or ``x0`` for what DDPM's
            network predicts, see :class:`~ecotone.denoisers.ddpm.Ddpm`.
        shape: of one image, (channels, height, width).
        sigma_data: standard deviation of the training data.

    Raises:
        ConfigError: for a width, dropout, number of blocks or shape out of range.
    """
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout = {dropout} is no share", hint="give 0 or more, below 1")
    plan = UNetPlan.derive(width, shape, attention=attention, blocks=blocks)
    # DDPM's time steps reach the embedding as they are.
    scale = _NOISE_SCALE if prediction == "edm" else STEPS_PER_UNIT
    network = UNet(plan, shape=shape, dropout=dropout, scale=scale)
    return predicting(network, prediction, sigma_data=sigma_data)
