"""One sentence for every way a study can end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecotone.core.readings import Reading
from ecotone.report.chapter import Material
from ecotone.report.findings import Findings, Kind, Law, LawPoint, Onset, find, find_onsets
from ecotone.report.movers import effects_of
from ecotone.report.study import Condition, Study, read_study
from ecotone.report.verdict import verdict


@pytest.fixture(scope="module")
def study(study_folder: Path) -> Study:
    return read_study(study_folder)


def onset(
    n: int,
    value: float | None,
    *,
    bound: float | None = None,
    kind: Kind = "memorizing",
    seed: int = 0,
    before: bool = False,
) -> Onset:
    return Onset(
        kind, f"{n}-{seed}", n, n, f"n = {n}", seed, value, None, None, bound, before=before
    )


def findings(
    onsets: Sequence[Onset], *, exponent: tuple[float, float, float] | None = None
) -> Findings:
    laws: tuple[Law, ...] = ()
    if exponent is not None:
        value, low, high = exponent
        reading = Reading(value, n=4, unit="exponent", higher_is="neither", low=low, high=high)
        laws = (Law("memorizing", "power", reading, (LawPoint(16, 100, None, None),)),)
    return Findings(Condition({}), tuple(onsets), laws, ())


CASES: dict[str, tuple[Findings, str]] = {
    "grows": (
        findings(
            [onset(16, 160.0), onset(64, 700.0), onset(128, 2000.0)], exponent=(1.2, 0.9, 1.5)
        ),
        "Copying began after 160 steps with 16 training images and after 2,000 steps with 128: "
        "its onset grows as n^1.20 (95 % interval 0.90 to 1.50).",
    ),
    "cannot tell growth": (
        findings([onset(16, 160.0), onset(128, 2000.0)], exponent=(0.8, -0.5, 2.1)),
        "Copying began after 160 steps with 16 training images and after 2,000 steps with 128: "
        "whether its onset grows with n cannot be told, at n^0.80 (95 % interval −0.50 to 2.10).",
    ),
    "falls": (
        findings([onset(16, 2000.0), onset(128, 160.0)], exponent=(-1.2, -1.5, -0.9)),
        "Copying began after 2,000 steps with 16 training images and after 160 steps with 128: "
        "its onset falls as n^−1.20 (95 % interval −1.50 to −0.90).",
    ),
    "too few": (
        findings([onset(16, 160.0), onset(32, None, bound=5000.0)]),
        "Copying began after 160 steps with 16 training images, but not within 5,000 steps with "
        "32: too few runs turned to tell how its onset grows.",
    ),
    "many never": (
        findings([onset(16, 160.0), *(onset(n, None, bound=5000.0) for n in (32, 64, 128))]),
        "Copying began after 160 steps with 16 training images, but not within 5,000 steps with "
        "32 or within 5,000 steps with 64 and at 1 more levels: too few runs turned to tell how "
        "its onset grows.",
    ),
    "none": (
        findings([onset(n, None, bound=5000.0) for n in (16, 32)]),
        "No run began to copy within 5,000 steps, with 16 to 32 training images.",
    ),
    "none with one size": (
        findings([onset(16, None, bound=5000.0)]),
        "No run began to copy within 5,000 steps with 16 training images.",
    ),
    "one size": (
        findings([onset(16, 160.0)]),
        "Copying began after 160 steps with 16 training images.",
    ),
    "from the start": (
        findings([onset(16, None, bound=50.0, before=True)]),
        "Copying began before 50 steps with 16 training images.",
    ),
    "some seeds": (
        findings(
            [onset(16, 100.0), onset(16, 400.0, seed=1), onset(16, None, bound=900.0, seed=2)]
        ),
        "Copying began after 200 steps (in 2 of 3 seeds) with 16 training images.",
    ),
    "cannot be had": (
        findings([]),
        "When copying begins cannot be told yet: it takes three measured steps with a copied "
        "share and its floor.",
    ),
    "quality": (
        findings(
            [
                onset(16, 160.0),
                *(onset(16, t, kind="generalizing", seed=s) for s, t in enumerate((60, 81))),
            ]
        ),
        "Copying began after 160 steps with 16 training images; sample quality came near its best "
        "after 60 to 81 steps.",
    ),
    "still improving": (
        findings([onset(16, None, bound=500.0), onset(16, None, bound=500.0, kind="generalizing")]),
        "No run began to copy within 500 steps with 16 training images; sample quality was still "
        "improving when training ended.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_ending_has_its_sentence(study: Study, case: str) -> None:
    found, sentence = CASES[case]
    assert verdict(study, [found], noun="training images") == sentence


def build(make_study: Callable, folder: Path, *recipes: Any) -> str:
    study = read_study(make_study(folder, *recipes))
    table = find_onsets(study)
    moved = effects_of(Material(study, table))
    return verdict(study, find(study, table), noun="training images", moved=moved)


def test_failed_and_unfinished_runs_are_counted(make_study: Callable, recipe: type, tmp_path: Path):
    said = build(
        make_study,
        tmp_path,
        recipe(sizes=(16, 32, 64), measured=8, failed=(32,), unfinished=(64,), images=False),
    )
    assert said.endswith("; 1 of 3 runs failed; 1 of 3 runs has not finished.")


def test_two_conditions_are_told_side_by_side(make_study: Callable, recipe: type, tmp_path: Path):
    both = [
        recipe(sizes=(16, 64), measured=10, images=False, per_image=per, extra=(("decay", decay),))
        for decay, per in ((0.0, 10.0), (0.1, 60.0))
    ]
    said = build(make_study, tmp_path, *both)
    assert said.startswith("With decay = 0, copying began after ")
    assert "; with decay = 0.1, copying began after " in said


def test_many_conditions_are_summed_up(make_study: Callable, recipe: type, tmp_path: Path):
    many = [
        recipe(sizes=(16, 64), measured=6, images=False, per_image=per, extra=(("decay", per),))
        for per in (10.0, 20.0, 40.0, 80.0)
    ]
    said = build(make_study, tmp_path, *many)
    assert said.startswith("Copying began in 8 of 8 runs, first after ")
    assert "with n = 16, decay = 10: its onset grows as n^" in said
    assert " and decay to the power " in said


def test_with_two_numbers_the_powers_are_told(make_study: Callable, recipe: type, tmp_path: Path):
    made = [
        recipe(
            sizes=(16, 32, 64),
            measured=16,
            images=False,
            per_image=20 * 64 / batch,
            batch=batch,
            extra=(("training.batch_size", batch),),
        )
        for batch in (16, 64)
    ]
    said = build(make_study, tmp_path, *made)
    assert said.startswith("Copying began in 6 of 6 runs, first after ")
    assert "with n = 16, training.batch_size = 64: its onset grows as n^" in said
    assert " and falls as batch size to the power −" in said


def test_with_one_size_the_other_factor_is_told(make_study: Callable, recipe: type, tmp_path: Path):
    two = [
        recipe(sizes=(16,), measured=10, images=False, per_image=per, extra=(("decay", decay),))
        for decay, per in ((0.0, 10.0), (0.1, 60.0))
    ]
    said = build(make_study, tmp_path, *two)
    assert "with decay = 0 and after" in said
    assert "grows" not in said
