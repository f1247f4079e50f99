"""The sliced distance against the closed form of Gaussians, and what its interval covers."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.core.seeds import generator
from ecotone.measures.sliced import sliced_wasserstein2


def gaussian(n: int, std: np.ndarray, seed: int, shift: float = 0.0) -> Tensor:
    draws = generator(seed, "gaussian").standard_normal((n, len(std)))
    return torch.from_numpy(shift + std * draws)


def test_two_gaussians_are_as_far_apart_as_their_projections() -> None:
    """E_θ[(θᵀδ)² + (√(θᵀΣ1θ) − √(θᵀΣ2θ))²], by many more directions than are taken."""
    first, second = np.array([1.0, 0.5, 2.0]), np.array([1.5, 1.0, 0.5])
    directions = generator(9, "directions").standard_normal((3, 200_000))
    directions /= np.linalg.norm(directions, axis=0)
    gap = np.full(3, 0.8) @ directions
    widths = [np.sqrt((std**2) @ directions**2) for std in (first, second)]
    expected = float((gap**2 + (widths[0] - widths[1]) ** 2).mean())
    found = sliced_wasserstein2(
        generated=gaussian(1000, first, 0, shift=0.8),
        reference=gaussian(1000, second, 1),
        projections=400,
        seed=0,
    )
    assert found.low is not None
    assert found.high is not None
    assert found.low < expected < found.high
    assert found.high - found.low < 0.5 * expected


def test_the_interval_covers_other_directions_and_other_images() -> None:
    std = np.array([1.0, 0.3, 0.1, 2.0])
    reference = gaussian(400, std[::-1].copy(), 99)
    readings = [
        sliced_wasserstein2(
            generated=gaussian(300, std, seed), reference=reference, projections=40, seed=seed
        )
        for seed in range(30)
    ]
    values = [reading.value for reading in readings]
    widths = [reading.high - reading.low for reading in readings if reading.high and reading.low]
    # t(19) at 95 % is 2.09 standard errors to each side.
    spread = 2 * 2.09 * float(np.std(values, ddof=1))
    assert 0.7 < float(np.median(widths)) / spread < 1.5


def test_one_dimension_needs_one_direction() -> None:
    one, two = gaussian(200, np.ones(1), 0), gaussian(200, np.ones(1), 1, shift=1.0)
    found = sliced_wasserstein2(generated=one, reference=two, seed=0)
    ordered = [part.flatten().sort().values for part in (one, two)]
    expected = float((ordered[0] - ordered[1]).square().mean())
    assert found.value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 255.0])
def test_shifts_scales_and_turns(scale: float) -> None:
    one, two = gaussian(100, np.array([1.0, 2.0]), 0), gaussian(150, np.array([2.0, 2.0]), 1)
    here = sliced_wasserstein2(generated=one, reference=two, seed=0)
    there = sliced_wasserstein2(generated=scale * (one + 5), reference=scale * (two + 5), seed=0)
    assert there.value == pytest.approx(scale**2 * here.value, rel=1e-7)
    moved = sliced_wasserstein2(generated=one, reference=one + 3.0, projections=1000, seed=0)
    # E (θᵀδ)² = |δ|²/d.
    assert moved.value == pytest.approx(9.0, rel=0.1)


def test_the_seed_decides_and_the_order_does_not() -> None:
    one, two = gaussian(50, np.ones(5), 0), gaussian(60, 2 * np.ones(5), 1)
    found = sliced_wasserstein2(generated=one, reference=two, seed=0)
    assert found == sliced_wasserstein2(generated=one, reference=two, seed=0)
    assert found.value != sliced_wasserstein2(generated=one, reference=two, seed=1).value
    turned = sliced_wasserstein2(generated=one.flip(0), reference=two.flip(0), seed=0)
    for name in ("value", "low", "high"):
        assert getattr(turned, name) == pytest.approx(getattr(found, name), rel=1e-12)


def test_few_images_have_no_interval() -> None:
    two = gaussian(5, np.ones(2), 1)
    found = sliced_wasserstein2(generated=two[:1], reference=two, seed=0)
    assert found.low is None
    assert found.n == 1


def test_without_pot_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    two = torch.zeros(3, 2)
    with pytest.raises(ConfigError, match=r"pip install 'ecotone\[transport\]'"):
        sliced_wasserstein2(generated=two, reference=two, seed=0)


def test_wrong_input_is_named() -> None:
    two = torch.zeros(3, 2)
    with pytest.raises(ConfigError, match="projections = 1"):
        sliced_wasserstein2(generated=two, reference=two, projections=1, seed=0)
    with pytest.raises(DataError, match="no reference images"):
        sliced_wasserstein2(generated=two, reference=two[:0], seed=0)
    with pytest.raises(DataError, match="generated images hold"):
        sliced_wasserstein2(generated=two + math.nan, reference=two, seed=0)
