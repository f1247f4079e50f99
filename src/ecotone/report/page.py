"""The page itself: everything a study says, in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotone.core.records import write_atomic
from ecotone.report.audit_folder import is_audit
from ecotone.report.audit_page import build_audit_page
from ecotone.report.caveats import caveats
from ecotone.report.chapter import Material
from ecotone.report.chapters import chapters
from ecotone.report.colours import colour_rules
from ecotone.report.densities import density_verdict
from ecotone.report.findings import Findings, find, find_onsets
from ecotone.report.gallery import Gallery, RawGallery, encode, fit_pairs, read_gallery
from ecotone.report.movers import effects_of
from ecotone.report.onset_page import build_linear_page
from ecotone.report.phases import HEATS
from ecotone.report.planted_page import build_planted_page
from ecotone.report.render import about_study, assets, render
from ecotone.report.sections import MOST_LEVELS, Section, condition_section
from ecotone.report.study import Study, experiment, read_study
from ecotone.report.svg import drawing_style
from ecotone.report.tables import reference_tables, run_table
from ecotone.report.text import clean
from ecotone.report.verdict import verdict

__all__ = ["build_page"]

LARGEST_PAGE = 5_000_000
"""Bytes the page stays below."""

LARGEST_DRAWINGS = 2_500_000
"""Bytes of drawings that no condition but the first may exceed; the tables hold them all."""


_OTHER_KINDS = {"linear": build_linear_page, "planted": build_planted_page}
"""What writes the page of a study, by its kind of experiment, where that is not training."""


@dataclass(frozen=True)
class Album:
    """One run's gallery under its name."""

    heading: str
    gallery: Gallery


def build_page(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a study or an audit.

    The same folder gives the same bytes: no clock, no paths but the folder's own name.

    Args:
        folder: of a study, see :mod:`ecotone.studies`; or of an audit, see
            :mod:`ecotone.auditing`.

    Returns:
        The file written.

    Raises:
        RecordError: where the folder cannot be read or written to, or holds no reading.
    """
    folder = Path(folder)
    if is_audit(folder):
        return build_audit_page(folder)
    build = _OTHER_KINDS.get(experiment(folder))
    if build is not None:
        return build(folder)
    study = read_study(folder)
    raws = _galleries(study)
    noun = "training images" if raws else "training samples"
    material = Material(study, find_onsets(study), noun)
    findings = find(study, material.onsets)
    sections: list[Section] = []
    with drawing_style():
        told = chapters(material)
        drawn = sum(chapter.size for chapter in told)
        for index, found in enumerate(findings):
            section = condition_section(study, found, f"c{index}")
            drawn += section.size
            if sections and drawn > LARGEST_DRAWINGS:
                break
            sections.append(section)
    dense = any(section.densities for section in sections)
    facts: dict[str, Any] = {
        "study": study,
        "verdict": _verdict(material, findings, sections),
        "turned": any(found.onsets for found in findings) or not dense,
        "runs": run_table(study, [onset for found in findings for onset in found.onsets]),
        "chapters": told,
        "sections": sections,
        "left_out": len(findings) - len(sections),
        "references": reference_tables(study),
        "cautions": caveats(study.about),
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


def _verdict(material: Material, findings: Sequence[Findings], sections: Sequence[Section]) -> str:
    """Return the study's answer: of copying, or where only Δ was read, of the two distances."""
    told = [section for section in sections if section.densities is not None]
    dense = [section.densities for section in told if section.densities is not None]
    of_deltas = density_verdict(dense, [section.heading for section in told]) if dense else ""
    if dense and not any(found.onsets for found in findings):
        return of_deltas
    moved = effects_of(material) if len(findings) > 1 else None
    said = verdict(material.study, findings, noun=material.noun, moved=moved)
    return f"{said} {of_deltas}".strip()


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
    counts = [len(study.levels(condition)) for condition in study.conditions]
    counts += [len(study.conditions)]
    if "batch_size" in study.runs.columns:
        counts += [study.runs["batch_size"].n_unique()]
    count = min(max(counts), MOST_LEVELS)
    ordered = study.runs[study.axis].dtype.is_numeric()
    return colour_rules(count, HEATS, ordered=ordered)
