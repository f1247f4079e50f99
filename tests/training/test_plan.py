from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.core import ConfigError
from ecotone.training import Batches, Ema, Plan, measuring_steps
from ecotone.training.ema import power_exponent


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 3))
def test_every_epoch_sees_every_image_once(n: int, batch_size: int, seed: int) -> None:
    steps = -(-3 * n // batch_size)
    seen = torch.cat([Batches(n, batch_size, seed).at(step) for step in range(1, steps + 1)])
    assert len(seen) == steps * batch_size
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_batches_need_no_history() -> None:
    one, other = Batches(10, 4, seed=1), Batches(10, 4, seed=1)
    forward = [one.at(step) for step in range(1, 30)]
    backward = [other.at(step) for step in range(29, 0, -1)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))


def test_learning_rate_warms_up() -> None:
    plan = Plan(steps=10, learning_rate=0.1, warmup_steps=4)
    assert [plan.rate(step) for step in (1, 4, 9)] == pytest.approx([0.025, 0.1, 0.1])
    assert Plan(steps=1, warmup_steps=0).rate(1) == Plan(steps=1).learning_rate


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.25])
def test_the_average_has_the_width_asked_for(width: float) -> None:
    """Averaging the step number itself reveals the weights of the average."""
    model = torch.nn.Linear(1, 1, bias=False).double()
    ema, squares = Ema(model, width), Ema(model, width)
    steps = 3000
    for step in range(1, steps + 1):
        model.weight.data.fill_(step)
        ema.update(model, step=step)
        model.weight.data.fill_(step**2)
        squares.update(model, step=step)
    mean, square = (float(next(average.model.parameters())) for average in (ema, squares))
    gamma = power_exponent(width)
    assert mean / steps == pytest.approx((gamma + 1) / (gamma + 2), rel=2e-3)
    assert np.sqrt(square - mean**2) / steps == pytest.approx(width, rel=2e-2)


def test_a_width_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="ema_width"):
        power_exponent(0.3)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 10**5),
    cost=st.integers(1, 10**5),
    batch_size=st.integers(1, 256),
    share=st.floats(0.01, 0.5),
    first=st.integers(1, 200),
    per_decade=st.integers(1, 30),
)
def test_measuring_stays_within_its_share(
    steps: int, cost: int, batch_size: int, share: float, first: int, per_decade: int
) -> None:
    def plan() -> tuple[int, ...]:
        return measuring_steps(
            steps,
            cost=cost,
            batch_size=batch_size,
            share=share,
            first=first,
            per_decade=per_decade,
        )

    at = plan()
    assert list(at) == sorted(set(at))
    assert at[-1] == steps
    assert at[0] >= min(first, steps // 5, steps - 1)
    training = 3 * batch_size * steps
    within = cost * len(at) <= share * (cost * len(at) + training) * (1 + 1e-9)
    assert within or len(at) <= 5
    if steps >= 100:
        assert len(at) >= 5


def test_a_share_of_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"monitor\.share"):
        measuring_steps(10, cost=1, batch_size=1, share=1.0, first=1, per_decade=1)
