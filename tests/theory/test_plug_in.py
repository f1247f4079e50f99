import numpy as np
import pytest
from scipy.stats import wishart

from ecotone.theory import plug_in
from theory.simulated import mean_and_error, table
from theory.simulated import plug_in as fitted


@pytest.mark.parametrize(("n", "d"), [(30, 10), (150, 50), (400, 60)])
def test_expectations_are_those_of_simulations_for_any_spectrum(n, d):
    random = np.random.default_rng(0)
    for variances in (np.ones(d), np.arange(1, d + 1) ** -1.5):
        found = table(lambda v=variances: fitted(random, n, v), variances, 150)
        for name in ("kl_generated_population", "kl_population_generated"):
            mean, error = mean_and_error(found[name])
            assert getattr(plug_in, name)(n, dimension=d) == pytest.approx(mean, abs=4 * error)


def test_a_known_mean_gives_a_degree_of_freedom_back():
    d, n = 8, 20
    draws = wishart(n, np.eye(d) / n).rvs(4000, random_state=np.random.default_rng(1))
    log_dets = np.linalg.slogdet(draws)[1]
    traces = np.trace(np.linalg.inv(draws), axis1=1, axis2=2)
    one = 0.5 * (np.trace(draws, axis1=1, axis2=2) - d - log_dets)
    other = 0.5 * (traces - d + log_dets)
    for values, law in (
        (one, plug_in.kl_generated_population),
        (other, plug_in.kl_population_generated),
    ):
        mean, error = mean_and_error(values)
        assert law(n, dimension=d, known_mean=True) == pytest.approx(mean, abs=4 * error)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.8])
def test_limits_are_those_of_large_dimensions(ratio):
    d = 40_000
    for name in ("kl_generated_population", "kl_population_generated"):
        exact = getattr(plug_in, name)(d / ratio, dimension=d)
        limit = getattr(plug_in, f"{name}_limit")(ratio)
        assert exact / d == pytest.approx(limit, rel=1e-3)


def test_both_tend_to_parameters_over_twice_the_points():
    d, n = 30, 10**6
    for law in (plug_in.kl_generated_population, plug_in.kl_population_generated):
        assert law(n, dimension=d) == pytest.approx(d * (d + 3) / (4 * n), rel=1e-3)


def test_infinite_divergences_are_absent():
    assert plug_in.kl_generated_population(10, dimension=10) is None
    assert plug_in.kl_generated_population(10, dimension=10, known_mean=True) is not None
    assert plug_in.kl_population_generated(12, dimension=10) is None
    assert plug_in.kl_population_generated(13, dimension=10) is not None
    with pytest.raises(ValueError, match="ratio"):
        plug_in.kl_generated_population_limit(1.0)


@pytest.mark.parametrize("ratio", [0.5, 1, 2, 8])
def test_models_of_disjoint_halves_overlap_as_predicted(ratio):
    d, random = 120, np.random.default_rng(2)
    n, found = round(ratio * d), []
    for _ in range(2):
        roots = []
        for _ in range(2):
            values, axes = np.linalg.eigh(fitted(random, n, np.ones(d)).covariance)
            roots.append((axes * np.sqrt(np.maximum(values, 0))) @ axes.T)
        found.append(np.trace(roots[0] @ roots[1]) / d)
    assert plug_in.overlap(n, dimension=d) == pytest.approx(np.mean(found), abs=0.015)
