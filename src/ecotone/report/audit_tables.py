"""The tables of an audit's page: tests, images at risk, controls, measures, detectors, sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecotone.auditing.record import AuditRecord, ReadingRecord, SetRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_measures import (
    DISTRIBUTIONS,
    Measure,
    reading_cell,
    unit_of,
)
from ecotone.report.audit_sentences import altered
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import capital, clean, number, percent, plain, shortened

__all__ = [
    "control_table",
    "detector_table",
    "distribution_table",
    "finding_table",
    "measure_table",
    "probability",
    "risk_table",
    "set_table",
    "suspect_table",
]

MOST_AT_RISK = 30
MOST_LISTED = 6
"""Sizes and formats of files told of a set."""

MEANS = {
    "better": "better",
    "worse": "worse",
    "more copying": "more copying",
    "less copying": "less copying",
    "neither": "–",
}


def probability(value: float) -> str:
    """Return a p-value.

    >>> probability(0.03126), probability(1e-12), probability(0.0)
    ('0.031', '1·10⁻¹²', '< 10⁻³⁰⁰')
    """
    return "< 10⁻³⁰⁰" if value < 1e-300 else number(value, 2).replace(".0·", "·")


def finding_table(record: AuditRecord) -> Table:
    """Return the tests that the verdict rests on."""
    rows = tuple(
        (
            Cell(clean(one.question), clean(one.seen)),
            Cell("copies" if one.kind == "copies" else "overfitting"),
            Cell(probability(one.p_value)),
            Cell(number(one.level)),
            Cell("yes" if one.significant else "no"),
        )
        for one in record.findings
    )
    head = ("question, and what was seen", "shows", "p-value", "level", "significant")
    return Table("Tests. A p-value at or below its level is significant.", head, rows)


def risk_table(folder: AuditFolder) -> Table:
    """Return the training images most at risk."""
    table, noun = folder.training, folder.noun
    one = noun[:-1]
    grouped = "group" in table.columns
    tested = table["p_value"].null_count() < table.height
    rows = []
    for row in table.head(MOST_AT_RISK).iter_rows(named=True):
        cells = [
            Cell(number(row["rank"], 9)),
            Cell(clean(row["training"])),
            Cell(number(row["copies"], 9)),
            ABSENT if row["gap_ratio"] is None else Cell(number(row["gap_ratio"], 2)),
            Cell(number(row["distance"])),
            Cell(clean(row["nearest_generated"])),
        ]
        if tested:
            cells.append(ABSENT if row["p_value"] is None else Cell(probability(row["p_value"])))
        cells.append(Cell(number(row["duplicates"], 9)))
        if grouped:
            cells.append(Cell(clean(row["group"])))
        rows.append(tuple(cells))
    head = ("rank", f"training {one}", "copies", "least gap ratio", "distance", "nearest generated")
    head += (*(("p-value",) if tested else ()), "near duplicates", *(("group",) if grouped else ()))
    left = table.height - len(rows)
    return Table(
        f"Training {noun} most at risk: ordered by copies, then by least gap ratio, then by "
        "distance.",
        head,
        tuple(rows),
        keys=2,
        note=f"The first {len(rows)} of {table.height:,}; all are in training.csv." if left else "",
    )


def suspect_table(folder: AuditFolder) -> Table:
    """Return the generated images most like copies, for data that have no pictures."""
    table, one = folder.generated, folder.noun[:-1]
    rows = []
    for row in table.head(MOST_AT_RISK).iter_rows(named=True):
        ratio, holdout = row.get("gap_ratio"), row.get("distance_holdout")
        rows.append(
            (
                Cell(number(row["rank"], 9)),
                Cell(clean(row["generated"])),
                ABSENT if row["copy"] is None else Cell("yes" if row["copy"] else "no"),
                ABSENT if ratio is None else Cell(number(ratio, 2)),
                Cell(number(row["distance"])),
                Cell(clean(row["nearest_training"])),
                ABSENT if holdout is None else Cell(number(holdout)),
            )
        )
    head = ("rank", f"generated {one}", "copy", "gap ratio", "distance", "nearest training")
    left = table.height - len(rows)
    return Table(
        f"Generated {folder.noun} most like copies, the most suspicious first.",
        (*head, "distance to held-out"),
        tuple(rows),
        keys=2,
        note=f"The first {len(rows)} of {table.height:,}; all are in generated.csv."
        if left
        else "",
    )


def control_table(record: AuditRecord) -> Table:
    """Return what the rule says of altered copies."""
    rows = tuple(
        (
            Cell(capital(altered(one.transform).removeprefix("a "))),
            reading_cell(one.recognized),
            reading_cell(one.standing_out),
            reading_cell(one.traced),
        )
        for one in record.controls
    )
    head = ("alteration", "called copies", "standing out", "nearest is the original")
    made = max((one.recognized.n for one in record.controls), default=0)
    caption = f"{made:,} copies altered in each way; 95 % intervals beneath the shares."
    return _without_blanks(Table(caption, head, rows))


def measure_table(
    readings: Mapping[str, ReadingRecord], measures: Sequence[Measure], caption: str
) -> Table:
    """Return readings beside what is usual; those that could not be had are left out."""
    rows = []
    for one in measures:
        reading = readings.get(one.name)
        if reading is None:
            continue
        usual = Cell(one.usual) if one.usual else reading_cell(readings.get(one.beside or ""))
        if reading.how.get("holdout_penalized") is True:
            usual = Cell("penalized, too", "so it says nothing here")
        rows.append(
            (
                Cell(one.title, unit_of(reading)),
                reading_cell(reading),
                usual,
                Cell(MEANS[reading.higher_is]),
                Cell(number(reading.n, 9)),
            )
        )
    head = ("measure", "generated", "held-out in their place", "higher means", "n")
    return _without_blanks(Table(caption, head, tuple(rows)))


def distribution_table(readings: Mapping[str, ReadingRecord]) -> Table:
    """Return distances and overlaps with training and held-out images side by side."""
    rows = []
    for one in DISTRIBUTIONS:
        found = [readings[name] for name in one.names if name in readings]
        if found:
            three = (readings.get(name or "") for name in (one.training, one.matched, one.holdout))
            rows.append(
                (
                    Cell(capital(one.title), unit_of(found[0])),
                    *map(reading_cell, three),
                    Cell(MEANS[found[0].higher_is]),
                )
            )
    head = ("measure", "training", "held-out, as many", "held-out, all", "higher means")
    return Table(
        "Against training and held-out data; the first two at one number of images, so that they "
        "may be compared. Beneath: 95 % intervals.",
        head,
        tuple(rows),
    )


def detector_table(record: AuditRecord) -> Table:
    """Return what every detector says by itself."""
    says = {True: "yes", False: "no", None: "no test"}
    rows = tuple(
        (
            Cell(capital(clean(plain(one.name))), clean(one.about)),
            Cell(number(one.statistic)),
            ABSENT if one.p_value is None else Cell(probability(one.p_value)),
            Cell(says[one.says_copying]),
        )
        for one in record.detectors
    )
    return Table(
        f"Detectors, each by itself at {percent(record.level)}. The statistic grows with copying.",
        ("detector", "statistic", "p-value", "says copying"),
        rows,
    )


def set_table(record: AuditRecord) -> Table:
    """Return what the sets are."""
    names = {"generated": "generated", "training": "training", "holdout": "held-out"}
    held = {names[name]: record.sets[name] for name in names if name in record.sets}
    sets = list(held.values())
    rows = [
        ("name", [Cell(clean(one.name)) for one in sets]),
        ("kind", [Cell(clean(one.kind)) for one in sets]),
        ("compared", [Cell(number(one.items, 9)) for one in sets]),
        ("shape", [Cell(" × ".join(map(str, one.shape)) or "one number") for one in sets]),
        ("numbers", [Cell(clean(one.type)) for one in sets]),
        ("values as found", [Cell(_spread(one)) for one in sets]),
        ("formats", [Cell(_counted(one.formats)) for one in sets]),
        ("sizes as found", [Cell(_counted(one.sizes)) for one in sets]),
        ("left out", [Cell(number(one.left_out, 9)) for one in sets]),
        ("what was done", [Cell("; ".join(map(clean, one.notes)) or "nothing") for one in sets]),
        ("fingerprint", [Cell(shortened(one.fingerprint, 17)) for one in sets]),
    ]
    return Table(
        "A fingerprint is a hash of the items as they were compared; audit.json has all of it.",
        ("set", *held),
        tuple((Cell(name), *cells) for name, cells in rows),
    )


def _spread(one: SetRecord) -> str:
    """Return between which values a set's numbers lie."""
    return ABSENT.text if one.range is None else " to ".join(number(end, 6) for end in one.range)


def _without_blanks(table: Table) -> Table:
    """Return a table without the columns in which nothing stands."""
    kept = [
        place
        for place in range(len(table.head))
        if not table.rows or any(row[place] != ABSENT for row in table.rows)
    ]
    return replace(
        table,
        head=tuple(table.head[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def _counted(counts: Mapping[str, int]) -> str:
    """Return what there is with its counts, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{clean(name)} ({count:,})" for name, count in ordered[:MOST_LISTED]]
    if len(ordered) > MOST_LISTED:
        told.append(f"{len(ordered) - MOST_LISTED:,} more")
    return ", ".join(told) or "–"
