import numpy as np
import pytest

from ecotone.theory import SampledTheory, WienerTheory
from ecotone.theory.plug_in import kl_generated_population, kl_population_generated
from ecotone.theory.wiener import equivalent
from theory.simulated import mean_and_error, plug_in, table


@pytest.mark.parametrize("d", [60])
@pytest.mark.parametrize(("n", "ridge"), [(30, 0.1), (30, 1.0), (60, 0.1), (150, 0.05)])
@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_ridge_is_that_of_simulations_above_and_below_the_dimension(n, d, ridge, power):
    variances = np.arange(1, d + 1) ** -power
    random = np.random.default_rng(0)
    found = table(lambda: plug_in(random, n, variances, ridge), variances, 40)
    theory = WienerTheory(variances, ridge=ridge)
    for name, share in (
        ("kl_generated_population", 0.01),
        ("kl_population_generated", 0.015),
        ("affinity", 0.002),
        ("hellinger_squared", 0.01),
    ):
        mean, error = mean_and_error(found[name])
        assert getattr(theory, name)(n) == pytest.approx(mean, abs=4 * error + share * mean), name


def test_the_equivalent_solves_the_known_equation_of_a_scalar_shift():
    variances, c, freedom = np.arange(1, 21) ** -1.0, 0.07, 13.0
    _, trace = equivalent(variances, np.full(20, c), freedom)
    kappa = c * (1 + trace / freedom)
    known = kappa - kappa / freedom * (variances / (variances + kappa)).sum()
    assert known == pytest.approx(c, rel=1e-9)
    assert trace == pytest.approx(kappa / c * (variances / (variances + kappa)).sum(), rel=1e-9)


def test_the_equivalents_trace_is_the_derivative_of_its_determinant():
    variances, shift, step = np.arange(1, 21) ** -1.0, np.linspace(0.1, 0.5, 20), 1e-6
    up, down = (equivalent(variances, shift + s * step * variances, 13.0)[0] for s in (1, -1))
    _, trace = equivalent(variances, shift, 13.0)
    assert trace == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_without_a_ridge_it_is_exact_and_continuous():
    variances, n = np.arange(1, 301) ** -0.5, 900
    theory, little = WienerTheory(variances), WienerTheory(variances, ridge=1e-9)
    assert theory.kl_generated_population(n) == kl_generated_population(n, dimension=300)
    assert theory.kl_population_generated(n) == kl_population_generated(n, dimension=300)
    for name in ("kl_generated_population", "kl_population_generated", "affinity"):
        exact, limit = getattr(theory, name)(n), getattr(little, name)(n)
        assert limit == pytest.approx(exact, rel=0.01), name
    assert theory.affinity(300) == 0
    assert theory.hellinger_squared(300) == 1


@pytest.mark.parametrize("n", [100, 250])
def test_any_sampler_is_that_of_simulations(n):
    d = 50

    def sampler(x):  # shrinks large variances, and leaves some of the starting noise
        return x / (1 + 0.1 * x) + 0.02, 0.1 / (1 + x)

    random = np.random.default_rng(0)
    found = table(lambda: plug_in(random, n, np.ones(d), sampler=sampler), np.ones(d), 60)
    theory = SampledTheory(d, lambda x: sampler(x)[0], lambda x: sampler(x)[1])
    for name, share in (
        ("kl_generated_population", 0.01),
        ("kl_population_generated", 0.02),
        ("affinity", 0.002),
        ("hellinger_squared", 0.02),
        ("wasserstein2_squared", 0.015),
    ):
        mean, error = mean_and_error(found[name])
        assert getattr(theory, name)(n) == pytest.approx(mean, abs=4 * error + share * mean), name


def test_the_transport_distance_holds_below_the_dimension():
    d, n, random = 60, 25, np.random.default_rng(0)
    found = [plug_in(random, n, np.ones(d)) for _ in range(20)]
    direct = [
        m.mean @ m.mean
        + np.square(np.sqrt(np.maximum(np.linalg.eigvalsh(m.covariance), 0)) - 1).sum()
        for m in found
    ]
    theory = SampledTheory(d, lambda x: x, np.zeros_like)
    assert theory.wasserstein2_squared(n) == pytest.approx(np.mean(direct), rel=0.01)
    assert theory.affinity(n) is None
    assert theory.kl_generated_population(n) is None


def test_what_is_no_spectrum_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        WienerTheory(np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="ridge"):
        WienerTheory(np.ones(2), ridge=-1.0)
