import math

import numpy as np
import pytest

from ecotone.theory import CoordinateTheory


def height(u, v):
    return np.exp(-u * u / (2 * v)) / np.sqrt(2 * math.pi * v)


def deltas(training, originals, generated, std, *, copies=False, repeats=4000):
    """Δ of one coordinate, many times, from the definition with all three terms."""
    random = np.random.default_rng(0)
    g, t, o = (
        std * random.standard_normal((repeats, size)) for size in (generated, training, originals)
    )
    if copies:
        g = np.take_along_axis(t, random.integers(0, training, g.shape), 1)

    def distance(x):
        width, own = (std / x.shape[1]) ** 2, (std / generated) ** 2
        terms = height(x[:, :, None] - x[:, None], 2 * width).mean((1, 2))
        return terms - 2 * height(g[:, :, None] - x[:, None], own + width).mean((1, 2))

    return distance(t) - distance(o)


@pytest.mark.parametrize("sizes", [(20, 50, 10, 0.1), (40, 15, 30, 2.0), (5, 8, 1, 1.0)])
def test_means_and_variances_are_those_of_simulations(sizes):
    theory, found = CoordinateTheory(*sizes), deltas(*sizes)
    error = found.std() / math.sqrt(len(found))
    assert theory.ideal_delta == pytest.approx(found.mean(), abs=4 * error)
    assert theory.ideal_variance == pytest.approx(found.var(), rel=0.1)
    copied = deltas(*sizes, copies=True)
    error = copied.std() / math.sqrt(len(copied))
    assert theory.copier_delta == pytest.approx(copied.mean(), abs=4 * error)


def test_the_share_of_positive_signs_is_that_of_simulations():
    sizes = (8, 30, 8, 1.0)
    means = deltas(*sizes, repeats=40 * 300).reshape(300, 40).mean(1)
    predicted = CoordinateTheory(*sizes).ideal_positive(40)
    error = math.sqrt(predicted * (1 - predicted) / 300)
    assert predicted == pytest.approx((means > 0).mean(), abs=3.5 * error)
    assert predicted < 0.4  # though nothing was copied


def test_large_sets_have_the_leading_terms():
    theory = CoordinateTheory(training=4000, originals=10**6, generated=3000, std=0.1)
    leading = -(1 / 4000 - 1 / 10**6) / (2 * math.sqrt(math.pi) * 0.1)
    assert theory.ideal_delta == pytest.approx(leading, rel=0.01)


def test_units_carry_over():
    one, other = (CoordinateTheory(30, 50, 20, std=s) for s in (1.0, 7.0))
    assert other.ideal_delta == pytest.approx(one.ideal_delta / 7, rel=1e-12)
    assert other.ideal_variance == pytest.approx(one.ideal_variance / 49, rel=1e-12)
    assert other.ideal_positive(9) == pytest.approx(one.ideal_positive(9), rel=1e-12)


def test_sets_too_small_are_refused():
    with pytest.raises(ValueError, match="too small"):
        CoordinateTheory(1, 10, 10)
