"""The tables of an audit's page: tests, images at risk, controls, measures, detectors, sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecotone.auditing.record import AuditRecord, FindingRecord, ReadingRecord, SetRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_measures import (
    DISTRIBUTIONS,
    Measure,
    reading_cell,
    unit_of,
)
from ecotone.report.tables import ABSENT, Cell, Table
from ecotone.report.text import capital, clean, number, percent, plain, shortened

__all__ = [
    "detector_table",
    "distribution_table",
    "finding_table",
    "measure_table",
    "probability",
    "risk_table",
    "set_table",
    "suspect_table",
    "without_blanks",
]

MOST_AT_RISK = 30
MOST_LISTED = 6
"""Sizes and formats of files told of a set."""

METHODS = {
    "gap_ratio": "Fisher’s exact test",
    "standing_out": "permutation test",
    "closest_record": "permutation test",
}
"""How each test has its p-value, by its name."""

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
            Cell(clean(one.question), _seen(one)),
            Cell("copies" if one.kind == "copies" else "overfitting"),
            Cell(probability(one.p_value)),
            Cell(number(one.level)),
            Cell("yes" if one.significant else "no"),
        )
        for one in record.findings
    )
    head = ("question, and what was seen", "shows", "p-value", "level", "significant")
    return Table("The tests. A p-value at or below its level is significant.", head, rows)


def risk_table(folder: AuditFolder) -> Table:
    """Return the training images most at risk; columns that say nothing here are left out."""
    table, noun = folder.training, folder.noun
    one = noun[:-1]
    cells = [
        (
            Cell(number(row["rank"], 9)),
            Cell(clean(row["training"])),
            Cell(number(row["copies"], 9)),
            ABSENT if row["gap_ratio"] is None else Cell(number(row["gap_ratio"], 2)),
            Cell(number(row["distance"])),
            Cell(clean(row["nearest_generated"])),
            ABSENT if row["p_value"] is None else Cell(probability(row["p_value"])),
            Cell(number(row["duplicates"], 9)),
            Cell(clean(row["group"])) if "group" in row else ABSENT,
        )
        for row in table.head(MOST_AT_RISK).iter_rows(named=True)
    ]
    head = ("rank", f"training {one}", "copies", "least gap ratio", "distance", "nearest generated")
    head += ("p-value", "near duplicates", "group")
    counted = {name: bool((table[name] > 0).any()) for name in ("copies", "duplicates")}
    kept = [
        place for place, name in enumerate(head) if counted.get(name.removeprefix("near "), True)
    ]
    order = ["by copies"] if counted["copies"] else []
    order += ["by least gap ratio"] if any(row[3] != ABSENT for row in cells) else []
    left = table.height - len(cells)
    return without_blanks(
        Table(
            f"Training {noun} most at risk, {', then '.join([*order, 'by distance'])}.",
            tuple(head[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in cells),
            keys=2,
            note=f"The first {len(cells)} of {table.height:,}; all are in training.csv."
            if left
            else "",
        )
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
    return without_blanks(
        Table(
            f"Generated {folder.noun} most like copies, the most suspicious first.",
            (*head, "distance to held-out"),
            tuple(rows),
            keys=2,
            note=f"The first {len(rows)} of {table.height:,}; all are in generated.csv."
            if left
            else "",
        )
    )


def measure_table(
    readings: Mapping[str, ReadingRecord], measures: Sequence[Measure], caption: str, noun: str
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
    head = ("measure", "generated", "held-out in their place", "higher means", noun)
    return without_blanks(Table(caption, head, tuple(rows)))


def distribution_table(readings: Mapping[str, ReadingRecord], noun: str) -> Table:
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
        f"Against training and held-out data; the first two with equally many {noun}, so that they "
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


def set_table(folder: AuditFolder) -> Table:
    """Return what the sets are, without what none of them has."""
    record, noun = folder.record, folder.noun
    names = {"generated": "generated", "training": "training", "holdout": "held-out"}
    held = {names[name]: record.sets[name] for name in names if name in record.sets}
    sets = list(held.values())
    rows = [
        ("name", [Cell(clean(one.name)) for one in sets]),
        ("kind", [Cell(clean(one.kind)) for one in sets]),
        (f"{noun} compared", [Cell(number(one.items, 9)) for one in sets]),
        ("shape", [Cell(" × ".join(map(str, one.shape)) or "one number") for one in sets]),
        ("numbers", [Cell(clean(one.type)) for one in sets]),
        ("values as found", [_spread(one) for one in sets]),
        ("formats", [_counted(one.formats) for one in sets]),
        ("sizes as found", [_counted(one.sizes) for one in sets]),
        (
            f"other files or columns, that hold no {noun}",
            [Cell(number(one.left_out, 9)) if one.left_out else ABSENT for one in sets],
        ),
        (
            "changed to be compared",
            [Cell("; ".join(map(clean, one.notes))) if one.notes else ABSENT for one in sets],
        ),
        ("fingerprint", [Cell(shortened(one.fingerprint, 17)) for one in sets]),
    ]
    return Table(
        "A fingerprint is a hash of the content as it was compared; audit.json has all of it.",
        ("set", *held),
        tuple((Cell(name), *cells) for name, cells in rows if set(cells) != {ABSENT}),
    )


def without_blanks(table: Table) -> Table:
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


def _seen(finding: FindingRecord) -> str:
    """Return what a test counted, and which test it is."""
    method = METHODS.get(finding.name)
    return clean(finding.seen) + (f" ({method})" if method else "")


def _spread(one: SetRecord) -> Cell:
    """Return between which values a set's numbers lie."""
    return ABSENT if one.range is None else Cell(" to ".join(number(end, 6) for end in one.range))


def _counted(counts: Mapping[str, int]) -> Cell:
    """Return what there is with its counts, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{clean(name)} ({count:,})" for name, count in ordered[:MOST_LISTED]]
    if len(ordered) > MOST_LISTED:
        told.append(f"{len(ordered) - MOST_LISTED:,} more")
    return Cell(", ".join(told)) if told else ABSENT
