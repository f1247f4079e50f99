"""diffusers' blocks passed through shorter: the same network, held against diffusers' own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from ecotone.denoisers.attention import attended
from ecotone.denoisers.unet_blocks import shorten_passes

DDPM: dict[str, Any] = {
    "sample_size": (8, 12),
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "attention_head_dim": None,
    "downsample_padding": 0,
}
OTHERS: dict[str, dict[str, Any]] = {
    "several heads": {"attention_head_dim": 4},
    "one level": {
        "block_out_channels": (8,),
        "down_block_types": ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",),
    },
    "no attention": {"down_block_types": ("DownBlock2D",) * 2, "add_attention": False},
}


def both(**options: Any) -> tuple[nn.Module, nn.Module]:
    """Return a U-Net of diffusers with random weights, and its copy with shorter passes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = UNet2DModel(**{**DDPM, **options})
        for parameter in theirs.parameters():
            nn.init.normal_(parameter, std=0.2)
    shorter = copy.deepcopy(theirs)
    shorten_passes(shorter)
    return theirs, shorter


def passed(network: nn.Module, batch: int) -> tuple[Tensor, list[Tensor]]:
    """Return what a network makes of images, and the gradients of its square."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, 8, 12, generator=random)
    (out,) = network(x, 100 * torch.rand(batch, generator=random), return_dict=False)
    return out.detach(), list(torch.autograd.grad(out.square().mean(), list(network.parameters())))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [3, 64])  # diffusers copies from 64 on
@pytest.mark.parametrize("name", ["ddpm", *OTHERS])
def test_the_network_is_the_same_to_rounding(name: str, batch: int, training: bool) -> None:
    theirs, shorter = both(**OTHERS.get(name, {}))
    expected, slopes = passed(theirs.train(training), batch)
    largest = float(torch.cat([slope.flatten() for slope in slopes]).abs().max())
    for layout in (torch.contiguous_format, torch.channels_last):
        network = shorter.to(memory_format=layout)  # type: ignore[call-overload]
        found, ours = passed(network.train(training), batch)
        assert_same(found, expected)
        for slope, mine in zip(slopes, ours, strict=True):
            assert torch.allclose(mine, slope, rtol=1e-3, atol=1e-5 * largest)


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_all_blocks_of_ddpm_are_passed_shorter() -> None:
    theirs, shorter = both()
    blocks = {"ResnetBlock2D", "Attention", "Upsample2D"}
    assert blocks <= {type(module).__name__ for module in theirs.modules()}
    assert blocks.isdisjoint(type(module).__name__ for module in shorter.modules())


@pytest.mark.parametrize(
    "other",
    [
        {"resnet_time_scale_shift": "scale_shift"},
        {"act_fn": "gelu"},
        {"mid_block_scale_factor": 2.0},
        {"upsample_type": "resnet", "downsample_type": "resnet"},
    ],
)
def test_blocks_that_do_anything_else_stay_as_they_are(other: dict[str, Any]) -> None:
    theirs, shorter = both(**other)
    assert_same(passed(shorter, 2)[0], passed(theirs, 2)[0])
    assert any(type(module).__name__ == "ResnetBlock2D" for module in shorter.modules())


def test_weights_go_back_and_forth() -> None:
    theirs, shorter = both()
    assert list(theirs.state_dict()) == list(shorter.state_dict())
    before = passed(shorter, 2)[0]
    shorter.load_state_dict({name: 1.1 * value for name, value in theirs.state_dict().items()})
    theirs.load_state_dict(shorter.state_dict())
    assert not torch.allclose(passed(shorter, 2)[0], before)
    assert_same(passed(theirs, 2)[0], passed(shorter, 2)[0])


def test_copies_share_no_weights() -> None:
    _, shorter = both()
    before = passed(shorter, 2)[0]
    other = copy.deepcopy(shorter)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(passed(shorter, 2)[0], before)
    assert not passed(other, 2)[0].any()


def test_dropout_drops_in_training_only() -> None:
    _, shorter = both(dropout=0.5)
    assert torch.equal(passed(shorter.eval(), 2)[0], passed(shorter, 2)[0])
    assert not torch.equal(passed(shorter.train(), 2)[0], passed(shorter, 2)[0])


def test_under_autocast_it_normalizes_in_float32() -> None:
    theirs, shorter = both()
    expected = passed(theirs, 8)[0]
    seen: list[torch.dtype] = []
    for module in shorter.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, slopes = passed(shorter, 8)
    assert set(seen) == {torch.bfloat16}
    assert all(slope.dtype == torch.float32 and slope.isfinite().all() for slope in slopes)
    # bfloat16 has 8 bits; a network of 20 layers loses some.
    difference = (found - expected).square().mean().sqrt()
    assert 0 < difference < 0.05 * expected.square().mean().sqrt()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_softmax_of_scaled_products(heads: int, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(heads)
    query, key, value = torch.randn(3, 2, heads, 7, 5, generator=random).to(dtype).double()
    chances = torch.exp(torch.einsum("bhid,bhjd->bhij", query, key) / 5**0.5)
    expected = torch.einsum("bhij,bhjd->bhid", chances / chances.sum(-1, keepdim=True), value)
    found = attended(query.to(dtype), key.to(dtype), value.to(dtype))
    assert found.dtype == dtype
    bound = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    assert torch.allclose(found.double(), expected, rtol=bound, atol=bound)
