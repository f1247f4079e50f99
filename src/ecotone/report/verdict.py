"""The study's answer in one plain sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from ecotone.report.findings import Findings, Onset, exponent
from ecotone.report.movers import power_of
from ecotone.report.study import Study
from ecotone.report.text import clean, listed, number

__all__ = ["verdict"]

MOST_CONDITIONS = 3
MOST_POWERS = 3
"""Factors the answer tells of, the strongest."""


def verdict(
    study: Study,
    findings: Sequence[Findings],
    *,
    noun: str = "training samples",
    moved: pl.DataFrame | None = None,
) -> str:
    """Return when copying began, how its onset grows, and what is amiss, in one sentence.

    Args:
        study: as read.
        findings: onsets and laws, one a condition.
        noun: what the training set is made of.
        moved: what each factor does to the onset of copying, of :func:`ecotone.laws.effects`.
    """
    if len(findings) == 1:
        clauses = [_copying(study, findings[0], noun), _generalizing(findings[0])]
    elif powers := _powers(moved, many=len(findings) > MOST_CONDITIONS):
        clauses = [f"{_overall(findings)}: {powers}"]
    elif len(findings) <= MOST_CONDITIONS:
        each = [(one.condition.label, _copying(study, one, noun)) for one in findings]
        clauses = [f"with {label}, {_lowered(said)}" for label, said in each]
        clauses[0] = clauses[0].replace("with", "With", 1)
    else:
        clauses = [_overall(findings)]
    clauses += _amiss(study.runs)
    return f"{'; '.join(clause for clause in clauses if clause)}."


def _copying(study: Study, found: Findings, noun: str) -> str:
    """Return when copying began, and how that grows with the training set."""
    own = found.of("memorizing")
    if not own:
        return (
            "When copying begins cannot be told yet: "
            "it takes three measured steps with a copied share and its floor"
        )
    levels = list(dict.fromkeys(onset.level for onset in own))
    by_level = {level: [onset for onset in own if onset.level == level] for level in levels}
    turned = {level: _when(by_level[level]) for level in levels}
    reached = [level for level in levels if turned[level] is not None]
    never = [level for level in levels if turned[level] is None]
    axis = study.axis

    def where(level: Any, *, first: bool = False) -> str:
        if axis != "n":
            return f"with {clean(axis)} = {clean(level)}"
        return f"with {number(level, 9)}{f' {noun}' if first else ''}"

    if not reached:
        within = number(max(onset.place for onset in own), 7)
        if axis != "n" or len(levels) == 1:
            size = f" with {number(own[0].n, 9)} {noun}" if axis == "n" else ""
            return f"No run began to copy within {within} steps{size}"
        span = f"{number(levels[0], 9)} to {number(levels[-1], 9)} {noun}"
        return f"No run began to copy within {within} steps, with {span}"
    ends = [reached[0], reached[-1]] if len(reached) > 1 else reached
    begun = [f"{turned[level]} {where(level, first=not i)}" for i, level in enumerate(ends)]
    said = f"Copying began {listed(begun)}"
    if never:
        last = {level: max(onset.place for onset in by_level[level]) for level in never[:2]}
        beyond = [f"within {number(step, 7)} steps {where(level)}" for level, step in last.items()]
        said += f", but not {' or '.join(beyond)}"
        said += f" and at {len(never) - 2} more levels" if len(never) > 2 else ""
    return said + (_growth(found) if axis == "n" and len(levels) > 1 else "")


def _when(onsets: Sequence[Onset]) -> str | None:
    """Return when the seeds of one level turned; None where none of them did."""
    steps = [onset.value for onset in onsets if onset.value is not None]
    early = [onset for onset in onsets if onset.before]
    if not steps and not early:
        return None
    missing = len(onsets) - len(steps) - len(early)
    of = f" (in {len(onsets) - missing} of {len(onsets)} seeds)" if missing else ""
    if early:
        return f"before {number(max(onset.place for onset in early))} steps{of}"
    middle = math.exp(sum(math.log(step) for step in steps) / len(steps))
    return f"after {number(middle)} steps{of}"


def _growth(found: Findings) -> str:
    """Return how the onset of copying grows with the training set."""
    law = found.power("memorizing")
    if law is None or law.exponent is None:
        return ": too few runs turned to tell how its onset grows"
    told = exponent(law.exponent)
    power = f"n^{told}"
    low, high = law.exponent.low, law.exponent.high
    if low is None or high is None or low <= 0 <= high:
        return f": whether its onset grows with n cannot be told, at {power}"
    return f": its onset {'grows' if low > 0 else 'falls'} as {power}"


def _generalizing(found: Findings) -> str:
    """Return when the samples came near their best quality."""
    own = found.of("generalizing")
    steps = sorted(onset.value for onset in own if onset.value is not None)
    if steps:
        first, last = number(steps[0], 2), number(steps[-1], 2)
        span = first if first == last else f"{first} to {last}"
        return f"sample quality came near its best after {span} steps"
    if own and not any(onset.before for onset in own):
        return "sample quality was still improving when training ended"
    return ""


def _powers(moved: pl.DataFrame | None, *, many: bool) -> str:
    """Return how the onset goes with all factors at once, where that says more than a list.

    Args:
        moved: as given to :func:`verdict`.
        many: whether there are too many conditions to be told side by side; named levels, which
            have no exponents, are passed over only then.
    """
    if moved is None:
        return ""
    rows = list(moved.filter(clock="steps").iter_rows(named=True))
    told = [row for row in rows if row["exponent"] is not None]
    if not told or (len(told) < len(rows) and not many):
        return ""
    parts: dict[str, list[str]] = {"grows": [], "falls": [], "": []}
    for row in sorted(told[:MOST_POWERS], key=lambda row: row["factor"] != "n"):
        low, high = row["exponent_low"], row["exponent_high"]
        parts["" if low <= 0 <= high else "grows" if low > 0 else "falls"].append(power_of(row))
    said = [f"{verb} as {listed(powers)}" for verb, powers in parts.items() if verb and powers]
    if parts[""]:
        open_ended = f"whether it moves with {listed(parts[''])} cannot be told"
        if not said:
            return open_ended.replace("it moves", "its onset moves")
        return f"its onset {' and '.join(said)}, and {open_ended}"
    return f"its onset {' and '.join(said)}"


def _overall(findings: Sequence[Findings]) -> str:
    """Return how many of many conditions' runs copied, and which of them first."""
    own = [(one, onset) for one in findings for onset in one.of("memorizing")]
    copied = [(one, onset) for one, onset in own if onset.value is not None or onset.before]
    if not own:
        return (
            "When copying begins cannot be told yet: "
            "it takes three measured steps with a copied share and its floor"
        )
    if not copied:
        return f"None of {len(own)} runs began to copy within the steps they were trained for"
    one, first = min(copied, key=lambda pair: pair[1].place)
    word = "before" if first.before else "after"
    level = first.name.removesuffix(f", seed {first.seed}")
    return (
        f"Copying began in {len(copied)} of {len(own)} runs, "
        f"first {word} {number(first.place)} steps with {level}, {one.condition.label}"
    )


def _amiss(runs: pl.DataFrame) -> list[str]:
    """Return how many runs failed or have not finished."""
    said = []
    for status, told in (("failed", "failed"), ("unfinished", "not finished")):
        count = runs.filter(status=status).height
        if count:
            verb = "" if status == "failed" else ("has " if count == 1 else "have ")
            said.append(f"{count} of {runs.height} runs {verb}{told}")
    return said


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
