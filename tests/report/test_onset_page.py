"""The page of a linear study from whole folders: what it holds, and what it does without."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from ecotone.core.errors import RecordError
from ecotone.report import build
from ecotone.report.onset_findings import find_onsets
from ecotone.report.onset_study import read_linear_study
from ecotone.report.onset_verdict import linear_verdict
from ecotone.report.page import LARGEST_PAGE
from onset_folder import LinearRecipe, write_linear_study
from outline import Outline

HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'
QUICK = LinearRecipe(dimensions=(16,), replicates=8, ratios=(0.5, 1, 2, 4, 8))


def verdict(page: str) -> str:
    """Return the verdict that stands on a page."""
    said = page.partition('class="verdict">')[2].partition("</p>")[0]
    return re.sub(r"<[^>]+>", "", said).replace("&gt;", ">")


def answer(folder: Path) -> str:
    """Return a study's verdict without a page."""
    study = read_linear_study(folder)
    return linear_verdict(study, find_onsets(study))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two dimensions with everything there. Do not change it."""
    return write_linear_study(tmp_path_factory.mktemp("onset") / "known")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return build(folder).read_text()


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(write_linear_study(tmp_path / at, QUICK)).read_bytes() for at in "ab")
    assert first == second
    assert build(tmp_path / "a").read_bytes() == first


def test_it_is_small_and_fetches_nothing(folder: Path, page: str) -> None:
    assert 100_000 < (folder / "report.html").stat().st_size < LARGEST_PAGE
    outline = Outline(page)
    assert not outline.of("link")
    assert not outline.of("img")
    references = [v for _, a in outline.tags for k, v in a.items() if k in {"href", "xlink:href"}]
    assert all(str(reference).startswith("#") for reference in references)
    (policy,) = [m["content"] for m in outline.of("meta") if "http-equiv" in m]
    assert str(policy).startswith("default-src 'none'; ")
    assert not re.findall(r"url\((?!#)", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)


def test_every_part_is_there(page: str) -> None:
    words = Outline(page).words
    for part in (
        "P(Δ > 0), exact metric",
        "P(Δ > 0), metric as published",
        "Where P(Δ > 0) passes ½, against d",
        "Against an ideal sampler and the exact original density",
        "KL(generated ‖ population)",
        "KL(population ‖ generated)",
        "Affinity per dimension",
        "Squared Hellinger distance H²",
        "Squared Wasserstein distance",
        "Distances to the training and to the original density",
        "Overlaps with the training and with the original density",
        "What happens around the crossing",
        "The numbers behind these curves",
        "NO = 10,000",
        "memorization degrades, generalization improves",
        "is an artefact",
        "its median is given",
        "ecotone study study.yaml --out onset-known",
        "0.1.0",
    ):
        assert part in words, part
    assert "nan" not in words.lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_identifiers_are_unique_and_drawings_described(page: str) -> None:
    outline = Outline(page)
    identifiers = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    drawings = outline.of("svg")
    assert len(drawings) == 14
    for drawing in drawings:
        assert set(str(drawing["aria-labelledby"]).split()) <= set(identifiers)


def test_points_tell_value_interval_and_replicates(page: str, folder: Path) -> None:
    tips = [str(c["aria-label"]) for c in Outline(page).of("circle") if "aria-label" in c]
    results = pl.read_parquet(folder / "results.parquet")
    row = results.filter(dimension=16, n=24, variant="exact", measure="p_delta_positive").row(
        0, named=True
    )
    told = [tip for tip in tips if tip.startswith("d = 16, n = 24: ") and "%" in tip]
    assert told
    assert f"{100 * row['value']:.0f} %" in told[0]
    assert told[0].endswith("; 30 replicates")
    assert any("d = 64, as published, n = 32: " in tip for tip in tips)
    assert any("ideal sampler" in tip for tip in tips)


def test_the_verdict_says_where_and_how_sure(page: str) -> None:
    said = verdict(page)
    found = re.findall(r"n = ([\d.]+) \(([\d.]+) to ([\d.]+), n/d = ([\d.]+)\) for d = (\d+)", said)
    assert [int(one[-1]) for one in found] == [16, 64]
    for value, low, high, _, dimension in found:
        assert float(low) <= float(value) <= float(high)
        # What the curves were made from.
        assert float(low) / 1.2 <= 0.5 * int(dimension) ** 1.4 <= 1.2 * float(high)
    assert "against 10,000 original points" in said
    assert "turns finite between n/d = 1 and 1.5" in said
    assert "an ideal sampler, which memorizes nothing, is above ½ at every size" in said
    assert "ETG rises, EOG falls" in said


def test_growth_is_told_from_three_dimensions_on(tmp_path: Path) -> None:
    recipe = LinearRecipe(dimensions=(16, 32, 64, 128), replicates=40, exponent=1.4)
    said = answer(write_linear_study(tmp_path, recipe))
    found = re.search(r"it grows as d\^([\d.]+) \(95 % interval ([\d.]+) to ([\d.]+)\)", said)
    assert found, said
    value, low, high = (float(part) for part in found.groups())
    assert low <= 1.4 <= high
    assert low <= value <= high


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"per": 1e-6}, "is above ½ from the smallest size measured on, n = 8, n/d = 0.5"),
        ({"per": 1e6}, "stays below ½ at all sizes measured, up to n = 128, n/d = 8"),
        (
            {"originals": (100, 1000, 10_000, 100_000), "per": 0.3},
            "P(Δ > 0) passes ½ at n = ",
        ),
        (
            {"extra": {"a": (1, 2), "b": (1, 2)}},
            "With b = 1, P(Δ > 0), against 10,000 original points, passes ½ at n = ",
        ),
        (
            {"extra": {"a": (1, 2), "b": ("x", "y", "z", "w")}},
            "on 8 of 8 lines, first and last at n = ",
        ),
        ({"slopes": (-0.5, -0.51)}, "both overlaps rise alike"),
        ({"slopes": (-0.4, -1.4)}, "both ETG and EOG fall, EOG faster"),
        ({"slopes": (0.6, 0.0)}, "generalization does not improve"),
        (
            {"left_out": ("delta_sign", "delta_sign_null", "delta_sign_density")},
            "P(Δ > 0) was not measured, so where it passes ½ cannot be told.",
        ),
    ],
)
def test_every_ending_has_its_sentence(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    recipe = LinearRecipe(**{**QUICK.__dict__, "replicates": 20, **changes})
    said = answer(write_linear_study(tmp_path, recipe))
    assert told in said.replace("E_TG", "ETG").replace("E_OG", "EOG")
    assert said.endswith(".")


def test_what_files_say_stays_text(tmp_path: Path) -> None:
    recipe = LinearRecipe(
        dimensions=(16,),
        ratios=(0.5, 1, 2, 4),
        replicates=4,
        extra={HOSTILE: (HOSTILE, "plain")},
        title=HOSTILE,
        description=HOSTILE,
    )
    write_linear_study(tmp_path, recipe, machine={HOSTILE: HOSTILE}, name=HOSTILE)
    page = build(tmp_path).read_text()
    outline = Outline(page)
    assert len(outline.of("script")) == 1
    assert not outline.of("img")
    assert "<script>document" not in page
    assert "onerror=alert(1)>" not in page
    assert page.count("&lt;script&gt;document") > 10


def test_measures_that_are_missing_leave_their_drawing_out(page: str, tmp_path: Path) -> None:
    headings = {
        "kl_generated_population": "KL(generated ‖ population)</h4>",
        "wasserstein2_squared": "Squared Wasserstein",
        "log_overlap_training": "Overlaps with the training",
        "log_overlap_original": "ln c",
        "delta_sign_null": "ideal sampler</text>",
        "delta_sign": "P(Δ &gt; 0), exact metric</h4>",
    }
    recipe = LinearRecipe(**{**QUICK.__dict__, "left_out": tuple(headings)})
    less = build(write_linear_study(tmp_path, recipe)).read_text()
    for heading in headings.values():
        assert heading in page, heading
        if heading != "ln c":
            assert heading not in less, heading
    assert "Affinity per dimension" in less
    assert "cannot be told" in verdict(less)
    assert "nan" not in Outline(less).words.lower().split()


def test_without_replicates_there_is_no_scenario(tmp_path: Path) -> None:
    write_linear_study(tmp_path, QUICK)
    (tmp_path / "replicates.parquet").unlink()
    page = build(tmp_path).read_text()
    assert "What happens around the crossing" not in page
    assert "Distances to the training" in page


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"originals": (100, 1000)}, "NO"),
        ({"extra": {"population.kind": ("gaussian", "low_rank")}}, "kind = low_rank"),
        ({"extra": {"population.separation": (None, 2.0)}}, "separation = "),
        (
            {
                "dimensions": (9, 16),
                "ratios": (1, 4),
                "extra": {"model.sampler": ("euler", "heun")},
            },
            "by sampler",
        ),
        ({"ratios": (1.5,)}, "KL(generated"),
        ({"replicates": 1}, "exact metric"),
    ],
    ids=["originals", "names", "null", "two", "one size", "one"],
)
def test_any_factor_makes_a_page(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    recipe = LinearRecipe(**{**QUICK.__dict__, **changes})
    page = build(write_linear_study(tmp_path, recipe)).read_text()
    words = Outline(page).words
    assert told in words
    assert "nan" not in words.lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_an_intrinsic_dimension_is_drawn_against(tmp_path: Path) -> None:
    recipe = LinearRecipe(
        **{**QUICK.__dict__, "extra": {"population.intrinsic_dimension": (4, 8, 16)}}
    )
    page = build(write_linear_study(tmp_path, recipe)).read_text()
    assert "training samples per intrinsic dimension, n/k" in page
    assert "k = 4" in page


def test_at_a_fixed_size_steps_are_the_axis(tmp_path: Path) -> None:
    recipe = LinearRecipe(
        dimensions=(16, 32),
        ratios=(2.0,),
        replicates=8,
        extra={"model.steps": (2, 4, 8), "model.sampler": ("euler", "heun")},
    )
    page = build(write_linear_study(tmp_path, recipe)).read_text()
    tips = [str(c["aria-label"]) for c in Outline(page).of("circle") if "aria-label" in c]
    assert any("steps = 8: " in tip for tip in tips)
    assert "training samples per dimension" not in page
    assert "sampler = heun" in Outline(page).words


def test_runs_that_failed_are_counted(tmp_path: Path) -> None:
    write_linear_study(tmp_path, QUICK)
    runs = pl.read_parquet(tmp_path / "runs.parquet")
    more = runs.with_columns(status=pl.lit("failed"))
    pl.concat([runs, more]).write_parquet(tmp_path / "runs.parquet")
    assert answer(tmp_path).endswith("1 of 2 runs of replicates failed.")


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("results.parquet", lambda t: t.drop("variant"), "lacks the column 'variant'"),
        ("results.parquet", lambda t: t.filter(pl.lit(value=False)), "holds no reading"),
        ("results.parquet", lambda t: pl.concat([t, t]), "two rows"),
        ("results.parquet", lambda t: t.cast({"n": pl.String}), "not a number"),
        ("replicates.parquet", lambda t: t.drop("replicate"), "lacks the column 'replicate'"),
    ],
)
def test_harmed_tables_are_named(tmp_path: Path, name: str, damage: Any, told: str) -> None:
    write_linear_study(tmp_path, QUICK)
    damage(pl.read_parquet(tmp_path / name)).write_parquet(tmp_path / name)
    with pytest.raises(RecordError, match=told):
        build(tmp_path)


class FakeLaw:
    measure, variant, name, source = "affinity", "exact", "a law", "derived <b>here</b>"
    holds = (20.0, math.inf)

    def predict(self, n: float) -> float | None:
        return 1 - 8 / n if n >= 20 else None


class FakeThreshold:
    name, source = "n = d: where it turns", "counting <i>ranks</i>"

    def __init__(self, n: float) -> None:
        self.n = n


@pytest.fixture
def theory(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A theory of one law and one threshold; returns what it was asked."""
    asked: list[dict[str, Any]] = []
    module = ModuleType("ecotone.theory")

    def predictions(**about: Any) -> list[FakeLaw]:
        asked.append(about)
        return [FakeLaw()]

    def thresholds(**about: Any) -> list[FakeThreshold]:
        return [FakeThreshold(about["dimension"])]

    vars(module).update(predictions=predictions, thresholds=thresholds)
    monkeypatch.setitem(sys.modules, "ecotone.theory", module)
    return asked


def with_cells(folder: Path, recipe: LinearRecipe) -> Path:
    write_linear_study(folder, recipe)
    about = json.loads((folder / "study.json").read_text())
    about["cells"] = [
        {
            "factors": {"dimension": d, "originals": 10_000},
            "config": {"originals": 10_000, "model": {"kind": "one_step"}, "population": {"d": d}},
        }
        for d in recipe.dimensions
    ]
    (folder / "study.json").write_text(json.dumps(about))
    return folder


def test_theory_is_drawn_and_held_against(theory: list[dict[str, Any]], tmp_path: Path) -> None:
    recipe = LinearRecipe(replicates=4)
    page = build(with_cells(tmp_path, recipe)).read_text()
    assert {one["dimension"] for one in theory} == {16, 64}
    for one in theory:
        assert one["originals"] == 10_000
        assert one["population"] == {"d": one["dimension"]}
    words = Outline(page).words
    assert "Predicted and measured" in words
    assert "a law (n ≥ 20)" in words
    assert "n = d: where it turns" in words
    assert ">n = d</text>" in page
    assert "counting &lt;i&gt;ranks&lt;/i&gt;" in page
    assert "derived &lt;b&gt;here&lt;/b&gt;" in page
    rows = re.findall(r"<tr><th scope=\"row\">16</th><th[^>]*>affinity.*?</tr>", page)
    assert len(rows) == 4
    assert "0.667" in rows[0]
