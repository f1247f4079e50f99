"""The page of a linear study: when P(Δ > 0) passes ½, and what else says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotone.core.records import write_atomic
from ecotone.report.colours import colour_rules
from ecotone.report.curves import Group
from ecotone.report.onset_chances import comparison
from ecotone.report.onset_findings import ConditionFindings, find_onsets
from ecotone.report.onset_panels import panels
from ecotone.report.onset_study import LinearStudy, named, read_linear_study
from ecotone.report.onset_tables import (
    crossing_table,
    numbers_table,
    prediction_table,
    scenario_table,
    sources,
    threshold_table,
)
from ecotone.report.onset_verdict import linear_verdict
from ecotone.report.phases import HEATS
from ecotone.report.render import about_study, assets, render
from ecotone.report.svg import drawing_style
from ecotone.report.tables import Table
from ecotone.report.text import listed, number

__all__ = ["build_linear_page"]

LARGEST_DRAWINGS = 2_500_000
"""Bytes of drawings after which no further condition is drawn; the tables hold them all."""


@dataclass(frozen=True)
class LinearSection:
    """What one condition shows."""

    heading: str
    crossings: Table
    thresholds: Table | None
    scenarios: Table | None
    groups: tuple[Group, ...]
    predictions: Table | None
    numbers: Table

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        return sum(len(figure.drawing) for group in self.groups for figure in group.figures)


def build_linear_page(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a linear study.

    The same folder gives the same bytes.

    Returns:
        The file written.

    Raises:
        RecordError: where the folder cannot be read or written to, or holds no reading.
    """
    study = read_linear_study(folder)
    findings = find_onsets(study)
    sections: list[LinearSection] = []
    with drawing_style():
        compared = comparison(study, "all")
        for index, found in enumerate(findings):
            if sum(section.size for section in sections) < LARGEST_DRAWINGS:
                sections.append(_section(study, found, f"c{index}"))
    facts: dict[str, Any] = {
        "study": study,
        "verdict": linear_verdict(study, findings),
        "compared": compared,
        "sections": sections,
        "left_out": len(findings) - len(sections),
        "originals": _originals(study),
        "lines": _lines(study),
        "bars": _replicates(study),
        "sources": sources(findings),
        **about_study(study.about),
        **assets(_colours(study)),
    }
    target = study.folder / "report.html"
    write_atomic(target, render("onset.html.j2", facts).encode())
    return target


def _section(study: LinearStudy, found: ConditionFindings, key: str) -> LinearSection:
    """Draw and tabulate one condition."""
    values = found.condition.values
    return LinearSection(
        heading=", ".join(named(factor, value) for factor, value in values.items()),
        crossings=crossing_table(study, found),
        thresholds=threshold_table(study, found),
        scenarios=scenario_table(study, found),
        groups=tuple(panels(study, found, key)),
        predictions=prediction_table(study, found),
        numbers=numbers_table(study, found),
    )


def _originals(study: LinearStudy) -> str:
    """Return the sizes of the original set, as the page says them."""
    sizes = study.results["originals"].drop_nulls().unique().sort().to_list()
    return f"N_O = {listed([number(size, 9) for size in sizes])}" if sizes else "N_O is not known"


def _lines(study: LinearStudy) -> str:
    """Return what the lines of the drawings stand for."""
    levels: Sequence[Any] = study.all_levels()
    if len(levels) > 1:
        return f"Lines are levels of {study.lines}, each with its own dash and marker."
    return f"{named(study.lines, levels[0])} throughout."


def _replicates(study: LinearStudy) -> str:
    """Return from how many replicates readings were had."""
    counts = study.results["samples"].drop_nulls()
    if counts.is_empty():
        return ""
    low, high = int(counts.min() or 0), int(counts.max() or 0)  # type: ignore[arg-type]
    return number(low, 9) if low == high else f"{number(low, 9)} to {number(high, 9)}"


def _colours(study: LinearStudy) -> str:
    """Return the CSS variables of levels and shades."""
    levels = study.all_levels()
    ordered = all(isinstance(level, int | float) for level in levels)
    return colour_rules(study.colours, HEATS, ordered=ordered)
