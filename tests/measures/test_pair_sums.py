from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.measures import pair_sums
from ecotone.measures.pair_sums import PairSum
from ecotone.measures.products import eight_bit_products_are_exact

KINDS = ("normal", "power law", "heavy tails", "duplicates")


def points(n: int, d: int, *, kind: str = "normal", seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, dtype=torch.float64, generator=generator)
    if kind == "power law":
        x = x / (1 + torch.arange(d))
    if kind == "heavy tails":
        x = x * torch.randn(n, 1, dtype=torch.float64, generator=generator).exp()
    if kind == "duplicates":
        x[n // 2 :] = x[: n - n // 2].clone()
    return x


def bandwidth(x: Tensor) -> float:
    return float(x.var()) * len(x) ** (-2 / x.shape[1])


def directly(x: Tensor, variance: float) -> float:
    squares = torch.from_numpy(pdist(x.numpy(), "sqeuclidean"))
    return math.log(2) + float(torch.logsumexp(-squares / (4 * variance), 0))


def passes(x: Tensor, variance: float) -> list[tuple[float, float]]:
    """Return the bounds after every pass."""
    pair = PairSum(x, variance)
    found = []
    while pair.tighten():
        if math.isfinite(pair._bounds[0]):
            found.append(pair.bounds())
    return found


@pytest.fixture
def no_shortcuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small sets take every pass that large ones do."""
    monkeypatch.setattr(pair_sums, "_SMALL", 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (40, 1), (514, 2), (1025, 16), (700, 100)])
def test_every_pass_bounds_the_sum_over_differences(no_shortcuts, n, d, kind) -> None:
    x = points(n, d, kind=kind) if n > 2 else points(n, d)
    truth = directly(x, bandwidth(x))
    found = passes(x, bandwidth(x))
    for low, high in found:
        assert low - 1e-9 <= truth <= high + 1e-9
    assert found[-1][0] == found[-1][1] == pytest.approx(truth, abs=1e-9)


def test_passes_come_closer(no_shortcuts) -> None:
    x = points(1500, 30)
    widths = [high - low for low, high in passes(x, bandwidth(x))]
    assert len(widths) >= 2
    assert widths == sorted(widths, reverse=True)
    assert 0 < widths[0] < 4
    assert 0 < widths[-2] < 0.01
    assert widths[-1] == 0


def test_far_larger_terms_late_in_the_sum_are_not_lost(no_shortcuts) -> None:
    # All pairs of the first tiles lie hundreds of powers of 2 below those of the duplicates.
    # The duplicates are farther out, so they come last.
    x = 1.5 * points(1200, 800, kind="duplicates")
    far = points(1200, 800, seed=1)
    found = passes(torch.cat([far, x]), 1.0)
    truth = directly(torch.cat([far, x]), 1.0)
    assert truth == pytest.approx(math.log(1200), abs=1e-6)
    assert len(found) >= 3
    for low, high in found:
        assert low - 1e-9 <= truth <= high + 1e-9


def test_without_eight_bit_products_float32_bounds(no_shortcuts, monkeypatch) -> None:
    monkeypatch.setattr(pair_sums, "eight_bit_products_are_exact", lambda *_: False)
    x = points(600, 20)
    low, high = PairSum(x, bandwidth(x)).bounds()
    assert low < directly(x, bandwidth(x)) < high
    assert high - low < 0.01


def test_points_made_tile_by_tile_give_the_same(no_shortcuts, monkeypatch) -> None:
    x = points(1500, 40)
    kept = passes(x, bandwidth(x))
    monkeypatch.setattr(pair_sums, "_KEPT_BYTES", 0)
    assert passes(x, bandwidth(x)) == kept
    monkeypatch.setattr(pair_sums, "_TILE_BYTES", 40 * 8 * 100)
    other = passes(x, bandwidth(x))
    # Between the first and these, other tiles hold other parts.
    at = (0, -2, -1)
    for (low, high), (lowest, highest) in ((other[place], kept[place]) for place in at):
        assert low == pytest.approx(lowest, abs=5e-3)
        assert high == pytest.approx(highest, abs=5e-3)


def test_the_tiles_that_hold_most_come_before_the_others(no_shortcuts, monkeypatch) -> None:
    if not eight_bit_products_are_exact(60, torch.device("cpu")):
        pytest.skip("no exact 8-bit products here")
    monkeypatch.setattr(pair_sums, "_TILE_BYTES", 60 * 8 * 64)  # Tiles of 64 × 128.
    sizes: list[int] = []
    powers = pair_sums._powers

    def counted(exponents: Tensor) -> float:
        sizes.append(exponents.numel())
        return powers(exponents)

    monkeypatch.setattr(pair_sums, "_powers", counted)
    x = points(1500, 60)
    truth = directly(x, bandwidth(x))
    pair = PairSum(x, bandwidth(x))
    widths, work = [], []
    while not pair.exact:
        sizes.clear()
        assert pair.tighten()
        low, high = pair._bounds
        assert low - 1e-9 <= truth <= high + 1e-9
        widths.append(high - low)
        work.append(sum(sizes))
    # 8 bits, some tiles, more of them, all in float32, all in float64.
    assert len(widths) == 5
    assert widths == sorted(widths, reverse=True)
    assert work[0] == 0 < work[1] < work[3] / 4
    assert work[1] + work[2] < work[3]
    assert widths[1] < 0.6 < 1.5 < widths[0]
    assert widths[2] < 0.08


def test_differences_serve_where_products_would_cancel() -> None:
    # Kernels 1e-6 wide in data 1 wide: a product's rounding would be a hundred nats.
    x = points(500, 1)
    x[1::2] = x[::2] + 1e-6
    assert PairSum(x, 1e-12).log_value == pytest.approx(directly(x, 1e-12), abs=1e-9)
    assert PairSum(x, 1e-12).log_value == pytest.approx(math.log(500) - 0.25, abs=1e-3)


@given(
    n=st.integers(2, 60),
    d=st.integers(2, 30),
    seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 10.0, -1e3]),
    scale=st.sampled_from([1e-3, 0.3, 1e3, 1e12]),
)
@settings(max_examples=40, deadline=None)
def test_shift_scale_and_order_do_not_matter(n, d, seed, shift, scale) -> None:
    x = points(n, d, seed=seed)
    value = PairSum(x, bandwidth(x)).log_value
    other = (x.flip(0) + shift) * scale
    found = PairSum(other, bandwidth(x) * scale**2).log_value
    assert found == pytest.approx(value, abs=1e-9)


def test_small_data_far_from_the_origin() -> None:
    x = points(900, 20)
    value = PairSum(x, bandwidth(x)).log_value
    for scale in (1e-3, 1e3):
        found = PairSum(10 + scale * x, scale**2 * bandwidth(x)).log_value
        assert found == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 1025])
def test_equal_points_all_count(n: int) -> None:
    x = torch.full((n, 5), 3.7, dtype=torch.float64)
    assert PairSum(x, 0.01).log_value == pytest.approx(math.log(n * (n - 1)), abs=1e-12)


def test_equal_points_all_count_in_bounds(no_shortcuts) -> None:
    for low, high in passes(torch.full((700, 5), 3.7, dtype=torch.float64), 0.01):
        assert low <= math.log(700 * 699) + 1e-9
        assert high >= math.log(700 * 699) - 1e-9
        assert high - low < 0.2


def test_sums_below_any_float_have_logarithms(no_shortcuts) -> None:
    x = torch.tensor([[0.0, 0.0], [3e4, 4e4]], dtype=torch.float64)
    for low, high in passes(x, 1.0):
        assert low <= math.log(2) - 2.5e9 / 4 <= high
    assert PairSum(x, 1.0).log_value == pytest.approx(math.log(2) - 2.5e9 / 4, rel=1e-14)


@pytest.mark.parametrize(("n", "d"), [(50, 2), (200, 8), (1000, 16)])
def test_normal_points_have_the_expectation_of_their_distance(n: int, d: int) -> None:
    # |x − y|² is 2 chi², so E exp(−|x − y|²/(4ε²)) = (1 + 1/ε²)^(−d/2).
    runs = 40
    found = torch.tensor(
        [
            math.exp(PairSum(points(n, d, seed=seed), n ** (-2 / d)).log_value) / n
            for seed in range(runs)
        ]
    )
    expected = (n - 1) * (1 + n ** (2 / d)) ** (-d / 2)
    assert float(found.mean()) == pytest.approx(
        expected, abs=4 * float(found.std()) / math.sqrt(runs)
    )
    assert float(found.std()) / math.sqrt(runs) < 0.1 * expected


def test_many_dimensions_stay_finite() -> None:
    x = points(2000, 1000)
    low, high = PairSum(x, bandwidth(x)).bounds()
    assert math.isfinite(low)
    assert low < PairSum(x, bandwidth(x)).log_value < high < -300


@pytest.mark.slow
def test_a_hundred_thousand_points_of_a_thousand_dimensions() -> None:
    n, d = 100_000, 1000
    x = points(n, d)
    low, high = PairSum(x, n ** (-2 / d)).bounds()
    expected = math.log(n) + math.log(n - 1) - d / 2 * math.log1p(n ** (2 / d))
    # Rare near pairs carry the mean, so the sum of one set stays below it.
    assert -math.inf < low < high < expected + 60
    assert high - low < 80


def test_what_is_no_set_of_points_is_refused() -> None:
    with pytest.raises(DataError, match="1 points of 2 dimensions"):
        PairSum(torch.zeros(1, 2, dtype=torch.float64), 1.0)
    with pytest.raises(DataError, match="0 dimensions"):
        PairSum(torch.zeros(3, 0, dtype=torch.float64), 1.0)
    for odd in (math.nan, math.inf):
        with pytest.raises(DataError, match="not finite"):
            PairSum(torch.tensor([[0.0], [odd]], dtype=torch.float64), 1.0)
    for odd in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=f"variance = {odd}"):
            PairSum(torch.zeros(3, 2, dtype=torch.float64), odd)
