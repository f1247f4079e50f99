"""The panels on twins: runs that share no training sample and start from the same noise."""

from __future__ import annotations

import polars as pl

from ecotone.report.curves import Group, Panel, Tables, draw_panels
from ecotone.report.study import Study

__all__ = ["AGREEMENT", "of_pairs", "twins"]

AGREEMENT = ("agreement_halves", "agreement_halves_floor", "agreement_matched")


def twins(study: Study, tables: Tables, key: str) -> Group:
    """Draw what twins agree in.

    Args:
        study: whose runs say which of them is whose twin.
        tables: each level with its rows.
        key: prefix of the drawings' names, unique on the page.
    """
    panels = [
        Panel(
            name=f"{key}-agreement",
            heading="Agreement of twins",
            measure="agreement_halves",
            second="agreement_halves_floor",
            ylabel="mean cosine",
            kind="ratio",
            several="pairs of twins",
            caption=(
                "Cosine of the images, less their mean, that two models make of the same noise, "
                "trained on sets without a common sample. Dotted: of different noise, which is "
                "what models with nothing in common show."
            ),
        ),
        Panel(
            name=f"{key}-matched",
            heading="Twin images that find each other",
            measure="agreement_matched",
            ylabel="share of pairs",
            kind="share",
            several="pairs of twins",
            caption=(
                "Images of the one model whose nearest image of the other is the one made from the "
                "same noise; hardly any by chance."
            ),
        ),
    ]
    paired = [(level, of_pairs(study, table)) for level, table in tables]
    return Group(
        heading="Agreement of twins",
        lead=(
            "Where two models trained on different halves of the data make the same images, they "
            "have learned the population; where each copies its own half, they share nothing. A "
            "pair counts once."
        ),
        figures=draw_panels(panels, paired),
    )


def of_pairs(study: Study, table: pl.DataFrame) -> pl.DataFrame:
    """Return readings of agreement once a pair: the same stand at both of its runs.

    Args:
        study: whose runs have a column ``twin_of``; without it there are no pairs.
        table: any of its readings.
    """
    agreed = table.filter(pl.col("measure").is_in(AGREEMENT))
    if "twin_of" not in study.runs.columns:
        return agreed.clear()
    keys = [*study.factors, "seed"]
    own = set(study.runs.filter(pl.col("twin_of").is_not_null()).select(keys).rows())
    return agreed.filter(
        pl.Series([row in own for row in agreed.select(keys).rows()], dtype=pl.Boolean)
    )
