from __future__ import annotations

import pytest

from ecotone.auditing.findings import Finding, Reach
from ecotone.auditing.planning import Needed
from ecotone.auditing.verdict import Outcome, Verdict, decide
from ecotone.core.readings import Reading

SHARE = Reading(0.2, n=100, unit="share", higher_is="more copying", low=0.13, high=0.29)


def finding(kind: str, p_value: float) -> Finding:
    return Finding("test", kind, "Is it?", p_value, 0.0125, "seen")  # type: ignore[arg-type]


def decided(*findings: Finding, reach: Reach | None, halves: bool = False) -> Verdict:
    return decide(
        findings,
        copied=SHARE,
        reach=reach,
        asked=0.05,
        halves=halves,
        outside=300,
    )


SEEN = Reach(0.03, None)


def test_copies_come_before_all_else() -> None:
    verdict = decided(finding("copies", 1e-9), finding("overfitting", 1e-20), reach=None)
    assert verdict.outcome is Outcome.COPIES
    assert verdict.sentence == (
        "Copies found: 20 % (13 % to 29 %) of the generated images are copies (p = 1e-09)."
    )


def test_overfitting_is_said_where_only_that_is_significant() -> None:
    verdict = decided(
        finding("copies", 0.3), finding("overfitting", 0.001), reach=Reach(None, None)
    )
    assert verdict.outcome is Outcome.OVERFITS
    assert "without verbatim copies in evidence: seen (p = 0.001)" in verdict.sentence


@pytest.mark.parametrize("p_value", [0.0126, 0.5, 1.0])
def test_nothing_significant_is_no_evidence_where_enough_was_seen(p_value: float) -> None:
    verdict = decided(finding("copies", p_value), finding("overfitting", p_value), reach=SEEN)
    assert verdict.outcome is Outcome.NONE
    assert "above 3 % would have been seen" in verdict.sentence


@pytest.mark.parametrize(
    ("reach", "told"),
    [
        (Reach(0.2, Needed(120, 300)), "give at least 120 generated images to see 5 %"),
        (Reach(None, Needed(400, 400)), "400 generated images and 400 held-out ones to see 5 %"),
        (Reach(None, None), "give a larger holdout"),
        (None, "near duplicates of one another"),
    ],
)
def test_too_few_says_how_many_are_enough(reach: Reach | None, told: str) -> None:
    verdict = decided(finding("copies", 0.5), reach=reach)
    assert verdict.outcome is Outcome.TOO_FEW
    assert told in verdict.sentence


@pytest.mark.parametrize("p_value", [1e-9, 0.5])
@pytest.mark.parametrize("reach", [SEEN, Reach(None, Needed(500, 100))])
def test_halves_are_stated_as_weaker(p_value: float, reach: Reach) -> None:
    told = decided(finding("copies", p_value), reach=reach, halves=True).sentence
    assert "weaker than a holdout" in told or "or give a holdout, which says more" in told


def test_exit_codes_are_those_documented() -> None:
    codes = {outcome.value: outcome.exit_code for outcome in Outcome}
    assert codes == {"none": 0, "copies": 1, "too_few": 3, "overfits": 4}
