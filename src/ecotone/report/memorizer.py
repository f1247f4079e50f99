"""The panels on how near the network is to the exact memorizer of its training set."""

from __future__ import annotations

from dataclasses import replace

from ecotone.report.curves import Group, Panel, Tables, draw_panels
from ecotone.report.noise_levels import at_last_step

__all__ = ["memorizer"]


def memorizer(tables: Tables, key: str) -> Group:
    """Draw excess over the exact memorizer and distance from it: over training, by noise level.

    Args:
        tables: each level with its rows.
        key: prefix of the drawings' names, unique on the page.
    """
    excess = Panel(
        name=f"{key}-excess",
        heading="Training loss above the memorizer’s",
        measure="memorizer_excess",
        ylabel="excess training loss",
        caption=(
            "Loss on training data less that of the exact denoiser of the training set, which has "
            "the least there is; weighted over noise levels. 0: the network is that one."
        ),
    )
    distance = Panel(
        name=f"{key}-memorizer",
        heading="Distance from the memorizer on held-out data",
        measure="memorizer_distance",
        ylabel="relative squared distance",
        caption=(
            "Squared distance of the two denoisers’ answers to noisy held-out images, where "
            "nothing was to be learned by heart, relative to how far the memorizer moves them."
        ),
    )
    by_sigma = [
        replace(
            panel,
            name=f"{panel.name}-sigma",
            heading=heading,
            xlabel="noise level σ, in units of the data",
            caption=f"At each run’s last measured step{unit}.",
        )
        for panel, heading, unit in (
            (excess, "Excess by noise level", ", in squared data units"),
            (distance, "Distance by noise level", ""),
        )
    ]
    return Group(
        heading="The exact memorizer",
        lead=(
            "The denoiser that has learned the training set by heart is known exactly. "
            "How near does the network come to it?"
        ),
        figures=(
            *draw_panels([excess, distance], tables),
            *draw_panels(by_sigma, at_last_step(tables), x="sigma"),
        ),
    )
