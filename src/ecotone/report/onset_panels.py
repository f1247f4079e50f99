"""Which drawings a linear study's condition gets, and what each of them says."""

from __future__ import annotations

from collections.abc import Sequence

from ecotone.report.curves import Group
from ecotone.report.lines import Level
from ecotone.report.onset_chances import chances, each_chance
from ecotone.report.onset_curves import Lines, common, curves, has_theory, looks, rows_of
from ecotone.report.onset_figures import Plot, Scale, Trace, draw, theory_trace, trace
from ecotone.report.onset_findings import ConditionFindings
from ecotone.report.onset_study import LinearStudy
from ecotone.report.svg import GENERALIZING, MEMORIZING

__all__ = ["panels"]


def panels(study: LinearStudy, found: ConditionFindings, key: str) -> list[Group]:
    """Draw everything of one condition.

    Args:
        study: as read.
        found: of the condition.
        key: prefix of the drawings' names, unique on the page.
    """
    every = {look.value: look for look in looks(study.lines, study.all_levels(), study.colours)}
    lines = [(every[line.level], line) for line in found.lines]
    groups = [chances(study, found, lines, key)]
    if len(lines) > 1:
        groups.append(each_chance(study, found, lines, key))
    groups += [_divergences(study, found, lines, key), *_distances(study, found, lines, key)]
    return [group for group in groups if group.figures]


def _divergences(study: LinearStudy, found: ConditionFindings, lines: Lines, key: str) -> Group:
    """Draw affinity, Hellinger and Wasserstein distances and both divergences."""
    wanted: Sequence[tuple[str, str, str, Scale, str]] = (
        (
            "kl_generated_population",
            "KL(generated ‖ population)",
            "nats",
            "log",
            "Mean over replicates; infinite, and so not drawn, while n ≤ d.",
        ),
        (
            "kl_population_generated",
            "KL(population ‖ generated)",
            "nats",
            "log",
            "Median over replicates: the mean is infinite at every n.",
        ),
        (
            "affinity",
            "Affinity per dimension",
            "affinity per dimension",
            "unit",
            "(1 − H²)^(1/d): 1 for the population itself, 0 where the covariance is singular.",
        ),
        (
            "hellinger_squared",
            "Squared Hellinger distance H²",
            "H²",
            "value",
            "In high dimension it is close to 1 even for good models; the affinity shows more.",
        ),
        (
            "wasserstein2_squared",
            "Squared Wasserstein distance W₂²",
            "squared data units",
            "value",
            "Finite for singular covariances too.",
        ),
    )
    figures = []
    for measure, heading, ylabel, scale, caption in wanted:
        plot = Plot(
            f"{key}-{measure.replace('_', '-')}",
            heading,
            f"{caption} Bars: 95 % intervals.{has_theory(lines, measure)}",
            study.x_label,
            ylabel,
            scale,
            marks=common(lines),
        )
        figures.append(draw(plot, curves(study, found, lines, measure)))
    return Group(
        "Distance of the generated distribution from the population",
        "These do not depend on N_O, nor on kernels.",
        tuple(one for one in figures if one is not None),
    )


def _distances(study: LinearStudy, found: ConditionFindings, lines: Lines, key: str) -> list[Group]:
    """Draw E_TG beside E_OG, and their overlaps, line by line."""
    wanted = (
        (
            "distance",
            "Distances to the training and to the original density",
            "ln of E·(4π std²)^(d/2), means over replicates with 95 % intervals. ∫p_G² is common "
            "to both, and most of them at n > d, so the two may lie on one another. Where the "
            "covariance is singular (n ≤ d) E is infinite and not drawn.",
            "ln E, scaled",
            ("E_TG", "E_OG"),
        ),
        (
            "overlap",
            "Overlaps with the training and with the original density",
            "The only part of E_TG and E_OG that depends on which model generated: c is twice the "
            "overlap ∫p_G p_S, scaled like E, so Δ > 0 where c_O exceeds c_T by more than the "
            "sets' own pair terms differ.",
            "ln c",
            ("c_T", "c_O"),
        ),
    )
    groups = []
    for part, heading, lead, ylabel, names in wanted:
        figures = []
        for index, (look, line) in enumerate(lines):
            traces: list[Trace | None] = []
            for whose, label, colour, dash, marker in (
                ("original", names[1], GENERALIZING, "-", "s"),
                ("training", names[0], MEMORIZING, (0, (4, 1.5)), "o"),
            ):
                measure = f"log_{part}_{whose}"
                own = Level(None, f"{look.name}, ln {label}", label, colour, dash, marker)
                traces += [
                    theory_trace([(x, v) for _, x, v in one.points], own)
                    for one in line.predictions
                    if (one.measure, one.variant) == (measure, "exact")
                ]
                rows = rows_of(study, found, line, measure, "exact")
                traces.append(trace(rows, own, at=study.x, hollow=whose == "training"))
            plot = Plot(
                f"{key}-{part}-{index}",
                look.name,
                "",
                study.x_label,
                ylabel,
                "linear",
                marks=line.marks,
                size="medium",
            )
            figures.append(draw(plot, traces))
        drawn = tuple(one for one in figures if one is not None)
        groups.append(Group(heading, lead, drawn, small=True))
    return groups
