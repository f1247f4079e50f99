from __future__ import annotations

import polars as pl
import pytest

from ecotone.core.intervals import mean_interval
from ecotone.report.lines import DASHES, MARKERS, levels, line

LEVEL = levels("n", [16])[0]


def table(values: list[list[float]], *, first_step: int = 1) -> pl.DataFrame:
    """Return readings, one list a seed."""
    rows = [
        {"seed": seed, "step": first_step + at, "measure": "share", "value": value}
        | {"low": value - 0.1, "high": value + 0.1, "samples": 50}
        for seed, course in enumerate(values)
        for at, value in enumerate(course)
    ]
    return pl.DataFrame(rows)


def test_one_seed_keeps_its_own_interval() -> None:
    drawn = line(table([[0.2, 0.4]]), "share", LEVEL)
    assert drawn is not None
    assert [point.bounds for point in drawn.points] == [
        pytest.approx((0.1, 0.3)),
        pytest.approx((0.3, 0.5)),
    ]
    assert drawn.single == ()


def test_several_seeds_are_a_mean_with_students_interval() -> None:
    drawn = line(table([[0.1], [0.2], [0.6]]), "share", LEVEL)
    assert drawn is not None
    (point,) = drawn.points
    assert point.value == pytest.approx(0.3)
    assert point.bounds == mean_interval([0.1, 0.2, 0.6])
    assert (point.seeds, point.samples, len(drawn.single)) == (3, 150, 3)


def test_two_seeds_have_no_interval() -> None:
    drawn = line(table([[0.1], [0.3]]), "share", LEVEL)
    assert drawn is not None
    assert drawn.points[0].bounds is None


def test_what_was_never_read_is_no_line() -> None:
    assert line(table([[0.1]]), "distance", LEVEL) is None


def test_step_zero_has_no_place_on_a_logarithmic_axis() -> None:
    drawn = line(table([[0.1, 0.2]], first_step=0), "share", LEVEL)
    assert drawn is not None
    assert [point.x for point in drawn.points] == [1.0]


def test_levels_differ_without_colour() -> None:
    looks = [
        (str(level.dash), level.marker) for level in levels("n", range(len(DASHES) * len(MARKERS)))
    ]
    assert len(set(looks)) == len(looks)
