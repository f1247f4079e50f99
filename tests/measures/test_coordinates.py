"""The coordinates' distances against quadrature, a double loop, and samplers of known quality."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.core.seeds import generator
from ecotone.measures import coordinates
from ecotone.measures.coordinates import distances


def images(n: int, d: int, seed: int, *, levels: int | None = None) -> Tensor:
    draws = generator(seed, "images").standard_normal((n, d))
    if levels is not None:
        draws = np.round(draws * levels) / levels
    return torch.from_numpy(draws)


def three(n: int, d: int, levels: int | None = None) -> dict[str, Any]:
    names = ("generated", "training", "original")
    return {name: images(n + 10 * k, d, k, levels=levels) for k, name in enumerate(names)}


def by_double_loop(first: np.ndarray, second: np.ndarray, std: float) -> float:
    """Return E of one coordinate, term by term as it is written."""
    one, two = std / len(first), std / len(second)

    def phi(u: float, v: float) -> float:
        return math.exp(-u * u / (2 * v)) / math.sqrt(2 * math.pi * v)

    total = 0.0
    for sets, variance, factor in (
        ((first, first), 2 * one**2, 1.0),
        ((second, second), 2 * two**2, 1.0),
        ((first, second), one**2 + two**2, -2.0),
    ):
        pairs = itertools.product(*sets)
        mean = math.fsum(phi(a - b, variance) for a, b in pairs) / (len(sets[0]) * len(sets[1]))
        total += factor * mean
    return total


@given(
    st.integers(1, 25), st.integers(1, 40), st.integers(2, 30), st.sampled_from([None, 1, 4]),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_it_is_the_double_loop_over_pairs(g, n, m, levels, seed) -> None:
    sets = [images(size, 3, seed + k, levels=levels) for k, size in enumerate((g, n, m))]
    found = distances(generated=sets[0], training=sets[1], original=sets[2], std=0.8)
    arrays = [part.numpy() for part in sets]
    for value, other in ((found.training, arrays[1]), (found.original, arrays[2])):
        each = [by_double_loop(arrays[0][:, j], other[:, j], 0.8) for j in range(3)]
        assert value == pytest.approx(np.mean(each), rel=1e-11, abs=1e-13)
    assert found.delta == pytest.approx(found.training - found.original, abs=1e-12)


def test_it_is_the_integral_of_the_squared_difference_of_densities() -> None:
    g, t, o = (images(size, 1, seed) for seed, size in enumerate((6, 4, 5)))

    def density(points: Tensor, x: float) -> float:
        width = 0.7 / len(points)
        kernels = torch.exp(-0.5 * ((x - points) / width) ** 2) / (width * math.sqrt(2 * math.pi))
        return float(kernels.mean())

    found = distances(generated=g, training=t, original=o, std=0.7)
    breaks = torch.cat([g, t, o]).flatten().sort().values.tolist()
    for value, other in ((found.training, t), (found.original, o)):
        expected = quad(
            lambda x, other=other: (density(g, x) - density(other, x)) ** 2,
            breaks[0] - 2, breaks[-1] + 2, points=breaks, limit=400,
        )[0]  # fmt: skip
        assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("levels", [None, 3])
def test_windows_and_tiles_agree(monkeypatch: pytest.MonkeyPatch, levels: int | None) -> None:
    sets = three(300, 2, levels)
    results = []
    for share, pairs in ((1.0, 1 << 18), (0.0, 1 << 18), (1.0, 50), (0.0, 50)):
        monkeypatch.setattr(coordinates, "_DENSE", share)
        monkeypatch.setattr(coordinates, "_PAIRS", pairs)
        results.append(distances(**sets))
    for result in results[1:]:
        assert result.training == pytest.approx(results[0].training, rel=1e-12)
        assert result.delta == pytest.approx(results[0].delta, rel=1e-11, abs=1e-14)


def test_what_is_left_out_is_below_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = three(500, 1)
    monkeypatch.setattr(coordinates, "_PAIRS", 1000)
    monkeypatch.setattr(coordinates, "_DENSE", 0.0)
    whole = distances(**sets, std=1.0)
    monkeypatch.setattr(coordinates, "_DENSE", 1.0)
    self_term = 1 / (2 * math.sqrt(math.pi))
    # With wider cuts left out, the error shows, and is below N times what a kernel is cut at.
    for reach in (3.0, 5.0):
        monkeypatch.setattr(coordinates, "_REACH", reach)
        error = abs(distances(**sets, std=1.0).training - whole.training)
        assert 0 < error < 5 * 500 * math.exp(-(reach**2) / 2) * self_term
    monkeypatch.undo()
    monkeypatch.setattr(coordinates, "_DENSE", 1.0)
    assert distances(**sets, std=1.0).training == pytest.approx(whole.training, abs=2e-15)


@pytest.mark.parametrize("scale", [1e-150, 1e-6, 255.0, 1e150])
def test_units_and_origin_do_not_matter(scale: float) -> None:
    sets = three(60, 4)
    here = distances(**sets)
    there = distances(**{name: scale * (part + 3) for name, part in sets.items()})
    assert there.training * scale == pytest.approx(here.training, rel=1e-9)
    assert there.delta * scale == pytest.approx(here.delta, rel=1e-9)


def test_the_published_value_is_a_multiple() -> None:
    sets = three(30, 2)
    exact, published = distances(**sets), distances(**sets, variant="as_published")
    root = math.sqrt(2 * math.pi)
    assert published.training == pytest.approx(root * exact.training, rel=1e-13)
    assert published.original == pytest.approx(root * exact.original, rel=1e-13)
    assert published.delta == pytest.approx(root * exact.delta, rel=1e-13)


def test_one_scale_serves_all_sets() -> None:
    """Widths follow the originals' deviation (or the given one), not each set's own."""
    t, o = images(50, 2, 1), images(80, 2, 2)
    narrow = 0.01 * images(50, 2, 0)
    by_own = distances(generated=narrow, training=t, original=o)
    given = distances(generated=narrow, training=t, original=o, std=o.std(dim=0))
    assert by_own.delta == pytest.approx(given.delta, rel=1e-9)
    assert by_own.training == pytest.approx(given.training, rel=1e-9)
    wider = distances(generated=narrow, training=t, original=o, std=10 * o.std(dim=0))
    assert wider.training < by_own.training


def test_coordinates_that_do_not_vary_are_left_out() -> None:
    sets = three(40, 3)
    whole = distances(**sets)
    padded: dict[str, Any] = {
        name: torch.nn.functional.pad(part, (1, 1), value=0.1) for name, part in sets.items()
    }
    assert distances(**padded) == whole
    assert whole.coordinates == 3


def test_an_ideal_sampler_is_where_theory_says() -> None:
    """E[Δ] = −(1/N_T − 1/N_O)/(2√π s): nearer to the larger set, without any memorization."""
    n, g, m, std, d = 40, 60, 300, 0.5, 40
    values = []
    for seed in range(60):
        t, x, o = (std * images(size, d, 3 * seed + k) for k, size in enumerate((n, g, m)))
        values.append(distances(generated=x, training=t, original=o, std=std).delta)
    expected = -(1 / n - 1 / m) / (2 * math.sqrt(math.pi) * std)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 4 * error
    assert error < 0.5 * abs(expected)


def test_a_perfect_copier_is_where_theory_says() -> None:
    """−2/(√(2π) s √(1 + (N_T/N_G)²)) for each on its original, but 2/N_T ∫p² less of others."""
    n, g, m, std, d = 60, 20, 300, 0.5, 40
    values = []
    for seed in range(30):
        t, o = (std * images(size, d, 2 * seed + k) for k, size in enumerate((n, m)))
        found = distances(generated=t[:g], training=t, original=o, std=std)
        values.append(found.delta)
    square = 1 / (2 * math.sqrt(math.pi) * std)
    copies = 2 / (math.sqrt(2 * math.pi) * std * math.hypot(1, n / g))
    expected = -(1 / n - 1 / m) * square - copies + 2 / n * square
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 4 * error
    assert error < 0.1 * abs(expected)


def test_many_equal_values_take_little_memory() -> None:
    half = torch.zeros(30_000, 1)
    half[::2] = 1.0
    found = distances(generated=half, training=half[:20_000], original=half)
    assert found.training == pytest.approx(
        by_levels(30_000, 20_000, float(half.double().std())), rel=1e-9
    )


def by_levels(n: int, m: int, std: float) -> float:
    """Return E for two sets of which one half is 0 and the other 1."""

    def mean(v: float) -> float:
        return 0.5 / math.sqrt(2 * math.pi * v)

    one, two = std / n, std / m
    return mean(2 * one**2) + mean(2 * two**2) - 2 * mean(one**2 + two**2)


def test_wrong_input_is_named() -> None:
    t = images(5, 2, 0)
    with pytest.raises(ConfigError, match="variant 'publishd'"):
        distances(generated=t, training=t, original=t, variant="publishd")
    with pytest.raises(DataError, match="no training images"):
        distances(generated=t, training=t[:0], original=t)
    broken = t.clone()
    broken[3, 1] = math.nan
    with pytest.raises(DataError, match="generated image 3"):
        distances(generated=broken, training=t, original=t)
    with pytest.raises(DataError, match="no coordinate of the 5 originals varies"):
        distances(generated=t, training=t, original=torch.zeros(5, 2))
    with pytest.raises(DataError, match="3 standard deviations"):
        distances(generated=t, training=t, original=t, std=torch.ones(3))
    with pytest.raises(DataError, match="negative"):
        distances(generated=t, training=t, original=t, std=-1.0)
