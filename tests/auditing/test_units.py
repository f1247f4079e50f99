from __future__ import annotations

import torch

from ecotone.auditing.halves import divide
from ecotone.auditing.units import joined, near_duplicate_units
from ecotone.measures import Reference


def cloud(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_units_of_a_holdout_are_the_clusters_that_a_training_set_would_have() -> None:
    images = torch.cat([cloud(40, 0), cloud(40, 0)[:7] + 1e-3, cloud(40, 0)[:3]])
    reference = Reference(training=images)
    units = near_duplicate_units(images, reference.threshold)
    assert torch.equal(units, reference.clusters)
    assert len(units.unique()) < len(images)


def test_a_single_image_is_a_unit() -> None:
    assert near_duplicate_units(cloud(1, 0), 0.1).tolist() == [0]


def test_halves_share_no_image_whatever_the_order() -> None:
    images = torch.cat([cloud(31, 0), cloud(31, 0)[:5]])
    first, second = divide(images, None, 3)
    sets = [set(map(tuple, images[half].tolist())) for half in (first, second)]
    assert not sets[0] & sets[1]
    assert len(sets[0]) + len(sets[1]) == 31
    assert abs(len(first) - len(second)) <= 1
    order = torch.randperm(36, generator=torch.Generator().manual_seed(1))
    again = [
        set(map(tuple, images[order][half].tolist())) for half in divide(images[order], None, 3)
    ]
    assert again == sets


def test_halves_divide_no_group() -> None:
    groups = [f"patient {index // 4}" for index in range(40)]
    first, second = divide(cloud(40, 0), groups, 0)
    ours, theirs = ({groups[row] for row in half.tolist()} for half in (first, second))
    assert not ours & theirs
    assert len(ours) == len(theirs) == 5


def test_joining_follows_chains_of_groups_and_units() -> None:
    units = torch.tensor([0, 1, 1, 2, 3])
    assert joined(units, ["a", "a", "b", "c", "b"]).tolist() == [0, 0, 0, 1, 0]
    assert joined(units, None) is units
