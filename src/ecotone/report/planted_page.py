"""The page of a planted-copy benchmark: which copies are seen, how few of them, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core.records import write_atomic
from ecotone.report.colours import DISTINCT, colour_rules
from ecotone.report.curves import Figure, Group
from ecotone.report.onset_curves import looks
from ecotone.report.onset_figures import Plot, draw, trace
from ecotone.report.planted_findings import POWER, SizeFindings, find_planted
from ecotone.report.planted_study import PlantedStudy, read_planted_study
from ecotone.report.planted_tables import (
    detector_table,
    numbers_table,
    ranking_table,
    seen_table,
    transform_table,
)
from ecotone.report.planted_verdict import planted_verdict
from ecotone.report.render import about_study, assets, render
from ecotone.report.svg import INK, MUTED, drawing_style
from ecotone.report.tables import Table
from ecotone.report.text import clean, number, percent, plain

__all__ = ["build_planted_page"]

LARGEST_DRAWINGS = 2_500_000
"""Bytes of drawings after which no more sets are drawn; the tables hold them all."""

MOST_NUMBERS = 4
"""Sets whose every reading is on the page."""


@dataclass(frozen=True)
class PlantedSection:
    """What was seen among so many generated images under one condition."""

    heading: str
    first: bool
    """Whether it is the first of its condition, with the largest number of images."""
    seen: Table
    calibrated: Table
    group: Group | None
    ranking: Table | None
    numbers: Table | None

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        return sum(len(one.drawing) for one in self.group.figures) if self.group else 0


def build_planted_page(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a planted-copy benchmark.

    The same folder gives the same bytes.

    Returns:
        The file written.

    Raises:
        RecordError: where the folder cannot be read or written to, or holds no reading.
    """
    study = read_planted_study(folder)
    findings = find_planted(study)
    sections: list[PlantedSection] = []
    with drawing_style():
        for index, found in enumerate(findings):
            drawn = sum(section.size for section in sections)
            sections.append(_section(study, found, index, draws=drawn < LARGEST_DRAWINGS))
    config = study.config(study.conditions[0])
    facts: dict[str, Any] = {
        "study": study,
        "verdict": planted_verdict(study, findings),
        "sections": sections,
        "sets": _sets(study, config),
        "transforms": transform_table(config),
        "detectors": detector_table(study),
        "power": percent(POWER),
        "level": percent(findings[0].level),
        **about_study(study.about),
        **assets(colour_rules(len(study.transforms), 0, ordered=False)),
    }
    target = study.folder / "report.html"
    write_atomic(target, render("planted.html.j2", facts).encode())
    return target


def _section(
    study: PlantedStudy, found: SizeFindings, index: int, *, draws: bool
) -> PlantedSection:
    """Draw and tabulate one set."""
    first = found.generated == max(study.sizes)
    parts = [f"{number(found.generated, 9)} generated images"]
    if found.condition.values:
        parts.append(found.condition.label)
    return PlantedSection(
        heading=", ".join(parts),
        first=first,
        seen=seen_table(study, found),
        calibrated=seen_table(study, found, calibrated=True),
        group=_power(study, found, f"s{index}") if first and draws else None,
        ranking=ranking_table(study, found) if first else None,
        numbers=numbers_table(found) if index < MOST_NUMBERS else None,
    )


def _power(study: PlantedStudy, found: SizeFindings, key: str) -> Group | None:
    """Draw each detector's power over the share of copies, one line a transform."""
    every = [
        look if index < len(DISTINCT) else replace(look, colour=(INK, MUTED)[index % 2])
        for index, look in enumerate(looks("transform", study.transforms))
    ]
    middle = (len(every) - 1) / 2
    figures = []
    for index, name in enumerate(study.detectors):
        own = any(detector == name for detector, _ in found.own)
        measure = "detected" if own else "detected_calibrated"
        rows = found.rows.filter(detector=name, measure=measure)
        traces = [
            trace(
                rows.filter(transform=look.value),
                look,
                x="share",
                at="share",
                said=percent,
                shift=0.025 * (place - middle),
            )
            for place, look in enumerate(every)
        ]
        plot = Plot(
            f"{key}-{index}",
            plain(name) + ("" if own else ", calibrated: it has no test of its own"),
            "",
            "share of copies",
            "replicates in which they are seen",
            "share",
            rule=POWER,
            size="medium",
            ticks=found.shares,
        )
        figures.append(draw(plot, traces))
    drawn: Sequence[Figure] = tuple(one for one in figures if one is not None)
    if not drawn:
        return None
    return Group(
        f"Power over the share of copies among {number(found.generated, 9)} generated images",
        f"Share of replicates in which a detector's own test, at {percent(found.level)}, finds "
        f"copies; one line a kind of copy, bars are 95 % intervals (Wilson). The dashed line is "
        f"{percent(POWER)}.",
        tuple(drawn),
        small=True,
    )


def _sets(study: PlantedStudy, config: Any) -> str:
    """Return what was drawn in every replicate, as a sentence."""
    results = study.results

    def told(column: str) -> str:
        levels = results[column].unique().sort().to_list()
        return " or ".join(number(level, 9) for level in levels)

    sizes = " or ".join(number(size, 9) for size in study.sizes)
    counts = results.filter(pl.col("copies") > 0)["samples"]
    low, high = counts.min(), counts.max()
    replicates = number(float(high or 0), 9)  # type: ignore[arg-type]
    if low != high:
        replicates = f"{number(float(low or 0), 9)} to {replicates}"  # type: ignore[arg-type]
    population = clean((config.get("population") or {}).get("kind") or "the population")
    parts = [f"{replicates} replicates, each of which draws from {population}"]
    if {"n", "holdout"} <= set(study.factors):
        parts.append(f"{told('n')} training images, {told('holdout')} held-out ones and")
    space = (config.get("distance") or {}).get("kind") or "pixels"
    return (
        f"{' '.join(parts)} {sizes} fresh ones, all different. The fresh ones stand for what an "
        "honest generator makes; a share of them is replaced by copies of training images. "
        f"Distances are taken in {clean(space)}"
        f"{', an image and its mirror image being the same' if config.get('mirrored') else ''}."
    )
