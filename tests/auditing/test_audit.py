"""The audit as a whole, on digits."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from torch import Tensor

import ecotone
from audited_digits import DIGITS, dealt, verdict_of
from ecotone.auditing import Audit, AuditRecord
from ecotone.auditing.verdict import Outcome
from ecotone.core.errors import ConfigError, DataError
from ecotone.core.tensors import read_tensors


@pytest.fixture(scope="module")
def sets() -> list[Tensor]:
    return dealt(0, 600, 600, 500)


@pytest.fixture(scope="module")
def planted(sets: list[Tensor]) -> Audit:
    training, holdout, fresh = sets
    generated = fresh.clone()
    generated[::20] = training[100:125]
    return ecotone.audit(generated=generated, training=training, holdout=holdout)


def test_the_training_set_itself_is_all_copies(sets: list[Tensor]) -> None:
    training, holdout, _ = sets
    for against in (holdout, None):
        found = ecotone.audit(generated=training, training=training, holdout=against)
        assert found.record.outcome == "copies"
        assert found.exit_code == 1
        assert found.readings["copied_share_gap_ratio"].value == 1
        assert found.training["copies"].min() == 1


def test_five_per_cent_of_planted_copies_are_found_and_on_top(planted: Audit) -> None:
    assert planted.record.outcome == "copies"
    assert planted.readings["copied_share_gap_ratio"].value == pytest.approx(0.05)
    assert set(planted.training["training"][:25]) == {str(row) for row in range(100, 125)}
    assert set(planted.generated["generated"][:25]) == {str(row) for row in range(0, 500, 20)}
    assert planted.generated["copy"].sum() == 25
    assert planted.record.leaks is not None
    assert planted.record.leaks.unique == 25
    assert planted.training["p_value"][:25].max() == pytest.approx(1 / 601)


def test_held_out_images_are_no_evidence(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    found = ecotone.audit(generated=fresh, training=training, holdout=holdout)
    assert found.record.outcome == "none"
    assert found.exit_code == 0
    assert found.record.seen_share is not None
    assert found.record.seen_share < 0.05
    assert "would have been seen" in str(found)


@pytest.mark.parametrize("repeats", [24, pytest.param(200, marks=pytest.mark.slow)])
def test_honest_samples_are_accused_no_more_often_than_the_level(repeats: int) -> None:
    accused = 0
    for seed in range(repeats):
        training, holdout, fresh = dealt(seed, 600, 600, 500)
        verdict = verdict_of(generated=fresh, training=training, holdout=holdout, seed=seed)
        assert verdict.outcome is not Outcome.TOO_FEW
        accused += verdict.outcome is not Outcome.NONE
    assert binomtest(accused, repeats, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("repeats", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_without_a_holdout_too_the_level_holds(repeats: int) -> None:
    accused = 0
    for seed in range(repeats):
        training, fresh = dealt(1000 + seed, 800, 800)
        verdict = verdict_of(generated=fresh, training=training, holdout=None, seed=seed)
        accused += verdict.outcome in (Outcome.COPIES, Outcome.OVERFITS)
    assert binomtest(accused, repeats, 0.05, alternative="greater").pvalue > 0.01


def test_twenty_samples_are_too_few_unless_they_are_copies(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    few = verdict_of(generated=fresh[:20], training=training, holdout=holdout)
    assert few.outcome is Outcome.TOO_FEW
    assert "give at least" in few.sentence
    copies = verdict_of(generated=training[:20], training=training, holdout=holdout)
    assert copies.outcome is Outcome.COPIES


def test_what_is_said_to_be_needed_is_enough(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    few = ecotone.audit(generated=fresh[:20], training=training, holdout=holdout)
    assert few.record.needed is not None
    more = fresh[: few.record.needed.generated]
    enough = verdict_of(generated=more, training=training, holdout=holdout)
    assert enough.outcome is Outcome.NONE


def test_the_same_sets_give_the_same_record_in_whatever_order(planted: Audit) -> None:
    training, holdout, _ = dealt(0, 600, 600, 500)
    again = ecotone.audit(
        generated=planted.sets.generated.items, training=training, holdout=holdout
    )
    assert again.record == planted.record
    assert again.training.equals(planted.training)
    turned = ecotone.audit(
        generated=planted.sets.generated.items.flip(0), training=training, holdout=holdout.flip(0)
    )
    assert turned.sentence == planted.sentence
    for name, reading in planted.record.readings.items():
        assert turned.record.readings[name].value == pytest.approx(
            reading.value, rel=1e-5, abs=1e-9
        ), name


def test_it_is_written_whole_and_the_same_twice(planted: Audit, tmp_path) -> None:
    folders = [planted.write(tmp_path / name) for name in ("one", "two")]
    files = sorted(file.name for file in folders[0].iterdir())
    assert files == [
        "audit.json",
        "gallery.safetensors",
        "generated.csv",
        "holdout.csv",
        "training.csv",
    ]
    for name in files:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    record = AuditRecord.model_validate(json.loads((folders[0] / "audit.json").read_bytes()))
    assert record == planted.record
    table = pl.read_csv(folders[0] / "training.csv")
    assert table["copies"].to_list() == planted.training["copies"].to_list()
    tensors, about = read_tensors(folders[0] / "gallery.safetensors")
    assert len(tensors["generated"]) == len(about["training_ids"]) == 24
    assert torch.equal(tensors["generated"], tensors["nearest_training"])


def test_a_notebook_shows_it(planted: Audit) -> None:
    shown = planted._repr_html_()
    assert planted.sentence in shown
    assert shown.count("<img") == 16
    assert "closest" in shown or "nearest" in shown


def test_tables_volumes_and_series_are_audited_too() -> None:
    random = np.random.default_rng(0)
    for shape in ((7,), (2, 5, 5, 5), (30, 2)):
        training, holdout, fresh = (random.normal(size=(300, *shape)) for _ in range(3))
        fresh[:60] = training[:60]
        found = ecotone.audit(generated=fresh, training=training, holdout=holdout)
        assert found.record.outcome == "copies"
        assert [control.transform for control in found.record.controls] == ["exact", "noise"]


def test_near_copies_overfit_without_being_verbatim() -> None:
    random = np.random.default_rng(1)
    training, holdout = (random.normal(size=(400, 60)) for _ in range(2))
    near = 0.5 * training + 0.5 * random.normal(size=training.shape)
    found = ecotone.audit(generated=near, training=training, holdout=holdout)
    assert found.record.outcome == "overfits"
    assert found.exit_code == 4


POOR = ["one class", "blurred", "low contrast", "noisy"]


def poor(kind: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return sets whose generated images are honest, and not like the population."""
    training, holdout, fresh = dealt(seed, 600, 600, 597)
    if kind == "one class":
        # The ones are crowded; most images near one are ones.
        order = np.random.default_rng(seed).permutation(len(DIGITS))[1200:]
        fresh = fresh[torch.from_numpy(load_digits(return_X_y=True)[1][order] == seed % 10)]
    elif kind == "blurred":
        fresh = torch.nn.functional.avg_pool2d(fresh, 3, 1, 1)
    elif kind == "low contrast":
        fresh = 0.7 * fresh - 0.2
    else:
        noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(seed))
        fresh = (fresh + 0.3 * noise).clamp(-1, 1)
    return training, holdout, fresh


@pytest.mark.parametrize("kind", POOR)
def test_honest_generators_are_not_accused_however_poor_they_are(kind: str) -> None:
    accused = 0
    for seed in range(6):
        training, holdout, fresh = poor(kind, seed)
        verdict = verdict_of(generated=fresh, training=training, holdout=holdout, seed=seed)
        accused += verdict.outcome in (Outcome.COPIES, Outcome.OVERFITS)
    assert binomtest(accused, 6, 0.05, alternative="greater").pvalue > 0.01


def test_few_honest_images_made_again_and_again_are_not_accused() -> None:
    accused = 0
    for seed in range(12):
        training, holdout, fresh = dealt(seed, 600, 600, 20)
        verdict = verdict_of(
            generated=fresh.repeat(15, 1, 1, 1), training=training, holdout=holdout, seed=seed
        )
        accused += verdict.outcome in (Outcome.COPIES, Outcome.OVERFITS)
    assert binomtest(accused, 12, 0.05, alternative="greater").pvalue > 0.01


def test_one_image_that_is_a_training_image_is_told(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    generated = fresh[:300].clone()
    generated[7] = training[40]
    found = ecotone.audit(generated=generated, training=training, holdout=holdout)
    assert found.record.outcome == "none"
    assert "1 generated image equals a training image, value for value: 7." in found.record.caveats


def test_groups_hold_images_together() -> None:
    random = np.random.default_rng(2)
    centres = random.normal(size=(40, 12)) * 3
    patients = np.repeat(np.arange(40), 10)
    items = centres[patients] + random.normal(size=(400, 12))
    # All samples resemble one patient of the training set, who might as well be held out.
    generated = centres[[3] * 200] + random.normal(size=(200, 12))
    groups = {"training": patients[:200].tolist(), "holdout": patients[200:].tolist()}
    alone = ecotone.audit(generated=generated, training=items[:200], holdout=items[200:])
    held = ecotone.audit(
        generated=generated, training=items[:200], holdout=items[200:], groups=groups
    )
    p_values = [
        {finding.name: finding.p_value for finding in found.record.findings}
        for found in (alone, held)
    ]
    assert p_values[0]["closest_record"] < 0.01
    assert p_values[1]["closest_record"] > 0.1
    assert held.training["group"].n_unique() == 20


def test_features_stand_in_for_pixels(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets

    def rows_and_columns(images: Tensor) -> Tensor:
        return torch.cat([images.mean(2).flatten(1), images.mean(3).flatten(1)], dim=1)

    generated = fresh.clone()
    generated[:50] = training[:50]
    found = ecotone.audit(
        generated=generated, training=training, holdout=holdout, features=rows_and_columns
    )
    assert found.record.outcome == "copies"
    assert found.record.features["features"] == "callable"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"share": 0.0}, "share = 0.0 is out of range"),
        ({"level": 1.5}, "level = 1.5 is out of range"),
        ({"features": "pixls"}, "did you mean 'pixels'"),
        ({"features": "pca:5"}, "take no '5'"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict, told: str, sets: list[Tensor]) -> None:
    with pytest.raises(ConfigError, match=told):
        ecotone.audit(generated=sets[2], training=sets[0], holdout=sets[1], **wrong)


def test_a_training_set_too_small_for_halves_asks_for_a_holdout(sets: list[Tensor]) -> None:
    with pytest.raises(DataError, match="give a holdout"):
        ecotone.audit(generated=sets[2], training=sets[0][:3])
