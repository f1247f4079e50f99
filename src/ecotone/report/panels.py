"""The panels on copying and on quality, and what each of them says."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ecotone.report.curves import Group, Panel, Tables, draw_panels, pair_figure
from ecotone.report.findings import Onset

__all__ = ["copying", "quality"]

COPIED_FROM = 0.05
"""The copied share drawn as a line: the excess over the floor that counts as copying."""


def copying(tables: Tables, onsets: Sequence[Onset], key: str) -> Group:
    """Draw the three readings of copying.

    Args:
        tables: each level with its rows.
        onsets: onsets of copying, marked where they lie.
        key: prefix of the drawings' names, unique on the page.
    """
    panels = [
        Panel(
            name=f"{key}-gap-ratio",
            heading="Copied share, by gap ratio",
            measure="copied_share_gap_ratio",
            second="copied_share_gap_ratio_floor",
            ylabel="share of generated samples",
            kind="share",
            rule=(COPIED_FROM, "5 %"),
            onsets=onsets,
            caption=(
                "Samples less than a third as far from their nearest training sample as from the "
                "second nearest distinct one. Dotted: the floor, the same share for held-out data "
                "put in the generated samples' place. Rings: onset of copying, τ_mem, where the "
                "share exceeds its floor by 5 %."
            ),
        ),
        Panel(
            name=f"{key}-holdout-quantile",
            heading="Copied share, by holdout quantile",
            measure="copied_share_holdout_quantile",
            second="copied_share_holdout_quantile_floor",
            ylabel="share of generated samples",
            kind="share",
            rule=(COPIED_FROM, "5 %"),
            caption=(
                "Samples closer to a training sample than held-out data almost ever are. Dotted: "
                "the floor, set by the quantile chosen."
            ),
        ),
        Panel(
            name=f"{key}-closer",
            heading="Closer to training than to held-out data",
            measure="closer_to_training_share",
            ylabel="share of generated samples",
            kind="share",
            rule=(0.5, "no preference"),
            caption=(
                "Share of samples whose nearest training sample is nearer than their nearest "
                "held-out one, among equally many of each; a half where nothing leaks."
            ),
        ),
    ]
    return Group(
        heading="Copying",
        lead="How many generated samples are copies of training samples, as training goes on.",
        figures=draw_panels(panels, tables),
    )


def quality(tables: Tables, onsets: Sequence[Onset], key: str) -> list[Group]:
    """Draw the distances of distributions; the matched pair once per level."""
    panels = [
        Panel(
            name=f"{key}-frechet",
            heading="Fréchet distance to held-out data",
            measure="frechet_holdout",
            ylabel="squared feature distance",
            onsets=onsets,
            caption=(
                "Lower is better. It falls while the model learns the population and rises again "
                "as it turns to copies. Rings: onset of generalization, τ_gen."
            ),
        ),
        Panel(
            name=f"{key}-kid",
            heading="Kernel distance (KID)",
            measure="kid_holdout_matched",
            second="kid_training_matched",
            ylabel="squared kernel distance",
            caption=(
                "To held-out data, and dotted to training data, equally many of each; unbiased, so "
                "it may fall below 0. Copying drives the two apart."
            ),
        ),
    ]
    groups = [
        Group(
            heading="Quality",
            lead="How far the generated distribution is from the population.",
            figures=draw_panels(panels, tables),
        )
    ]
    values = [
        value
        for _, table in tables
        for value in table.filter(
            pl.col("measure").is_in(["frechet_holdout_matched", "frechet_training_matched"])
        )["value"].to_list()
    ]
    pairs = [
        pair_figure(level, table, values, f"{key}-pair-{i}")
        for i, (level, table) in enumerate(tables)
    ]
    found = tuple(pair for pair in pairs if pair is not None)
    if found:
        groups.append(
            Group(
                heading="Fréchet distance to training and to held-out data, matched in size",
                lead=(
                    "Both against equally many reference samples, so that they may be compared. "
                    "A model that generalizes is as far from the one as from the other; a distance "
                    "to the training data far below the other is the mark of copying."
                ),
                figures=found,
                small=True,
            )
        )
    return groups
