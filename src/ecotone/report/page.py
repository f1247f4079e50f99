"""The page itself: everything a study says, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ecotone.core.records import write_atomic
from ecotone.report.colours import colour_rules
from ecotone.report.curves import Figure, Group
from ecotone.report.findings import Findings, find
from ecotone.report.gallery import Gallery, RawGallery, encode, fit_pairs, read_gallery
from ecotone.report.lines import levels
from ecotone.report.panels import copying, denoising, quality
from ecotone.report.phases import HEATS, phase_figure
from ecotone.report.scaling import onset_figure
from ecotone.report.study import Condition, Study, read_study
from ecotone.report.svg import drawing_style
from ecotone.report.tables import Table, numbers_table, reference_table, run_table
from ecotone.report.text import clean
from ecotone.report.verdict import verdict

__all__ = ["build_page"]

LARGEST_PAGE = 5_000_000
"""Bytes the page stays below."""

LARGEST_DRAWINGS = 2_500_000
"""Bytes of drawings after which no further condition is drawn; the tables hold them all."""

MOST_LEVELS = 16
"""Lines a panel shows; of more levels, evenly chosen ones are drawn."""

_SATURATING = re.compile(r"1/τ_(?:mem|gen) = α \+ β/n")
_POWER = re.compile(r"n\^(−?[\d.]+|γ)")


@dataclass(frozen=True)
class Section:
    """What one condition's runs show; ``levels`` says how many of how many are drawn."""

    heading: str
    sentences: tuple[str, ...]
    onsets: tuple[Figure, ...]
    groups: tuple[Group, ...]
    numbers: Table
    levels: tuple[int, int]

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        figures = (*self.onsets, *(one for group in self.groups for one in group.figures))
        return sum(len(figure.drawing) for figure in figures)


@dataclass(frozen=True)
class Album:
    """One run's gallery under its name."""

    heading: str
    gallery: Gallery


def build_page(folder: Path) -> Path:
    """Write ``report.html`` into a study folder.

    The same folder gives the same bytes: no clock, no paths but the folder's own name.

    Args:
        folder: of a study; see :mod:`ecotone.studies`.

    Returns:
        The file written.

    Raises:
        RecordError: where the folder cannot be read or written to, or holds no reading.
    """
    study = read_study(Path(folder))
    findings = find(study)
    raws = _galleries(study)
    noun = "training images" if raws else "training samples"
    sections: list[Section] = []
    with drawing_style():
        for index, found in enumerate(findings):
            if sum(section.size for section in sections) < LARGEST_DRAWINGS:
                sections.append(_section(study, found, f"c{index}"))
    script = _asset("hover.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    facts: dict[str, Any] = {
        "study": study,
        "description": clean(study.about.get("description") or ""),
        "verdict": verdict(study, findings, noun=noun),
        "runs": run_table(study, [onset for found in findings for onset in found.onsets]),
        "sections": sections,
        "left_out": len(findings) - len(sections),
        "references": reference_table(study),
        "versions": _facts(study.about.get("versions")),
        "machine": _facts(study.about.get("machine")),
        "seeds": ", ".join(clean(seed) for seed in study.about.get("seeds") or ()),
        "design": yaml.safe_dump(
            study.about.get("design") or {},
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
        ),
        "script": Markup(script),  # noqa: S704 (our own file)
        "script_hash": digest,
        "style": Markup(_asset("style.css") + _colours(study)),  # noqa: S704
        "albums": [],
        "albums_left_out": 0,
    }
    template = _environment().get_template("report.html.j2")
    rest = len(template.render(facts).encode())
    # The pictures take what the rest leaves.
    budget = int(0.95 * (LARGEST_PAGE - rest))
    facts["albums"] = albums = _albums(raws, budget)
    facts["albums_left_out"] = len(raws) - len(albums)
    target = study.folder / "report.html"
    write_atomic(target, template.render(facts).encode())
    return target


def _section(study: Study, found: Findings, key: str) -> Section:
    """Draw everything of one condition."""
    results = found.condition.of(study.results)
    present = study.levels(found.condition)
    chosen = present[:: math.ceil(len(present) / MOST_LEVELS)]
    looks = levels(clean(study.axis), chosen)
    tables = [(look, Condition({study.axis: look.value}).of(results)) for look in looks]
    wanted = [
        onset_figure(found.onsets, found.laws, key, study.axis),
        phase_figure(results, found.onsets, key) if study.axis == "n" else None,
    ]
    groups = [
        copying(tables, found.of("memorizing"), key),
        *quality(tables, found.of("generalizing"), key),
        *denoising(tables, key),
    ]
    return Section(
        heading=found.condition.label,
        sentences=found.sentences,
        onsets=tuple(figure for figure in wanted if figure is not None),
        groups=tuple(group for group in groups if group.figures),
        numbers=numbers_table(study, found.condition),
        levels=(len(chosen), len(present)),
    )


def _galleries(study: Study) -> dict[str, RawGallery]:
    """Return the runs' galleries by the name of the run."""
    found = {}
    for run in study.runs.iter_rows(named=True):
        raw = read_gallery(
            study.folder / "runs" / Path(str(run["run"])).name / "gallery.safetensors"
        )
        if raw is not None:
            named = [f"{clean(name)} = {clean(run[name])}" for name in study.varying]
            found[", ".join([*named, f"seed {run['seed']}"])] = raw
    return found


def _albums(raws: Mapping[str, RawGallery], budget: int) -> list[Album]:
    """Return as many pairs of as many runs as fit into so many bytes."""
    most = fit_pairs(list(raws.values()), budget)
    albums: list[Album] = []
    for name, raw in raws.items():
        album = Album(name, encode(raw, most))
        budget -= album.gallery.size
        if budget > 0:
            albums.append(album)
    return albums


def _facts(record: object) -> list[tuple[str, str]]:
    """Return a record of versions or of the machine as rows."""
    if not isinstance(record, dict):
        return []
    return [(clean(name), clean(value)) for name, value in record.items()]


def _colours(study: Study) -> str:
    """Return the CSS variables of levels and shades."""
    count = max(len(study.levels(condition)) for condition in study.conditions)
    count = min(count, MOST_LEVELS)
    ordered = study.runs[study.axis].dtype.is_numeric()
    return colour_rules(count, HEATS, ordered=ordered)


def _asset(name: str) -> str:
    return (files("ecotone.report") / "templates" / name).read_text(encoding="utf-8")


def _powers(text: str) -> Markup:
    """Return a sentence with exponents and subscripts raised and lowered."""
    said = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    said = _POWER.sub(r"<i>n</i><sup>\1</sup>", said)
    said = _SATURATING.sub(r"<span class='formula'>\g<0></span>", said)
    # What was escaped stays so; only our own symbols are marked up.
    return Markup(re.sub(r"τ_(mem|gen)", r"<i>τ</i><sub>\1</sub>", said))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ecotone.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["powers"] = _powers
    return environment
