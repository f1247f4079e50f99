from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.features.pixels import Pixels
from ecotone.measures import MEASURES, Evidence, Reference, nearest
from ecotone.measures.mirrored import mirrored_nearest


def images(n: int, seed: int, levels: int = 3) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, levels, (n, 1, 2, 3), generator=made).double()


def all_distances(queries: Tensor, references: Tensor) -> Tensor:
    flat = references.flatten(1)
    ways = [torch.cdist(each.flatten(1), flat) for each in (queries, queries.flip(-1))]
    return torch.minimum(*ways)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 99), st.data())
def test_it_is_the_least_of_both_ways_to_every_reference(
    n: int, m: int, seed: int, data: st.DataObject
) -> None:
    # Few levels make ties, symmetric images and references in both lists.
    queries, references = images(n, seed), images(m, seed + 1)
    k = data.draw(st.integers(1, m))
    found, every = mirrored_nearest(queries, references, k), all_distances(queries, references)
    assert torch.allclose(found.distances, every.sort(dim=1).values[:, :k])
    assert torch.allclose(found.distances, every.gather(1, found.indices))
    for row in found.indices.tolist():
        assert len(set(row)) == k
    first = every.argsort(dim=1, stable=True)[:, 0]
    assert torch.equal(found.indices[:, 0], first)


def test_labels_are_passed_over_both_ways() -> None:
    pool = images(6, 0, levels=50)
    own = torch.arange(6)
    found = mirrored_nearest(pool, pool, 5, passing_over=(own, own))
    assert not (found.indices == own[:, None]).any()
    assert torch.allclose(
        found.distances[:, 0], all_distances(pool, pool).fill_diagonal_(torch.inf).amin(1)
    )


def test_a_reference_that_mirrors_finds_copies_the_other_way_round() -> None:
    training, holdout = images(40, 0, levels=90), images(30, 1, levels=90)
    turned = training[:10].flip(-1)
    blind = Reference(training=training, holdout=holdout).neighbours(turned).generated
    seeing = Reference(training=training, holdout=holdout, search=mirrored_nearest)
    found = seeing.neighbours(turned).generated
    assert found.distance.tolist() == [0.0] * 10
    assert found.index.tolist() == list(range(10))
    assert blind.distance.min() > 0


def test_a_mirror_image_in_training_is_a_near_duplicate() -> None:
    training = torch.cat([images(30, 0, levels=90), images(30, 0, levels=90)[:4].flip(-1)])
    clusters = Reference(training=training, search=mirrored_nearest).clusters
    assert torch.equal(clusters[30:], clusters[:4])


def test_progress_counts_both_ways() -> None:
    told: list[tuple[int, int]] = []
    mirrored_nearest(images(5, 0), images(7, 1), 2, progress=lambda *at: told.append(at))
    assert told[-1] == (70, 70)
    assert told == sorted(told)


def test_eight_bit_images_are_taken() -> None:
    queries, references = images(5, 0, 200).byte(), images(9, 1, 200).byte()
    found = mirrored_nearest(queries, references, 3)
    assert torch.allclose(
        found.distances, all_distances(queries.double(), references.double()).sort(1).values[:, :3]
    )
    assert (found.distances <= nearest(queries, references, 3).distances).all()


def test_vectors_have_no_left_and_right() -> None:
    with pytest.raises(DataError, match="no left and right"):
        mirrored_nearest(torch.zeros(2, 3), torch.zeros(2, 3), 1)


@pytest.mark.parametrize("name", ["copying", "closeness", "kinds", "closest_record", "novelty"])
def test_where_mirrors_count_the_same_turning_images_changes_no_measure_of_copying(
    name: str,
) -> None:
    training, holdout, generated = (images(n, n, levels=90) for n in (40, 30, 20))
    generated[:5], generated[11] = training[:5], generated[10]
    turned = torch.where(
        (torch.arange(20) % 2 == 0)[:, None, None, None], generated.flip(-1), generated
    )

    def read(generated: Tensor) -> dict[str, float]:
        reference = Reference(training=training, holdout=holdout, search=mirrored_nearest)
        evidence = Evidence(
            generated=generated,
            training=training,
            holdout=holdout,
            neighbours=reference.neighbours(generated),
            features=Pixels(),
            denoiser=None,
            sigma_data=1.0,
            seed=0,
            search=mirrored_nearest,
        )
        readings = MEASURES.find(name)(evidence)
        assert readings
        return {which: reading.value for which, reading in readings.items()}

    assert read(turned) == pytest.approx(read(generated))
