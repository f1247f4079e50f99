from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, mannwhitneyu, norm
from torch import Tensor

from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.data_copying import (
    DataCopying,
    cell_centres,
    cells_of,
    data_copying,
    data_copying_of,
    data_copying_test,
)

whole = st.lists(st.integers(0, 4), min_size=1, max_size=4)


def images(n: int, seed: int, d: int = 20) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def gather(generated: Tensor, training: Tensor, holdout: Tensor | None, seed: int = 0) -> Evidence:
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=seed,
    )


def compared(generated, holdout, cells=None, **options) -> DataCopying:
    """Run the test on lists of distances and of cells."""
    ours, theirs = cells or ([0] * len(generated), [0] * len(holdout))
    return data_copying_test(
        generated=torch.as_tensor(generated, dtype=torch.float64),
        holdout=torch.as_tensor(holdout, dtype=torch.float64),
        generated_cells=torch.as_tensor(ours, dtype=torch.int64),
        holdout_cells=torch.as_tensor(theirs, dtype=torch.int64),
        **{"seed": 0, **options},
    )


def farther(generated, holdout) -> float:
    """Count, pair by pair, how often the generated image is the farther one."""
    return sum((g > h) + (g == h) / 2 for g in generated for h in holdout)


def deals(generated, holdout) -> np.ndarray:
    """Return that count for every way to deal the labels."""
    pooled = [*generated, *holdout]
    counts = []
    for chosen in combinations(range(len(pooled)), len(generated)):
        rest = [pooled[i] for i in range(len(pooled)) if i not in chosen]
        counts.append(farther([pooled[i] for i in chosen], rest))
    return np.array(counts)


@given(whole, whole)
@settings(max_examples=40, deadline=None)
def test_one_cell_is_the_count_of_pairs_over_all_deals(generated, holdout) -> None:
    count, every = farther(generated, holdout), deals(generated, holdout)
    found = compared(generated, holdout, permutations=999)
    pairs = len(generated) * len(holdout)
    assert found.auc == pytest.approx(1 - count / pairs)
    spread = every.std()
    expected = 0.0 if spread == 0 else (count - pairs / 2) / spread
    assert found.statistic == pytest.approx(expected, abs=1e-9)
    share = float((every <= count).mean())
    # Six standard errors of 999 deals.
    assert abs(found.p_value - share) < 6 * math.sqrt(share * (1 - share) / 999) + 0.002
    assert found.auc_interval[0] <= found.auc <= found.auc_interval[1]
    assert found.statistic_interval[0] <= found.statistic <= found.statistic_interval[1]


@pytest.mark.parametrize("ties", [False, True])
def test_one_cell_is_the_test_of_mann_and_whitney(ties: bool) -> None:
    rng = np.random.default_rng(0)
    generated, holdout = rng.gamma(5, 0.9, 90), rng.gamma(5, 1.0, 70)
    if ties:
        generated, holdout = generated.round(), holdout.round()
    found = compared(generated, holdout)
    independent = mannwhitneyu(
        generated, holdout, alternative="less", method="asymptotic", use_continuity=False
    )
    assert norm.cdf(found.statistic) == pytest.approx(independent.pvalue)
    assert found.auc == pytest.approx(1 - independent.statistic / (90 * 70))
    assert found.p_value == pytest.approx(independent.pvalue, abs=0.05)


def test_cells_are_averaged_by_the_holdouts_mass() -> None:
    rng = np.random.default_rng(1)
    generated, holdout = rng.gamma(5, 0.8, 100), rng.gamma(5, 1.0, 60)
    # Cell 2 has too few generated images, cell 3 none held out, cell 4 none generated.
    ours = np.repeat([0, 1, 2, 3], [30, 21, 19, 30])
    theirs = np.repeat([0, 1, 2, 4], [24, 8, 18, 10])
    found = compared(generated, holdout, (ours, theirs))
    statistic = auc = 0.0
    for cell, mass in ((0, 24 / 32), (1, 8 / 32)):
        g, h = generated[ours == cell], holdout[theirs == cell]
        pairs = len(g) * len(h)
        spread = math.sqrt(pairs * (len(g) + len(h) + 1) / 12)
        statistic += mass * (farther(g, h) - pairs / 2) / spread
        auc += mass * (1 - farther(g, h) / pairs)
    assert found.cells == 2
    assert found.statistic == pytest.approx(statistic)
    assert found.auc == pytest.approx(auc)


def test_where_no_cell_has_enough_there_is_one() -> None:
    rng = np.random.default_rng(1)
    generated, holdout = rng.random(30), rng.random(30)
    apart = compared(generated, holdout, (np.arange(30) % 2, np.arange(30) % 2))
    assert apart == compared(generated, holdout)
    assert apart.cells == 1


def test_cells_see_what_all_together_hide() -> None:
    rng = np.random.default_rng(2)
    # Where images lie far apart there are many generated ones, all half as far as they should be.
    holdout = np.concatenate([1 + 0.2 * rng.random(50), 10 + 2 * rng.random(50)])
    generated = np.concatenate([0.5 + 0.1 * rng.random(25), 5 + rng.random(75)])
    cells = np.repeat([0, 1], [25, 75]), np.repeat([0, 1], [50, 50])
    together, apart = compared(generated, holdout), compared(generated, holdout, cells)
    assert together.auc < 0.7
    assert apart.auc == 1
    assert apart.statistic < 2 * together.statistic < 0
    assert apart.p_value == 1 / 1000


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_only_the_order_of_distances_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    generated, holdout = rng.integers(1, 30, 60), rng.integers(1, 40, 50)
    ours, theirs = rng.integers(0, 2, 60), rng.integers(0, 2, 50)
    found = compared(generated, holdout, (ours, theirs))
    assert compared(generated**3, holdout**3, (ours, theirs)) == found
    first, second = rng.permutation(60), rng.permutation(50)
    moved = compared(generated[first], holdout[second], (ours[first], theirs[second]))
    assert moved == found
    # Exchanging the sets turns one cell around.
    one, other = compared(generated, holdout), compared(holdout, generated)
    assert other.statistic == pytest.approx(-one.statistic)
    assert other.auc == pytest.approx(1 - one.auc)
    assert other.auc_interval[0] == pytest.approx(1 - one.auc_interval[1])


@pytest.mark.parametrize("several", [False, True])
def test_p_values_of_honest_images_are_uniform(several: bool) -> None:
    rng = np.random.default_rng(3)
    small = []
    for repeat in range(200):
        cells = (rng.integers(0, 3, 70), rng.integers(0, 3, 45)) if several else None
        generated, holdout = rng.gamma(4, 1, 70), rng.gamma(4, 1, 45)
        found = compared(generated, holdout, cells, permutations=199, seed=repeat)
        small.append(found.p_value)
    low, high = binom.ppf([0.0005, 0.9995], 200, 0.1)
    assert low <= np.sum(np.array(small) <= 0.1) <= high
    assert 0.4 < np.mean(small) < 0.6


@pytest.mark.parametrize(("mean", "copied"), [(1.0, 0.0), (0.7, 0.0), (1.0, 0.4)])
def test_intervals_hold_what_they_are_built_for(mean: float, copied: float) -> None:
    rng = np.random.default_rng(4)

    def distances(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        cells = rng.integers(0, 2, n), rng.integers(0, 2, n)
        generated = rng.gamma(9, mean / 9, n) * (rng.random(n) >= copied)
        return generated, rng.gamma(9, 1 / 9, n), *cells

    generated, holdout, ours, theirs = distances(20_000)
    truth = compared(generated, holdout, (ours, theirs), permutations=1).auc
    held = 0
    for _ in range(200):
        generated, holdout, ours, theirs = distances(120)
        low, high = compared(generated, holdout, (ours, theirs), permutations=1).auc_interval
        held += low <= truth <= high
    # Four standard errors below 0.95.
    assert held / 200 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 200)


def test_copies_are_as_near_as_can_be() -> None:
    training, holdout = images(450, 1), images(400, 2)
    found = data_copying_of(gather(training[:420], training, holdout))
    assert found is not None
    assert found.cells == 4
    assert found.auc == 1
    assert found.p_value == 1 / 1000
    assert found.statistic < -8
    low, high = found.auc_interval
    assert 0.95 < low < 1
    assert high == 1


def test_honest_images_are_as_near_as_the_holdout() -> None:
    found = data_copying(gather(images(350, 0), images(300, 1), images(320, 2)))
    statistic, auc = found["data_copying_statistic"], found["data_copying_auc"]
    assert abs(statistic.value) < 3
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low <= 0.5 <= auc.high
    assert statistic.how["cells"] == 3
    assert statistic.how["p_value"] == auc.how["p_value"]
    # The holdout itself.
    holdout = images(320, 2)
    same = data_copying_of(gather(holdout, images(300, 1), holdout))
    assert same is not None
    assert same.statistic == pytest.approx(0, abs=1e-9)
    assert same.auc == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_cells_follow_what_images_hold(dtype: torch.dtype) -> None:
    middles = torch.tensor([[40.0], [120.0], [200.0]])
    group = torch.arange(150) % 3
    training = (middles[group] + 5 * images(150, 0, 4)).to(dtype).view(150, 1, 2, 2)
    # One image many times over has no cell of its own.
    training = torch.cat([training, training[:1].repeat(100, 1, 1, 1)])
    clusters = torch.cat([torch.arange(150), torch.zeros(100, dtype=torch.int64)])
    centres = cell_centres(training, clusters=clusters, cells=3, seed=0)
    labels = cells_of(training, centres)
    assert len({(int(g), int(c)) for g, c in zip(group, labels[:150], strict=True)}) == 3
    order = torch.randperm(250, generator=torch.Generator().manual_seed(0))
    moved = cell_centres(training[order], clusters=clusters[order], cells=3, seed=0)
    assert torch.equal(centres, moved)
    assert torch.equal(cells_of(training[order], centres), labels[order])


def test_centres_are_means_of_their_cells() -> None:
    training = images(300, 0)
    centres = cell_centres(training, clusters=torch.arange(300), cells=4, seed=1)
    labels = cells_of(training, centres)
    for cell in range(4):
        assert torch.allclose(centres[cell], training[labels == cell].mean(dim=0), atol=1e-4)


def test_what_cannot_be_had_is_left_out() -> None:
    evidence = gather(images(5, 0), images(6, 1), images(7, 2))
    assert set(data_copying(evidence)) == {"data_copying_statistic", "data_copying_auc"}
    without = gather(images(5, 0), images(6, 1), None)
    assert data_copying(without) == {}
    assert data_copying_of(replace(evidence, holdout=None)) is None
    # A training set of one image, again and again, has one cell.
    same = data_copying_of(gather(images(250, 0), torch.zeros(250, 20), images(250, 2)))
    assert same is not None
    assert same.cells == 1
    with pytest.raises(ValueError, match="at least one of each"):
        compared([], [1.0])
    with pytest.raises(ValueError, match="0 permutations"):
        compared([1.0], [1.0], permutations=0)
