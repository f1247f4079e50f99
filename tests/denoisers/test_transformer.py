"""The diffusion transformer: its size, its patches, its start, and what conditions it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import torch_generator
from ecotone.denoisers import MODELS
from ecotone.denoisers.transformer import Transformer


def build(shape: tuple[int, ...], **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS.create("transformer", options, shape=shape, sigma_data=0.5)


def network(shape: tuple[int, ...], moved: float = 0.0, **options: object) -> Transformer:
    """Return the network, with its parameters moved off their start."""
    inside = build(shape, **options).get_submodule("network")
    assert isinstance(inside, Transformer)
    generator = torch_generator(0, "test")
    with torch.no_grad():
        for parameter in inside.parameters():
            parameter.add_(moved * torch.randn(parameter.shape, generator=generator))
    return inside.eval()


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch_generator(1, "test"))


@settings(max_examples=15, deadline=None)
@given(
    parts=st.integers(1, 4),
    depth=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    patch=st.sampled_from([1, 2, 4]),
    channels=st.integers(1, 3),
)
def test_the_number_of_parameters(
    parts: int, depth: int, heads: int, patch: int, channels: int
) -> None:
    width = 4 * parts
    with torch.device("meta"):
        model = build((channels, 4, 8), width=width, depth=depth, heads=heads, patch=patch)
    count = sum(parameter.numel() for parameter in model.parameters())
    blocks = depth * (18 * width**2 + 15 * width)
    assert count == blocks + 3 * width**2 + 261 * width + patch**2 * channels * (2 * width + 1)


def test_the_sizes_that_are_told() -> None:
    with torch.device("meta"):
        default = build((3, 32, 32))
        small = build((4, 32, 32), width=384, depth=12, heads=6)
    assert sum(p.numel() for p in default.parameters()) == 1_866_636
    # DiT-S/2 has 33 million (Peebles and Xie 2023, Table 1), of which the classes' embedding,
    # and channels for a variance, which this one has not, make a small part.
    assert sum(p.numel() for p in small.parameters()) == pytest.approx(33e6, rel=0.02)


@pytest.mark.parametrize(("side", "patch"), [(2, 2), (8, 2), (32, 2), (64, 4), (96, 8), (256, 16)])
def test_the_size_of_the_images_sets_the_patch(side: int, patch: int) -> None:
    with torch.device("meta"):
        assert network((3, side, side), width=8, depth=1).patch == patch


def test_a_new_network_predicts_zero_and_its_blocks_pass_their_input_on() -> None:
    new = network((1, 8, 8), width=16, depth=2)
    assert not bool(new(draw(2, 1, 8, 8), torch.zeros(2)).any())
    h, condition = draw(2, 16, 16), draw(2, 16)
    with torch.no_grad():
        for block in new.blocks:
            assert torch.equal(block(h, condition), h)


def test_each_patch_is_put_back_where_it_came_from() -> None:
    """With the identity in place of everything else, an image comes back."""
    whole = network((3, 8, 12), width=12, heads=1, depth=1, patch=2)
    setattr(whole, "norm", nn.Identity())  # noqa: B010
    with torch.no_grad():
        whole.first.weight.copy_(torch.eye(12))
        whole.last.weight.copy_(torch.eye(12))
        whole.positions.zero_()
        x = draw(2, 3, 8, 12)
        torch.testing.assert_close(whole(x, torch.zeros(2)), x)


def test_patches_know_their_places() -> None:
    """Without positions, exchanging patches exchanges what is said of them; with them, not."""
    moved = network((1, 8, 8), 0.1, width=16, depth=2)
    x, noise = draw(2, 1, 8, 8), torch.zeros(2)

    def rolled(images: Tensor) -> Tensor:
        return images.roll((2, 4), dims=(2, 3))

    with torch.no_grad():
        difference = (moved(rolled(x), noise) - rolled(moved(x, noise))).abs().max().item()
        assert difference > 1e-2
        moved.positions.zero_()
        torch.testing.assert_close(
            moved(rolled(x), noise), rolled(moved(x, noise)), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 4, 32), (1, 32, 4)])
def test_no_two_places_are_alike(shape: tuple[int, ...]) -> None:
    positions = network(shape, width=16, depth=1, patch=1).positions
    distances = torch.cdist(positions, positions) + torch.eye(len(positions))
    assert distances.min().item() > 0.1
    # Sines and cosines: all places are equally far from the origin.
    torch.testing.assert_close(positions.square().sum(1), torch.full((len(positions),), 8.0))


def test_every_patch_sees_every_other_in_one_block() -> None:
    moved = network((1, 8, 8), 0.1, width=16, depth=1)
    x = draw(1, 1, 8, 8).requires_grad_()
    moved(x, torch.zeros(1))[0, 0, 7, 7].backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())


def test_steps_one_apart_differ() -> None:
    moved = network((1, 8, 8), 0.1, width=16, depth=2)
    x = draw(1, 1, 8, 8).expand(3, 1, 8, 8)
    with torch.no_grad():
        low, next_, high = moved(x, torch.tensor([500.0, 501.0, 999.0]) / 256)
    assert (low - next_).abs().max().item() > 1e-4
    assert (low - high).abs().max().item() > 1e-2


def test_gradients_reach_every_parameter_once_output_and_gates_have_moved() -> None:
    model = build((3, 8, 8), width=16, depth=2)
    x, sigma, clean = draw(4, 3, 8, 8), torch.logspace(-1, 1, 4), torch.ones(4, 3, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reached: list[set[str]] = []
    for _ in range(3):
        optimizer.zero_grad()
        (model(x, sigma) - clean).square().mean().backward()
        optimizer.step()
        reached.append(
            {path for path, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        )
    # At first the output alone, then the gates, then everything.
    assert reached[0] == {"network.last.weight", "network.last.bias"}
    assert {f"network.blocks.{block}.condition.weight" for block in range(2)} <= reached[1]
    assert reached[2] == {path for path, _ in model.named_parameters()}


def test_dropout_is_random_in_training_only() -> None:
    moved = network((1, 8, 8), 0.1, width=16, depth=2, dropout=0.5)
    x, noise = draw(1, 1, 8, 8), torch.zeros(1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert torch.equal(moved(x, noise), moved(x, noise))
        moved.train()
        assert not torch.equal(moved(x, noise), moved(x, noise))


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ((7,), {}, "use the model mlp"),
        ((1, 8, 8), {"patch": 3}, "set model.patch to one of 1, 2, 4, 8, or use the model unet"),
        ((1, 9, 13), {}, "patches of 2×2 do not divide images of 9×13"),
        ((1, 8, 8), {"patch": 0}, "patch = 0"),
        ((1, 8, 8), {"depth": 0}, "depth = 0"),
        ((1, 8, 8), {"heads": 0}, "heads = 0"),
        ((1, 8, 8), {"width": 0}, "width = 0"),
        ((1, 8, 8), {"width": 10}, "give a multiple of 4, such as 8"),
        ((1, 8, 8), {"width": 128, "heads": 6}, "give a multiple of 12, such as 132"),
        ((1, 8, 8), {"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_wrong_options_are_named(
    shape: tuple[int, ...], options: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build(shape, **options)
    assert told in str(refused.value)
