"""The page of an audit from whole folders: what it says, and what it does without."""

from __future__ import annotations

import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit_folder import SENTENCES, AuditRecipe, Outcome, write_audit_folder
from ecotone.auditing.record import ConfounderRecord, ReadingRecord
from ecotone.core.readings import Reading
from ecotone.report import build
from ecotone.report.audit_folder import read_audit
from outline import Outline

LARGEST = 500_000
"""Bytes that a page of an audit stays below."""

HOSTILE = "<script>alert(1)</script>.png"
NAMES = ("a/" + HOSTILE, "a\"b'><img src=x onerror=alert(2)>", "two\nlines", "n_T^2 \x1b[31m\udcff")


def section(page: str, name: str) -> str:
    """Return one section of a page."""
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def confounder(**changes: Any) -> ConfounderRecord:
    known = {"kind": "JPEG differs", "serious": False, "sentence": "They differ.", "count": 7}
    return ConfounderRecord(**{**known, "examples": ["a.png"], **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit with copies and everything there. Do not change it."""
    return write_audit_folder(tmp_path_factory.mktemp("audit") / "samples")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return build(folder).read_text()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, page: str) -> dict[tuple[Outcome, bool], str]:
    """Pages of every outcome, with a holdout and without, of sets that are smaller."""
    root = tmp_path_factory.mktemp("pages")
    found = {}
    for outcome, holdout in product(SENTENCES, (True, False)):
        recipe = AuditRecipe(
            outcome=outcome,
            holdout=holdout,
            copies=30 if outcome == "copies" else 0,
            generated=60,
            training=100,
            caveats=("Beware.",),
        )
        folder = write_audit_folder(root / f"{outcome} {holdout}", recipe)
        found[outcome, holdout] = build(folder).read_text()
    return found


@pytest.mark.parametrize("outcome", list(SENTENCES))
@pytest.mark.parametrize("holdout", [True, False])
def test_every_outcome_has_its_sentence_and_its_colour(
    pages: dict[tuple[Outcome, bool], str], outcome: Outcome, holdout: bool
) -> None:
    page = pages[outcome, holdout]
    header = page.partition("<header>")[2].partition("</header>")[0]
    plain = header.replace("\N{NO-BREAK SPACE}", " ")
    said = SENTENCES[outcome].replace("3e-15", "3·10⁻¹⁵")
    assert f'<p class="verdict {outcome}">{said}</p>' in plain
    assert f".verdict.{outcome} {{" in page
    assert "<li>Beware.</li>" in header
    words = Outline(page).words
    assert ("held-out: held" in words) is holdout
    assert ("halves of the training set stand in" in words) is not holdout
    assert "nan" not in words.lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_the_same_folder_gives_the_same_bytes(folder: Path, page: str, tmp_path: Path) -> None:
    again = Path(shutil.copytree(folder, tmp_path / "other"))
    (again / "report.html").unlink()
    assert build(again).read_text() == page
    assert build(write_audit_folder(tmp_path / "samples")).read_text() == page


def test_it_is_small_and_fetches_nothing(folder: Path, page: str) -> None:
    assert (folder / "report.html").stat().st_size < LARGEST
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
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)


def test_every_part_is_there_in_order(page: str) -> None:
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "What the verdict rests on",
        "Most like copies",
        "Which images leak",
        "What would have been recognized",
        "Fidelity and diversity",
        "Where measures disagree",
        "Image by image",
        "What may mislead",
        "The sets",
        "What words and measures mean",
        "About this audit",
    ]
    header = Outline(page.partition("<main>")[0]).words
    assert "150 generated images against 300 that the generator was trained on and 250" in header


def test_identifiers_are_unique_and_all_is_described(page: str) -> None:
    outline = Outline(page)
    identifiers = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    drawings = outline.of("svg")
    assert len(drawings) == 5
    for drawing in drawings:
        assert set(str(drawing["aria-labelledby"]).split()) <= set(identifiers)
    assert all(image.get("alt") for image in outline.of("img"))
    # All but the plain list of settings.
    assert page.count("<caption>") == len(outline.of("table")) - 1
    assert all("scope" in header for header in outline.of("th"))
    linked = {str(a["href"])[1:] for a in outline.of("a")}
    assert linked <= set(identifiers)


def test_pairs_name_their_images_and_mark_copies(page: str) -> None:
    pairs = section(page, "pairs")
    assert pairs.count('<li class="pair copied">') == 24
    assert "12 more pairs" in pairs
    for role in ("generated", "nearest training", "second nearest", "nearest held-out"):
        assert pairs.count(f"<dt>{role}</dt>") == 24
    ratios = [float(found) for found in re.findall(r"ratio <b>([\d.]+)</b>", pairs)]
    assert ratios == sorted(ratios)
    assert "All of these 24 do, of 30 copies in all." in pairs


def test_without_a_holdout_nothing_is_said_of_one(
    pages: dict[tuple[Outcome, bool], str],
) -> None:
    page = pages["copies", False]
    pairs = section(page, "pairs")
    assert 10 < pairs.count('<li class="pair copied three">') <= 24
    assert "held-out" not in pairs
    assert "there is no holdout" in section(page, "quality")
    assert "p-value" not in section(page, "leaks")
    assert "standing out" not in section(page, "control")
    assert "held-out in their place" not in page
    assert "holdout.csv" not in page
    assert not section(page, "distributions")
    linked = {str(a["href"])[1:] for a in Outline(page).of("a")}
    assert linked <= {str(a["id"]) for _, a in Outline(page).tags if "id" in a}
    tips = [str(c.get("aria-label")) for c in Outline(page).of("circle")]
    assert not [tip for tip in tips if "held-out" in tip]


def test_tests_tell_level_and_outcome(page: str) -> None:
    tests = section(page, "tests")
    assert tests.count("<tr>") == 1 + 3
    assert tests.count("<td>yes</td>") == 2
    assert "any of these 3 tests is significant" in tests
    assert "each is held to 0.0167" in tests
    assert "30 are (Fisher’s exact test)" in tests
    assert "<small>54 % of pairs are</small>" in tests


def test_leaks_tell_how_many_and_which(folder: Path, page: str) -> None:
    leaks = section(page, "leaks")
    table = pl.read_csv(folder / "training.csv")
    unique = table.filter(pl.col("copies") > 0).height
    assert f"30 copies among 150 generated images are of {unique} different training" in leaks
    shown = re.findall(r'<th scope="row">(digit-\d+\.png)</th>', leaks)
    assert shown == table["training"].head(30).to_list()
    assert "The first 30 of 300; all are in training.csv." in leaks


def test_controls_say_what_the_rule_is_blind_to(page: str) -> None:
    words = Outline(section(page, "control")).words
    assert "nearly all with no change (100 %), JPEG (99 %) and noise (97 %)" in words
    assert "few or none with a shift (20 %), a crop (10 %) and a flip (0 %)" in words
    assert "More of them at least stand out: with another tone (100 %), a shift (60 %) and" in words
    # What each is worth to a verdict: the first makes one of copies, the second of overfitting.
    means = words.partition("The verdict “copies found”")[2]
    assert means.index("calls copies") < means.index("only stand out") < means.index("overfits")


def test_distances_say_where_training_is_nearer(page: str) -> None:
    quality = Outline(section(page, "quality")).words
    assert "nearer to the training set by the Fréchet distance (4.9 to training, 8.9" in quality
    assert "KID" in quality
    assert "kernel distance (KID) (" not in quality
    assert "A new measure" in quality


def test_detectors_that_disagree_are_named(
    page: str, pages: dict[tuple[Outcome, bool], str]
) -> None:
    words = Outline(section(page, "disagreement")).words
    assert "gap ratio, distance quantile and closest record say copying; membership does" in words
    assert "distance and gap ratio are hardly of one mind (rank correlation 0.42)" in words
    quiet = Outline(section(pages["none", True], "disagreement")).words
    assert "none of 4 says copying" in quiet


def test_points_tell_counts_and_shares(page: str) -> None:
    tips = [str(c["aria-label"]) for c in Outline(page).of("circle") if "aria-label" in c]
    values = [tip for tip in tips if tip.startswith("p-value ")]
    assert sum(int(tip.split(": ")[1].split()[0]) for tip in values) == 300
    assert any(tip.startswith("to training image: ") for tip in tips)
    assert "flip: 0 % (0 % to 1.9 %) recognized as copies" in tips
    assert "flip: 0 % (0 % to 1.9 %) stand out" in tips
    assert any(re.match(r"150 generated images: \d+ training images", tip) for tip in tips)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of an audit with confounders and an index."""
    two = (
        confounder(),
        confounder(kind="mixed sizes", serious=True, sentence="Worse.", count=1),
    )
    folder = tmp_path_factory.mktemp("told")
    recipe = AuditRecipe(generated=40, copies=8, training=60, confounders=two)
    record = read_audit(write_audit_folder(folder, recipe)).record
    recall = Reading(0.996, 1000, "share", "better", 0.99, 0.998)
    readings = {**record.readings, "search_recall": ReadingRecord.of(recall)}
    return build(write_audit_folder(folder, recipe, readings=readings)).read_text()


def test_confounders_are_told_and_the_serious_first(page: str, told: str) -> None:
    assert "Nothing was found. Looked for were constant images, " in section(page, "confounders")
    words = section(told, "confounders")
    assert words.index("Worse.") < words.index("They differ.")
    assert words.count("serious</span>") == 1
    assert "7 in all, such as <code>a.png</code>" in words
    assert "1 in all: <code>a.png</code>" in words


def test_an_index_and_mirror_images_are_told(page: str, told: str) -> None:
    header = Outline(told.partition("<main>")[0]).words
    assert "Distances are those of pixels; an image and its mirror image count as the" in header
    assert "looked for by an index, which finds 99.6 % of them." in header
    about = Outline(section(told, "about")).words
    assert "99.6 % (99 % to 99.8 %), by an index" in about
    assert "count as the same" in about
    assert "Search recall" not in told
    assert "by an index" not in page


def test_sets_tell_ranges_and_what_was_left_out(page: str) -> None:
    words = Outline(section(page, "sets")).words
    assert "8×8 (150), 9×8 (149), 10×8 (148), 11×8 (147), 12×8 (146), 13×8 (145), 3 more" in words
    cells = re.findall(r"<td>(.*?)</td>", section(page, "sets"))
    assert cells.count("0 to 255") == 3
    assert cells.count("2") == 3
    assert "that hold no images" in words


def test_data_that_are_no_images_have_a_table_for_pictures(tmp_path: Path) -> None:
    recipe = AuditRecipe(images=False, groups=True)
    page = build(write_audit_folder(tmp_path, recipe)).read_text()
    assert "<img" not in page
    assert "Which items leak" in page
    assert "patient " in section(page, "leaks")
    assert section(page, "pairs").count("<tr>") == 1 + 30
    assert "Distances are those of the numbers as they are." in page
    # What is looked for in images alone is not said to have been looked for.
    assert "constant" not in section(page, "confounders")
    assert "groups that are in both" in section(page, "confounders")
    assert "Generated items nearer to a training item than" in section(page, "glossary")


def test_an_audit_that_could_do_little_has_a_page(tmp_path: Path) -> None:
    write_audit_folder(
        tmp_path,
        AuditRecipe(outcome="too_few", images=False, holdout=False, copies=0),
        findings=[],
        readings={},
        controls=[],
        leaks=None,
        detectors=[],
        agreement={},
        needed=None,
    )
    for name in ("training", "generated"):
        table = pl.read_csv(tmp_path / f"{name}.csv")
        table = table.with_columns(
            pl.lit(None).alias(column) for column in ("gap_ratio", "copy") if column in table
        )
        table.write_csv(tmp_path / f"{name}.csv")
    words = Outline(build(tmp_path).read_text()).words
    for told in (
        "Too few to tell",
        "none surely",
        "No test could be made.",
        "near duplicates of one another, so that no copy can stand out",
        "No control could be made",
        "without a holdout none can be asked.",
    ):
        assert told in words


def test_what_files_say_stays_text(tmp_path: Path) -> None:
    recipe = AuditRecipe(
        names=(NAMES[0], NAMES[1]),
        id=HOSTILE + "{:03d}_T^2",
        caveats=(NAMES[1],),
        confounders=(confounder(kind=HOSTILE, sentence=NAMES[2], examples=list(NAMES)),),
        groups=True,
    )
    write_audit_folder(
        tmp_path,
        recipe,
        sentence=HOSTILE,
        features={HOSTILE: {HOSTILE: [HOSTILE]}, "distances": HOSTILE},
        version=HOSTILE,
    )
    page = build(tmp_path).read_text()
    outline = Outline(page)
    assert len(outline.of("script")) == 1
    assert all(str(image["src"]).startswith("data:") for image in outline.of("img"))
    assert not [a for _, a in outline.tags if any(name.startswith("on") for name in a)]
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 100
    # A name is neither raised nor lowered.
    assert re.search(re.escape(HOSTILE) + r"1\d{3}_T\^2", outline.words)
    assert "\x1b" not in page
    assert "two lines" in page


def test_large_pictures_are_fewer(tmp_path: Path, folder: Path) -> None:
    import torch

    from ecotone.core.tensors import read_tensors, write_tensors

    write_audit_folder(tmp_path)
    tensors, about = read_tensors(folder / "gallery.safetensors")
    noise = torch.rand(24, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name, tensor in tensors.items():
        if tensor.ndim == 4:
            tensors[name] = noise.clone()
    write_tensors(tmp_path / "gallery.safetensors", tensors, about)
    page = build(tmp_path)
    assert page.stat().st_size < 2 * LARGEST
    shown = page.read_text().count('<li class="pair')
    assert 8 <= shown < 24
    assert f"({shown} are shown, as their pictures are large)" in page.read_text()
