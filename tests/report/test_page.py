"""The page from whole folders: what it holds, and what it does without."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ecotone.core.errors import RecordError
from ecotone.core.tensors import read_tensors, write_tensors
from ecotone.report import build
from ecotone.report.page import LARGEST_PAGE
from outline import Outline

HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def page(report: Path) -> str:
    return report.read_text()


def test_it_is_written_into_the_folder_and_small(study_folder: Path, report: Path) -> None:
    assert report == study_folder / "report.html"
    assert 100_000 < report.stat().st_size < LARGEST_PAGE


def test_the_same_folder_gives_the_same_bytes(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = recipe(sizes=(16, 32), measured=5)
    first, second = (build(make_study(tmp_path / at / "s", made)).read_bytes() for at in "ab")
    assert first == second


def test_nothing_is_fetched(page: str) -> None:
    outline = Outline(page)
    assert not outline.of("link")
    sources = [image["src"] for image in outline.of("img")]
    assert sources
    assert all(str(source).startswith("data:image/png;base64,") for source in sources)
    references = [v for _, a in outline.tags for k, v in a.items() if k in {"href", "xlink:href"}]
    assert all(str(reference).startswith("#") for reference in references)
    (policy,) = [m["content"] for m in outline.of("meta") if "http-equiv" in m]
    assert str(policy).startswith("default-src 'none'; ")
    assert not re.findall(r"url\((?!#)", page)


def test_every_part_is_there(page: str) -> None:
    text = " ".join(" ".join(Outline(page).text).split())
    for part in (
        "Copying began after",
        "best Fréchet distance",
        "Onsets against training-set size",
        "Where copying begins",
        "Copied share, by gap ratio",
        "Copied share, by holdout quantile",
        "Closer to training than to held-out data",
        "Kernel distance",
        "matched in size",
        "Denoising-loss gap by noise level",
        "Validation loss",
        "Novelty, by rank",
        "Precision and coverage",
        "Training loss above the memorizer’s",
        "Distance by noise level",
        "Novelty against fidelity",
        "What moves the onset of copying",
        "Onsets on every clock",
        "Effective memorization",
        "Stopping early",
        "Nearest pairs",
        "perfect memorizer",
        "cannot show",
        "ecotone study study.yaml --out",
        "2.13.0",
    ):
        assert part in text, part


def test_a_study_of_batch_sizes_and_twins_has_its_own_parts(batch_report: Path) -> None:
    page = batch_report.read_text()
    text = " ".join(" ".join(Outline(page).text).split())
    for part in ("Which clock", "Agreement of twins", "Twin images that find each other"):
        assert part in text, part
    assert text.index("Which clock") < text.index("Copied share, by gap ratio")
    identifiers = [a["id"] for _, a in Outline(page).tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    colours = {int(found) for found in re.findall(r"var\(--level-(\d+)\)", page)}
    assert all(f"--level-{colour}: " in page for colour in colours)


def test_an_older_study_lacks_parts_and_is_whole(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    make_study(tmp_path, recipe(sizes=(16, 32), measured=6, images=False))
    new = "novelty|precision|recall|density|coverage|memorizer|denoising_loss_[a-z]+$"
    for name in ("results", "references"):
        path = tmp_path / f"{name}.parquet"
        table = pl.read_parquet(path)
        table.filter(~pl.col("measure").str.contains(new)).write_parquet(path)
    path = tmp_path / "runs.parquet"
    old = pl.read_parquet(path).drop("batch_size", "images", "parameters", "twin_of")
    old.write_parquet(path)
    text = " ".join(" ".join(Outline(build(tmp_path).read_text()).text).split())
    for part in ("Onsets against training-set size", "Copied share", "Stopping early", "Denoising"):
        assert part in text, part
    for part in (
        "Novelty",
        "Precision",
        "exact memorizer",
        "Agreement of twins",
        "What moves",
        "Which clock",
        "Onsets on every clock",
        "Validation loss",
        "validation loss",
    ):
        assert part not in text, part


def test_a_stopped_run_says_why(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(sizes=(16, 32), measured=6, images=False, stopped=(16,))
    page = build(make_study(tmp_path, made)).read_text()
    runs = page[page.index('id="runs"') : page.index("<h3>Onsets")]
    assert "stopped at step 2,000" in runs
    assert "safe.safetensors is of step 1500" in runs


def test_identifiers_are_unique_and_drawings_described(page: str) -> None:
    outline = Outline(page)
    identifiers = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    drawings = outline.of("svg")
    assert len(drawings) > 10
    known = set(identifiers)
    for drawing in drawings:
        assert set(str(drawing["aria-labelledby"]).split()) <= known
    assert all(image.get("alt") for image in outline.of("img"))


def test_every_run_has_its_row_and_its_pairs(page: str) -> None:
    table = page[page.index('id="runs"') : page.index("<h3>Onsets")]
    assert table.count("<tr>") == 1 + 4
    assert page.count('<ol class="pairs">') == 4
    assert page.count('<li class="pair') == 4 * 24


def test_what_files_say_stays_text(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    made = recipe(
        sizes=(16, 32),
        measured=4,
        failed=(32,),
        title=HOSTILE,
        extra=((HOSTILE, HOSTILE),),
    )
    other = recipe(sizes=(16, 32), measured=4, images=False, extra=((HOSTILE, "plain"),))
    make_study(tmp_path, made, other)
    runs = pl.read_parquet(tmp_path / "runs.parquet")
    # Folders are named by hashes; a factor's level is not part of a path.
    moved = {name: f"{index:016x}" for index, name in enumerate(runs["run"].to_list())}
    (tmp_path / "runs").rename(tmp_path / "old")
    for name, plain in moved.items():
        if (tmp_path / "old" / name / "gallery.safetensors").exists():
            shutil.move(tmp_path / "old" / name, tmp_path / "runs" / plain)
    runs = runs.with_columns(
        pl.col("run").replace(moved),
        pl.when(pl.col("reason").is_not_null()).then(pl.lit(HOSTILE)).alias("reason"),
    )
    runs.write_parquet(tmp_path / "runs.parquet")
    gallery = next((tmp_path / "runs").glob("*/gallery.safetensors"))
    tensors, said = read_tensors(gallery)
    write_tensors(gallery, tensors, {**said, "measure": HOSTILE, "training_ids": [HOSTILE] * 40})
    about = json.loads((tmp_path / "study.json").read_text())
    about |= {"name": HOSTILE, "description": HOSTILE, "machine": {HOSTILE: HOSTILE}}
    (tmp_path / "study.json").write_text(json.dumps(about))

    page = build(tmp_path).read_text()
    outline = Outline(page)
    assert len(outline.of("script")) == 1
    assert all(str(image["src"]).startswith("data:") for image in outline.of("img"))
    assert "<script>document" not in page
    assert "onerror=alert(1)>" not in page
    assert page.count("&lt;script&gt;document") > 10


def test_without_galleries_and_references(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = recipe(sizes=(16, 32), measured=5, images=False, references=False)
    page = build(make_study(tmp_path, made)).read_text()
    assert "No run of this study has a gallery" in page
    assert "Beside a perfect memorizer" not in page
    assert "training samples" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": (16, 32), "measured": 1},
        {"sizes": (32,), "measured": 1},
        {"sizes": (16, 32), "measured": 2},
        {"sizes": (16, 32), "failed": (16,), "unfinished": (32,)},
        {"sizes": (16, 32), "ceiling": 0.02},
        {"sizes": (16, 32), "seeds": (0, 1)},
    ],
    ids=[
        "one step",
        "one of each",
        "two steps",
        "no run finished",
        "no copies",
        "seeds",
    ],
)
def test_less_than_everything_still_makes_a_page(
    make_study: Callable, recipe: type, tmp_path: Path, changes: dict
) -> None:
    settings = {"measured": 4, "images": False, **changes}
    page = build(make_study(tmp_path, recipe(**settings))).read_text()
    assert "Copied share, by gap ratio" in page
    assert "nan" not in " ".join(Outline(page).text).lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_only_the_readings_that_were_taken_are_drawn(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    make_study(tmp_path, recipe(sizes=(16, 32), measured=5, images=False))
    path = tmp_path / "results.parquet"
    results = pl.read_parquet(path)
    results.filter(pl.col("measure") == "frechet_holdout").write_parquet(path)
    page = build(tmp_path).read_text()
    assert "Fréchet distance to held-out data" in page
    assert "Copied share, by gap ratio" not in page
    assert "cannot be told yet" in page


def test_named_levels_get_distinct_colours(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = [
        recipe(sizes=(16,), measured=4, images=False, extra=(("model", name),))
        for name in ("unet", "mlp")
    ]
    page = build(make_study(tmp_path, *made)).read_text()
    assert "--level-0: #0072b2; --level-1: #d55e00;" in page
    assert "Onsets by model" in page


@pytest.mark.slow
def test_a_large_study_stays_below_the_limit(
    make_study: Callable, recipe: type, tmp_path: Path
) -> None:
    made = [
        recipe(sizes=tuple(2**k for k in range(2, 20)), measured=40, extra=(("d", d),))
        for d in range(6)
    ]
    make_study(tmp_path, *made)
    assert build(tmp_path).stat().st_size < LARGEST_PAGE


def test_a_harmed_gallery_is_named(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    make_study(tmp_path, recipe(sizes=(16,), measured=3))
    gallery = next(tmp_path.glob("runs/*/gallery.safetensors"))
    gallery.write_bytes(gallery.read_bytes()[:-50])
    with pytest.raises(RecordError, match=r"gallery\.safetensors"):
        build(tmp_path)


def test_an_old_page_survives_a_failure(make_study: Callable, recipe: type, tmp_path: Path) -> None:
    make_study(tmp_path, recipe(sizes=(16,), measured=3, images=False))
    before = build(tmp_path).read_bytes()
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError):
        build(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


def test_matplotlib_is_imported_only_when_building() -> None:
    code = "import ecotone.report, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
