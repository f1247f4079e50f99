import math

import numpy as np
import pytest

from ecotone.theory import OneStepTheory
from theory.simulated import mean_and_error, one_step, table

NOISE = 1 - math.exp(-4)


def simulated(n, d, noise, repeats, seed=0):
    random = np.random.default_rng(seed)
    return table(lambda: one_step(random, n, np.ones(d), noise), np.ones(d), repeats)


@pytest.mark.parametrize(
    ("n", "d", "noise"),
    [(150, 100, NOISE), (400, 100, NOISE), (150, 50, NOISE), (200, 50, 0.3), (200, 50, 3.0)],
)
def test_divergences_and_affinity_are_those_of_simulations(n, d, noise):
    theory, found = OneStepTheory(d, noise), simulated(n, d, noise, 120)
    for name, share in (
        ("kl_generated_population", 0.015),
        ("affinity", 0.004),
        ("hellinger_squared", 0.01),
    ):
        mean, error = mean_and_error(found[name])
        assert getattr(theory, name)(n) == pytest.approx(mean, abs=4 * error + share * mean)
    mean, error = mean_and_error(found["log_det"])
    assert theory.log_det(n) == pytest.approx(mean, abs=4 * error + 0.005)
    if n >= 1.5 * theory.detached:
        median = np.median(found["kl_population_generated"])
        predicted = theory.kl_population_generated(n)
        assert predicted is not None
        assert 0.83 * median < predicted < 1.02 * median


def test_the_divergence_from_the_population_drops_an_order_at_the_second_threshold():
    d, name = 60, "kl_population_generated"
    theory = OneStepTheory(d, NOISE)
    below, above = (
        np.median(simulated(round(factor * theory.detached), d, NOISE, 30)[name])
        for factor in (0.75, 1.5)
    )
    assert below > 10 * above
    assert theory.kl_population_generated(0.8 * theory.detached) is None


@pytest.mark.parametrize("n", [150, 300])
def test_shifted_determinants_and_their_derivative(n):
    theory, step = OneStepTheory(100, NOISE), 1e-5
    for shift in (0.05, 1.0, 7.0):
        value, slope = theory.log_det_shifted(n, shift)
        up, down = (theory.log_det_shifted(n, shift + s * step)[0] for s in (1, -1))
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5)
        random, found = np.random.default_rng(1), []
        for _ in range(10):
            c = one_step(random, n, np.ones(100), NOISE).covariance
            found.append(np.linalg.slogdet(c + shift * np.eye(100))[1] / 100)
        assert value == pytest.approx(np.mean(found), abs=0.012)


def test_without_noise_to_remove_it_is_the_plug_in_gaussians_rank_and_volume():
    # g' → 0: B → I, and what is generated is the population's covariance.
    theory = OneStepTheory(40, 1e-9)
    assert theory.kl_generated_population(4000) == pytest.approx(40 / 8000, rel=1e-3)


def test_all_tend_to_their_floors():
    theory = OneStepTheory(100, NOISE)
    n = 1e10
    pairs = {
        theory.kl_generated_population(n): theory.floor_generated_population,
        theory.kl_population_generated(n): theory.floor_population_generated,
        theory.affinity(n): theory.floor_affinity,
        theory.log_det(n): math.log(theory.kept),
    }
    for value, floor in pairs.items():
        assert value == pytest.approx(floor, rel=1e-6)


def test_the_determinant_is_continuous_where_the_disc_lets_go():
    theory = OneStepTheory(100, NOISE)
    below, above = (theory.log_det(theory.detached + 1 + s) for s in (-0.5, 0.5))
    assert below == pytest.approx(above, abs=1e-3)


def test_a_generated_gaussian_without_volume():
    theory = OneStepTheory(10, 1.0)
    assert theory.affinity(10) == 0
    assert theory.hellinger_squared(10) == 1
    assert theory.log_det(10) is None
    assert theory.kl_generated_population(12) is None
    for n, shift in ((10, 1.0), (11, 0.0)):
        with pytest.raises(ValueError, match="above"):
            theory.log_det_shifted(n, shift)
    with pytest.raises(ValueError, match="above 0"):
        OneStepTheory(10, 0.0)


def test_the_shift_of_the_mean_counts_where_noise_is_strong():
    """Typical KL(population ‖ generated) at g' = 3, where the mean's part is a tenth of it."""
    random, d, n, noise = np.random.default_rng(0), 20, 400, 3.0
    rows = []
    for _ in range(200):
        model = one_step(random, n, np.ones(d), noise)
        rows.append(0.5 * model.mean @ np.linalg.solve(model.covariance, model.mean))
    law = OneStepTheory(d, noise)
    inverse = (n - d) / (law.kept * (n - law.detached))
    whole = law.kl_population_generated(n)
    assert whole is not None
    part = whole - 0.5 * d * (inverse - 1 + math.log(law.kept))
    assert part == pytest.approx(np.mean(rows), rel=0.1)
