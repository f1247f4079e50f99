from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecotone.core import ConfigError
from ecotone.core.seeds import torch_generator
from ecotone.training import Ema
from ecotone.training.ema import power_exponent


class Layers(nn.Module):
    """Parameters of several shapes, one of them not trained, and buffers of two kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.scale = nn.Parameter(torch.ones(()))
        self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)

    def move(self, step: int) -> None:
        """Give every parameter and buffer the values of a step."""
        random = torch_generator(0, "weights", step)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=random))
            for buffer in self.buffers():
                buffer.fill_(step)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def averaged(model: Layers, steps: int, width: float = 0.1) -> Ema:
    ema = Ema(model, width)
    for step in range(1, steps + 1):
        model.move(step)
        ema.update(model, step=step)
    return ema


@given(st.floats(0.01, 0.28))
def test_the_exponent_gives_the_width_asked_for(width: float) -> None:
    gamma = power_exponent(width)
    assert gamma > 0
    # Mean and variance of τ/t under the density (γ+1) (τ/t)^γ on [0, 1].
    mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
    assert (square - mean**2) ** 0.5 == pytest.approx(width, rel=1e-6)


@pytest.mark.parametrize("width", [-0.1, 0.0, 0.289, 1.0])
def test_a_width_that_no_exponent_has_is_refused(width: float) -> None:
    with pytest.raises(ConfigError, match="ema_width"):
        power_exponent(width)


@given(st.floats(0.02, 0.28), st.integers(1, 60))
def test_the_average_is_the_weighted_sum_of_all_steps(width: float, steps: int) -> None:
    """Step k has the weight (1 − β_k) Π_{j>k} β_j; the weights sum to 1, as β_1 = 0."""
    model = nn.Linear(1, 1, bias=False).double()
    ema = Ema(model, width)
    values = np.cos(np.arange(1, steps + 1))
    for step, value in enumerate(values, 1):
        model.weight.data.fill_(float(value))
        ema.update(model, step=step)
    betas = (1 - 1 / np.arange(1, steps + 1)) ** (power_exponent(width) + 1)
    kept = np.append(np.cumprod(betas[::-1])[::-1][1:], 1.0)
    assert ((1 - betas) * kept).sum() == pytest.approx(1)
    expected = ((1 - betas) * kept * values).sum()
    assert float(next(ema.model.parameters())) == pytest.approx(expected, abs=1e-12)


def test_all_parameters_at_once_are_the_bytes_of_one_after_another() -> None:
    """Runs that were trained before stay what they were."""
    model = Layers()
    ema = averaged(model, 7)
    again = Layers()
    again.move(1)
    expected = weights(again)
    for step in range(1, 8):
        again.move(step)
        keep = (1.0 - 1.0 / step) ** (power_exponent(0.1) + 1.0)
        for average, current in zip(expected, weights(again), strict=True):
            average.lerp_(current, 1.0 - keep)
    assert all(map(torch.equal, weights(ema.model), expected))


def test_weights_with_channels_innermost_have_the_same_average() -> None:
    plain, innermost = Layers(), Layers()
    innermost.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one, other = averaged(plain, 5), averaged(innermost, 5)
    # Laid out anew after the average was made, as when training begins.
    late = Layers()
    ema = Ema(late, 0.1)
    late.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in range(1, 6):
        late.move(step)
        ema.update(late, step=step)
    for average in (other, ema):
        assert all(map(torch.equal, weights(one.model), weights(average.model)))


def test_buffers_are_those_of_the_last_step() -> None:
    ema = averaged(Layers(), 4)
    buffers = list(ema.model.buffers())
    assert {buffer.dtype for buffer in buffers} == {torch.float32, torch.int64}
    assert all((buffer == 4).all() for buffer in buffers)


def test_a_constant_model_is_its_own_average() -> None:
    model = Layers()
    model.move(1)
    ema = Ema(model, 0.05)
    for step in range(1, 20):
        ema.update(model, step=step)
    for average, current in zip(weights(ema.model), weights(model), strict=True):
        torch.testing.assert_close(average, current, rtol=1e-6, atol=1e-7)


def test_the_average_is_apart_from_the_model() -> None:
    model = Layers()
    model.move(1)
    before = weights(model)
    ema = Ema(model, 0.05)
    model.move(2)
    assert all(map(torch.equal, weights(ema.model), before))
    after = weights(model)
    ema.update(model, step=3)
    assert all(map(torch.equal, weights(model), after))
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert not ema.model.training
    assert model.training


def test_a_model_with_other_parameters_is_refused() -> None:
    model = Layers()
    ema = Ema(model, 0.05)
    more = copy.deepcopy(model)
    more.extra = nn.Parameter(torch.ones(1))
    with pytest.raises(RuntimeError, match="same number"):
        ema.update(more, step=1)
