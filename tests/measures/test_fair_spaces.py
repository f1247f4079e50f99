from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import ecotone.measures.fair_spaces as module
from ecotone.core.errors import DataError
from ecotone.features import FeatureSpace
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.fair_spaces import fair_space, fitted_alike
from ecotone.measures.frechet import frechet_distance


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))


def given(training: Tensor, holdout: Tensor, features: FeatureSpace) -> Evidence:
    return Evidence(
        generated=rows(4, 9),
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=rows(4, 9), training=training, holdout=holdout),
        features=features,
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


def test_it_is_fitted_to_a_part_of_all_sets_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = rows(60), rows(20, 1)
    whole = fair_space(given(first, second, PrincipalComponents(2)), "training", "holdout")
    assert whole.describe()["images"] == 80
    turned = given(first.flip(0), second, PrincipalComponents(2))
    again = fair_space(turned, "training", "holdout")
    assert torch.equal(whole(first), again(first))
    monkeypatch.setattr(module, "_FITTED", 8)
    some = fair_space(given(first, second, PrincipalComponents(2)), "training", "holdout")
    assert some.describe()["images"] == 8


def test_it_is_fitted_once_for_each_choice_of_sets() -> None:
    evidence = given(rows(60), rows(20, 1), PrincipalComponents(2))
    both = fair_space(evidence, "training", "holdout")
    assert fair_space(evidence, "training", "holdout") is both
    assert fair_space(evidence, "holdout") is not both


def test_what_cannot_or_need_not_be_fitted_is_returned_as_it_is() -> None:
    fitted = PrincipalComponents(2).fit(rows(60))
    flat = given(torch.ones(9, 5), rows(20, 1), fitted)
    assert fair_space(flat, "training") is fitted
    pixels = Pixels()
    assert fair_space(given(rows(60), rows(20, 1), pixels), "training") is pixels


def test_what_cannot_be_fitted_is_an_error_where_no_other_space_is_at_hand() -> None:
    with pytest.raises(DataError):
        fitted_alike(PrincipalComponents(2), [torch.ones(9, 5), torch.ones(3, 5)], seed=0)


@pytest.mark.parametrize("alike", [True, False])
def test_a_generator_as_good_as_the_population_is_as_near_to_either_set(alike: bool) -> None:
    """Fitted to one of the sets alone, the space makes the other look nearer or farther."""
    differences = []
    for seed in range(60):
        random = torch.Generator().manual_seed(seed)
        training, holdout, generated = torch.randn(3, 40, 30, generator=random)
        sets = [training, holdout] if alike else [holdout]
        space = fitted_alike(PrincipalComponents(6), sets, seed=0)
        to_training, to_holdout = (
            frechet_distance(generated=space(generated), reference=space(real))
            for real in (training, holdout)
        )
        differences.append(to_training - to_holdout)
    mean, error = np.mean(differences), np.std(differences) / len(differences) ** 0.5
    assert (abs(mean) < 3 * error) == alike
