import numpy as np
import pytest

from ecotone.core.errors import ConfigError
from ecotone.denoisers.wiener import Wiener
from ecotone.theory.cells import cell_of, mean_reached, reaches_limit, sampled_theory


def cell(model, **population):
    found = cell_of(20, None, {"kind": "wiener", **model}, {"kind": "gaussian", **population})
    assert found is not None
    assert isinstance(found.model, Wiener)
    return found, found.model


def test_the_spectrum_is_the_populations():
    found, _ = cell({}, std=3.0, spectrum=1.0, rotation_seed=4)
    np.testing.assert_allclose(np.sort(found.variances)[::-1], 9.0 / np.arange(1, 21))
    low = cell_of(
        20, None, {"kind": "wiener"}, {"kind": "low_rank", "intrinsic_dimension": 3, "noise": 0.1}
    )
    assert low is not None
    np.testing.assert_allclose(low.variances, [1.01] * 3 + [0.01] * 17)
    assert not low.isotropic
    assert not low.large


def test_a_population_without_full_rank_or_of_another_kind_has_no_cell():
    thin = {"kind": "low_rank", "intrinsic_dimension": 3, "noise": 0.0}
    for population in (thin, {"kind": "mixture", "dimension": 20}, {"kind": "digits"}):
        assert cell_of(20, None, {"kind": "wiener"}, population) is None


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match="the population has 5"):
        cell_of(20, None, {"kind": "wiener"}, {"kind": "gaussian", "dimension": 5})
    with pytest.raises(ConfigError, match="unknown linear model"):
        cell_of(20, None, {"kind": "winer"}, {"kind": "gaussian"})


def test_only_a_sampler_run_to_the_end_reaches_the_limit():
    assert reaches_limit(*cell({}))
    assert reaches_limit(*cell({"ridge": 0.3}))
    for short in ({"sampler": "heun"}, {"ridge": 0.1, "convention": "weight"}, {"sigma_max": 3.0}):
        assert not reaches_limit(*cell(short))
    assert not reaches_limit(*cell({}, std=0.005))


def test_a_mean_far_from_where_the_sampler_starts_is_not_reached():
    assert mean_reached(*cell({}, mean=1.0))
    assert not mean_reached(*cell({"sigma_max": 3.0}, mean=10.0))


def test_a_sampler_is_told_in_units_of_the_population():
    ends = {"sigma_min": 0.0, "sigma_max": 1e6}
    theory = sampled_theory(*cell(ends, std=7.0))
    x = np.array([0.5, 2.0])
    np.testing.assert_allclose(theory.generated(x), x, rtol=1e-6)
    np.testing.assert_allclose(theory.start(x), 0, atol=1e-4)
