from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ecotone.report.findings import find
from ecotone.report.study import read_study


def test_the_exponent_put_in_is_found(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(sizes=(16, 32, 64, 128, 256), exponent=1.3, per_image=4.0, images=False)
    (found,) = find(read_study(make_study(tmp_path, made)))
    law = found.power("memorizing")
    assert law is not None
    assert law.exponent is not None
    assert law.exponent.low is not None
    assert law.exponent.high is not None
    assert law.exponent.low < 1.3 < law.exponent.high
    assert law.exponent.high - law.exponent.low < 0.8
    assert [onset.n for onset in found.of("memorizing")] == [16, 32, 64, 128, 256]


def test_a_run_that_never_copied_is_told_so(make_study: Callable, recipe: type, tmp_path: Path):
    made = recipe(sizes=(16, 4096), horizon=3000, images=False)
    (found,) = find(read_study(make_study(tmp_path, made)))
    early, late = found.of("memorizing")
    assert early.value is not None
    assert late.value is None
    assert late.said == "not within 3,000"
    assert late.told == "n = 4096: τ_mem not within 3,000 steps"


def test_every_condition_has_its_own_law(make_study: Callable, recipe: type, tmp_path: Path):
    made = [
        recipe(exponent=exponent, images=False, measured=16, extra=(("model", name),))
        for name, exponent in (("mlp", 0.6), ("unet", 1.2))
    ]
    found = find(read_study(make_study(tmp_path, *made)))
    exponents = []
    for one in found:
        law = one.power("memorizing")
        assert law is not None
        assert law.exponent is not None
        exponents.append(law.exponent.value)
    assert exponents == [pytest.approx(0.6, abs=0.25), pytest.approx(1.2, abs=0.25)]


def test_one_size_has_onsets_but_no_law(make_study: Callable, recipe: type, tmp_path: Path):
    (found,) = find(read_study(make_study(tmp_path, recipe(sizes=(32,), images=False))))
    assert len(found.onsets) == 2
    assert found.laws == ()
