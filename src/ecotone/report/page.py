"""The page itself: everything a study says, in one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotone.core.records import write_atomic
from ecotone.report.colours import colour_rules
from ecotone.report.curves import Figure, Group
from ecotone.report.densities import DensitySection, density_section, density_verdict
from ecotone.report.findings import Findings, find
from ecotone.report.gallery import Gallery, RawGallery, encode, fit_pairs, read_gallery
from ecotone.report.lines import levels
from ecotone.report.onset_page import build_linear_page
from ecotone.report.panels import copying, denoising, quality
from ecotone.report.phases import HEATS, phase_figure
from ecotone.report.render import about_study, assets, render
from ecotone.report.scaling import onset_figure
from ecotone.report.study import Condition, Study, experiment, read_study
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


@dataclass(frozen=True)
class Section:
    """What one condition's runs show.

    ``levels`` says how many of how many are drawn, ``turned`` whether any onset could be had.
    """

    heading: str
    sentences: tuple[str, ...]
    onsets: tuple[Figure, ...]
    groups: tuple[Group, ...]
    numbers: Table
    levels: tuple[int, int]
    densities: DensitySection | None
    turned: bool

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        figures = [*self.onsets, *(one for group in self.groups for one in group.figures)]
        figures += self.densities.figures if self.densities else ()
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
    folder = Path(folder)
    if experiment(folder) == "linear":
        return build_linear_page(folder)
    study = read_study(folder)
    findings = find(study)
    raws = _galleries(study)
    noun = "training images" if raws else "training samples"
    sections: list[Section] = []
    with drawing_style():
        for index, found in enumerate(findings):
            if sum(section.size for section in sections) < LARGEST_DRAWINGS:
                sections.append(_section(study, found, f"c{index}"))
    dense = any(section.densities for section in sections)
    facts: dict[str, Any] = {
        "study": study,
        "verdict": _verdict(study, findings, sections, noun),
        "turned": any(found.onsets for found in findings) or not dense,
        "runs": run_table(study, [onset for found in findings for onset in found.onsets]),
        "sections": sections,
        "left_out": len(findings) - len(sections),
        "references": reference_table(study),
        **about_study(study.about),
        **assets(_colours(study)),
        "albums": [],
        "albums_left_out": 0,
    }
    rest = len(render("report.html.j2", facts).encode())
    # The pictures take what the rest leaves.
    budget = int(0.95 * (LARGEST_PAGE - rest))
    facts["albums"] = albums = _albums(raws, budget)
    facts["albums_left_out"] = len(raws) - len(albums)
    target = study.folder / "report.html"
    write_atomic(target, render("report.html.j2", facts).encode())
    return target


def _verdict(
    study: Study, findings: Sequence[Findings], sections: Sequence[Section], noun: str
) -> str:
    """Return the study's answer: of copying, or where only Δ was read, of the two distances."""
    told = [section for section in sections if section.densities is not None]
    dense = [section.densities for section in told if section.densities is not None]
    if not dense:
        return verdict(study, findings, noun=noun)
    said = density_verdict(dense, [section.heading for section in told])
    if not any(found.onsets for found in findings):
        return said
    return f"{verdict(study, findings, noun=noun)} {said}"


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
        densities=density_section(study, found.condition, key),
        turned=bool(found.onsets),
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


def _colours(study: Study) -> str:
    """Return the CSS variables of levels and shades."""
    count = max(len(study.levels(condition)) for condition in study.conditions)
    count = min(count, MOST_LEVELS)
    ordered = study.runs[study.axis].dtype.is_numeric()
    return colour_rules(count, HEATS, ordered=ordered)
