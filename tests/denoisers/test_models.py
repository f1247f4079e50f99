"""The networks: sizes that follow from the dial, any shape, gradients everywhere, same seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import torch_generator
from ecotone.denoisers import MODELS, EmpiricalDenoiser
from ecotone.denoisers.unet import UNetPlan
from ecotone.noise import LogNormalLevels, Prediction, ddpm_levels, ddpm_weight, edm_weight


def build(name: str, shape: tuple[int, ...], seed: int = 0, **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS.create(name, options, shape=shape, sigma_data=0.5)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CASES = [
    ("mlp", (2,)),
    ("mlp", (1, 4, 4)),
    ("mlp", ()),
    ("unet", (1, 8, 8)),
    ("unet", (3, 16, 16)),
    ("unet", (1, 28, 28)),
    ("unet", (3, 9, 13)),
    ("unet", (2, 1, 5)),
    ("unet", (1, 17, 31)),
    ("transformer", (1, 8, 8)),
    ("transformer", (3, 6, 10)),
    ("transformer", (2, 40, 36)),
]


@pytest.mark.parametrize("prediction", ["edm", "epsilon"])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_any_shape_and_gradients_everywhere(
    name: str, shape: tuple[int, ...], prediction: str
) -> None:
    model = build(name, shape, width=8, prediction=prediction)
    generator = torch_generator(0, "test")
    x, target = (torch.randn(4, *shape, generator=generator) for _ in range(2))
    sigma = torch.logspace(-2, 1, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    # The first step moves the output layer off zero, and lets gradients through to the rest; the
    # transformer's gates, which start at zero as well, let them through after the second.
    for _ in range(3 if name == "transformer" else 2):
        optimizer.zero_grad()
        loss = (model(x, sigma) - target).square().mean()
        loss.backward()
        optimizer.step()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert bool(parameter.grad.isfinite().all()), path
    idle = [
        path
        for path, parameter in model.named_parameters()
        # Keys' biases shift all of a query's logits alike, so attention ignores them; where the
        # normalization has one channel a group and one pixel, it removes all that came before.
        if not path.endswith("to_k.bias") and not bool((parameter.grad != 0).any())
    ]
    assert not idle or shape == (2, 1, 5), idle


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_a_new_model_is_its_skip_connection(name: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(3, *shape, generator=torch_generator(0, "test"))
    sigma = torch.full((3,), 0.5)
    with torch.no_grad():
        torch.testing.assert_close(build(name, shape, width=8)(x, sigma), x / 2)


@pytest.mark.parametrize("name", list(MODELS))
def test_a_new_model_of_ddpm_s_predicts_nothing(name: str) -> None:
    """D = x for epsilon, x/(1 + σ²) for v, and 0 for x0; and then it learns."""
    x = torch.randn(3, 1, 8, 8, generator=torch_generator(0, "test"))
    sigma = torch.full((3,), 0.5)
    for prediction, expected in (("epsilon", x), ("v", x / 1.25), ("x0", torch.zeros_like(x))):
        model = build(name, (1, 8, 8), width=8, prediction=prediction)
        assert model.prediction == prediction
        denoised = model(x, sigma)
        torch.testing.assert_close(denoised, expected)
        denoised.square().mean().backward()
        last = list(model.parameters())[-1].grad
        assert last is not None
        # At D = 0 the loss E|D|² is at its least, and nothing moves.
        assert bool((last != 0).any()) == (prediction != "x0")


@pytest.mark.parametrize("name", list(MODELS))
def test_the_prediction_is_an_option(name: str) -> None:
    assert build(name, (1, 8, 8), width=8).prediction == "edm"
    with pytest.raises(ConfigError, match="option 'prediction' = 'noise'"):
        build(name, (1, 8, 8), width=8, prediction="noise")


@pytest.mark.parametrize("name", list(MODELS))
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (build(name, (1, 8, 8), seed, width=8) for seed in (0, 0, 1))
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    pairs = zip(first.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("name", list(MODELS))
def test_weights_survive_being_written_and_read(name: str) -> None:
    import safetensors.torch

    model, fresh = build(name, (1, 8, 8), width=8), build(name, (1, 8, 8), 1, width=8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    written = safetensors.torch.save(model.state_dict())
    fresh.load_state_dict(safetensors.torch.load(written))
    x, sigma = torch.ones(2, 1, 8, 8), torch.ones(2)
    with torch.no_grad():
        assert torch.equal(model.eval()(x, sigma), fresh.eval()(x, sigma))


@pytest.mark.parametrize("name", list(MODELS))
def test_the_level_reaches_the_network(name: str) -> None:
    """Two levels a few per cent apart give different predictions for the same input."""
    model = build(name, (1, 8, 8), width=16)
    network = model.get_submodule("network")
    with torch.no_grad():
        generator = torch_generator(0, "test")
        # Off its start, where the output layer is zero.
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        x = torch.randn(1, 1, 8, 8, generator=generator).expand(3, 1, 8, 8)
        # c_noise one tenth of a unit apart at both ends of the levels in use.
        low, near, high = network(x, torch.tensor([-1.5, -1.4, 1.1]))
    assert (low - near).abs().max().item() > 1e-4
    assert (low - high).abs().max().item() > 1e-3


@pytest.mark.parametrize(
    ("name", "width", "shape", "steps", "prediction"),
    [
        ("mlp", 64, (2,), 400, "edm"),
        ("mlp", 64, (2,), 400, "epsilon"),
        ("mlp", 64, (2,), 400, "v"),
        ("mlp", 64, (2,), 400, "x0"),
        ("unet", 8, (1, 8, 8), 160, "edm"),
        ("transformer", 16, (1, 8, 8), 80, "edm"),
    ],
)
def test_training_leads_to_the_posterior_mean(
    name: str, width: int, shape: tuple[int, ...], steps: int, prediction: Prediction
) -> None:
    """The denoising loss on two samples is minimized by their empirical posterior mean."""
    training = torch.stack([torch.full(shape, 0.5), torch.full(shape, -0.5)])
    exact = EmpiricalDenoiser(training)
    model = build(name, shape, width=width, prediction=prediction)
    edm = prediction == "edm"
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def weighted_error(target, sigma: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        clean = training.repeat(len(sigma) // 2, *[1] * len(shape))
        z = torch.randn(clean.shape, generator=generator)
        x = clean + sigma.reshape(-1, *[1] * len(shape)) * z
        difference = model(x, sigma) - (clean if target is None else target(x, sigma))
        weight = edm_weight(sigma, 0.5) if edm else ddpm_weight(sigma, prediction)
        return (weight * difference.square().flatten(1).mean(1)).mean()

    def draw() -> torch.Tensor:
        if edm:
            return LogNormalLevels().draw(32, generator)
        return ddpm_levels()[torch.randint(1000, (32,), generator=generator)].float()

    def distance() -> float:
        with torch.no_grad():
            sigma = torch.logspace(-1.5, 1, 64)
            return weighted_error(exact, sigma, torch_generator(1, "test")).item()

    before, generator = distance(), torch_generator(0, "test")
    for _ in range(steps):
        optimizer.zero_grad()
        weighted_error(None, draw(), generator).backward()
        optimizer.step()
    assert distance() < 0.5 * before


def test_width_128_at_32_by_32_is_ddpm_s_network() -> None:
    """35.7 million parameters, Ho et al. 2020, appendix B."""
    with torch.device("meta"):
        model = build("unet", (3, 32, 32), width=128)
    assert count(model) == 35_746_307


def test_the_smallest_unet_is_small() -> None:
    with torch.device("meta"):
        assert 140_000 < count(build("unet", (1, 8, 8), width=16)) < 180_000


@pytest.mark.parametrize(
    ("side", "levels", "attention", "blocks"),
    [
        (4, 1, [], 1),
        (8, 2, [], 1),
        (13, 2, [], 1),
        (16, 3, [0], 2),
        (28, 3, [1], 2),
        (31, 3, [1], 2),
        (32, 4, [1], 2),
        (64, 5, [2], 2),
    ],
)
def test_the_size_of_the_images_sets_the_rest(
    side: int, levels: int, attention: list[int], blocks: int
) -> None:
    plan = UNetPlan.derive(64, (3, side, 2 * side))
    assert plan.channels == (64, *[128] * (levels - 1))
    assert [level for level, has in enumerate(plan.attention) if has] == attention
    assert plan.middle_attention == bool(attention)
    assert (plan.blocks, plan.multiple, plan.groups) == (blocks, 2 ** (levels - 1), 16)


@pytest.mark.parametrize("width", [0, -4, 2, 6, 15, 132, 144])
def test_widths_that_do_not_divide_are_refused(width: int) -> None:
    with pytest.raises(ConfigError, match=f"width = {width} "):
        build("unet", (1, 8, 8), width=width)


@pytest.mark.parametrize("width", [4, 12, 100, 160])
def test_widths_that_divide_are_built(width: int) -> None:
    with torch.device("meta"):
        model = build("unet", (1, 16, 16), width=width)
        assert model(torch.zeros(2, 1, 16, 16), torch.ones(2)).shape == (2, 1, 16, 16)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match="use the model mlp"):
        build("unet", (7,))
    with pytest.raises(ConfigError, match="dropout = 1"):
        build("unet", (1, 8, 8), dropout=1.0)
    with pytest.raises(ConfigError, match="depth = 0"):
        build("mlp", (2,), depth=0)
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        build("mlp", (2,), widht=3)


def test_dropout_is_random_in_training_only() -> None:
    model = build("unet", (1, 8, 8), width=8, dropout=0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02)
        x, sigma = torch.ones(1, 1, 8, 8), torch.ones(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            assert not torch.equal(model(x, sigma), model(x, sigma))
        model.eval()
        assert torch.equal(model(x, sigma), model(x, sigma))
