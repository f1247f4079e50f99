"""The few numbers that an audit's page begins with."""

from __future__ import annotations

from dataclasses import dataclass

from ecotone.auditing.record import AuditRecord
from ecotone.report.audit_measures import MEASURES, reading_cell
from ecotone.report.text import number, percent

__all__ = ["Number", "key_numbers"]

SHOWN = (
    ("copied_share_gap_ratio", "copies, by gap ratio"),
    ("copied_share_holdout_quantile", "copies, by holdout quantile"),
    ("leakage_share", "leakage share"),
    ("closer_to_training_share", "closer to training than to held-out"),
    ("membership_auc", "membership AUC"),
)


@dataclass(frozen=True)
class Number:
    """One number of the strip.

    Args:
        name: what it is.
        value: as text.
        interval: in which it lies; empty where none is known.
        beside: what to hold it against.
    """

    name: str
    value: str
    interval: str
    beside: str


def key_numbers(record: AuditRecord) -> tuple[Number, ...]:
    """Return those that could be had, and what the audit could have seen."""
    found = [_seen(record)]
    for name, title in SHOWN:
        if name not in record.readings:
            continue
        cell, measure = reading_cell(record.readings[name]), MEASURES[name]
        usual = record.readings.get(measure.beside or "")
        beside = measure.usual if usual is None else f"held-out: {reading_cell(usual).text}"
        found.append(Number(title, cell.text, cell.detail, beside))
    if len(found) > 1:
        # Beside the share that was found.
        found[0], found[1] = found[1], found[0]
    if record.leaks is not None and record.leaks.copies:
        leaks = record.leaks
        found.append(
            Number(
                "different training images leaked",
                number(leaks.unique, 9),
                f"of {number(leaks.copies, 9)} copies",
                f"in the end at least {number(round(leaks.total), 3)}",
            )
        )
    return tuple(found)


def _seen(record: AuditRecord) -> Number:
    """Return the smallest share of copies that the audit would have seen."""
    title, asked = "share of copies that would be seen", f"asked for: {percent(record.asked_share)}"
    if record.seen_share is None:
        return Number(title, "none surely", "", asked)
    return Number(title, f"≥ {percent(record.seen_share)}", "with a chance of 95 %", asked)
