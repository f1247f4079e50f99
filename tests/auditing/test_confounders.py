from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import ecotone
from audited_digits import dealt
from ecotone.auditing.confounders import Sets, prepare
from ecotone.core.errors import DataError
from ecotone.populations.sources import open_sets


@pytest.fixture(scope="module")
def dealt_sets() -> list[Tensor]:
    return dealt(3, 300, 300, 200)


def prepared(generated, training, holdout=None, **more) -> Sets:
    opened = open_sets(generated=generated, training=training, holdout=holdout, **more)
    return prepare(generated=opened[0], training=opened[1], holdout=opened[2])


def kinds(sets: Sets) -> dict[str, int]:
    return {confounder.kind: confounder.count for confounder in sets.confounders}


def test_clean_sets_have_none(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    assert kinds(prepared(fresh, training, holdout)) == {}


def test_constant_images_are_left_out_of_all_sets(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = (images.clone() for images in dealt_sets)
    fresh[:3], training[5], holdout[-2:] = 0.5, -1.0, 1.0
    sets = prepared(fresh, training, holdout)
    assert sets.holdout is not None
    assert (len(sets.generated), len(sets.training), len(sets.holdout)) == (197, 299, 298)
    assert [c.count for c in sets.confounders] == [3, 1, 2]
    assert sets.generated.ids[0] == "3"
    assert "5" not in sets.training.ids


def test_a_set_of_constant_images_is_refused(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    with pytest.raises(DataError, match=r"all 200 generated images of .* are constant"):
        prepared(torch.full_like(fresh, 0.25), training, holdout)


def test_a_few_trained_on_images_are_left_out_of_the_holdout(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    leaking = torch.cat([holdout, training[:7]])
    sets = prepared(fresh, training, leaking)
    assert sets.holdout is not None
    assert len(sets.holdout) == 300
    assert kinds(sets) == {"holdout and training share images": 7}


@pytest.mark.parametrize("shared", [100, 300])
def test_a_holdout_that_was_trained_on_is_none(dealt_sets: list[Tensor], shared: int) -> None:
    training, holdout, fresh = dealt_sets
    with pytest.raises(DataError, match=r"also in the training set .*; give a holdout that was"):
        prepared(fresh, training, torch.cat([holdout[shared:], training[:shared]]))


def test_generated_images_from_the_holdout_are_refused(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    with pytest.raises(DataError, match="also in the holdout"):
        prepared(holdout, training, holdout)
    some = prepared(torch.cat([fresh, holdout[:2]]), training, holdout)
    assert [c.serious for c in some.confounders] == [True]


def test_equal_numbers_stay_where_the_items_are_no_images() -> None:
    random = np.random.default_rng(0)
    training, holdout, fresh = (random.integers(0, 9, size=(400, 4)) for _ in range(3))
    sets = prepared(fresh, training, holdout)
    assert sets.holdout is not None
    assert len(sets.holdout) == 400
    assert set(kinds(sets)) == {
        "holdout and training share items",
        "generated and holdout share items",
    }
    honest = ecotone.audit(generated=fresh, training=training, holdout=holdout)
    # Equal numbers are frequent among honest ones: more images would be needed to tell.
    assert honest.record.outcome == "too_few"
    assert honest.record.findings[0].p_value > 0.05


def test_groups_on_both_sides_leave_the_holdout(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    groups = {
        "training": [f"p{index // 10}" for index in range(300)],
        "holdout": [f"p{25 + index // 10}" for index in range(300)],
    }
    sets = prepared(fresh, training, holdout, groups=groups)
    assert sets.holdout is not None
    assert len(sets.holdout) == 250
    assert kinds(sets) == {"groups on both sides": 50}
    with pytest.raises(DataError, match="every group of the holdout"):
        prepared(fresh, training, holdout, groups={**groups, "holdout": groups["training"]})


def test_duplicates_in_training_are_told_and_do_not_hide_copies(dealt_sets: list[Tensor]) -> None:
    training, holdout, fresh = dealt_sets
    twice = torch.cat([training, training[:40]])
    generated = torch.cat([training[:30], fresh[:170]])
    found = ecotone.audit(generated=generated, training=twice, holdout=holdout)
    assert found.record.outcome == "copies"
    assert found.readings["copied_share_gap_ratio"].value == pytest.approx(0.15)
    told = {confounder.kind: confounder for confounder in found.record.confounders}
    assert told["duplicates in training"].count == 80
    assert found.training["duplicates"][:30].to_list() == [1] * 30
