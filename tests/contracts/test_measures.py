"""What every registered measure must keep to."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError
from torch import Tensor

from ecotone.core import Reading
from ecotone.denoisers import EmpiricalDenoiser
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import MEASURES, Evidence, neighbours
from ecotone.measures.agreement import agreement
from ecotone.measures.closeness import closer_to_training_share
from ecotone.measures.coordinates import distances
from ecotone.measures.data_copying import data_copying_test
from ecotone.measures.denoising import denoising_losses
from ecotone.measures.divergence import feature_likelihood_divergence
from ecotone.measures.exceedance import exceedance
from ecotone.measures.fidelity import frechet_reading, kid_reading
from ecotone.measures.frechet import frechet_distance
from ecotone.measures.kernels import kid
from ecotone.measures.likelihood import likelihood_gap, likelihood_gap_p_value
from ecotone.measures.membership import membership_test
from ecotone.measures.onset import onset_readings
from ecotone.measures.penalized import minimal_cosine_distances, penalized_frechet_distance
from ecotone.measures.sliced import sliced_wasserstein2
from ecotone.measures.support import support_readings

NAMES = re.compile(
    r"copied_share_gap_ratio(_floor)?|copied_share_holdout_quantile(_floor)?"
    r"|(precision|coverage)(_training|_matched)?|recall|density|novelty(_rank)?"
    r"|closer_to_training_share|frechet_holdout|(frechet|kid)_(holdout|training)_matched"
    r"|denoising_(loss_training|loss_holdout|gap)(\[sigma=[0-9.e+-]+\])?"
    r"|memorizer_(excess|distance)(\[sigma=[0-9.e+-]+\])?"
    r"|e_(training|original)_generated|delta(_null)?"
    r"|copied_share_calibrated(_floor)?|authentic_share(_holdout)?"
    r"|data_copying_(statistic|auc)|(memorized|spurious|generalized)_share"
    r"|leakage_share|membership_(auc|true_positive_rate)|likelihood_gap|fld_holdout"
    r"|vendi(_holdout_matched)?|memorization_distance(_floor)?|mifid_holdout"
)
MEASURED = list(MEASURES)


def images(n: int, seed: int) -> Tensor:
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) / 2


def gather(
    generated: Tensor, training: Tensor, holdout: Tensor | None, *, features=None
) -> Evidence:
    space = features or PrincipalComponents(6)
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=space.fit(training if holdout is None else holdout),
        denoiser=EmpiricalDenoiser(training),
        sigma_data=0.5,
        seed=3,
    )


@pytest.fixture(scope="module")
def usual() -> Evidence:
    return gather(images(40, 0), images(150, 1), images(110, 2))


def everything(evidence: Evidence) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    for name in MEASURED:
        found = MEASURES.find(name)(evidence)
        assert not readings.keys() & found.keys()
        readings |= found
    return readings


@pytest.mark.parametrize("name", MEASURED)
def test_readings_are_finite_named_and_have_intervals(name: str, usual: Evidence) -> None:
    found = MEASURES.find(name)(usual)
    assert found
    for label, reading in found.items():
        assert NAMES.fullmatch(label), label
        assert math.isfinite(reading.value)
        assert reading.n > 0
        assert reading.low is not None
        assert reading.high is not None
        assert reading.low <= reading.value <= reading.high
        assert Reading.from_record(reading.to_record()) == reading


def test_all_names_of_the_results_table_are_there(usual: Evidence) -> None:
    found = set(everything(usual))
    assert len(found) == 4 + 1 + 5 + 8 + 2 + 8 * 3 + 8 * 2 + 4 + 2 + 2 + 3 + 2 + 1 + 2 + 2 + 3 + 2


@pytest.mark.parametrize("name", MEASURED)
def test_the_same_evidence_gives_the_same_readings(name: str, usual: Evidence) -> None:
    measure = MEASURES.find(name)
    again = gather(usual.generated.clone(), usual.training.clone(), images(110, 2))
    assert measure(usual) == measure(again)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("moved", ["generated", "training", "holdout"])
def test_the_order_of_a_set_does_not_matter(name: str, moved: str, usual: Evidence) -> None:
    assert usual.holdout is not None
    sets = {
        "generated": usual.generated,
        "training": usual.training,
        "holdout": usual.holdout,
    }
    order = torch.randperm(len(sets[moved]), generator=torch.Generator().manual_seed(0))
    # In pixels, as the last digits of fitted components follow the order they were fitted in.
    measure = MEASURES.find(name)
    before = measure(gather(**sets, features=Pixels()))
    after = measure(gather(**{**sets, moved: sets[moved][order]}, features=Pixels()))
    assert before.keys() == after.keys()
    for label, reading in before.items():
        for part in ("value", "low", "high"):
            moved_part = getattr(after[label], part)
            assert moved_part == pytest.approx(getattr(reading, part), rel=1e-6, abs=1e-9), label


@pytest.mark.parametrize("name", MEASURED)
def test_measuring_leaves_the_evidence_alone(name: str, usual: Evidence) -> None:
    before = [usual.generated.clone(), usual.training.clone()]
    MEASURES.find(name)(usual)
    assert torch.equal(usual.generated, before[0])
    assert torch.equal(usual.training, before[1])


@pytest.mark.parametrize("duplicated", [False, True])
def test_a_generator_of_pure_copies_is_seen_by_every_measure(duplicated: bool) -> None:
    training, holdout = images(120, 1), images(120, 2)
    if duplicated:
        training = torch.cat([training[:100], training[:5].repeat(4, 1, 1, 1)])
    found = everything(gather(training, training, holdout))
    assert found["copied_share_gap_ratio"].value == 1
    assert found["copied_share_holdout_quantile"].value == 1
    assert found["closer_to_training_share"].value == 1
    assert found["frechet_training_matched"].value < found["frechet_holdout_matched"].value
    assert found["kid_training_matched"].value < found["kid_holdout_matched"].value
    assert found["precision_training"].value == found["coverage_training"].value == 1
    assert found["memorization_distance"].value == 0
    assert "mifid_holdout" not in found
    assert found["likelihood_gap"].high is not None
    assert found["likelihood_gap"].high < 0
    assert found["precision"].value < 1
    assert found["novelty"].value == found["novelty_rank"].value == 0
    assert found["e_training_generated"].value == pytest.approx(0, abs=1e-10)
    assert found["delta"].high is not None
    assert found["delta"].high < 0
    # The perfect memorizer.
    assert found["denoising_gap"].low is not None
    assert found["denoising_gap"].low > 0
    assert found["memorizer_excess"].value == found["memorizer_distance"].value == 0


def test_the_holdout_in_the_place_of_generated_images_is_at_the_floor() -> None:
    training, holdout = images(150, 1), images(150, 2)
    found = everything(gather(holdout, training, holdout))
    floor = found["copied_share_gap_ratio_floor"]
    assert found["copied_share_gap_ratio"].value == floor.value
    quantile = found["copied_share_holdout_quantile_floor"]
    # Leaving each image out of its own threshold moves at most one across it.
    assert abs(found["copied_share_holdout_quantile"].value - quantile.value) <= 1 / 150
    assert found["closer_to_training_share"].value == 0
    assert found["frechet_holdout"].value == pytest.approx(0, abs=1e-8)
    assert {found[name].value for name in ("precision", "recall", "coverage")} == {1.0}
    assert found["novelty"].value == pytest.approx(1)
    assert found["novelty_rank"].value == 0.5
    assert found["e_original_generated"].value == pytest.approx(0, abs=1e-10)


def test_a_population_of_honest_images_shows_no_copying() -> None:
    found = everything(gather(images(200, 0), images(200, 1), images(200, 2)))
    share, floor = found["copied_share_gap_ratio"], found["copied_share_gap_ratio_floor"]
    assert share.value <= 0.02
    assert floor.value <= 0.02
    closer = found["closer_to_training_share"]
    assert closer.low is not None
    assert closer.high is not None
    assert closer.low <= 0.5 <= closer.high
    for name, expected in (("novelty", 1), ("novelty_rank", 0.5)):
        reading = found[name]
        assert reading.low is not None
        assert reading.high is not None
        assert reading.low <= expected <= reading.high
    # The training set's own chance is not in the interval.
    copies = onset_readings(
        generated=images(200, 1), training=images(200, 1), original=images(200, 2), seed=3
    )
    off = found["delta"].value - found["delta_null"].value
    assert abs(off) < abs(copies["delta"].value) / 5


@pytest.mark.parametrize("name", MEASURED)
def test_planted_duplicates_do_no_harm(name: str) -> None:
    training = images(120, 1)
    training[50:80] = training[0]
    generated = images(30, 0)
    generated[:20] = training[0]
    holdout = images(120, 2)
    holdout[:3] = training[0]
    found = MEASURES.find(name)(gather(generated, training, holdout))
    assert found
    for reading in found.values():
        assert math.isfinite(reading.value)
    if name == "copying":
        assert found["copied_share_gap_ratio"].value == pytest.approx(20 / 30)


@pytest.mark.parametrize("name", MEASURED)
def test_what_cannot_be_had_is_left_out(name: str) -> None:
    measure = MEASURES.find(name)
    alone = gather(images(9, 0), images(9, 1), None)
    found = measure(replace(alone, denoiser=None))
    without_holdout = {
        "copying": {"copied_share_gap_ratio"},
        "calibrated": {"copied_share_calibrated"},
        "authenticity": {"authentic_share"},
        "diversity": {"vendi"},
        "penalized": {"memorization_distance"},
        "kinds": {"memorized_share", "spurious_share", "generalized_share"},
    }
    assert set(found) == without_holdout.get(name, set())
    one_image = gather(images(1, 0), images(1, 1), images(1, 2), features=Pixels())
    for reading in measure(one_image).values():
        assert math.isfinite(reading.value)


@pytest.mark.parametrize(
    "function",
    [
        agreement,
        closer_to_training_share,
        data_copying_test,
        denoising_losses,
        distances,
        frechet_distance,
        frechet_reading,
        kid,
        exceedance,
        feature_likelihood_divergence,
        kid_reading,
        likelihood_gap,
        likelihood_gap_p_value,
        membership_test,
        minimal_cosine_distances,
        penalized_frechet_distance,
        neighbours,
        onset_readings,
        sliced_wasserstein2,
        support_readings,
    ],
)
def test_sets_are_given_by_name(function) -> None:
    parameters = inspect.signature(function).parameters
    sets = {"generated", "training", "holdout", "reference", "first", "second"}
    directed = sets & parameters.keys()
    assert len(directed) >= 2
    for name in directed:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_shapes_and_types_are_checked_in_tests() -> None:
    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        frechet_distance(generated=torch.zeros(3, 2), reference=torch.zeros(3, 4))
    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        kid(generated=torch.zeros(3, 2, dtype=torch.int64), reference=torch.zeros(3, 2))
    evidence = gather(images(3, 0), images(3, 1), images(3, 2), features=Pixels())
    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        replace(evidence, generated=torch.zeros(3, 1, 5, 5))
