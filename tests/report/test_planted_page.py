"""The page of a planted-copy benchmark from whole folders: what it holds and does without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ecotone.core.errors import RecordError
from ecotone.report import build
from ecotone.report.page import LARGEST_PAGE
from ecotone.report.planted_findings import Seen, find_planted
from ecotone.report.planted_study import read_planted_study
from ecotone.report.planted_verdict import planted_verdict, said_seen
from outline import Outline
from planted_folder import PlantedRecipe, write_planted_study

HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'
BLIND = {"a_test": {"exact": None, "flip": None}}


def answer(folder: Path) -> str:
    study = read_planted_study(folder)
    return planted_verdict(study, find_planted(study))


def table_row(page: str, caption: str, detector: str) -> list[str]:
    """Return the cells of a detector's row in the first table whose caption has these words."""
    tables = page.split("<table")[1:]
    body = next(part for part in tables if caption in part.partition("</caption>")[0])
    (row,) = re.findall(rf'<tr><th scope="row">{detector}</th>.*?</tr>', body, flags=re.S)
    return re.findall(r"<td>(.*?)(?:<small.*?</small>)?</td>", row, flags=re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with everything there. Do not change it."""
    return write_planted_study(tmp_path_factory.mktemp("planted") / "known")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return build(folder).read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(write_planted_study(tmp_path / at)).read_bytes() for at in "ab")
    assert first == second
    assert build(tmp_path / "a").read_bytes() == first


def test_it_is_small_and_fetches_nothing(folder: Path, page: str) -> None:
    assert 50_000 < (folder / "report.html").stat().st_size < LARGEST_PAGE / 4
    outline = Outline(page)
    assert not outline.of("link")
    assert not outline.of("img")
    references = [v for _, a in outline.tags for k, v in a.items() if k in {"href", "xlink:href"}]
    assert all(str(reference).startswith("#") for reference in references)
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)
    identifiers = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)


def test_every_part_is_there(page: str) -> None:
    words = Outline(page).words
    for part in (
        "500 generated images",
        "100 generated images",
        "Power over the share of copies",
        "distance of means, calibrated: it has no test of its own",
        "By statistics, whatever the tests",
        "Which images are the copies",
        "What was done to copies",
        "quality = 75",
        "100 replicates, each of which draws from digits 500 training images, 400 held-out ones",
        "What these numbers cannot show",
        "the best of 3",
        "ecotone study study.yaml --out copies-known",
    ):
        assert part in words, part
    assert "nan" not in words.lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_the_table_has_smallest_shares_and_false_positives(page: str) -> None:
    caption = "by the detectors&#39; own tests"
    rate, exact, jpeg, flip = table_row(page, caption, "gap ratio")
    assert rate == "4 %"
    # A logistic of slope 5 in log p reaches 0.8 a factor 4^(1/5) past its middle.
    assert float(exact.removesuffix(" %")) == pytest.approx(1.5 * 4**0.2, rel=0.12)
    assert float(jpeg.removesuffix(" %")) == pytest.approx(3.0 * 4**0.2, rel=0.12)
    assert flip == "&gt; 20 %"
    calibrated = table_row(page, "The same of 500", "distance of means")
    assert calibrated[-1] == "&gt; 20 %"
    with pytest.raises(ValueError, match="not enough values"):
        table_row(page, caption, "distance of means")


def test_points_tell_share_power_and_replicates(page: str, folder: Path) -> None:
    tips = [str(c["aria-label"]) for c in Outline(page).of("circle") if "aria-label" in c]
    results = pl.read_parquet(folder / "results.parquet")
    where = {"generated": 500, "detector": "gap_ratio", "transform": "exact", "share": 0.02}
    row = results.filter(**where, measure="detected").row(0, named=True)
    told = [tip for tip in tips if tip.startswith("transform = exact, share = 0.02: ")]
    assert len(told) == 3
    assert any(f"{100 * row['value']:.0f} %" in tip for tip in told)
    assert all(tip.endswith("; 100 replicates") for tip in told)


def test_the_verdict_names_what_is_seen_and_what_is_not(folder: Path) -> None:
    said = answer(folder)
    assert re.match(
        r"Among 500 generated images some detector sees, 80 % of the time, exact copies from "
        r"[12].?\d? % \([\d.]+ % to [\d.]+ %; gap ratio\) and jpeg copies from [\d.]+ % ",
        said,
    )
    assert "; none sees flip copies up to 20 %." in said
    assert "no test finds copies in clearly more than the 5 % of replicates" in said


def test_a_test_that_cries_wolf_is_named_and_left_out(tmp_path: Path) -> None:
    recipe = PlantedRecipe(false_positives={"gap_ratio": 0.3})
    said = answer(write_planted_study(tmp_path, recipe))
    assert "gap ratio in 30 % of replicates finds copies, clearly more than the 5 %" in said
    assert "closest record)" in said.partition("Where nothing")[0]
    assert "gap ratio" not in said.partition("Where nothing")[0]


def test_a_rate_that_is_high_by_chance_is_no_reproach(tmp_path: Path) -> None:
    recipe = PlantedRecipe(false_positives={"gap_ratio": 0.1})  # its interval is [0.055, 0.17]
    said = answer(write_planted_study(tmp_path, recipe))
    assert "no test finds copies in clearly more" in said
    assert "gap ratio" in said.partition("Where nothing")[0]


def test_where_nothing_is_seen_it_says_so(tmp_path: Path) -> None:
    said = answer(write_planted_study(tmp_path, PlantedRecipe(middles=BLIND, untested=())))
    assert said.startswith(
        "Among 500 generated images no detector sees exact and flip copies up to 20 %."
    )


def test_without_any_test_there_is_a_page(tmp_path: Path) -> None:
    recipe = PlantedRecipe(untested=("gap_ratio", "closest_record", "distance_of_means"))
    folder = write_planted_study(tmp_path, recipe)
    assert "Where nothing was planted" not in answer(folder)
    assert "calibrated: it has no test of its own" in build(folder).read_text()


def test_factors_make_sections(tmp_path: Path) -> None:
    recipe = PlantedRecipe(factors={"n": (100, 500), "holdout": (400,)}, sizes=(200,))
    folder = write_planted_study(tmp_path, recipe)
    said = answer(folder)
    assert said.startswith("With n = 100, among 200 generated images")
    assert " With n = 500, among 200 generated images" in said
    words = Outline(build(folder).read_text()).words
    assert "200 generated images, n = 100" in words
    assert "100 or 500 training images" in words


@pytest.mark.parametrize("about", [True, False])
def test_what_a_folder_says_is_escaped(tmp_path: Path, about: bool) -> None:
    middles = {HOSTILE: {HOSTILE: 0.02}}
    recipe = PlantedRecipe(
        middles=middles, untested=(), title=HOSTILE, description=HOSTILE, about=about
    )
    page = build(write_planted_study(tmp_path, recipe, name=HOSTILE)).read_text()
    outline = Outline(page)
    assert len(outline.of("script")) == 1
    assert not outline.of("img")
    assert not [a for _, a in outline.tags if "onerror" in a]


def test_runs_that_did_not_finish_are_counted(tmp_path: Path) -> None:
    write_planted_study(tmp_path)
    runs = pl.read_parquet(tmp_path / "runs.parquet")
    more = runs.with_columns(status=pl.lit("unfinished"))
    pl.concat([runs, more]).write_parquet(tmp_path / "runs.parquet")
    assert answer(tmp_path).endswith("1 of 2 runs of replicates have not finished.")
    (tmp_path / "runs.parquet").unlink()
    assert "not finished" not in answer(tmp_path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda t: t.drop("copies"), "lacks the column 'copies'"),
        (lambda t: t.filter(pl.lit(value=False)), "holds no reading"),
        (lambda t: pl.concat([t, t]), "two rows"),
        (lambda t: t.cast({"share": pl.String}), "is String, not Float64"),
    ],
)
def test_harmed_tables_are_named(tmp_path: Path, damage: Any, told: str) -> None:
    write_planted_study(tmp_path)
    path = tmp_path / "results.parquet"
    damage(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(RecordError, match=told):
        build(tmp_path)


def test_a_missing_or_cut_table_is_named(tmp_path: Path) -> None:
    write_planted_study(tmp_path)
    path = tmp_path / "results.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RecordError, match=r"cannot read .*results\.parquet"):
        build(tmp_path)
    path.unlink()
    with pytest.raises(RecordError, match=r"no file .*results\.parquet"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Seen("observed", 0.03, 0.02, 0.05, None), ("3 %", "2 % to 5 %")),
        (Seen("observed", 0.03, None, 0.05, None), ("3 %", "5 % or less")),
        (Seen("observed", 0.03, None, None, None), ("3 %", "1 % or less to over 20 %")),
        (Seen("left_censored", None, None, None, 0.01), ("≤ 1 %", "")),
    ],
)
def test_a_smallest_share_is_said_with_its_doubt(seen: Seen, told: tuple[str, str]) -> None:
    assert said_seen(seen, (0.01, 0.2)) == told
