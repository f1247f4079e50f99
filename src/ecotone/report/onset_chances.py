"""Drawings of P(Δ > 0): by every metric, and beside an ideal sampler."""

from __future__ import annotations

from ecotone.report.curves import Figure, Group
from ecotone.report.lines import Level
from ecotone.report.onset_crossings import crossings
from ecotone.report.onset_curves import Lines, common, curves, has_theory, looks, rows_of
from ecotone.report.onset_figures import Plot, Trace, draw, theory_trace, trace
from ecotone.report.onset_findings import CURVES, ConditionFindings, LineFindings
from ecotone.report.onset_study import LinearStudy, named, symbol
from ecotone.report.study import Condition
from ecotone.report.svg import INK, MUTED
from ecotone.report.text import percent

__all__ = ["chances", "comparison", "each_chance"]

CHANCE = "P(Δ > 0)"
BARS = "Bars: 95 % intervals (Wilson)."


def chances(study: LinearStudy, found: ConditionFindings, lines: Lines, key: str) -> Group:
    """Draw P(Δ > 0): by the exact metric, as published, and where it passes ½."""
    figures: list[Figure | None] = []
    if len(lines) == 1:
        figures.append(whole_chance(study, found, lines[0], f"{key}-p", size="normal"))
    else:
        for variant, heading, caption in (
            (
                "exact",
                "P(Δ > 0), exact metric",
                "Share of replicates in which the generated density is nearer to the original than "
                "to the training density.",
            ),
            (
                "as_published",
                "P(Δ > 0), metric as published",
                "The same with the covariance AᵀA of the published formula in place of AAᵀ.",
            ),
        ):
            plot = Plot(
                f"{key}-p-{variant}",
                heading,
                f"{caption} {BARS}{has_theory(lines, 'p_delta_positive', variant)}",
                study.x_label,
                CHANCE,
                "share",
                rule=0.5,
                marks=common(lines),
            )
            drawn = curves(study, found, lines, "p_delta_positive", variant=variant, said=percent)
            figures.append(draw(plot, drawn))
    if "x_intrinsic" in study.results.columns:
        plot = Plot(
            f"{key}-p-intrinsic",
            "P(Δ > 0) against n/k",
            f"Exact metric against training samples per intrinsic dimension k: where curves of "
            f"different k fall on one another, k sets the size, not d. {BARS}",
            "training samples per intrinsic dimension, n/k",
            CHANCE,
            "share",
            rule=0.5,
        )
        drawn = curves(study, found, lines, "p_delta_positive", said=percent, x="x_intrinsic")
        figures.append(draw(plot, drawn))
    figures.append(crossings(study, found, f"{key}-crossings"))
    return Group(
        f"{CHANCE}: nearer to the original than to the training density",
        "Δ = E_TG − E_OG, the squared distances from the generated density to the kernel densities "
        "of the training and of the original set.",
        tuple(one for one in figures if one is not None),
    )


def each_chance(study: LinearStudy, found: ConditionFindings, lines: Lines, key: str) -> Group:
    """Draw each line with everything it can be held against."""
    figures = [
        whole_chance(study, found, pair, f"{key}-each-{index}", size="medium")
        for index, pair in enumerate(lines)
    ]
    return Group(
        "Against an ideal sampler and the exact original density",
        "The ideal sampler draws from the population itself: it memorizes nothing, so where its "
        "curve passes ½ the metric does, not the model. “Exact density” puts the density of the "
        "original in place of its N_O points.",
        tuple(one for one in figures if one is not None),
        small=True,
    )


def whole_chance(
    study: LinearStudy,
    found: ConditionFindings,
    pair: tuple[Level, LineFindings],
    name: str,
    *,
    size: str,
) -> Figure | None:
    """Draw one line's P(Δ > 0) by every metric."""
    look, line = pair
    ways = {
        "null": (MUTED, (0, (1.5, 1.5)), "^", True, False),
        "density": (MUTED, (0, (5, 1.5, 1.2, 1.5)), "D", True, False),
        "as_published": (look.colour, (0, (5, 2)), "s", False, True),
        "exact": (look.colour, "-", "o", False, False),
    }
    traces: list[Trace | None] = []
    for way, (colour, dash, marker, thin, hollow) in ways.items():
        curve = CURVES[way]
        rows = rows_of(study, found, line, curve.measure, curve.variant)
        own = Level(None, f"{look.name}, {curve.name}", curve.name, colour, dash, marker)
        traces.append(trace(rows, own, at=study.x, said=percent, thin=thin, hollow=hollow))
    expected = Level(None, "theory", "theory", INK, "-", "")
    traces += [
        theory_trace([(x, value) for _, x, value in one.points], expected, label=True)
        for one in line.predictions
        if (one.measure, one.variant) == ("p_delta_positive", "exact")
    ]
    plot = Plot(
        name,
        look.name if size == "medium" else f"{CHANCE} by every metric, {look.name}",
        ""
        if size == "medium"
        else f"Solid: exact metric; dashed: as published (AᵀA for AAᵀ); thin grey: an ideal "
        f"sampler, which memorizes nothing, and the original given by its exact density. {BARS}",
        study.x_label,
        CHANCE,
        "share",
        rule=0.5,
        marks=line.marks,
        size=size,
    )
    return draw(plot, traces)


def comparison(study: LinearStudy, key: str) -> Group | None:
    """Draw P(Δ > 0) with the other varying factor's levels as lines, for each level of the lines.

    Returns:
        None unless exactly one other factor varies.
    """
    if len(study.others) != 1:
        return None
    (factor,) = study.others
    values = [condition.values[factor] for condition in study.conditions]
    every = looks(factor, values, study.colours)
    figures = []
    for x in ("x", "x_intrinsic"):
        if x not in study.results.columns:
            continue
        axis = study.x_label if x == "x" else "training samples per intrinsic dimension, n/k"
        for index, level in enumerate(study.all_levels()):
            traces = []
            for look, condition in zip(every, study.conditions, strict=True):
                own = Condition({**condition.values, study.lines: level}).of(study.results)
                rows = own.filter(measure="p_delta_positive", variant="exact")
                traces.append(trace(rows, look, x=x, at=study.x, said=percent))
            plot = Plot(
                f"{key}-{x.replace('_', '-')}-{index}",
                named(study.lines, level) + (", against n/k" if x != "x" else ""),
                "",
                axis,
                CHANCE,
                "share",
                rule=0.5,
                size="medium",
            )
            figures.append(draw(plot, traces))
    drawn = tuple(one for one in figures if one is not None)
    if not drawn:
        return None
    return Group(
        f"{CHANCE} by {symbol(factor)}",
        f"Exact metric; lines are levels of {factor}. {BARS}",
        drawn,
        small=True,
    )
