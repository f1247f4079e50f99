"""The section on E_TG, E_OG and P(Δ > 0) in the reports of trained networks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ecotone.core.seeds import generator
from ecotone.report import build
from ecotone.report.densities import density_section
from ecotone.report.study import Condition, read_study


def add_densities(
    folder: Path, *, slopes: tuple[float, float] = (-0.3, -1.0), middle: float = 40.0
) -> Path:
    """Add E_TG, E_OG, Δ and its null to a study's readings, with known slopes and a crossing."""
    path = folder / "results.parquet"
    results = pl.read_parquet(path)
    keys = [name for name in results.columns if name not in ("measure", "value", "low", "high")]
    rows = []
    for cell in results.select(keys).unique(maintain_order=True).iter_rows(named=True):
        x = math.log(cell["n"] / middle)
        wobble = 0.02 * generator(cell["seed"], "densities", cell["n"]).standard_normal(2)
        t, o = (math.exp(slope * x + w) for slope, w in zip(slopes, wobble, strict=True))
        values = {"e_training_generated": t, "e_original_generated": o, "delta": t - o}
        for measure, value in {**values, "delta_null": -0.05}.items():
            rows.append({**cell, "measure": measure, "value": value})
            rows[-1] |= {"low": value - 0.01, "high": value + 0.01}
    added = pl.DataFrame(rows, schema=results.schema, orient="row")
    pl.concat([results, added]).write_parquet(path)
    return folder


def only_densities(folder: Path) -> Path:
    """Leave nothing but the readings of the two distances."""
    path = folder / "results.parquet"
    results = pl.read_parquet(path)
    results.filter(pl.col("measure").str.contains("delta|generated")).write_parquet(path)
    return folder


@pytest.fixture
def seeded(make_study: Callable, recipe: type, tmp_path: Path) -> Path:
    made = recipe(sizes=(16, 32, 64, 128), seeds=(0, 1, 2), measured=3, images=False)
    return add_densities(make_study(tmp_path / "study", made))


def test_the_scenario_is_that_of_the_readings(seeded: Path) -> None:
    study = read_study(seeded)
    section = density_section(study, study.conditions[0], "c0")
    assert section is not None
    assert "passes ½ at n = " in section.sentence
    assert "both E_TG and E_OG fall, E_OG faster" in section.sentence
    assert [figure.heading for figure in section.figures] == [
        "E_TG and E_OG",
        "Δ = E_TG − E_OG",
        "P(Δ > 0) over seeds",
    ]
    assert [row[0].text for row in section.table.rows] == ["16", "32", "64", "128"]


def test_shares_are_over_seeds_with_wilson_intervals(seeded: Path) -> None:
    study = read_study(seeded)
    section = density_section(study, study.conditions[0], "c0")
    assert section is not None
    column = section.table.head.index("P(Δ > 0)")
    cells = [row[column] for row in section.table.rows]
    assert [cell.text for cell in cells] == ["0 %", "0 %", "100 %", "100 %"]
    assert cells[-1].detail == "44 % to 100 %"


def test_readings_are_those_of_the_last_common_step(seeded: Path) -> None:
    path = seeded / "results.parquet"
    results = pl.read_parquet(path)
    last = results["step"].max()
    cut = (pl.col("n") == 128) & (pl.col("seed") == 2) & (pl.col("step") == last)
    # One run short of the last step: all are read at the one before.
    results.filter(~cut).write_parquet(path)
    study = read_study(seeded)
    section = density_section(study, study.conditions[0], "c0")
    before = sorted(results["step"].unique())[-2]
    assert section is not None
    assert f"at step {before:,}" in section.lead


def test_a_page_has_both_answers(seeded: Path) -> None:
    page = build(seeded).read_text()
    verdict = page.partition('class="verdict">')[2].partition("</p>")[0]
    assert verdict.startswith("Copying began")
    assert "P(Δ &gt; 0) over 3 seeds" in verdict
    assert "Distances to training and original density" in page


def test_without_copying_nothing_is_said_of_it(seeded: Path) -> None:
    page = build(only_densities(seeded)).read_text()
    verdict = page.partition('class="verdict">')[2].partition("</p>")[0]
    assert verdict.startswith("P(Δ &gt; 0) over 3 seeds")
    assert "cannot be told yet" not in page
    assert "τ" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<h3>Onsets</h3>" not in page
    assert page.count("<svg") == 3


def test_one_seed_is_no_probability(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(sizes=(16, 64), measured=3, images=False)
    page = build(only_densities(add_densities(make_study(tmp_path, made)))).read_text()
    assert "with one seed, which is no probability" in page


def test_a_named_factor_gets_a_table(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = [
        recipe(sizes=(16,), seeds=(0, 1), measured=3, images=False, extra=(("model.kind", kind),))
        for kind in ("unet", "mlp")
    ]
    page = build(only_densities(add_densities(make_study(tmp_path, *made)))).read_text()
    assert "at model.kind = unet" in page
    assert "<svg" not in page
    assert "44 % to 100 %" not in page


def test_widths_stand_along_the_axis(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = [
        recipe(sizes=(64,), seeds=(0, 1, 2), measured=3, images=False, extra=(("model.width", w),))
        for w in (8, 16, 32)
    ]
    page = build(only_densities(add_densities(make_study(tmp_path, *made)))).read_text()
    assert "is above ½ at every model.width measured" in page
    assert page.count("<svg") == 3


def test_no_delta_no_section(study_folder: Path) -> None:
    study = read_study(study_folder)
    assert density_section(study, Condition({}), "c0") is None
