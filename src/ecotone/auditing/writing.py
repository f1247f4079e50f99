"""An audit in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecotone import __version__
from ecotone.auditing.caveats import artefacts, caveats, duplicates
from ecotone.auditing.confounders import Sets
from ecotone.auditing.control import Control
from ecotone.auditing.findings import Finding, Reach
from ecotone.auditing.panel import agreement, detected
from ecotone.auditing.record import (
    AuditRecord,
    ConfounderRecord,
    ControlRecord,
    FindingRecord,
    LeaksRecord,
    NeededRecord,
    ReadingRecord,
    SetRecord,
)
from ecotone.auditing.risk import Leaks, leaks
from ecotone.auditing.verdict import decide
from ecotone.core.readings import Reading
from ecotone.measures.evidence import Evidence
from ecotone.populations.sources import Items

__all__ = ["written_up"]


def written_up(
    evidence: Evidence,
    some: Evidence,
    sets: Sets,
    *,
    findings: Sequence[Finding],
    reach: Reach | None,
    readings: Mapping[str, Reading],
    controls: Sequence[Control],
    about: Mapping[str, Any],
    share: float,
    level: float,
    seed: int,
    settings: Mapping[str, Any],
) -> AuditRecord:
    """Return the verdict with all that it rests on.

    Args:
        evidence: in the space of the audit.
        some: of as many images as distributions are compared by.
        sets: the images.
        findings: the tests.
        reach: what the test of copies could have seen.
        readings: of all measures.
        controls: of altered copies.
        about: the space.
        share: of copies that is to be seen.
        level: of the audit.
        seed: of the audit.
        settings: as they were given.
    """
    halves = evidence.holdout is None
    verdict = decide(
        findings,
        copied=readings.get("copied_share_gap_ratio"),
        reach=reach,
        asked=share,
        halves=halves,
        outside=len(evidence.training) // 2 if evidence.holdout is None else len(evidence.holdout),
    )
    found = [
        *sets.confounders,
        *duplicates(sets, evidence.neighbours),
        *artefacts(sets, seed=seed),
    ]
    leaked = leaks(evidence.neighbours, seed=seed)
    held = {"generated": sets.generated, "training": sets.training, "holdout": sets.holdout}
    needed = None if reach is None else reach.needed
    return AuditRecord(
        version=__version__,
        outcome=verdict.outcome.value,
        exit_code=verdict.outcome.exit_code,
        sentence=verdict.sentence,
        level=level,
        asked_share=share,
        seen_share=None if reach is None else reach.share,
        needed=None
        if needed is None
        else NeededRecord(generated=needed.generated, holdout=needed.holdout),
        basis="halves" if halves else "holdout",
        seed=seed,
        settings=dict(settings),
        features=dict(about),
        sets={name: _set(items) for name, items in held.items() if items is not None},
        findings=[_finding(finding) for finding in findings],
        readings={name: ReadingRecord.of(reading) for name, reading in readings.items()},
        confounders=[
            ConfounderRecord(
                kind=one.kind,
                serious=one.serious,
                sentence=one.sentence,
                count=one.count,
                examples=list(one.examples),
            )
            for one in found
        ],
        controls=[
            ControlRecord(
                transform=one.transform,
                recognized=ReadingRecord.of(one.recognized),
                standing_out=None
                if one.standing_out is None
                else ReadingRecord.of(one.standing_out),
                traced=ReadingRecord.of(one.traced),
            )
            for one in controls
        ],
        leaks=None if leaked is None else _leaks(leaked),
        detectors=detected(evidence, some, level=level),
        agreement=agreement(evidence.neighbours),
        caveats=caveats(verdict, readings, found, controls, halves=halves, equal=sets.equal),
    )


def _finding(finding: Finding) -> FindingRecord:
    return FindingRecord(
        name=finding.name,
        kind=finding.kind,
        question=finding.question,
        p_value=finding.p_value,
        level=finding.level,
        significant=finding.significant,
        seen=finding.seen,
    )


def _leaks(leaked: Leaks) -> LeaksRecord:
    curve = leaked.curve
    return LeaksRecord(
        copies=leaked.copies,
        unique=leaked.unique,
        samples=list(curve.samples),
        expected=list(curve.unique),
        low=list(curve.low),
        high=list(curve.high),
        total=curve.total,
        total_low=curve.total_low,
        total_high=curve.total_high,
    )


def _set(items: Items) -> SetRecord:
    facts = items.facts
    return SetRecord(
        name=items.name,
        kind=items.kind,
        items=len(items.ids),
        is_image=items.is_image,
        shape=list(items.items.shape[1:]),
        type=str(items.items.dtype).removeprefix("torch."),
        fingerprint=facts.fingerprint,
        formats=dict(facts.formats),
        sizes={f"{width}×{height}": count for (height, width), count in facts.sizes.items()},
        notes=list(facts.changes),
        range=facts.range,
        left_out=facts.left_out,
    )
