"""The questions put to a study as a whole, in the order in which the page answers them."""

from __future__ import annotations

from collections.abc import Callable

from ecotone.report.chapter import Chapter, Material
from ecotone.report.clock_choice import clock_choice
from ecotone.report.clock_onsets import clock_onsets
from ecotone.report.effective import effective
from ecotone.report.movers import movers
from ecotone.report.stopping import stopping_early

__all__ = ["BUILDERS", "chapters"]

BUILDERS: tuple[Callable[[Material], Chapter | None], ...] = (
    movers,
    clock_choice,
    clock_onsets,
    effective,
    stopping_early,
)
"""Each returns its chapter, or None where the study lacks what it takes."""


def chapters(material: Material) -> tuple[Chapter, ...]:
    """Return the chapters for which the study has what it takes."""
    told = (build(material) for build in BUILDERS)
    return tuple(chapter for chapter in told if chapter is not None)
