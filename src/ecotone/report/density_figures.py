"""Drawings of E_TG, E_OG, Δ and P(Δ > 0) of trained networks."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from ecotone.report.curves import Figure
from ecotone.report.lines import Level
from ecotone.report.onset_figures import Plot, Scale, Trace, draw, trace
from ecotone.report.svg import GENERALIZING, INK, MEMORIZING, MUTED
from ecotone.report.text import clean, number, percent

__all__ = ["density_figures"]

DASHES: dict[str, object] = {"solid": "-", "dashed": (0, (4, 1.5)), "dotted": (0, (1.5, 1.5))}


def density_figures(axis: str, summaries: pl.DataFrame, key: str) -> tuple[Figure, ...]:
    """Draw the distances, Δ and its probability against the varied factor.

    Args:
        axis: the factor, a column of numbers.
        summaries: by level and measure: value, interval, and seeds as ``samples``.
        key: prefix of the drawings' names, unique on the page.
    """
    label = "training-set size n, samples" if axis == "n" else clean(axis)
    levels = tuple(float(level) for level in summaries[axis].unique().sort() if level > 0)
    bars = "Bars: 95 % intervals over seeds (Student's); of the one run's samples where it is one."

    def figure(
        name: str,
        heading: str,
        caption: str,
        ylabel: str,
        scale: Scale,
        curves: list[tuple[str, str, str, str, str]],
        *,
        rule: float | None = None,
        said: Callable[[float], str] = number,
    ) -> Figure | None:
        traces: list[Trace | None] = []
        for index, (measure, called, colour, dash, marker) in enumerate(curves):
            look = Level(None, called, called, colour, DASHES[dash], marker)
            shift = 0.05 * (index - (len(curves) - 1) / 2)
            rows = summaries.filter(measure=measure)
            traces.append(
                trace(
                    rows,
                    look,
                    x=axis,
                    at=axis,
                    said=said,
                    shift=shift,
                    thin=colour == MUTED,
                    hollow=colour == MEMORIZING,
                    unit="seeds",
                )
            )
        plot = Plot(
            f"{key}-{name}", heading, caption, label, ylabel, scale, rule=rule, ticks=levels
        )
        return draw(plot, traces)

    found = [
        figure(
            "e",
            "E_TG and E_OG",
            f"Distance to the training data and to the original data. {bars}",
            "squared distance of densities",
            "log",
            [
                ("e_original_generated", "E_OG", GENERALIZING, "solid", "s"),
                ("e_training_generated", "E_TG", MEMORIZING, "dashed", "o"),
            ],
        ),
        figure(
            "delta",
            "Δ = E_TG − E_OG",
            "Above 0: nearer to the original than to the training data. Thin: what an ideal "
            f"sampler would show. {bars}",
            "Δ",
            "linear",
            [
                ("delta_null", "ideal", MUTED, "dotted", "^"),
                ("delta", "Δ", INK, "solid", "o"),
            ],
            rule=0.0,
        ),
        figure(
            "p",
            "P(Δ > 0) over seeds",
            "Share of seeds, with Wilson's 95 % intervals. Thin: share in which Δ exceeds that of "
            "an ideal sampler.",
            "share of seeds",
            "share",
            [
                ("p_delta_above_null", "Δ > ideal", MUTED, "dotted", "^"),
                ("p_delta_positive", "Δ > 0", INK, "solid", "o"),
            ],
            rule=0.5,
            said=percent,
        ),
    ]
    return tuple(one for one in found if one is not None)
