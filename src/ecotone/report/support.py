"""The panels on whether generated samples lie where real ones do, and reach all of them."""

from __future__ import annotations

from ecotone.report.curves import Group, Panel, Tables, draw_panels

__all__ = ["support"]

MATCHED = (
    "Against held-out samples, and dotted against training samples, equally many of each; copying "
    "lifts the dotted line above the other."
)


def support(tables: Tables, key: str) -> Group:
    """Draw precision, recall, density and coverage.

    Args:
        tables: each level with its rows.
        key: prefix of the drawings' names, unique on the page.
    """
    panels = [
        Panel(
            name=f"{key}-precision",
            heading="Precision",
            measure="precision",
            ylabel="share of generated samples",
            kind="share",
            caption="Generated samples that lie among held-out ones.",
        ),
        Panel(
            name=f"{key}-recall",
            heading="Recall",
            measure="recall",
            ylabel="share of held-out samples",
            kind="share",
            caption="Held-out samples that lie among generated ones.",
        ),
        Panel(
            name=f"{key}-density",
            heading="Density",
            measure="density",
            ylabel="ratio",
            kind="ratio",
            rule=(1.0, "expected of new data"),
            caption=(
                "How often generated samples fall into neighbourhoods of held-out ones. Above 1 "
                "they crowd where the population is dense."
            ),
        ),
        Panel(
            name=f"{key}-coverage",
            heading="Coverage",
            measure="coverage",
            ylabel="share of held-out samples",
            kind="share",
            caption="Held-out samples with a generated one in their neighbourhood.",
        ),
        Panel(
            name=f"{key}-precision-matched",
            heading="Precision, matched in size",
            measure="precision_matched",
            second="precision_training",
            ylabel="share of generated samples",
            kind="share",
            caption=MATCHED,
        ),
        Panel(
            name=f"{key}-coverage-matched",
            heading="Coverage, matched in size",
            measure="coverage_matched",
            second="coverage_training",
            ylabel="share of the reference",
            kind="share",
            caption=MATCHED,
        ),
    ]
    return Group(
        heading="Precision and coverage",
        lead="Do generated samples lie where the population does, and do they reach all of it?",
        figures=draw_panels(panels, tables),
    )
