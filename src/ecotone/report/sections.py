"""What the runs of one condition show: onsets, curves by step, and the numbers behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from ecotone.report.curves import Figure, Group, Tables
from ecotone.report.denoising import denoising
from ecotone.report.densities import DensitySection, density_section
from ecotone.report.findings import Findings
from ecotone.report.frontier import trade
from ecotone.report.lines import levels
from ecotone.report.memorizer import memorizer
from ecotone.report.novelty import novelty
from ecotone.report.panels import copying, quality
from ecotone.report.phases import phase_figure
from ecotone.report.scaling import onset_figure
from ecotone.report.study import Condition, Study
from ecotone.report.support import support
from ecotone.report.tables import Table, numbers_tables
from ecotone.report.text import clean
from ecotone.report.twins import AGREEMENT, of_pairs, twins

__all__ = ["MOST_LEVELS", "Section", "condition_section"]

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
    numbers: tuple[Table, ...]
    levels: tuple[int, int]
    densities: DensitySection | None
    turned: bool

    @property
    def size(self) -> int:
        """How many characters its drawings take."""
        figures = [*self.onsets, *(one for group in self.groups for one in group.figures)]
        figures += self.densities.figures if self.densities else ()
        return sum(len(figure.drawing) for figure in figures)


def condition_section(study: Study, found: Findings, key: str) -> Section:
    """Draw everything of one condition.

    Args:
        study: as read.
        found: onsets and laws under the condition.
        key: prefix of the drawings' names, unique on the page.
    """
    results = found.condition.of(study.results)
    present = study.levels(found.condition)
    chosen = present[:: math.ceil(len(present) / MOST_LEVELS)]
    looks = levels(clean(study.axis), chosen)
    tables = [(look, Condition({study.axis: look.value}).of(results)) for look in looks]
    onsets = [
        onset_figure(found.onsets, found.laws, key, study.axis),
        phase_figure(results, found.onsets, key) if study.axis == "n" else None,
    ]
    groups = [*_groups(study, found, tables, key), trade(study, results, looks, key)]
    once = pl.concat(
        [results.filter(~pl.col("measure").is_in(AGREEMENT)), of_pairs(study, results)]
    )
    return Section(
        heading=found.condition.label,
        sentences=found.sentences,
        onsets=tuple(figure for figure in onsets if figure is not None),
        groups=tuple(group for group in groups if group is not None and group.figures),
        numbers=numbers_tables(study, once),
        levels=(len(chosen), len(present)),
        densities=density_section(study, found.condition, key),
        turned=bool(found.onsets),
    )


def _groups(study: Study, found: Findings, tables: Tables, key: str) -> list[Group]:
    """Return the panels of curves, in the order in which they are read."""
    return [
        copying(tables, found.of("memorizing"), key),
        novelty(tables, key),
        *quality(tables, found.of("generalizing"), key),
        support(tables, key),
        *denoising(tables, key),
        memorizer(tables, key),
        twins(study, tables, key),
    ]
