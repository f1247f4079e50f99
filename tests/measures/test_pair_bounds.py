from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.measures.pair_bounds import PowerSum, TileSums, eight_bit_sum, upper_tiles
from ecotone.measures.products import eight_bit_products_are_exact


@given(n=st.integers(2, 80), rows=st.integers(1, 40), columns=st.integers(1, 60))
@settings(deadline=None)
def test_tiles_hold_every_pair_once(n: int, rows: int, columns: int) -> None:
    times = torch.zeros(n, n, dtype=torch.int64)
    for own, across in upper_tiles(n, rows, columns):
        for piece in across:
            times[own, piece] += 1
            if piece != own:
                times[piece, own] += 1
    assert bool((times == 1).all())


def log2_directly(u: Tensor) -> float:
    squares = torch.cdist(u, u, compute_mode="donot_use_mm_for_euclid_dist").square()
    exponents = (-squares * math.log(2)).fill_diagonal_(-math.inf)
    return float(torch.logsumexp(exponents.flatten(), 0)) / math.log(2)


@given(
    n=st.integers(2, 90),
    d=st.integers(4, 40),
    scale=st.sampled_from([0.02, 0.4, 2.0, 9.0]),
    tail=st.sampled_from([0.0, 1.5]),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_eight_bits_bound_the_sum(n: int, d: int, scale: float, tail: float, seed: int) -> None:
    if not eight_bit_products_are_exact(d, torch.device("cpu")):
        pytest.skip("no exact 8-bit products here")
    generator = torch.Generator().manual_seed(seed)
    u = scale * torch.randn(n, d, dtype=torch.float64, generator=generator)
    u = u * (tail * torch.randn(n, 1, dtype=torch.float64, generator=generator)).exp()
    span = float(u.min()), float(u.max())
    found = eight_bit_sum(lambda piece: u[piece], n=n, d=d, span=span, tile=(16, 32))
    if found is not None:
        low, high = found.whole.bounds(math.log2(n * (n - 1)))
        assert low <= log2_directly(u) <= high


@given(
    n=st.integers(33, 90),
    d=st.integers(4, 40),
    scale=st.sampled_from([0.02, 0.4, 2.0, 9.0]),
    far=st.sampled_from([0.0, 300.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_some_tiles_are_bounded_by_themselves(
    n: int, d: int, scale: float, far: float, seed: int
) -> None:
    if not eight_bit_products_are_exact(d, torch.device("cpu")):
        pytest.skip("no exact 8-bit products here")
    generator = torch.Generator().manual_seed(seed)
    u = scale * torch.randn(n, d, dtype=torch.float64, generator=generator)
    # Two halves a long way apart: what is between them can weigh too little to be told.
    u[n // 2 :, 0] += far**0.5
    span = float(u.min()), float(u.max())
    found = eight_bit_sum(lambda piece: u[piece], n=n, d=d, span=span, tile=(16, 32))
    if found is None:
        return
    terms = -torch.cdist(u, u).square().fill_diagonal_(math.inf)
    tiles = []
    for rows, across in upper_tiles(n, 16, 32):
        for columns in across:
            log = float(torch.logsumexp(terms[rows, columns] * math.log(2), (0, 1))) / math.log(2)
            tiles.append(log + (0 if rows == columns else 1))
    truth = torch.tensor(tiles)
    assert len(found.shares) == len(truth)
    assert float(found.shares.sum()) == pytest.approx(1)
    for _ in range(4):
        among = torch.rand(len(truth), generator=generator) < 0.5
        low, high = found.bounds(among, math.log2(n * (n - 1)))
        whole = float(torch.logsumexp(truth[among] * math.log(2), 0)) / math.log(2)
        assert low <= whole <= high


def test_no_tiles_weigh_nothing() -> None:
    found = TileSums(PowerSum(0.0, 0.1, 0.0), torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert found.bounds(torch.tensor([False, False]), 4.0) == (-math.inf, -math.inf)
    assert found.bounds(torch.tensor([True, False]), 4.0) == (-0.1, 0.1)
    low, high = found.bounds(torch.tensor([False, True]), 4.0)
    assert low == -math.inf
    assert high < -50


def test_points_on_integers_lose_only_the_chord() -> None:
    if not eight_bit_products_are_exact(16, torch.device("cpu")):
        pytest.skip("no exact 8-bit products here")
    generator = torch.Generator().manual_seed(0)
    step = 2.0**-7
    u = step * torch.randint(-127, 128, (300, 16), generator=generator).double()
    found = eight_bit_sum(
        lambda piece: u[piece],
        n=300,
        d=16,
        span=(-127.5 * step, 127.5 * step),
        tile=(64, 128),
    )
    assert found is not None
    assert found.whole.doubt < 1e-3
    assert found.whole.log2 == pytest.approx(log2_directly(u), abs=0.05)


def test_bounds_without_doubt_are_the_error() -> None:
    assert PowerSum(-3.0, 0.25, 0.0).bounds(10.0) == (-3.25, -2.75)


@given(
    seed=st.integers(0, 999),
    doubt=st.floats(1e-3, 0.5),
    spread=st.floats(0.5, 8),
)
@settings(max_examples=80, deadline=None)
def test_bounds_hold_whatever_each_distance_does_within_its_doubt(seed, doubt, spread) -> None:
    generator = torch.Generator().manual_seed(seed)
    seen = spread * torch.rand(500, dtype=torch.float64, generator=generator) + 0.1
    log2 = float(torch.logsumexp(-seen.square() * math.log(2), 0)) / math.log(2)
    low, high = PowerSum(log2, 0.0, doubt).bounds(math.log2(500))
    for moved in ((seen - doubt).clamp_min(0), seen + doubt):
        true = float(torch.logsumexp(-moved.square() * math.log(2), 0)) / math.log(2)
        assert low <= true <= high
