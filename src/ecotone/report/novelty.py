"""The panels on how far generated samples keep from the training set."""

from __future__ import annotations

from ecotone.report.curves import Group, Panel, Tables, draw_panels

__all__ = ["novelty"]


def novelty(tables: Tables, key: str) -> Group:
    """Draw both readings of novelty.

    Args:
        tables: each level with its rows.
        key: prefix of the drawings' names, unique on the page.
    """
    panels = [
        Panel(
            name=f"{key}-novelty",
            heading="Novelty",
            measure="novelty",
            ylabel="distance relative to held-out data",
            kind="ratio",
            rule=(1.0, "as new as held-out data"),
            caption=(
                "Mean distance to the nearest training sample, over that of held-out data. 0: all "
                "are copies. Above 1 samples are not newer, but off the population."
            ),
        ),
        Panel(
            name=f"{key}-novelty-rank",
            heading="Novelty, by rank",
            measure="novelty_rank",
            ylabel="chance",
            kind="share",
            rule=(0.5, "like held-out data"),
            caption=(
                "Chance that a generated sample is farther from the training set than a held-out "
                "one. Only the order of distances enters."
            ),
        ),
    ]
    return Group(
        heading="Novelty",
        lead="How far generated samples keep from the training set, compared with new data.",
        figures=draw_panels(panels, tables),
    )
