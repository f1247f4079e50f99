"""The answer of a planted-copy benchmark in a few plain sentences, no surer than its intervals."""

from __future__ import annotations

from collections.abc import Sequence

from ecotone.report.planted_findings import POWER, Seen, SizeFindings
from ecotone.report.planted_study import PlantedStudy
from ecotone.report.text import capital, listed, number, percent, plain

__all__ = ["planted_verdict", "said_seen"]

MOST_CONDITIONS = 3


def planted_verdict(study: PlantedStudy, findings: Sequence[SizeFindings]) -> str:
    """Return what the best detector sees of each kind of copy, and which tests cannot be trusted.

    Args:
        study: as read.
        findings: one for each condition and number of generated images, the largest first.
    """
    largest = {}
    for found in findings:
        largest.setdefault(str(found.condition.values), found)
    told = list(largest.values())[:MOST_CONDITIONS]
    sentences = []
    for found in told:
        where = f"with {found.condition.label}, " if found.condition.values else ""
        sentences.append(capital(f"{where}{_seen(study, found)}."))
    left = len(largest) - len(told)
    if left:
        sentences.append(f"{left} more combinations of factors are shown below.")
    sentences += [_false_positives(findings), _amiss(study)]
    return " ".join(sentence for sentence in sentences if sentence)


def said_seen(seen: Seen, shares: Sequence[float]) -> tuple[str, str]:
    """Return a smallest share as text, and its interval as text where there is one.

    >>> said_seen(Seen("observed", 0.012, 0.01, None, None), [0.01, 0.1])
    ('1.2 %', '1 % or more')
    >>> said_seen(Seen("right_censored", None, None, None, 0.1), [0.01, 0.1])
    ('> 10 %', '')
    """
    if seen.value is None:
        sign = "≤" if seen.status == "left_censored" else ">"
        return f"{sign} {percent(seen.bound or 0.0)}", ""
    if seen.low is None and seen.high is None:
        return percent(seen.value), f"{percent(shares[0])} or less to over {percent(shares[-1])}"
    if seen.low is None:
        return percent(seen.value), f"{percent(seen.high or 0.0)} or less"
    if seen.high is None:
        return percent(seen.value), f"{percent(seen.low)} or more"
    return percent(seen.value), f"{percent(seen.low)} to {percent(seen.high)}"


def _seen(study: PlantedStudy, found: SizeFindings) -> str:
    """Return the smallest share of each kind of copy that some detector's own test sees."""
    best = {kind: found.best(kind) for kind in study.transforms}
    among = f"among {number(found.generated, 9)} generated images"
    seen = {kind: one for kind, one in best.items() if one is not None}
    unseen = [kind for kind in study.transforms if best[kind] is None]
    most = percent(found.shares[-1]) if found.shares else "the shares planted"
    clauses = []
    if seen:
        each = []
        for kind, (detector, smallest) in seen.items():
            share, interval = said_seen(smallest, found.shares)
            if smallest.status == "left_censored":
                share = f"{share.removeprefix('≤ ')} or less"
            doubt = f"{interval}; " if interval else ""
            each.append(f"{kind} copies from {share} ({doubt}{plain(detector)})")
        clauses.append(f"{among} some detector sees, {percent(POWER)} of the time, {listed(each)}")
    if unseen:
        start = "none sees" if clauses else f"{among} no detector sees"
        clauses.append(f"{start} {listed(unseen)} copies up to {most}")
    return "; ".join(clauses)


def _false_positives(findings: Sequence[SizeFindings]) -> str:
    """Return whether the detectors' own tests keep their level where nothing was planted."""
    rates = [rate for found in findings for rate in found.false_positives.values()]
    if not rates:
        return ""
    level = percent(findings[0].level)
    wrong: dict[str, float] = {}
    for found in findings:
        for name in found.unreliable:
            rate = found.false_positives[name].value
            wrong[name] = max(rate, wrong.get(name, 0.0))
    if not wrong:
        return (
            f"Where nothing was planted no test finds copies in clearly more than the {level} of "
            "replicates it promises at most."
        )
    named = listed([f"{plain(name)} in {percent(rate)}" for name, rate in wrong.items()])
    return (
        f"Where nothing was planted {named} of replicates finds copies, clearly more than the "
        f"{level} it promises at most; it is left out above."
    )


def _amiss(study: PlantedStudy) -> str:
    """Return what runs did not finish."""
    if study.runs is None:
        return ""
    unfinished = int((study.runs["status"] != "finished").sum())
    if not unfinished:
        return ""
    return f"{unfinished} of {study.runs.height} runs of replicates have not finished."
