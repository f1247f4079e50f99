"""One sentence: what the tests say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ecotone.auditing.findings import Finding, Reach
from ecotone.core.readings import Reading
from ecotone.core.wording import percent

__all__ = ["Outcome", "Verdict", "decide"]


class Outcome(Enum):
    """What an audit ends with, and the exit code that says so."""

    NONE = "none"
    COPIES = "copies"
    OVERFITS = "overfits"
    TOO_FEW = "too_few"

    @property
    def exit_code(self) -> int:
        """Of the command line: 0 no evidence, 1 copies, 3 too few to tell, 4 overfits."""
        return {"none": 0, "copies": 1, "too_few": 3, "overfits": 4}[self.value]


@dataclass(frozen=True)
class Verdict:
    """The outcome and its sentence."""

    outcome: Outcome
    sentence: str


def decide(
    findings: Sequence[Finding],
    *,
    copied: Reading | None,
    reach: Reach | None,
    asked: float,
    halves: bool,
    outside: int,
) -> Verdict:
    """Return what the tests say together.

    Copies are found where the test of copies is significant; the generator overfits where another
    one is. Where none is, either a share of ``asked`` would have been seen, or the images are too
    few to tell.

    Args:
        findings: the tests.
        copied: share of generated images that are copies by the gap ratio; None where none can
            stand out.
        reach: what the test of copies could have seen.
        asked: share of copies that is to be seen.
        halves: whether halves of the training set stood in for a holdout.
        outside: held-out images there are, or training images in a half.
    """
    weaker = ", by the training set alone, which is weaker than a holdout" if halves else ""
    for kind, outcome in (("copies", Outcome.COPIES), ("overfitting", Outcome.OVERFITS)):
        shown = [f for f in findings if f.kind == kind and f.significant]
        if not shown:
            continue
        strongest = min(shown, key=lambda finding: finding.p_value)
        if outcome is Outcome.COPIES:
            assert copied is not None
            told = f"Copies found: {_share(copied)} of the generated images are copies"
        elif reach is None:
            told = (
                "The generator is near to its training set beyond chance; whether by copies cannot "
                "be told, as all training images are near duplicates"
            )
        else:
            told = f"The generator overfits, without verbatim copies in evidence: {strongest.seen}"
        return Verdict(outcome, f"{told} ({_p(strongest.p_value)}{weaker}).")
    if reach is None:
        return Verdict(
            Outcome.TOO_FEW,
            "Too few to tell: all training images are near duplicates of one another, so that no "
            "copy stands out; give other training images.",
        )
    if reach.share is not None and reach.share <= asked:
        return Verdict(
            Outcome.NONE,
            "No evidence of copying: a share of verbatim copies above "
            f"{percent(reach.share, up=True)} would have been seen{weaker}.",
        )
    return Verdict(Outcome.TOO_FEW, f"Too few to tell: {_needed(reach, asked, outside, halves)}.")


def _needed(reach: Reach, asked: float, outside: int, halves: bool) -> str:
    seen = (
        "no share of copies would be found for certain"
        if reach.share is None
        else f"only a share of copies above {percent(reach.share, up=True)} would be found with a "
        "chance of 95 %"
    )
    holdout = "; or give a holdout, which says more" if halves else ""
    if reach.needed is None:
        return f"{seen}, and more generated images would not change that; give a larger holdout"
    give = f"give at least {reach.needed.generated:,} generated images"
    if reach.needed.holdout > outside:
        size = reach.needed.holdout
        give += f" and {2 * size:,} training images" if halves else f" and {size:,} held-out ones"
    return f"{seen}; {give} to see {percent(asked)}{holdout}"


def _share(reading: Reading) -> str:
    assert reading.low is not None
    assert reading.high is not None
    return f"{percent(reading.value)} ({percent(reading.low)} to {percent(reading.high)})"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 1e-300 else "p < 1e-300"
