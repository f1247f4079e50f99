"""The page of an audit from whole folders: what it says, and what it does without."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit_folder import SENTENCES, AuditRecipe, Outcome, write_audit_folder
from ecotone.auditing.record import ConfounderRecord
from ecotone.report import build

LARGEST = 500_000
"""Bytes that a page of an audit stays below."""

HOSTILE = "<script>alert(1)</script>.png"
NAMES = ("a/" + HOSTILE, "a\"b'><img src=x onerror=alert(2)>", "two\nlines", "n_T^2 \x1b[31m\udcff")


class Outline(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


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


@pytest.mark.parametrize("outcome", list(SENTENCES))
@pytest.mark.parametrize("holdout", [True, False])
def test_every_outcome_has_its_sentence_and_its_colour(
    tmp_path: Path, outcome: Outcome, holdout: bool
) -> None:
    copies = 30 if outcome == "copies" else 0
    recipe = AuditRecipe(outcome=outcome, holdout=holdout, copies=copies, caveats=("Beware.",))
    page = build(write_audit_folder(tmp_path, recipe)).read_text()
    header = page.partition("<header>")[2].partition("</header>")[0]
    plain = header.replace("\N{NO-BREAK SPACE}", " ")
    assert f'<p class="verdict {outcome}">{SENTENCES[outcome]}</p>' in plain
    assert f".verdict.{outcome} {{" in page
    assert "<li>Beware.</li>" in header
    words = Outline(page).words
    assert ("held-out: held" in words) is holdout
    assert ("halves of the training set stand in" in words) is not holdout
    assert "nan" not in words.lower().split()
    assert not re.findall(r'(?:cx|cy|x|y)="(?:nan|inf)', page)


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(write_audit_folder(tmp_path / at / "s")).read_bytes() for at in "ab")
    assert first == second
    assert build(tmp_path / "a" / "s").read_bytes() == first


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
        "Most like copies",
        "What the verdict rests on",
        "Which images leak",
        "What would have been recognized",
        "Fidelity and diversity",
        "Where measures disagree",
        "Image by image",
        "What may mislead",
        "The sets",
        "What the measures mean",
        "About this audit",
    ]
    header = Outline(page.partition("<main>")[0]).words
    assert "150 samples against 300 images that the generator was trained on; 250 that" in header


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
    assert "24 copies among 24 pairs" in pairs


def test_without_a_holdout_pairs_have_three_images(tmp_path: Path) -> None:
    page = build(write_audit_folder(tmp_path, AuditRecipe(holdout=False))).read_text()
    pairs = section(page, "pairs")
    assert pairs.count('<li class="pair copied three">') == 24
    assert "held-out" not in pairs
    assert "only with a holdout" in section(page, "quality")
    assert "p-value" not in section(page, "leaks")
    assert "standing out" not in section(page, "control")
    assert "held-out in their place" not in page


def test_tests_tell_level_and_outcome(page: str) -> None:
    tests = section(page, "tests")
    assert tests.count("<tr>") == 1 + 3
    assert tests.count("<td>yes</td>") == 2
    assert "each of these 3 is held to 0.0167" in tests
    assert "54% of pairs (AUC)" in tests


def test_leaks_tell_how_many_and_which(folder: Path, page: str) -> None:
    leaks = section(page, "leaks")
    table = pl.read_csv(folder / "training.csv")
    unique = table.filter(pl.col("copies") > 0).height
    assert f"30 copies among 150 samples are of {unique} different training images" in leaks
    shown = re.findall(r'<th scope="row">(digit-\d+\.png)</th>', leaks)
    assert shown == table["training"].head(30).to_list()
    assert "The first 30 of 300; all are in training.csv." in leaks


def test_controls_say_what_the_rule_is_blind_to(page: str) -> None:
    words = Outline(section(page, "control")).words
    assert "nearly all copies with no change (100 %), JPEG (99 %) and noise (97 %)" in words
    assert "few copies with a shift (20 %), a crop (10 %) and a flip (0 %)" in words


def test_distances_say_where_training_is_nearer(page: str) -> None:
    quality = Outline(section(page, "quality")).words
    assert "nearer to the training set by the Fréchet distance (4.9 to training, 8.9" in quality
    assert "KID" in quality
    assert "kernel distance (KID) (" not in quality
    assert "A new measure" in quality


def test_detectors_that_disagree_are_named(page: str, tmp_path: Path) -> None:
    words = Outline(section(page, "disagreement")).words
    assert "gap ratio, distance quantile and closest record say copying; membership does" in words
    assert "distance and gap ratio are hardly of one mind (rank correlation 0.42)" in words
    quiet = build(write_audit_folder(tmp_path, AuditRecipe(outcome="none", copies=0))).read_text()
    assert "none of 4 say copying" in Outline(section(quiet, "disagreement")).words


def test_points_tell_counts_and_shares(page: str) -> None:
    tips = [str(c["aria-label"]) for c in Outline(page).of("circle") if "aria-label" in c]
    bars = [tip for tip in tips if tip.startswith("gap ratio ")]
    assert sum(int(tip.split(": ")[1].split()[0]) for tip in bars) == 150
    assert (
        sum(int(t.split(": ")[1].split()[0]) for t in bars if float(t.split()[4][:-1]) < 0.34) == 30
    )
    values = [tip for tip in tips if tip.startswith("p-value ")]
    assert sum(int(tip.split(": ")[1].split()[0]) for tip in values) == 300
    assert any(tip.startswith("to training image: ") for tip in tips)
    assert "flip: 0 % (0 % to 1.9 %) recognized as copies" in tips
    assert any(re.match(r"150 samples: \d+ training images", tip) for tip in tips)


def test_confounders_are_told_and_the_serious_first(tmp_path: Path, page: str) -> None:
    assert "None was found." in section(page, "confounders")
    two = (confounder(), confounder(kind="mixed sizes", serious=True, sentence="Worse."))
    told = section(
        build(write_audit_folder(tmp_path, AuditRecipe(confounders=two))).read_text(),
        "confounders",
    )
    assert told.index("Worse.") < told.index("They differ.")
    assert told.count("serious</span>") == 1
    assert "7 in all, such as <code>a.png</code>" in told


def test_sets_and_how_to_repeat_it(page: str, tmp_path: Path) -> None:
    words = Outline(page).words
    assert "8×8 (150), 9×8 (149), 10×8 (148), 11×8 (147), 12×8 (146), 13×8 (145), 3 more" in words
    assert "values as found 0 to 255 0 to 255 0 to 255" in " ".join(Outline(page).text)
    assert "ecotone audit samples --training train --holdout held --share 0.05" in words
    recipe = AuditRecipe(names=("my samples", "it's here"))
    page = build(write_audit_folder(tmp_path, recipe)).read_text()
    words = Outline(page).words
    assert """ecotone audit 'my samples' --training 'it'"'"'s here' --holdout held""" in words


def test_data_that_are_no_images_have_a_table_for_pictures(tmp_path: Path) -> None:
    recipe = AuditRecipe(images=False, groups=True)
    page = build(write_audit_folder(tmp_path, recipe)).read_text()
    assert "<img" not in page
    assert "Which items leak" in page
    assert "patient " in section(page, "leaks")
    assert section(page, "pairs").count("<tr>") == 1 + 30
    assert "Distances are those of the numbers as they are." in page


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
    assert page.stat().st_size < 1.4 * LARGEST
    shown = page.read_text().count('<li class="pair')
    assert 4 <= shown < 24
    assert f"({shown} are shown; their images are large)" in page.read_text()
