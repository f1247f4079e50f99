import math

import numpy as np
import pytest

from ecotone.theory.positive import (
    bandwidth_advantage,
    fitting_advantage,
    log_pair_sum,
    onset,
)

NOISE = 1 - math.exp(-4)


@pytest.mark.parametrize("variances", [np.ones(8), np.arange(1, 9) ** -1.0])
def test_pair_sums_are_those_of_simulations(variances):
    random, count, found = np.random.default_rng(0), 200, []
    width = variances.mean() * count ** (-2 / 8)
    for _ in range(60):
        x = random.standard_normal((count, 8)) * np.sqrt(variances)
        kernels = np.exp(-np.square(x[:, None] - x).sum(2) / (4 * width))
        found.append((kernels.sum() - count) / count)
    mean, error = float(np.mean(found)), float(np.std(found)) / math.sqrt(len(found))
    assert math.exp(log_pair_sum(count, variances=variances)) == pytest.approx(mean, abs=4 * error)
    assert log_pair_sum(1, variances=variances) == -math.inf


def test_the_onset_balances_the_two_advantages():
    d, originals = 1000, 10**8
    n = onset(dimension=d, originals=originals, noise=NOISE)
    assert n is not None
    gained = bandwidth_advantage(n, originals=originals, dimension=d, noise=NOISE)
    # To first order in log(N_O/n)/d.
    assert gained == pytest.approx(fitting_advantage(n, dimension=d, noise=NOISE), rel=0.03)


def test_the_onset_moves_with_the_originals_and_not_in_proportion_to_the_dimension():
    few, many = (onset(dimension=100, originals=N, noise=NOISE) for N in (10_000, 30_000))
    assert few is not None
    assert many is not None
    assert few > 1.2 * many
    larger = onset(dimension=200, originals=10**6, noise=NOISE)
    smaller = onset(dimension=100, originals=10**6 // 4, noise=NOISE)
    assert larger is not None
    assert smaller is None or larger > 3 * smaller


def test_there_is_no_onset_near_the_dimension_or_without_a_root():
    assert onset(dimension=49, originals=10_000, noise=NOISE) is None
    assert onset(dimension=400, originals=10_000, noise=NOISE) is None
