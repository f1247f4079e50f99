import math

import numpy as np
import pytest

from ecotone.theory import probability_positive
from ecotone.theory.leave_one_out import _one_step, _plug_in
from theory.simulated import one_step, plug_in, signs

NOISE = 1 - math.exp(-4)


def share(draw, n, originals, variances, repeats, **options):
    random = np.random.default_rng(1)
    found = [signs(random, draw, n, originals, variances, **options) for _ in range(repeats)]
    return float(np.mean(found))


def predicted(n, originals, variances, **options):
    value = probability_positive(n, originals=originals, variances=variances, **options)
    assert value is not None
    return value


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(("d", "n"), [(16, 8), (16, 24), (16, 48), (32, 64)])
def test_the_one_step_model_is_that_of_simulations(d, n, published):
    random, variances = np.random.default_rng(0), np.ones(d)

    def draw():
        return one_step(random, n, variances, NOISE)

    found = share(draw, n, 3000, variances, 150, published=published)
    variant = "as_published" if published else "exact"
    law = predicted(n, 3000, variances, model="one_step", noise=NOISE, variant=variant, fits=40)
    assert law == pytest.approx(found, abs=0.06 + 3.5 * math.sqrt(found * (1 - found) / 150))


@pytest.mark.slow
@pytest.mark.parametrize(("d", "n"), [(49, 98), (100, 50), (100, 200), (100, 400)])
def test_the_one_step_model_is_that_of_simulations_of_real_size(d, n):
    random, variances = np.random.default_rng(0), np.ones(d)

    def draw():
        return one_step(random, n, variances, NOISE)

    found = share(draw, n, 10_000, variances, 150)
    law = predicted(n, 10_000, variances, model="one_step", noise=NOISE)
    assert law == pytest.approx(found, abs=0.05 + 3.5 * math.sqrt(found * (1 - found) / 150))


@pytest.mark.parametrize(("n", "ridge", "power"), [(60, 0.0, 0), (100, 0.2, 0), (40, 0.0, 0.7)])
def test_the_wiener_model_is_that_of_simulations(n, ridge, power):
    random, variances = np.random.default_rng(0), np.arange(1, 33.0) ** -power

    def draw():
        return plug_in(random, n, variances, ridge)

    found = share(draw, n, 3000, variances, 150)
    law = predicted(n, 3000, variances, model="wiener", ridge=ridge, fits=40)
    assert law == pytest.approx(found, abs=0.06 + 3.5 * math.sqrt(found * (1 - found) / 150))


def test_anisotropic_data():
    random, variances, n = np.random.default_rng(0), np.arange(1, 33.0) ** -0.7, 56

    def draw():
        return one_step(random, n, variances, NOISE)

    found = share(draw, n, 3000, variances, 150)
    law = predicted(n, 3000, variances, model="one_step", noise=NOISE)
    assert 0.05 < law < 0.95  # a size at which it is in doubt
    assert law == pytest.approx(found, abs=0.06 + 3.5 * math.sqrt(found * (1 - found) / 150))


def test_it_falls_back_to_a_half_at_as_many_points_as_originals_and_below_beyond():
    options = {"variances": np.ones(16), "model": "one_step", "noise": NOISE, "fits": 40}
    many, equal, beyond = (predicted(n, 500, **options) for n in (100, 500, 2000))
    assert many > 0.6
    # A little below a half, as the training points alone were fitted to.
    assert equal == pytest.approx(0.45, abs=0.1)
    assert beyond < 0.1


def test_the_density_itself_is_always_nearer_in_high_dimensions():
    options = {"variances": np.ones(100), "model": "one_step", "noise": NOISE, "fits": 8}
    assert predicted(50, None, **options) == 1
    assert predicted(300, None, **options) == 1


@pytest.mark.parametrize("n", [12, 30, 90])
def test_the_density_of_anisotropic_data_has_a_pair_term(n):
    random, variances = np.random.default_rng(0), np.arange(1, 25.0) ** -0.5

    def draw():
        return one_step(random, n, variances, NOISE)

    found = share(draw, n, None, variances, 60)
    law = predicted(n, None, variances, model="one_step", noise=NOISE, fits=40)
    assert law == pytest.approx(found, abs=0.06 + 3.5 * math.sqrt(found * (1 - found) / 60))


def test_it_is_a_function_of_its_seed_and_free_of_units():
    options = {"originals": 1000, "model": "one_step", "fits": 10}
    one = predicted(30, variances=np.ones(16), noise=1.0, **options)
    assert one == predicted(30, variances=np.ones(16), noise=1.0, **options)
    assert one == predicted(30, variances=np.full(16, 4.0), noise=4.0, **options)
    assert one != predicted(30, variances=np.ones(16), noise=1.0, seed=1, **options)


def test_two_points_are_too_few():
    options = {"originals": 10, "variances": np.ones(4), "model": "wiener"}
    assert probability_positive(2, **options) is None
    assert probability_positive(3, **options) is not None


class Replayed(np.random.Generator):
    """A generator that gives back the numbers it is told to."""

    def __init__(self, *arrays):
        super().__init__(np.random.PCG64(0))
        self.arrays = list(arrays)

    def standard_normal(self, size=None, dtype=None, out=None):  # type: ignore[override]
        drawn = np.asarray(self.arrays.pop(0))
        assert drawn.shape == np.empty(() if size is None else size).shape
        return drawn.copy()


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("n", [6, 9, 10, 14])
def test_one_more_point_is_as_in_a_fit_to_all(n, published, monkeypatch):
    """The update of rank one, against least squares on n points."""
    d, noise, random = 8, 0.7, np.random.default_rng(3)
    x = random.standard_normal((n, d))
    moved = np.sqrt(noise) * random.standard_normal((n, d))
    y = x + moved
    others_x, others_y = x[:-1] - x[:-1].mean(0), y[:-1] - y[:-1].mean(0)
    # The same scatter and slope as the n − 1 others, with rows as they would be drawn.
    rows = np.linalg.qr(others_y, mode="r")[: min(n - 2, d)]
    slope = (np.linalg.pinv(others_y, rcond=1e-10) @ others_x).T
    # B = B₀P + R^½ G Jᵀ, solved for G.
    j, gain = np.linalg.pinv(rows), 1 / (1 + noise)
    drawn = np.linalg.lstsq(j, (slope - gain * j @ rows).T, rcond=None)[0].T
    monkeypatch.setattr("ecotone.theory.leave_one_out._scatter_root", lambda *_: rows)
    stream = Replayed(
        drawn / np.sqrt(noise * gain),
        x[:-1].mean(0) * np.sqrt(n - 1),
        moved[:-1].mean(0) * np.sqrt((n - 1) / noise),
        x[-1:],
        moved[-1:] / np.sqrt(noise),
        x[-1:],
        moved[-1:] / np.sqrt(noise),
    )
    fit = _one_step(n, np.ones(d), noise, published, stream)
    clean, noisy = x - x.mean(0), y - y.mean(0)
    whole = (np.linalg.pinv(noisy, rcond=1e-10) @ clean).T
    square = whole.T @ whole if published else whole @ whole.T
    mean = x.mean(0) - whole @ (y.mean(0) - x.mean(0))
    np.testing.assert_allclose(fit.covariance, (1 + noise) * square, atol=1e-8)
    np.testing.assert_allclose(fit.mean, mean, atol=1e-8)
    rest = x[-1] - mean
    direct = rest @ np.linalg.solve(fit.covariance + 0.6 * np.eye(d), rest)
    assert fit.left_out(1, 0.6)[0] == pytest.approx(direct, rel=1e-7)


@pytest.mark.parametrize("n", [5, 14])
def test_one_more_point_is_as_in_a_covariance_of_all(n, monkeypatch):
    d, ridge, random = 8, 0.1, np.random.default_rng(3)
    x = random.standard_normal((n, d))
    rows = x[:-1] - x[:-1].mean(0)
    monkeypatch.setattr("ecotone.theory.leave_one_out._scatter_root", lambda *_: rows)
    stream = Replayed(x[:-1].mean(0) * np.sqrt(n - 1), x[-1:], x[-1:])
    fit = _plug_in(n, np.ones(d), ridge, stream)
    np.testing.assert_allclose(fit.covariance, np.cov(x.T) + ridge * np.eye(d), atol=1e-12)
    np.testing.assert_allclose(fit.mean, x.mean(0), atol=1e-12)
    rest = x[-1] - x.mean(0)
    direct = rest @ np.linalg.solve(fit.covariance + 0.6 * np.eye(d), rest)
    assert fit.left_out(1, 0.6)[0] == pytest.approx(direct, rel=1e-9)
