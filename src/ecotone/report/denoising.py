"""The panels on what the network does to noisy images: losses and the gap between them."""

from __future__ import annotations

import math

from ecotone.report.curves import Figure, Group, Panel, Tables, draw_panels
from ecotone.report.noise_levels import at_last_step, each_level
from ecotone.report.text import number

__all__ = ["denoising"]

MOST_SIGMAS = 8
GAP = "denoising_gap"


def denoising(tables: Tables, key: str) -> list[Group]:
    """Draw losses over training, and the gap between them: over training, and by noise level.

    Args:
        tables: each level with its rows.
        key: prefix of the drawings' names, unique on the page.
    """
    over_steps = [
        Panel(
            name=f"{key}-loss",
            heading="Validation loss",
            measure="denoising_loss_holdout",
            second="denoising_loss_training",
            ylabel="weighted denoising loss",
            caption=(
                "Denoising loss on held-out data, weighted over noise levels as the training loss "
                "is. Dotted: the same on training data. Overfitting parts the two."
            ),
        ),
        Panel(
            name=f"{key}-gap",
            heading="Denoising-loss gap over training",
            measure=GAP,
            ylabel="loss gap, squared data units",
            kind="difference",
            rule=(0.0, ""),
            caption=(
                "Held-out − training loss, weighted mean over noise levels. Above 0 the model "
                "denoises its training data better than held-out data."
            ),
        ),
    ]
    by_sigma = Panel(
        name=f"{key}-gap-sigma",
        heading="Denoising-loss gap by noise level",
        measure=GAP,
        ylabel="loss gap, squared data units",
        kind="difference",
        xlabel="noise level σ, in units of the data",
        rule=(0.0, ""),
        caption="The noise levels the gap comes from, at each run's last measured step.",
    )
    figures = (
        *draw_panels(over_steps, tables),
        *draw_panels([by_sigma], at_last_step(tables), x="sigma"),
    )
    if not figures:
        return []
    found = each_level(tables, GAP)
    chosen = found[:: max(1, math.ceil(len(found) / MOST_SIGMAS))]
    drawn: list[Figure] = []
    for index, (sigma, at) in enumerate(chosen):
        panel = Panel(
            name=f"{key}-gap-{index}",
            heading=f"σ = {number(sigma, 2)}",
            measure=GAP,
            ylabel="loss gap, squared data units",
            kind="difference",
            rule=(0.0, ""),
            caption="",
        )
        drawn += draw_panels([panel], at, size="small")
    groups = [
        Group(
            heading="Denoising",
            lead="Does the network denoise its training data better than held-out data?",
            figures=figures,
        )
    ]
    if drawn:
        lead = "The gap at each noise level over training, held-out − training loss."
        heading = "Each noise level over training"
        groups.append(Group(heading, lead, tuple(drawn), small=True, folded=True))
    return groups
