"""A linear study's answer in one plain sentence, no surer than its intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ecotone.laws.positive import Passage
from ecotone.laws.scenario import Scenario
from ecotone.report.findings import exponent
from ecotone.report.onset_findings import ConditionFindings, LineFindings
from ecotone.report.onset_study import LinearStudy, named, symbol
from ecotone.report.text import listed, number

__all__ = ["OVERLAPS", "TOLD", "linear_verdict", "scenario_clause"]

MOST_CONDITIONS = 3
MOST_LEVELS = 3


def linear_verdict(study: LinearStudy, findings: Sequence[ConditionFindings]) -> str:
    """Return where P(Δ > 0) passes ½, where other measures turn, and what that rests on.

    Args:
        study: as read.
        findings: one a condition.
    """
    originals = study.results["originals"].drop_nulls().unique().to_list()
    beside = f", against {number(originals[0], 9)} original points," if len(originals) == 1 else ""
    if len(findings) == 1:
        clauses = [_crossing(study, findings[0], beside), _growth(study, findings[0])]
    elif len(findings) <= MOST_CONDITIONS:
        clauses = [
            f"with {_condition(one)}, {_lowered(_crossing(study, one, beside))}" for one in findings
        ]
        clauses[0] = clauses[0][:1].upper() + clauses[0][1:]
    else:
        clauses = [_overall(study, findings, beside)]
    lines = [line for one in findings for line in one.lines]
    if any(line.up for line in lines):
        clauses += [_turns(lines), _null(lines), _scenarios(lines)]
    clauses.append(_amiss(study))
    return f"{'; '.join(clause for clause in clauses if clause)}."


def _condition(one: ConditionFindings) -> str:
    return ", ".join(named(factor, value) for factor, value in one.condition.values.items())


def _crossing(study: LinearStudy, found: ConditionFindings, beside: str) -> str:
    """Return where the exact P(Δ > 0) passes ½ under one condition."""
    known = [line for line in found.lines if "exact" in line.up]
    if not known:
        return "P(Δ > 0) was not measured, so where it passes ½ cannot be told"
    ends = known if len(known) <= MOST_LEVELS else [known[0], known[-1]]
    several = len(known) > 1
    said = []
    for line in ends:
        where = f" for {named(study.lines, line.level)}" if several else ""
        said.append(f"{_passage(study, line.up['exact'], line)}{where}")
    if len({line.up["exact"].status for line in ends}) == 1:
        status = ends[0].up["exact"].status
        if status == "observed":
            return f"P(Δ > 0){beside} passes ½ at {listed(said)}"
        if status == "right_censored":
            return f"P(Δ > 0){beside} stays below ½ at all sizes measured, {listed(said)}"
        return f"P(Δ > 0){beside} is above ½ from the smallest size measured on, {listed(said)}"
    verbs = {
        "observed": "passes ½ at ",
        "right_censored": "stays below ½ ",
        "left_censored": "is above ½ from ",
    }
    each = [verbs[line.up["exact"].status] + told for line, told in zip(ends, said, strict=True)]
    return f"P(Δ > 0){beside} {listed(each)}"


def _passage(study: LinearStudy, passage: Passage, line: LineFindings) -> str:
    """Return a crossing in words, with its interval and in units of d."""
    axis = "n" if study.x == "n" else symbol(study.x)
    per = 1 if study.x != "n" else line.dimension

    def ratio(value: float) -> str:
        return f", n/d = {number(value / per, 2)}" if study.x == "n" else ""

    if passage.value is None:
        bound = passage.bound or 0.0
        word = "up to" if passage.status == "right_censored" else "from"
        if passage.status == "left_censored":
            return f"{axis} = {number(bound, 6)}{ratio(bound)}"
        return f"{word} {axis} = {number(bound, 6)}{ratio(bound)}"
    if passage.low is None or passage.high is None:
        doubt = "95 % interval open"
    else:
        doubt = f"{number(passage.low)} to {number(passage.high)}"
    return f"{axis} = {number(passage.value)} ({doubt}{ratio(passage.value)})"


def _growth(study: LinearStudy, found: ConditionFindings) -> str:
    """Return how the crossing grows with the factor that lines stand for."""
    grown = found.growth.get("exact")
    if grown is None or study.lines != "dimension":
        return ""
    if grown.low is None or grown.high is None or grown.high - grown.low > 2:
        return "how that grows with d cannot be told from so few dimensions"
    return f"it grows as d^{exponent(grown)}"


def _turns(lines: Sequence[LineFindings]) -> str:
    """Return where the divergence turns finite, and whether that is at the crossing."""
    brackets = [line.finite for line in lines if line.finite is not None]
    if not brackets:
        return ""
    low, high = min(b.low_x for b in brackets), max(b.high_x for b in brackets)
    said = f"KL(generated ‖ population) turns finite between n/d = {number(low)} and {number(high)}"
    ways = []
    for line in lines:
        passage, own = line.up.get("exact"), line.finite
        if passage is None or passage.value is None or own is None:
            continue
        if passage.low is not None and passage.low > own.high:
            ways.append("at smaller n than that crossing")
        elif passage.high is not None and passage.high < own.low:
            ways.append("at larger n than that crossing")
        else:
            ways.append("not told apart from that crossing")
    counts = {way: ways.count(way) for way in dict.fromkeys(ways)}
    if len(counts) == 1:
        return f"{said}, {ways[0]}"
    parts = [f"{way} on {count} of {len(ways)} lines" for way, count in counts.items()]
    return f"{said}, {listed(parts)}" if parts else said


def _null(lines: Sequence[LineFindings]) -> str:
    """Return whether an ideal sampler passes ½ too."""
    known = [line.up["null"] for line in lines if "null" in line.up]
    if not known:
        return ""
    who = "an ideal sampler, which memorizes nothing,"
    observed = [p for p in known if p.value is not None]
    above = [p for p in known if p.status == "left_censored"]
    if len(observed) == len(known):
        return f"{who} passes ½ as well, so passing ½ alone does not show memorization below it"
    if len(above) == len(known):
        return f"{who} is above ½ at every size measured"
    if not observed and not above:
        return f"{who} stays below ½ at every size measured"
    some = f"{who} passes ½ within the range on {len(observed)} of {len(known)} lines"
    if above:
        some += f" and is above it from the start on {len(above)}"
    return some


def _scenarios(lines: Sequence[LineFindings]) -> str:
    """Return what the two distances, or their overlaps, do around the crossing."""
    known = [line.distances for line in lines if line.distances is not None]
    overlaps = [line.overlaps for line in lines if line.overlaps is not None]
    decided = {one.verdict for one in known if one.verdict in TOLD}
    if not decided or not decided <= ALIKE or not overlaps:
        return scenario_clause(known, TOLD, "what E_TG and E_OG do around the crossing")
    told = scenario_clause(overlaps, OVERLAPS, "what their overlaps do")
    told = told.removeprefix("around the crossing ")
    said = "around the crossing E_TG and E_OG change alike, as most of both is ∫p_G²"
    return f"{said}; {told}" if told else said


def scenario_clause(known: Sequence[Scenario], words: Mapping[str, str], what: str) -> str:
    """Return the scenarios of several lines as one clause; empty where nothing is crossed.

    Args:
        known: one a line.
        words: for each verdict that was decided.
        what: said of what cannot be told.
    """
    verdicts = [one.verdict for one in known]
    decided = [verdict for verdict in dict.fromkeys(verdicts) if verdict in words]
    if not decided:
        return f"{what} cannot be told" if "cannot tell" in verdicts else ""
    if len(decided) == 1 and verdicts.count(decided[0]) == len(verdicts):
        return f"around the crossing {words[decided[0]]}"
    parts = [
        f"{words[verdict]} (on {verdicts.count(verdict)} of {len(verdicts)} lines)"
        for verdict in decided
    ]
    return f"around the crossing {listed(parts)}"


ALIKE = {"both fall alike", "both rise alike", "both change alike"}

TOLD: Mapping[str, str] = {
    "memorization degrades, generalization improves": (
        "memorization degrades and generalization improves: E_TG rises, E_OG falls"
    ),
    "memorization degrades, generalization does not improve": (
        "memorization degrades and generalization does not improve: E_TG rises, E_OG does not fall"
    ),
    "both fall, E_OG faster": "both E_TG and E_OG fall, E_OG faster",
    "both fall, E_TG faster": "both E_TG and E_OG fall, E_TG faster",
    "both fall alike": "E_TG and E_OG fall alike",
    "both rise alike": "E_TG and E_OG rise alike",
    "both change alike": "E_TG and E_OG change alike",
    "none of these": "E_TG and E_OG follow none of the scenarios",
}
"""Verdicts on the distances, in words."""

OVERLAPS: Mapping[str, str] = {
    "memorization degrades, generalization improves": "c_T falls and c_O rises",
    "memorization degrades, generalization does not improve": "c_T falls and c_O does not rise",
    "both fall, E_OG faster": "both overlaps rise, c_O faster",
    "both fall, E_TG faster": "both overlaps rise, c_T faster",
    "both fall alike": "both overlaps rise alike",
    "both rise alike": "both overlaps fall alike",
    "both change alike": "the overlaps change alike",
    "none of these": "the overlaps follow none of the scenarios",
}
"""The same verdicts on −ln c, said of the overlaps c."""


def _overall(study: LinearStudy, findings: Sequence[ConditionFindings], beside: str) -> str:
    """Return in how many of many lines P(Δ > 0) passes ½, and where first and last."""
    pairs: list[tuple[ConditionFindings, LineFindings, Any]] = [
        (one, line, line.up["exact"])
        for one in findings
        for line in one.lines
        if "exact" in line.up
    ]
    if not pairs:
        return "P(Δ > 0) was not measured, so where it passes ½ cannot be told"
    passed = [pair for pair in pairs if pair[2].value is not None]
    if not passed:
        return f"P(Δ > 0){beside} passes ½ within the range on none of {len(pairs)} lines"
    ordered = sorted(passed, key=lambda pair: pair[2].value)
    ends = [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered
    said = [
        f"at {_passage(study, passage, line)} with {named(study.lines, line.level)}, "
        f"{_condition(one)}"
        for one, line, passage in ends
    ]
    total = f"on {len(passed)} of {len(pairs)} lines"
    return f"P(Δ > 0){beside} passes ½ {total}, first and last {listed(said)}"


def _amiss(study: LinearStudy) -> str:
    """Return how many batches of replicates failed or have not finished."""
    if study.runs is None:
        return ""
    said = []
    for status, told in (("failed", "failed"), ("unfinished", "not finished")):
        count = study.runs.filter(pl.col("status") == status).height
        if count:
            verb = "" if status == "failed" else ("has " if count == 1 else "have ")
            said.append(f"{count} of {study.runs.height} runs of replicates {verb}{told}")
    return "; ".join(said)


def _lowered(text: str) -> str:
    # Symbols such as P stay as they are.
    return text if text.startswith("P(") else text[:1].lower() + text[1:]
