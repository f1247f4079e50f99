"""The questions put to a whole study: what went in comes out, and what is missing is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ecotone.report.caveats import caveats
from ecotone.report.chapter import Chapter, Material
from ecotone.report.chapters import chapters
from ecotone.report.clock_choice import clock_choice
from ecotone.report.clock_onsets import clock_onsets
from ecotone.report.effective import effective
from ecotone.report.findings import find_onsets
from ecotone.report.frontier import trade
from ecotone.report.lines import levels, line
from ecotone.report.movers import effects_of, movers
from ecotone.report.noise_levels import at_last_step, each_level
from ecotone.report.stopping import stopping_early
from ecotone.report.study import read_study
from ecotone.report.svg import drawing_style
from ecotone.report.twins import of_pairs


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with drawing_style():
        yield


def material(folder: Path) -> Material:
    study = read_study(folder)
    return Material(study, find_onsets(study), "training images")


def told(chapter: Chapter | None) -> str:
    assert chapter is not None
    return " ".join(chapter.sentences)


@pytest.fixture(scope="module")
def batches(batch_folder: Path) -> Material:
    return material(batch_folder)


@pytest.fixture(scope="module")
def plain(study_folder: Path) -> Material:
    return material(study_folder)


def test_the_powers_put_in_are_found(batches: Material) -> None:
    found = effects_of(batches)
    assert found is not None
    truth = {"n": (1.0, 1.0), "training.batch_size": (-1.0, 0.0)}
    for row in found.iter_rows(named=True):
        wanted = truth[row["factor"]][row["clock"] == "images"]
        assert row["exponent"] == pytest.approx(wanted, abs=0.15)
    said = told(movers(batches))
    assert said.startswith("Counted in steps, the onset of copying ")
    assert "grows as n^" in said
    assert "falls as batch size to the power −" in said


def test_with_n_alone_its_exponent_is_told(plain: Material) -> None:
    chapter = movers(plain)
    assert chapter is not None
    assert told(chapter).startswith("Counted in steps, the onset of copying grows as n^")
    assert len(chapter.figures) == 1
    assert [[cell.text for cell in row[:2]] for row in chapter.tables[0].rows] == [
        ["n", "16 → 128"]
    ]


def test_named_levels_are_compared(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = [
        recipe(sizes=(16, 32, 64), images=False, per_image=per, extra=(("model", name),))
        for name, per in (("mlp", 10.0), ("unet", 40.0))
    ]
    said = told(movers(material(make_study(tmp_path, *made))))
    assert "times as late with model = unet as with mlp" in said


def test_what_cannot_be_told_is_said(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(sizes=(16, 32), measured=8, ceiling=0.02, images=False)
    chapter = movers(material(make_study(tmp_path, made)))
    assert chapter is not None
    assert told(chapter).startswith("What moves the onset of copying cannot be told: too few runs")
    assert chapter.figures == ()


def test_epochs_are_found_to_be_the_clock(batches: Material) -> None:
    chapter = clock_choice(batches)
    assert chapter is not None
    assert told(chapter).startswith("Counted in epochs the onset of copying depends neither on")
    assert len(chapter.figures) == 5
    exponents, unexplained = chapter.tables
    assert [row[0].text for row in exponents.rows] == ["steps", "epochs", "images seen"]
    assert len(unexplained.rows) == 2 * 3


def test_without_batch_sizes_there_is_no_choice_of_clock(plain: Material) -> None:
    assert clock_choice(plain) is None


def test_epochs_and_images_follow_from_steps(batches: Material) -> None:
    chapter = clock_onsets(batches)
    assert chapter is not None
    (table,) = chapter.tables
    assert len(table.rows) == 12
    place = {name: at for at, name in enumerate(table.head)}
    for row in table.rows:
        n, batch = (int(row[at].text) for at in (0, 1))
        steps, epochs, images = (
            float(row[place[f"τ_mem, {clock}"]].text.replace(",", ""))
            for clock in ("steps", "epochs", "images seen")
        )
        assert images == pytest.approx(steps * batch, rel=0.02)
        assert epochs == pytest.approx(steps * batch / n, rel=0.02)


def test_seeds_of_many_runs_share_a_row(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(
        sizes=(16, 32),
        seeds=tuple(range(13)),
        measured=8,
        images=False,
        references=False,
    )
    chapter = clock_onsets(material(make_study(tmp_path, made)))
    assert chapter is not None
    (table,) = chapter.tables
    assert [row[0].text for row in table.rows] == ["16", "32"]
    assert "seed" not in table.head


@pytest.mark.parametrize(
    ("per_image", "said"),
    [
        (20.0, "at least 90 % of the generated samples were copies up to "),
        (0.5, "Even with 256 training images, the most there were, 90 % or more were copies"),
        (1e4, "Even with 16 training images, the fewest there were, less than 90 % were copies"),
    ],
    ids=["between", "above", "below"],
)
def test_effective_memorization_is_told_or_bounded(
    make_study: Callable, recipe: type, tmp_path: Path, per_image: float, said: str
) -> None:
    made = recipe(sizes=(16, 64, 256), measured=6, images=False, per_image=per_image, exponent=1.4)
    assert said in told(effective(material(make_study(tmp_path, made))))


def test_stopping_tells_what_it_would_have_cost(batches: Material) -> None:
    chapter = stopping_early(batches)
    said = told(chapter)
    assert said.startswith("Stopping at the first alarm (after ")
    assert "would have cost a factor of " in said
    assert "validation loss alone would have stopped after " in said
    assert chapter is not None
    assert len(chapter.tables[0].rows) == 12


def test_without_an_alarm_nothing_is_said_to_be_lost(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = recipe(sizes=(16, 32), measured=8, ceiling=0.01, images=False)
    said = told(stopping_early(material(make_study(tmp_path, made))))
    assert said.startswith("The alarm rang in none of the 2 finished runs")
    assert "would have cost" not in said


def test_runs_that_were_stopped_are_told_apart(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = recipe(sizes=(16, 32), measured=10, images=False, stopped=(16, 32))
    said = told(stopping_early(material(make_study(tmp_path, made))))
    assert said == "2 runs were really ended at the alarm, after 2,000 steps."


def test_every_snapshot_is_on_the_scatter(plain: Material) -> None:
    study = plain.study
    looks = levels("n", study.levels(study.conditions[0]))
    group = trade(study, study.results, looks, "c0")
    assert group is not None
    (figure,) = group.figures
    snapshots = study.results.select("n", "step").unique().height
    assert figure.drawing.count('role="img"') == snapshots
    assert trade(study, study.results.filter(pl.col("measure") != "novelty"), looks, "c0") is None


def test_a_pair_of_twins_counts_once(batches: Material) -> None:
    study = batches.study
    agreed = study.results.filter(pl.col("measure").str.starts_with("agreement_"))
    once = of_pairs(study, agreed)
    assert 2 * once.height == agreed.height
    assert set(once["seed"]) == {1}
    own = study.conditions[0].of(once).filter(n=16)
    drawn = line(own, "agreement_halves", levels("n", [16])[0])
    assert drawn is not None
    assert {point.seeds for point in drawn.points} == {1}


def test_noise_levels_of_seeds_are_one_level(batches: Material) -> None:
    study = batches.study
    rows = study.conditions[0].of(study.results).filter(n=16)
    tables = [(levels("n", [16])[0], rows)]
    ((look, last),) = at_last_step(tables)
    drawn = line(last, "denoising_gap", look, x="sigma")
    assert drawn is not None
    assert [point.seeds for point in drawn.points] == [2] * 5
    sigmas = [sigma for sigma, _ in each_level(tables, "denoising_gap")]
    assert sigmas == pytest.approx([point.x for point in drawn.points])
    assert sigmas == sorted(sigmas)


def test_older_tables_lack_chapters_not_pages(plain: Material) -> None:
    study = plain.study
    old: Any = read_study(study.folder)
    object.__setattr__(
        old, "runs", study.runs.drop("batch_size", "images", "parameters", "twin_of")
    )
    kept = [chapter.key for chapter in chapters(Material(old, plain.onsets))]
    assert kept == ["effective", "stopping"]
    only = study.results.filter(pl.col("measure") == "delta")
    object.__setattr__(old, "results", only)
    assert chapters(Material(old, plain.onsets.clear())) == ()


@pytest.mark.parametrize(
    ("design", "space"),
    [
        ({"population": "cifar10"}, "pca"),
        ({"population": {"kind": "cifar10"}, "monitor": {"features": {"kind": "vae"}}}, "vae"),
        ({"population": {"kind": "cifar10"}, "monitor": {"features": "pixels"}}, "pixels"),
        ({"population": {"kind": "digits"}}, None),
        ({}, None),
    ],
)
def test_the_caution_on_encoding_names_the_space(design: dict, space: str | None) -> None:
    found = caveats({"design": design})
    assert len(found) == (space is not None)
    assert all(f"“{space}”" in one and "JPEG" in one for one in found)
