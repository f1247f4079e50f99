"""The page of an audit: the verdict, and the evidence beneath it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ecotone.auditing.record import AuditRecord
from ecotone.core.records import write_atomic
from ecotone.report.audit_command import again
from ecotone.report.audit_control import (
    control_figure,
    control_means,
    control_table,
    control_told,
)
from ecotone.report.audit_folder import AuditFolder, read_audit
from ecotone.report.audit_histograms import distance_figure, p_value_figure
from ecotone.report.audit_leaks import leak_figure, leaks_told
from ecotone.report.audit_meaning import looked_for, meaning, terms
from ecotone.report.audit_measures import COPYING, DISTRIBUTIONS, MEASURES, SAMPLES, others
from ecotone.report.audit_numbers import key_numbers
from ecotone.report.audit_pairs import encode_pairs
from ecotone.report.audit_ratios import ratio_figure
from ecotone.report.audit_sentences import (
    count,
    disagreement_told,
    distances_told,
    level_told,
    opening,
    pairs_told,
    ranked,
    typeset,
)
from ecotone.report.audit_settings import settings
from ecotone.report.audit_tables import (
    detector_table,
    distribution_table,
    finding_table,
    measure_table,
    risk_table,
    set_table,
    suspect_table,
)
from ecotone.report.colours import colour_rules
from ecotone.report.render import assets, render
from ecotone.report.svg import drawing_style
from ecotone.report.text import capital, clean, number, plain, shortened

__all__ = ["build_audit_page"]

PICTURES = 700_000
"""Bytes of pictures on the page, about: ten pairs of the largest, in colour."""

FIRST_PAIRS = 12
"""Pairs in sight; the rest are folded."""

MOST_EXAMPLES = 5

SHADES = 10


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of two scores, and how dark its field is, from 0 to 10."""

    text: str
    shade: int


def build_audit_page(folder: Path) -> Path:
    """Write ``report.html`` into the folder of an audit.

    The same folder gives the same bytes: no clock, no paths but those that the audit was given.

    Returns:
        The file written.

    Raises:
        RecordError: where a file of the folder is missing, harmed or not of this audit, or the page
            cannot be written.
    """
    held = read_audit(folder)
    target = folder / "report.html"
    write_atomic(target, render("audit.html.j2", _facts(held)).encode())
    return target


def _facts(held: AuditFolder) -> dict[str, Any]:
    """Return all that the page says."""
    record, noun = held.record, held.noun
    pairs = () if held.pairs is None else encode_pairs(held.pairs, PICTURES)
    with drawing_style():
        ratios, leaks, control = ratio_figure(held), leak_figure(held), control_figure(held)
        drawn = (distance_figure(held), p_value_figure(held))
    return {
        "title": _title(held),
        "record": record,
        "noun": noun,
        "is_image": held.is_image,
        "verdict": typeset(record.sentence),
        "meaning": meaning(held),
        "caveats": [typeset(one) for one in record.caveats],
        "opening": opening(held),
        "names": _names(record),
        "numbers": key_numbers(held),
        "level_told": level_told(record),
        "ratios": ratios,
        "tests": finding_table(record),
        "pairs": pairs[:FIRST_PAIRS],
        "more_pairs": pairs[FIRST_PAIRS:],
        "pairs_told": "" if held.pairs is None else pairs_told(held, held.pairs, len(pairs)),
        "suspects": suspect_table(held),
        "leaks_told": leaks_told(held),
        "leaks": leaks,
        "risk": risk_table(held),
        "control_told": control_told(held),
        "control_means": control_means(held),
        "control": control,
        "controls": control_table(record),
        "distances_told": distances_told(held),
        "distributions": distribution_table(record.readings, noun),
        "samples": measure_table(
            record.readings,
            (*SAMPLES, *others(record.readings)),
            "Novelty, diversity and likelihood, with 95 % intervals beneath.",
            noun,
        ),
        "copying": measure_table(
            record.readings, COPYING, "Measures of copying, with 95 % intervals beneath.", noun
        ),
        "disagreement": disagreement_told(record),
        "detectors": detector_table(record),
        "scores": [plain(clean(name)) for name in record.agreement],
        "agreement": _agreement(record) if ranked(record) else [],
        "drawn": [one for one in drawn if one is not None],
        "confounders": _confounders(record),
        "looked_for": looked_for(held),
        "sets": set_table(held),
        "again": again(held),
        "settings": settings(held),
        "features": yaml.safe_dump(_plain(record.features), sort_keys=False, allow_unicode=True),
        "glossary": _glossary(held),
        **assets(colour_rules(1, 1, ordered=True), "audit.css"),
    }


def _title(held: AuditFolder) -> str:
    """Return what the page is called: by the last part of the name of the samples."""
    given = held.record.sets["generated"]
    if given.kind == "memory":
        return f"Audit of {count(given.items, f'generated {held.noun}')}"
    return f"Audit of {shortened(_last(given.name), 60)}"


def _last(name: str) -> str:
    """Return the last part of a path, or what is no path as it is.

    >>> _last("runs/7/samples/"), _last("array")
    ('samples', 'array')
    """
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] or name


def _names(record: AuditRecord) -> list[tuple[str, str]]:
    """Return what was given for each set."""
    called = {"generated": "generated", "training": "training", "holdout": "held-out"}
    return [(called[name], clean(record.sets[name].name)) for name in called if name in record.sets]


def _agreement(record: AuditRecord) -> list[tuple[str, list[Correlation | None]]]:
    """Return the rank correlations, row by row."""
    rows = []
    for one in record.agreement:
        row = (record.agreement[one].get(other) for other in record.agreement)
        rows.append(
            (
                plain(clean(one)),
                [
                    None
                    if value is None
                    else Correlation(number(value, 2), round(SHADES * min(1.0, max(0.0, value))))
                    for value in row
                ],
            )
        )
    return rows


def _confounders(record: AuditRecord) -> list[dict[str, Any]]:
    """Return what disturbs the audit, the serious first."""
    ordered = sorted(record.confounders, key=lambda one: not one.serious)
    return [
        {
            "kind": capital(clean(one.kind)),
            "serious": one.serious,
            "sentence": typeset(one.sentence),
            "count": number(one.count, 9),
            "examples": [clean(example) for example in one.examples[:MOST_EXAMPLES]],
            "all": one.count == len(one.examples[:MOST_EXAMPLES]),
        }
        for one in ordered
    ]


def _plain(value: object) -> Any:
    """Return plain values with their text cleaned, for YAML."""
    if isinstance(value, Mapping):
        return {clean(name): _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return clean(value) if isinstance(value, str) else value


def _glossary(held: AuditFolder) -> list[tuple[str, str]]:
    """Return what the words and the measures on the page mean."""
    record = held.record
    measures = [
        (one.title, f"{one.meaning} {_direction(record, name)}")
        for name, one in MEASURES.items()
        if name in record.readings
    ]
    for one in DISTRIBUTIONS:
        found = [name for name in one.names if name in record.readings]
        if found:
            measures.append((capital(one.title), f"{one.meaning} {_direction(record, found[0])}"))
    # Measures tell of images; what is compared here may be something else.
    told = [(title, meant.replace("image", held.noun[:-1])) for title, meant in measures]
    return [*terms(held), *told]


def _direction(record: AuditRecord, name: str) -> str:
    """Return what a higher value means, in a sentence."""
    means = record.readings[name].higher_is
    if means == "neither":
        return "Neither way is better."
    return f"Higher {'is' if means in ('better', 'worse') else 'means'} {means}."
