import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import comb

from ecotone.theory.marchenko_pastur import expectation, mean_log, quadrature

RATIOS = [0.01, 0.3, 0.9, 0.999, 1.0, 1.5, 8.0]


@pytest.mark.parametrize("ratio", RATIOS)
def test_moments_are_narayana_polynomials(ratio):
    for k in range(1, 6):
        powers = range(k)
        exact = sum(ratio**r * comb(k, r) * comb(k - 1, r) / (r + 1) for r in powers)
        assert expectation(lambda x, k=k: x**k, ratio) == pytest.approx(exact, rel=1e-12)
    assert quadrature(ratio)[1].sum() == pytest.approx(min(1, 1 / ratio), rel=1e-12)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9, 0.999])
def test_inverse_and_logarithm_have_their_closed_forms(ratio):
    assert expectation(np.reciprocal, ratio) == pytest.approx(1 / (1 - ratio), rel=1e-9)
    squares = expectation(lambda x: x**-2.0, ratio)
    assert squares == pytest.approx((1 - ratio) ** -3, rel=1e-6)
    assert expectation(np.log, ratio) == pytest.approx(mean_log(ratio), abs=1e-12)


def test_at_one_the_logarithm_is_minus_one():
    assert expectation(np.log, 1.0) == pytest.approx(-1, abs=1e-7)
    assert mean_log(1 - 1e-9) == pytest.approx(mean_log(1.0), abs=1e-6)


@pytest.mark.parametrize("ratio", [0.25, 2.0])
def test_it_is_the_integral_of_the_density(ratio):
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def integrand(x):
        return np.cos(x) * np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * x)

    atom = max(0.0, 1 - 1 / ratio)
    direct = quad(integrand, low, high, epsabs=1e-11)[0] + atom
    assert expectation(np.cos, ratio) == pytest.approx(direct, abs=1e-8)


@pytest.mark.parametrize("ratio", [0.4, 2.5])
def test_it_is_the_spectrum_of_random_matrices(ratio):
    d = 400
    x = np.random.default_rng(0).standard_normal((round(d / ratio), d))
    values = np.maximum(np.linalg.eigvalsh(x.T @ x / len(x)), 0)
    for function in (np.sqrt, np.log1p, lambda v: 1 / (0.1 + v)):
        assert expectation(function, ratio) == pytest.approx(function(values).mean(), rel=0.01)


def test_ratios_out_of_range_are_refused():
    with pytest.raises(ValueError, match="ratio"):
        quadrature(0.0)
    with pytest.raises(ValueError, match="ratio"):
        mean_log(1.1)
