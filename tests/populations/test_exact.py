from __future__ import annotations

import pytest
import torch

from ecotone.core.errors import ConfigError
from ecotone.populations.exact import exact_shape
from ecotone.populations.gaussian import Gaussian


def test_draws_and_splits_of_a_density_share_no_sample() -> None:
    population = Gaussian(dimension=2)
    split = population.split(20, 20, seed=0)
    everything = torch.cat([split.training, split.holdout, population.draw(40, seed=0)])
    assert len(everything.unique(dim=0)) == 80


def test_training_does_not_depend_on_the_size_of_the_holdout() -> None:
    population = Gaussian(dimension=2)
    one, other = population.split(5, 3, seed=0), population.split(5, 9, seed=0)
    assert torch.equal(one.training, other.training)
    assert torch.equal(one.holdout, other.holdout[:3])


def test_shapes_that_disagree() -> None:
    told = {"dimension": 4, "mean": None, "spectrum": 3}
    with pytest.raises(ConfigError, match="dimension makes 4 but spectrum makes 3"):
        exact_shape("gaussian", default=16, shape=None, implied=told)
    with pytest.raises(ConfigError, match="holds no value"):
        exact_shape("gaussian", default=16, shape=[1, 0, 8], implied={})
    with pytest.raises(ConfigError, match="dimension = 0"):
        exact_shape("gaussian", default=16, shape=None, implied={"dimension": 0})
