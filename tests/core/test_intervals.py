from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ecotone.core.intervals import jackknife, mean_interval, median_interval, wilson
from ecotone.core.seeds import generator


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 200), (3, 200), (100, 200), (200, 200)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_scipy(successes: int, n: int, level: float) -> None:
    reference = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson(successes, n, level=level) == pytest.approx(tuple(reference), abs=1e-12)


def test_wilson_covers() -> None:
    for p in (0.01, 0.1, 0.5):
        counts = np.arange(201)
        bounds = np.array([wilson(int(count), 200) for count in counts])
        covered = (bounds[:, 0] <= p) & (p <= bounds[:, 1])
        assert stats.binom.pmf(counts, 200, p)[covered].sum() > 0.92


def test_mean_interval_agrees_with_scipy() -> None:
    values = generator(0, "values").normal(size=12)
    reference = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(reference)
    assert mean_interval([1.0]) is None


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = generator(0, "values").normal(size=40)

    def mean(kept: np.ndarray) -> float:
        return float(values[kept].mean())

    assert jackknife(mean, 40, groups=40) == pytest.approx(stats.sem(values))
    assert jackknife(mean, 40) == pytest.approx(stats.sem(values), rel=0.4)
    assert jackknife(mean, 1) is None


def test_the_median_interval_covers_for_any_law() -> None:
    draws = np.random.default_rng(0).pareto(0.5, size=(2000, 25))  # of infinite mean
    middle = 0.5**-2 - 1
    inside = [
        low <= middle <= high
        for row in draws
        for low, high in [median_interval(row)[1] or (0.0, 0.0)]
    ]
    assert 0.94 <= np.mean(inside) <= 0.98
    assert median_interval([2.0, np.inf, 1.0])[0] == 2.0
    with pytest.raises(ValueError, match="no values"):
        median_interval([])
