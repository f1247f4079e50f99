"""The U-Net's options beside its dial; what the dial sets is tested in test_models.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ecotone.core.errors import ConfigError
from ecotone.denoisers import MODELS, Ddpm
from ecotone.denoisers.unet import UNetPlan
from ecotone.noise import ddpm_levels


def build(shape: tuple[int, ...], **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS.create("unet", options, shape=shape, sigma_data=0.5)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_a_network_of_12_9_million_parameters_for_8_by_8_images() -> None:
    with torch.device("meta"):
        model = build((1, 8, 8), width=100, attention=True, blocks=3)
    assert count(model) == pytest.approx(12.9e6, rel=0.005)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 17, 31), (3, 32, 32), (1, 64, 64)])
def test_what_is_left_out_is_derived(shape: tuple[int, ...]) -> None:
    assert UNetPlan.derive(16, shape, attention=None, blocks=None) == UNetPlan.derive(16, shape)
    derived = UNetPlan.derive(16, shape)
    more = UNetPlan.derive(16, shape, blocks=derived.blocks + 1)
    assert more.blocks == derived.blocks + 1
    assert (more.attention, more.channels) == (derived.attention, derived.channels)


@pytest.mark.parametrize(
    ("side", "levels"), [(4, [0]), (8, [0, 1]), (16, [0, 1, 2]), (28, [1, 2]), (64, [2, 3, 4])]
)
def test_attention_stands_where_levels_are_small(side: int, levels: list[int]) -> None:
    plan = UNetPlan.derive(16, (1, side, side + 3), attention=True)
    assert [level for level, has in enumerate(plan.attention) if has] == levels
    assert plan.middle_attention
    without = UNetPlan.derive(16, (1, side, side + 3), attention=False)
    assert not any(without.attention)
    assert not without.middle_attention


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 9), (1, 17, 16)])
def test_gradients_reach_every_part(shape: tuple[int, ...], attention: bool) -> None:
    model = build(shape, width=8, attention=attention, blocks=2)
    x, sigma = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)), torch.ones(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    # The first step moves the output layer off zero, and lets gradients through to the rest.
    for _ in range(2):
        optimizer.zero_grad()
        model(x, sigma).square().mean().backward()
        optimizer.step()
    idle = [
        path
        for path, parameter in model.named_parameters()
        # Keys' biases shift all of a query's logits alike, so attention ignores them.
        if not path.endswith("to_k.bias") and not bool((parameter.grad != 0).any())
    ]
    assert not idle
    assert any("attention" in path for path, _ in model.named_parameters()) == attention


def test_attention_lets_far_pixels_matter_from_the_first_layer() -> None:
    """Without it, one block of 3×3 convolutions on a level of its own sees its surroundings."""
    plan = UNetPlan.derive(8, (1, 8, 8), attention=True)
    model = build((1, 8, 8), width=8, attention=True)
    first = model.get_submodule("network.model.down_blocks.0")
    x = torch.zeros(1, plan.channels[0], 8, 8)
    moved = x.clone()
    moved[0, :, 0, 0] = torch.linspace(-5, 5, plan.channels[0])
    embedding = torch.zeros(1, 4 * plan.channels[0])
    with torch.no_grad():
        # The first thing a down block returns for its level, before it is halved.
        here, there = (first(part, embedding)[1][0] for part in (x, moved))
    assert bool((here != there)[0, :, 7, 7].any())


def test_at_width_100_there_are_25_groups_and_they_divide_every_level() -> None:
    assert UNetPlan.derive(100, (3, 32, 32)).groups == 25
    with torch.device("meta"):
        model = build((3, 32, 32), width=100)
        assert model(torch.zeros(2, 3, 32, 32), torch.ones(2)).shape == (2, 3, 32, 32)
    for width in (90, 130, 144):
        with pytest.raises(ConfigError, match="does not divide into groups") as refused:
            build((3, 32, 32), width=width)
        assert "multiple of 4 up to 128" in str(refused.value)


def test_ddpm_s_time_steps_reach_the_embedding_as_they_are() -> None:
    model = build((1, 8, 8), width=8, prediction="epsilon")
    assert isinstance(model, Ddpm)
    seen: list[torch.Tensor] = []
    model.get_submodule("network.model.time_proj").register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    sigma = ddpm_levels()
    with torch.no_grad():
        for levels in (sigma, sigma.float()):
            model(torch.zeros(1000, 1, 8, 8, dtype=levels.dtype), levels)
    for steps in seen:
        assert torch.equal(steps, torch.arange(1000.0))


def test_fewer_blocks_than_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="blocks = 0"):
        build((1, 8, 8), blocks=0)
