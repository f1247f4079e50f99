"""Tables of a planted-copy benchmark: what is seen, how copies rank, what was done, all numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ecotone.populations.planted import TRANSFORMS
from ecotone.report.planted_findings import POWER, Seen, SizeFindings
from ecotone.report.planted_study import PlantedStudy
from ecotone.report.planted_verdict import said_seen
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import clean, interval, number, percent, plain

__all__ = [
    "detector_table",
    "numbers_table",
    "ranking_table",
    "seen_table",
    "transform_table",
]

MOST_ROWS = 400
MEASURES = {
    "detected": "detected, own test",
    "detected_calibrated": "detected, calibrated",
    "false_positive_rate": "false positives",
    "auc": "area under the ROC curve",
    "average_precision": "average precision",
}


def seen_table(study: PlantedStudy, found: SizeFindings, *, calibrated: bool = False) -> Table:
    """Return the smallest share of each kind of copy that each detector sees.

    Args:
        study: as read.
        found: among so many generated images.
        calibrated: by the detectors' statistics without copies; by their own tests otherwise.
    """
    seen = found.calibrated if calibrated else found.own
    rows = []
    for name in study.detectors:
        cells = [_share(seen.get((name, kind)), found.shares) for kind in study.transforms]
        if all(cell == ABSENT for cell in cells):
            continue
        rate = [] if calibrated else [_rate(found, name)]
        rows.append((Cell(plain(name)), *rate, *cells))
    judged = f"{number(found.generated, 9)} generated images"
    if calibrated:
        return Table(
            f"The same of {judged} where a detection is a statistic that at most "
            f"{percent(found.level)} of the replicates without copies reach",
            ("detector", *map(clean, study.transforms)),
            tuple(rows),
            note="So detectors without a test can be compared, and tests that promise different "
            "things. Where it differs much from the table above, the test is cautious.",
        )
    return Table(
        f"Smallest share of copies among {judged} that is seen in {percent(POWER)} of replicates, "
        f"by the detectors' own tests at {percent(found.level)}",
        ("detector", "false positives", *map(clean, study.transforms)),
        tuple(rows),
        note="Interpolated in the logarithm of the share; 95 % intervals by bootstrap, of false "
        "positives by Wilson. “>”: not seen at the largest share that was planted; “≤”: seen at "
        "the smallest already.",
    )


def ranking_table(study: PlantedStudy, found: SizeFindings) -> Table | None:
    """Return how well each score of single images ranks copies before honest images."""
    rows = found.rows.filter(
        (pl.col("measure") == "auc") & (pl.col("share") == max(found.shares, default=0.0))
    )
    if rows.is_empty():
        return None
    lines = []
    for name in rows["detector"].unique(maintain_order=True):
        cells = []
        for kind in study.transforms:
            auc = rows.filter(detector=name, transform=kind)
            if auc.is_empty():
                cells.append(ABSENT)
                continue
            value, low, high = auc.select("value", "low", "high").row(0)
            doubt = "" if low is None else f"{number(low)} to {number(high)}"
            cells.append(Cell(number(value), doubt))
        lines.append((Cell(plain(name)), *cells))
    return Table(
        f"How scores of single images rank copies: area under the ROC curve, "
        f"{percent(found.shares[-1])} of {number(found.generated, 9)} images planted",
        ("score", *map(clean, study.transforms)),
        tuple(lines),
        note="1: every copy before every honest image; 0.5: by chance; below: copies look less "
        "like training images than honest ones do. Means over replicates with 95 % intervals.",
    )


def detector_table(study: PlantedStudy) -> Table | None:
    """Return what each detector asks, of those that this version of the program knows."""
    # Imported here: the detectors need torch, which other reports do without.
    from ecotone.measures.detectors import DETECTORS

    rows = []
    for name in study.detectors:
        told = (getattr(DETECTORS.get(name), "__doc__", None) or "").strip().splitlines()
        if told:
            rows.append((Cell(plain(name)), Cell("", told[0])))
    return Table("What each detector asks", ("detector", "asks"), tuple(rows)) if rows else None


def transform_table(config: Mapping[str, Any]) -> Table | None:
    """Return what was done to copies, with its options."""
    rows = []
    for tenant in config.get("transforms") or ():
        kind = tenant.get("kind")
        if kind not in TRANSFORMS:
            continue
        told = (TRANSFORMS.find(kind).__doc__ or "").strip().splitlines()[0]
        options = ", ".join(f"{k} = {clean(v)}" for k, v in tenant.items() if k != "kind")
        rows.append((Cell(clean(kind)), Cell(options or "–"), Cell("", told)))
    head = ("transform", "options", "what it does")
    return Table("What was done to copies", head, tuple(rows)) if rows else None


def numbers_table(found: SizeFindings) -> Table:
    """Return every reading among so many generated images."""
    wanted = found.rows.filter(pl.col("measure").is_in(list(MEASURES)))
    rows = [
        (
            Cell(plain(row["detector"])),
            Cell(clean(row["transform"])),
            Cell(percent(row["share"])),
            Cell(MEASURES[row["measure"]]),
            Cell(interval(row["value"], row["low"], row["high"])),
            Cell(number(row["samples"], 9)),
        )
        for row in wanted.head(MOST_ROWS).iter_rows(named=True)
    ]
    left = wanted.height - len(rows)
    return Table(
        "Readings with 95 % intervals",
        ("detector", "transform", "share", "measure", "value", "replicates"),
        tuple(rows),
        keys=4,
        note=f"{number(left, 9)} more rows are in results.parquet." if left else "",
    )


def _share(seen: Seen | None, shares: Sequence[float]) -> Cell:
    return ABSENT if seen is None else Cell(*said_seen(seen, shares))


def _rate(found: SizeFindings, name: str) -> Cell:
    rate = found.false_positives.get(name)
    if rate is None:
        return ABSENT
    return Cell(percent(rate.value), f"{percent(rate.low)} to {percent(rate.high)}")
