from __future__ import annotations

import torch
from torch import Tensor

from ecotone.auditing.findings import (
    Finding,
    Side,
    against_halves,
    against_holdout,
    reach,
)
from ecotone.measures import neighbours


def cloud(n: int, seed: int, d: int = 12) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def findings_of(generated: Tensor, training: Tensor, holdout: Tensor) -> dict[str, Finding]:
    found = neighbours(generated=generated, training=training, holdout=holdout)
    findings = against_holdout(
        Side.of(found),
        training_units=None,
        holdout_units=None,
        level=0.05,
        seed=0,
    )
    return {finding.name: finding for finding in findings}


def test_copies_are_significant_in_all_of_them() -> None:
    training, holdout = cloud(150, 0), cloud(150, 1)
    found = findings_of(training[:100], training, holdout)
    assert all(finding.significant for finding in found.values())
    assert found["gap_ratio"].kind == "copies"
    assert "100 of 100" in found["gap_ratio"].seen


def test_the_level_is_shared_among_the_tests() -> None:
    found = findings_of(cloud(60, 3), cloud(80, 0), cloud(80, 1))
    assert {finding.level for finding in found.values()} == {0.05 / len(found)}
    assert len(found) == 3


def test_nearness_without_standing_out_is_overfitting_not_copying() -> None:
    training, holdout = cloud(200, 0, 60), cloud(200, 1, 60)
    # Halfway to a training image: nearer than any other image, yet far from a third of the way.
    generated = 0.5 * training + 0.5 * cloud(200, 2, 60)
    found = findings_of(generated, training, holdout)
    assert not found["gap_ratio"].significant
    assert found["closest_record"].significant


def test_one_honest_image_made_again_and_again_is_no_new_evidence() -> None:
    training, holdout = cloud(150, 0), cloud(150, 1)
    # One image that stands out by chance, as one in a hundred does, and others.
    gap = neighbours(generated=training[:1], training=training).generated.distinct_distance
    assert gap is not None
    away = cloud(1, 7)
    alone = training[:1] + 0.35 * gap[0] * away / away.norm()
    generated = torch.cat([alone.repeat(80, 1), cloud(40, 2)])
    found = neighbours(generated=generated, training=training, holdout=holdout)
    different = torch.cat([torch.tensor([0]), torch.arange(80, 120)])
    tests = against_holdout(
        Side(found, different), training_units=None, holdout_units=None, level=0.05, seed=0
    )
    assert not any(test.significant for test in tests)


def test_halves_see_copies_of_either_and_count_twice() -> None:
    training = cloud(120, 0)
    first, second = training[:60], training[60:]
    for copied in (first, second):
        sides = [
            Side.of(neighbours(generated=copied, training=one, holdout=other))
            for one, other in ((first, second), (second, first))
        ]
        found = {finding.name: finding for finding in against_halves(*sides, level=0.05)}
        assert set(found) == {"gap_ratio"}
        assert all(finding.significant for finding in found.values())
    honest = [
        Side.of(neighbours(generated=cloud(50, 9), training=one, holdout=other))
        for one, other in ((first, second), (second, first))
    ]
    assert not any(finding.significant for finding in against_halves(*honest, level=0.05))


def test_the_reach_of_halves_is_shorter_than_that_of_a_holdout() -> None:
    pool, generated = cloud(400, 0), cloud(400, 1)
    whole = Side.of(neighbours(generated=generated, training=pool[:200], holdout=pool[200:]))
    alone = reach([whole], asked=0.05, level=0.05, tests=3)
    both = reach([whole, whole], asked=0.05, level=0.05, tests=3)
    assert alone is not None
    assert both is not None
    assert alone.share is not None
    assert both.share is not None
    assert alone.share < both.share


def test_few_images_reach_nothing_and_say_what_would() -> None:
    side = Side.of(neighbours(generated=cloud(3, 0), training=cloud(50, 1), holdout=cloud(3, 2)))
    found = reach([side], asked=0.05, level=0.05, tests=3)
    assert found is not None
    assert found.share is None
    assert found.needed is not None
    assert found.needed.generated > 3
    assert found.needed.holdout > 3


def test_a_training_set_of_one_image_has_no_reach() -> None:
    copies = torch.ones(4, 3, dtype=torch.float64)
    side = Side.of(neighbours(generated=cloud(5, 0, 3), training=copies, holdout=cloud(5, 1, 3)))
    assert side.copies is None
    assert reach([side], asked=0.05, level=0.05, tests=3) is None
