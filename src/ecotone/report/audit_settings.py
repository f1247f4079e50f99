"""How an audit was made, as rows of a table."""

from __future__ import annotations

from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_sentences import space
from ecotone.report.text import clean, number, percent

__all__ = ["settings"]


def settings(folder: AuditFolder) -> list[tuple[str, str]]:
    """Return names and values, without what does not apply."""
    record = folder.record
    rows = {
        "held against": "a holdout" if record.basis == "holdout" else "halves of the training set",
        "distances": f"Euclidean, of {space(folder)}",
        "mirror images": _mirrored(folder),
        "near duplicates": _duplicates(folder),
        "nearest found": _search(folder),
        "chance of any false finding": percent(record.level),
        "share that is to be seen": percent(record.asked_share),
        "share that would be seen": ""
        if record.seen_share is None
        else f"{percent(record.seen_share)}, with a chance of 95 %",
        "needed for that share": _needed(folder),
        "seed": str(record.seed),
        "ecotone": clean(record.version),
        "exit code": str(record.exit_code),
    }
    return [(name, value) for name, value in rows.items() if value]


def _mirrored(folder: AuditFolder) -> str:
    told = folder.record.features.get("mirrored")
    if not folder.is_image or not isinstance(told, bool):
        return ""
    return "count as the same" if told else "count as different"


def _duplicates(folder: AuditFolder) -> str:
    """Return how near training images count as one, and how many are left."""
    reading = folder.record.readings.get("copied_share_gap_ratio")
    how = {} if reading is None else reading.how
    known = (
        how.get(name)
        for name in ("near_duplicate_threshold", "distinct_training_images", "training_images")
    )
    match tuple(known):
        case [float() | int() as least, int() as distinct, int() as every]:
            return (
                f"nearer than {number(least)}; {distinct:,} of {every:,} training {folder.noun} "
                "are distinct"
            )
    return ""


def _search(folder: AuditFolder) -> str:
    """Return how often the nearest images were found."""
    recall = folder.record.readings.get("search_recall")
    if recall is None:
        return "all, by comparing every pair"
    told = f"{number(100 * recall.value)} %"
    if recall.low is not None and recall.high is not None:
        told += f" ({number(100 * recall.low)} % to {number(100 * recall.high)} %)"
    return f"{told}, by an index, in the search that found least"


def _needed(folder: AuditFolder) -> str:
    record = folder.record
    if record.needed is None:
        return ""
    where = "held-out" if record.basis == "holdout" else "in each half of the training set"
    return f"{record.needed.generated:,} generated, {record.needed.holdout:,} {where}"
