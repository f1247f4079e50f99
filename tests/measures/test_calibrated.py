from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, Neighbours, Reference
from ecotone.measures.calibrated import calibrated, calibrated_distances, listing_distinct


def images(n: int, seed: int, d: int = 20) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def gather(generated: Tensor, training: Tensor, holdout: Tensor | None, listed: int = 4):
    reference = Reference(training=training, holdout=holdout, listed=listed)
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=reference.neighbours(generated),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


def direct(generated: Tensor, training: Tensor, nearest: int = 50, alpha: float = 0.5):
    """Return the paper's formula, pair by pair."""
    pairs = generated.double()[:, None] - training.double()[None]
    distances = np.sort(np.sqrt((pairs.numpy() ** 2).sum(axis=2)), axis=1)
    return distances[:, 0] / (alpha * distances[:, :nearest].mean(axis=1))


def found(neighbours: Neighbours, **options) -> Tensor:
    values = calibrated_distances(neighbours.generated, clusters=neighbours.clusters, **options)
    assert values is not None
    return values


def longer(evidence: Evidence, nearest: int = 50) -> Tensor:
    clusters = evidence.neighbours.clusters
    proximity = listing_distinct(
        evidence.generated,
        evidence.neighbours.generated,
        training=evidence.training,
        clusters=clusters,
        nearest=nearest,
    )
    values = calibrated_distances(proximity, clusters=clusters, nearest=nearest)
    assert values is not None
    return values


@pytest.mark.parametrize("n", [9, 80])
@pytest.mark.parametrize("listed", [4, 51])
def test_it_is_the_formula_of_the_paper(n: int, listed: int) -> None:
    evidence = gather(images(30, 0), images(n, 1), None, listed)
    assert len(evidence.neighbours.clusters.unique()) == n
    assert longer(evidence).numpy() == pytest.approx(direct(evidence.generated, evidence.training))
    if listed == 51:
        plain = found(evidence.neighbours, alpha=0.7, nearest=20)
        assert plain.numpy() == pytest.approx(
            direct(evidence.generated, evidence.training, 20, 0.7)
        )


@given(st.floats(0.001, 1000), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_scales_change_nothing(scale: float, seed: int) -> None:
    generated, training = images(6, seed).double(), images(20, seed + 100).double()
    before = found(Reference(training=training, listed=20).neighbours(generated))
    after = found(Reference(training=training * scale, listed=20).neighbours(generated * scale))
    assert after.numpy() == pytest.approx(before.numpy(), rel=1e-9)


@pytest.mark.parametrize("copies", [1, 2, 30])
def test_images_that_are_there_again_count_once(copies: int) -> None:
    training, generated, holdout = images(100, 1), images(30, 0), images(50, 2)
    generated[:5] = training[:5]
    more = torch.cat([training, training[:4].repeat(copies, 1)])
    # Clusters of near duplicates follow the holdout, which is the same.
    once, again = gather(generated, training, holdout), gather(generated, more, holdout)
    assert longer(again).numpy() == pytest.approx(longer(once).numpy())
    assert (longer(again)[:5] == 0).all()


def test_near_duplicates_count_once_too() -> None:
    training, holdout = images(60, 1), images(60, 2)
    near = training[:1] + 1e-4 * images(20, 3)
    generated = training[:1] + 0.1 * images(1, 4)
    crowded = longer(gather(generated, torch.cat([training, near]), holdout))
    expected = direct(generated, training)
    assert crowded.numpy() == pytest.approx(expected, rel=1e-2)
    # Averaged over the crowd it would not be below 1.
    assert float(crowded[0]) < 1 < direct(generated, torch.cat([training, near]), 20)[0]


def test_where_one_cluster_fills_the_list_it_is_the_gap_ratio() -> None:
    # More copies of one image than any list holds.
    training = torch.cat([torch.zeros(260, 1), torch.tensor([[9.0]])])
    evidence = gather(torch.tensor([[2.9], [3.1], [0.0]]), training, None)
    values = longer(evidence)
    ours = evidence.neighbours.generated
    assert ours.distinct_distance is not None
    d1, d2 = ours.distance, ours.distinct_distance
    assert values.numpy() == pytest.approx((d1 / (0.25 * (d1 + d2))).numpy())
    assert values.tolist() == pytest.approx([2.9 / (0.25 * 9), 3.1 / (0.25 * 9), 0.0])


def test_lists_that_are_long_enough_are_kept() -> None:
    evidence = gather(images(5, 0), images(40, 1), None, listed=30)
    given = evidence.neighbours.generated
    clusters = evidence.neighbours.clusters
    same = listing_distinct(
        evidence.generated, given, training=evidence.training, clusters=clusters, nearest=30
    )
    assert same is given
    grown = listing_distinct(
        evidence.generated, given, training=evidence.training, clusters=clusters, nearest=35
    )
    assert torch.equal(grown.listed.indices[:, :30], given.listed.indices)
    assert grown.distance is given.distance


def test_images_of_eight_bits_are_those_of_their_values() -> None:
    def whole(n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (n, 1, 3, 3), generator=generator, dtype=torch.uint8)

    def values(generated: Tensor, training: Tensor) -> Tensor:
        neighbours = Reference(training=training).neighbours(generated)
        proximity = listing_distinct(
            generated, neighbours.generated, training=training, clusters=neighbours.clusters
        )
        values = calibrated_distances(proximity, clusters=neighbours.clusters)
        assert values is not None
        return values

    generated, training = whole(10, 0), whole(70, 1)
    generated[3] = training[5]
    of_bytes = values(generated, training)
    assert of_bytes.numpy() == pytest.approx(values(generated.float(), training.float()).numpy())
    assert of_bytes[3] == 0


def test_the_shares_and_what_they_say() -> None:
    training, holdout, generated = images(90, 1), images(60, 2), images(40, 0)
    generated[:13] = training[:13] + 1e-3
    read = calibrated(gather(generated, training, holdout))
    share, floor = read["copied_share_calibrated"], read["copied_share_calibrated_floor"]
    copied = int((direct(generated, training) < 1).sum())
    assert 13 <= copied < 40
    assert share.value == copied / 40
    assert (share.low, share.high) == wilson(copied, 40)
    assert share.how["distinct_images_averaged_at_least"] == 50
    assert floor.value == (direct(holdout, training) < 1).mean()
    assert floor.n == 60
    few = calibrated(gather(generated, training[:9], None))
    assert set(few) == {"copied_share_calibrated"}
    assert few["copied_share_calibrated"].how["distinct_images_averaged_at_least"] == 9


def test_what_cannot_be_had_is_left_out() -> None:
    evidence = gather(images(3, 0), torch.zeros(5, 20), images(4, 2))
    assert calibrated(evidence) == {}
    proximity = evidence.neighbours.generated
    assert calibrated_distances(proximity, clusters=evidence.neighbours.clusters) is None
    with pytest.raises(ValueError, match="alpha=0"):
        calibrated_distances(proximity, clusters=evidence.neighbours.clusters, alpha=0.0)
    with pytest.raises(ValueError, match="nearest=1"):
        calibrated_distances(proximity, clusters=evidence.neighbours.clusters, nearest=1)
    known = gather(images(3, 0), images(9, 1), images(4, 2))
    assert set(calibrated(replace(known, holdout=None))) == {"copied_share_calibrated"}
