from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, Neighbours, Reference, neighbours
from ecotone.measures.closest_record import (
    ClosestRecord,
    closest_record,
    closest_record_test,
    standing_out,
)


def cloud(n: int, seed: int, d: int = 5) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def result(found: Neighbours, permutations: int = 9999) -> ClosestRecord:
    test = closest_record_test(found, permutations=permutations)
    assert test is not None
    return test


def test_the_p_value_is_that_of_all_labellings() -> None:
    pool, generated = cloud(9, 0), cloud(12, 1)
    found = neighbours(generated=generated, training=pool[:4], holdout=pool[4:])
    test = result(found, permutations=20_000)
    nearest = torch.cdist(generated, pool).argmin(dim=1)
    counts = torch.bincount(nearest, minlength=9)
    sums = np.array([int(counts[list(chosen)].sum()) for chosen in combinations(range(9), 4)])
    exact = float((sums >= counts[:4].sum().item()).mean())
    assert test.share == counts[:4].sum().item() / 12
    assert test.expected == pytest.approx(4 / 9)
    assert test.p_value == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_a_generator_that_knows_neither_is_rarely_accused_however_bad_it_is(blur: float) -> None:
    accused = 0
    for seed in range(150):
        pool = cloud(90, seed)
        # Shrunk towards the mean, such samples lie near to everything, and still knew nothing.
        generated = (1 - blur) * cloud(40, 1000 + seed)
        found = neighbours(generated=generated, training=pool[:60], holdout=pool[60:])
        accused += result(found, permutations=499).p_value <= 0.05
    assert binomtest(accused, 150, 0.05, alternative="greater").pvalue > 1e-3


def test_a_generator_that_leans_on_its_training_set_is_seen() -> None:
    training, holdout = cloud(100, 0), cloud(100, 1)
    near = training[torch.arange(200) % 100] + 0.5 * cloud(200, 2)
    found = neighbours(generated=near, training=training, holdout=holdout)
    test = result(found)
    assert test.p_value < 0.01
    value, low, high = test.leakage
    assert 0.1 < value < 0.9
    assert low <= value <= high


def test_units_turn_with_their_labels_together() -> None:
    # Five patients of twenty images each: images of a patient are no evidence of their own.
    centres = 10 * cloud(10, 0)
    images = centres.repeat_interleave(20, dim=0) + 0.1 * cloud(200, 1)
    patients = torch.arange(10).repeat_interleave(20)
    generated = centres[:1] + 0.1 * cloud(50, 2)
    found = neighbours(generated=generated, training=images[:100], holdout=images[100:])
    by_patient = closest_record_test(
        found, training_units=patients[:100], holdout_units=patients[100:]
    )
    assert by_patient is not None
    # All samples resemble one patient, who had an even chance to be trained on.
    assert by_patient.p_value == pytest.approx(0.5, abs=0.03)
    assert by_patient.effective == 1
    assert result(found).p_value < 0.01


def test_ties_count_one_half() -> None:
    real = torch.tensor([[0.0], [1.0]])
    found = neighbours(generated=torch.full((4, 1), 0.5), training=real[:1], holdout=real[1:])
    assert result(found).share == 0.5


def test_more_training_than_holdout_images_is_no_evidence() -> None:
    accused = 0
    for seed in range(100):
        pool = cloud(220, seed)
        found = neighbours(
            generated=cloud(50, 5000 + seed), training=pool[:200], holdout=pool[200:]
        )
        test = result(found, permutations=299)
        assert test.expected > 0.9
        accused += test.p_value <= 0.05
    assert binomtest(accused, 100, 0.05, alternative="greater").pvalue > 1e-3


def test_without_a_holdout_there_is_no_pool() -> None:
    images = cloud(10, 0)
    found = neighbours(generated=images, training=images)
    assert closest_record_test(found) is None
    evidence = Evidence(
        generated=images,
        training=images,
        holdout=None,
        neighbours=found,
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )
    assert closest_record(evidence) == {}


def test_scenes_on_both_sides_of_unequal_sets_are_no_evidence() -> None:
    accused = 0
    for seed in range(60):
        # Half of all images lie in scenes that were split image by image.
        scenes = 8 * cloud(30, seed)
        made = scenes.repeat_interleave(10, dim=0) + 0.05 * cloud(300, 1000 + seed)
        pool = torch.cat([made, cloud(300, 2000 + seed)])
        pool = pool[torch.randperm(600, generator=torch.Generator().manual_seed(seed))]
        fresh = torch.cat([scenes + 0.05 * cloud(30, 3000 + seed), cloud(30, 4000 + seed)])
        found = neighbours(generated=fresh, training=pool[:460], holdout=pool[460:])
        accused += result(found, permutations=299).p_value <= 0.05
    assert binomtest(accused, 60, 0.05, alternative="greater").pvalue > 1e-3


def test_weights_of_what_stands_out_do_not_look_at_labels() -> None:
    pool, generated = cloud(80, 0), torch.cat([cloud(30, 1), cloud(80, 0)[:5] + 0.01])
    every = torch.cdist(generated, pool).sort(dim=1).values
    right = (16 * (every[:, 9] / every[:, 0]).log().clamp(0, 1).square()).round().long()
    for cut in (30, 50):
        reference = Reference(training=pool[:cut], holdout=pool[cut:], listed=20)
        assert torch.equal(standing_out(reference.neighbours(generated)), right)
    assert right[-5:].tolist() == [16] * 5


def test_few_altered_copies_are_seen_where_they_stand_out() -> None:
    seen, plain = 0, 0
    for seed in range(10):
        training, holdout = cloud(200, 3 * seed, 40), cloud(200, 3 * seed + 1, 40)
        fresh = cloud(300, 3 * seed + 2, 40)
        fresh[:20] = training[:20] + 0.5 * cloud(20, 99, 40)
        found = Reference(training=training, holdout=holdout, listed=20).neighbours(fresh)
        weighted = closest_record_test(found, weights=standing_out(found), permutations=999)
        assert weighted is not None
        seen += weighted.p_value <= 0.01
        plain += result(found, 999).p_value <= 0.01
    assert seen >= 9
    assert plain <= 5


def test_where_nothing_stands_out_nothing_is_tested() -> None:
    found = neighbours(generated=cloud(5, 0), training=cloud(20, 1), holdout=cloud(20, 2))
    assert closest_record_test(found, weights=torch.zeros(5, dtype=torch.int64)) is None
