"""The few numbers that an audit's page begins with."""

from __future__ import annotations

from dataclasses import dataclass

from ecotone.core.intervals import wilson
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_leaks import total_known
from ecotone.report.audit_measures import MEASURES, reading_cell
from ecotone.report.audit_ratios import standing
from ecotone.report.audit_sentences import count
from ecotone.report.text import number, percent

__all__ = ["Number", "key_numbers"]

AGAINST_HOLDOUT = {
    "closer_to_training_share": "nearer to training than to held-out {noun}",
    "membership_auc": "how well nearness tells training from held-out {noun} (AUC)",
}


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


def key_numbers(folder: AuditFolder) -> tuple[Number, ...]:
    """Return those that could be had, and what the audit could have seen."""
    record, noun = folder.record, folder.noun
    copied = _reading(folder, "copied_share_gap_ratio", f"of generated {noun} are copies")
    found = [copied, _seen(folder), _standing(folder)]
    found += [
        _reading(folder, name, title.format(noun=noun)) for name, title in AGAINST_HOLDOUT.items()
    ]
    leaks = record.leaks
    if leaks is not None and leaks.copies:
        end = f"in the end at least {number(round(leaks.total), 3)}" if total_known(leaks) else ""
        found.append(
            Number(
                f"different training {noun} copied",
                number(leaks.unique, 9),
                f"by {count(leaks.copies, f'generated {noun}')}",
                end,
            )
        )
    return tuple(one for one in found if one is not None)


def _reading(folder: AuditFolder, name: str, title: str) -> Number | None:
    """Return a reading with its interval and what is usual; None where it could not be had."""
    readings = folder.record.readings
    if name not in readings:
        return None
    cell, measure = reading_cell(readings[name]), MEASURES[name]
    usual = readings.get(measure.beside or "")
    beside = measure.usual if usual is None else f"held-out: {reading_cell(usual).text}"
    return Number(title, cell.text, cell.detail, beside)


def _standing(folder: AuditFolder) -> Number | None:
    """Return the share of generated images that stand out by the holdout's standard."""
    out = standing(folder)
    if out is None:
        return None
    low, high = wilson(out.count, out.n)
    return Number(
        f"stand out, near to a single training {folder.noun[:-1]}",
        percent(out.share),
        f"{percent(low)} to {percent(high)}",
        f"held-out: {percent(out.rate)}",
    )


def _seen(folder: AuditFolder) -> Number:
    """Return the smallest share of copies that the audit would have seen."""
    record = folder.record
    title, asked = "share of copies that would be seen", f"asked for: {percent(record.asked_share)}"
    if record.seen_share is None:
        return Number(title, "none surely", "", asked)
    return Number(title, f"≥ {percent(record.seen_share)}", "with a chance of 95 %", asked)
