from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import isotonic_regression
from sklearn.isotonic import IsotonicRegression

from ecotone.laws.crossing import first_rise, plateau


def test_isotonic_crossing_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    log_step = np.linspace(1, 9, 15)
    for _ in range(20):
        weights = random.integers(50, 500, size=15)
        share = random.binomial(weights, np.linspace(0.01, 0.6, 15)) / weights
        theirs = IsotonicRegression().fit(log_step, share, sample_weight=weights)
        ours = isotonic_regression(share, weights=weights).x
        np.testing.assert_allclose(theirs.predict(log_step), ours, atol=1e-12)
        (crossing,) = first_rise(ours[None], np.array([0.3]), log_step)
        # Their model interpolates linearly too, so it takes the threshold's value there.
        assert theirs.predict([crossing])[0] == pytest.approx(0.3)


def test_first_rise_at_the_ends():
    log_step = np.array([0.0, 1.0, 2.0])
    fits = np.array([[0.5, 0.6, 0.7], [0.0, 0.1, 0.2], [0.0, 0.0, 0.4], [0.0, 0.4, 0.4]])
    crossing = first_rise(fits, np.full(4, 0.4), log_step)
    assert list(crossing) == [-np.inf, np.inf, 2.0, 1.0]


def test_plateau_is_unbroken_and_as_wide_as_the_noise():
    values = np.array([5.0, 1.1, 1.0, 1.1, 3.0, 1.0])
    assert plateau(values, 2, None, 1.96) == 1.0
    assert plateau(values, 2, np.full(6, 1e-6), 1.96) == 1.0
    # Not the last value: a step that is surely worse lies between.
    assert plateau(values, 2, np.full(6, 0.1), 1.96) == pytest.approx(3.2 / 3)
    assert plateau(values, 2, np.full(6, 10.0), 1.96) == pytest.approx(values.mean())
