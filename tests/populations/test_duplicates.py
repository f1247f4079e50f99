from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.core.errors import ConfigError
from ecotone.populations.base import Split
from ecotone.populations.digits import Digits
from ecotone.populations.duplicates import plant_duplicates
from ecotone.populations.gaussian import Gaussian


@settings(max_examples=25, deadline=None)
@given(
    exact=st.integers(0, 8),
    near=st.integers(0, 8),
    noise=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
)
def test_duplicates_are_as_many_as_asked_and_tell_their_sources(
    exact: int, near: int, noise: float, seed: int
) -> None:
    split = Gaussian(dimension=5).split(32, 6, seed=0)
    planted, pairs = plant_duplicates(split, exact=exact, near=near, noise=noise, seed=seed)
    assert planted.n == 32
    assert torch.equal(planted.holdout, split.holdout)
    row = {name: index for index, name in enumerate(planted.training_ids)}
    for copy, source in pairs:
        difference = planted.training[row[copy]] - planted.training[row[source]]
        assert torch.equal(planted.training[row[source]], split.training[int(source[-7:]) // 2])
        if copy == f"{source}+exact":
            assert not difference.any()
        else:
            assert copy == f"{source}+near"
            assert difference.any()
    assert sum("+exact" in name for name in planted.training_ids) == exact
    assert sum("+near" in name for name in planted.training_ids) == near
    unchanged = [k for k, name in enumerate(planted.training_ids) if name == split.training_ids[k]]
    assert len(unchanged) == 32 - exact - near
    assert torch.equal(planted.training[unchanged], split.training[unchanged])
    assert len(planted.training.unique(dim=0)) == 32 - exact


def test_the_noise_of_near_duplicates_has_the_size_asked_for() -> None:
    split = Digits().split(200, 10, seed=0)
    planted, pairs = plant_duplicates(split, exact=0, near=100, noise=0.05, seed=0)
    row = {name: index for index, name in enumerate(planted.training_ids)}
    pieces = [planted.training[row[a]] - planted.training[row[b]] for a, b in pairs]
    assert float(torch.stack(pieces).std()) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ("exact", "near", "noise", "told"),
    [
        (3, 2, 0.1, "3 exact and 2 near duplicates among 8 .* add up to 4 or less"),
        (-1, 0, 0.1, "cannot plant -1"),
        (0, 1, 0.0, "noise = 0.0 .* above 0"),
        (1, 0, float("nan"), "noise = nan"),
    ],
)
def test_duplicates_that_cannot_be_planted(exact: int, near: int, noise: float, told: str) -> None:
    split = Gaussian(dimension=2).split(8, 2, seed=0)
    with pytest.raises(ConfigError, match=told):
        plant_duplicates(split, exact=exact, near=near, noise=noise, seed=0)


def test_the_same_seed_plants_the_same() -> None:
    split = Gaussian(dimension=2).split(8, 2, seed=0)
    options = {"exact": 1, "near": 1, "noise": 0.1}
    (one, pairs), (two, again) = (plant_duplicates(split, **options, seed=4) for _ in range(2))
    assert isinstance(one, Split)
    assert torch.equal(one.training, two.training)
    assert pairs == again
