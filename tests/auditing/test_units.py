from __future__ import annotations

import torch

from ecotone.auditing.halves import divide
from ecotone.auditing.units import different_images, group_units, near_duplicate_units
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


def test_groups_are_units() -> None:
    assert group_units(None) is None
    units = group_units(["p2", "p1", "p2"])
    assert units is not None
    assert units.tolist() == [1, 0, 1]


def test_of_near_duplicates_one_is_different_whatever_the_order() -> None:
    images = torch.cat([cloud(20, 0)] * 3 + [cloud(5, 1)])
    images = images + 1e-4 * cloud(65, 2)
    found = different_images(images, 0.05)
    assert len(found) == 25
    order = torch.randperm(65, generator=torch.Generator().manual_seed(3))
    again = different_images(images[order], 0.05)
    assert set(order[again].tolist()) == set(found.tolist())
