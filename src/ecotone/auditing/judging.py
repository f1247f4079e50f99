"""The tests of an audit, against a holdout or against halves of the training set."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from ecotone.auditing.confounders import Sets
from ecotone.auditing.findings import (
    Finding,
    Reach,
    Side,
    against_halves,
    against_holdout,
    reach,
)
from ecotone.auditing.halves import divide
from ecotone.auditing.measuring import Gathered, Told, evidence_of
from ecotone.auditing.space import Space
from ecotone.auditing.units import different_images, group_units
from ecotone.core.errors import DataError
from ecotone.measures.evidence import Evidence
from ecotone.measures.membership import Membership, membership_test

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the tests say.

    Args:
        findings: the tests.
        reach: what the test of copies could have seen; None where it cannot tell copies at all.
        member: of membership; None without a holdout.
    """

    findings: tuple[Finding, ...]
    reach: Reach | None
    member: Membership | None


def judge(
    gathered: Gathered,
    sets: Sets,
    space: Space,
    *,
    share: float,
    level: float,
    seed: int,
    told: Told,
) -> Judgement:
    """Test generated images for copying, with a holdout or with halves of the training set.

    Args:
        gathered: evidence in the space of the audit.
        sets: that it is of.
        space: of the audit.
        share: of copies that is to be seen.
        level: chance of any false finding.
        seed: for permutations and halves.
        told: hears of progress.

    Raises:
        DataError: where there is no holdout and the training set gives no halves.
    """
    evidence = gathered.evidence
    told("different generated images", 0, 1)
    different = different_images(
        evidence.generated, gathered.reference.threshold, search=space.search
    )
    if evidence.holdout is None:
        sides = _halves(evidence, different, sets, space, seed, told)
        findings = against_halves(*sides, level=level)
        reached = reach(sides, asked=share, level=level, tests=max(1, len(findings)))
        return Judgement(findings, reached, None)
    side = Side(evidence.neighbours, different)
    of_training, of_holdout = evidence.to_generated
    assert of_holdout is not None
    assert sets.holdout is not None
    ours, theirs = of_training.distances[:, 0], of_holdout.distances[:, 0]
    findings = against_holdout(
        side,
        training_units=group_units(sets.training.groups),
        holdout_units=group_units(sets.holdout.groups),
        level=level,
        seed=seed,
    )
    reached = reach([side], asked=share, level=level, tests=len(findings))
    return Judgement(findings, reached, membership_test(training=ours, holdout=theirs))


def _halves(
    evidence: Evidence,
    different: Int64[Tensor, " different"],
    sets: Sets,
    space: Space,
    seed: int,
    told: Told,
) -> tuple[Side, Side]:
    """Return generated images against each half of the training set, the other in its place."""
    generated, training = evidence.generated, evidence.training
    halves = divide(training, sets.training.groups, seed)
    if min(map(len, halves)) < 2:
        raise DataError(
            f"{len(training)} training images of {sets.training.name} give no two halves to "
            "compare",
            hint="give a holdout: --holdout PATH",
        )
    first, second = (training[half.to(training.device)] for half in halves)
    sides = []
    for index, (one, other) in enumerate(((first, second), (second, first)), start=1):
        found = evidence_of(
            generated=generated,
            training=one,
            holdout=other,
            space=space,
            seed=seed,
            told=told,
            what=f"half {index} of 2",
        )
        sides.append(Side(found.evidence.neighbours, different))
    return sides[0], sides[1]
