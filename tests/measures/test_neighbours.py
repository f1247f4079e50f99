from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core import DataError
from ecotone.measures import Proximity, Reference, neighbours
from ecotone.measures.neighbours import GAP_RATIO


def distances(a: Tensor, b: Tensor) -> Tensor:
    return (a.flatten(1).double()[:, None] - b.flatten(1).double()).square().sum(-1).sqrt()


def check(found: Proximity, table: Tensor, clusters: Tensor) -> None:
    """Hold a proximity against a table of distances, infinite where images are left out."""
    index = table.argmin(dim=1)
    rows = torch.arange(len(table))
    torch.testing.assert_close(found.distance, table[rows, index])
    torch.testing.assert_close(table[rows, found.index], found.distance)
    other = table.masked_fill(clusters[found.index][:, None] == clusters, torch.inf)
    if found.distinct_distance is None or found.distinct_index is None:
        assert torch.isinf(other.amin(dim=1)).any()
        return
    torch.testing.assert_close(found.distinct_distance, other.amin(dim=1))
    torch.testing.assert_close(other[rows, found.distinct_index], found.distinct_distance)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**20), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_distinct_neighbours_are_those_of_all_distances(n, m, seed, with_holdout) -> None:
    generator = torch.Generator().manual_seed(seed)
    training = torch.randint(0, 9, (n, 2), generator=generator).float()
    training = torch.cat([training, training[: n // 2] + 0.01, training[:2].repeat(5, 1)])
    generated = torch.rand(7, 2, generator=generator) * 9
    holdout = torch.rand(m, 2, generator=generator) * 9 if with_holdout else None
    found = neighbours(generated=generated, training=training, holdout=holdout)
    check(found.generated, distances(generated, training), found.clusters)
    if holdout is not None and found.holdout is not None:
        check(found.holdout, distances(holdout, training), found.clusters)
        assert found.generated_to_holdout is not None
        torch.testing.assert_close(
            found.generated_to_holdout.distances[:, 0], distances(generated, holdout).amin(dim=1)
        )
    assert found.training is not None
    among = distances(training, training).fill_diagonal_(torch.inf)
    check(found.training, among, found.clusters)


def test_near_duplicates_are_told_by_the_gap_ratio_and_the_holdout() -> None:
    training = torch.tensor([[0.0], [0.9], [10.0], [11.1], [20.0]])
    holdout = torch.tensor([[3.0 + 0.9], [13.0 + 1.1], [23.0]])
    reference = Reference(training=training, holdout=holdout)
    assert reference.threshold == pytest.approx(GAP_RATIO * 3.0, rel=1e-6)
    assert reference.clusters.tolist() == [0, 0, 1, 2, 3]
    assert reference.how["near_duplicate_threshold"] == reference.threshold
    assert reference.how["distinct_training_images"] == 4


def test_without_a_holdout_the_training_set_tells_near_duplicates() -> None:
    training = torch.tensor([[0.0], [3.0], [3.0], [3.0], [3.5], [10.0], [13.0], [16.0]])
    reference = Reference(training=training)
    # Of the six different images the nearest others are 3, 0.5, 0.5, 3, 3 and 3 away.
    assert reference.threshold == pytest.approx(1.0)
    assert reference.clusters.tolist() == [0, 1, 1, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("copies", [2, 20])
def test_the_second_nearest_of_a_duplicated_image_is_another_image(copies: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(50, 3, 4, 4, generator=generator)
    near = images[3] + 1e-4 * torch.randn(copies, 3, 4, 4, generator=generator)
    training = torch.cat([images, near])
    holdout = torch.randn(40, 3, 4, 4, generator=generator)
    for generated in (images[3:4], near[:1]):
        found = neighbours(generated=generated, training=training, holdout=holdout).generated
        assert found.distance.item() == 0
        assert found.distinct_index is not None
        assert found.distinct_index.item() not in {3, *range(50, 50 + copies)}


def test_a_training_set_of_one_image_has_no_distinct_neighbour() -> None:
    for training in (torch.ones(1, 2), torch.ones(6, 2)):
        found = neighbours(
            generated=torch.zeros(3, 2), training=training, holdout=torch.zeros(2, 2)
        )
        assert found.generated.distinct_distance is None
        assert found.generated.index.tolist() == [0, 0, 0]
        assert (found.training is None) == (len(training) == 1)


def test_8_bit_images_are_measured_in_8_bit_units() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (90, 1, 4, 4), generator=generator, dtype=torch.uint8)
    sets = {"generated": images[:20], "training": images[10:60], "holdout": images[60:]}
    in_bytes = neighbours(**sets).generated
    in_floats = neighbours(**{name: part.float() for name, part in sets.items()}).generated
    assert torch.equal(in_bytes.index, in_floats.index)
    torch.testing.assert_close(in_bytes.distance, in_floats.distance)
    assert (in_bytes.distance[10:] == 0).all()


def test_what_is_wrong_with_a_set_is_said() -> None:
    images = torch.zeros(3, 2)
    with pytest.raises(DataError, match="training images are empty"):
        Reference(training=images[:0])
    with pytest.raises(DataError, match="have no distance"):
        Reference(training=images, holdout=torch.zeros(3, 4))
    with pytest.raises(DataError, match="row 1 of the generated images"):
        Reference(training=images).neighbours(torch.tensor([[0.0, 0.0], [torch.nan, 0.0]]))
