"""The tests that a verdict rests on, each with its level, and what they could have seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from ecotone.auditing.planning import Needed, detectable_share, images_needed
from ecotone.core.alarm import copying_p_value
from ecotone.core.wording import percent
from ecotone.measures.closest_record import closest_record_test, standing_out
from ecotone.measures.neighbours import GAP_RATIO, Neighbours
from ecotone.measures.scores import gap_ratios

__all__ = ["Finding", "Reach", "Side", "against_halves", "against_holdout", "reach"]

Kind = Literal["copies", "overfitting"]


@dataclass(frozen=True)
class Finding:
    """One test of the audit.

    Args:
        name: of the test.
        kind: what it shows where it is significant.
        question: that it answers, in a sentence.
        p_value: chance of what was seen, or more, if the generator were honest.
        level: it is significant at or below; the audit's level shared among its tests (Bonferroni).
        seen: what was counted, in words.
    """

    name: str
    kind: Kind
    question: str
    p_value: float
    level: float
    seen: str

    @property
    def significant(self) -> bool:
        """Whether it shows what it is for."""
        return self.p_value <= self.level


class Ratios(NamedTuple):
    """Gap ratios."""

    generated: Float64[Tensor, " different"]
    outside: Float64[Tensor, " m"]


class Counts(NamedTuple):
    """Images that a rule calls copies."""

    copied: int
    """Different generated ones."""
    n: int
    """Different generated images."""
    floor: int
    """Images outside the training set."""
    m: int
    """Images outside."""


@dataclass(frozen=True, eq=False)
class Side:
    """Generated images held against a training set (or half of one) and against images outside it.

    Args:
        neighbours: of the generated images, with those outside in the holdout's place.
        different: one generated image of each cluster of near duplicates. A generator that makes
            the same image again and again gives no new evidence each time.
    """

    neighbours: Neighbours
    different: Int64[Tensor, " different"]

    @classmethod
    def of(cls, neighbours: Neighbours) -> Side:
        """Return a side where all generated images are taken for different ones."""
        return cls(neighbours, torch.arange(len(neighbours.generated.index)))

    @property
    def ratios(self) -> Ratios | None:
        """Gap ratios of different generated images, and of those outside.

        None where all training images are near duplicates of one another.
        """
        generated = gap_ratios(self.neighbours.generated)
        outside = None if self.neighbours.holdout is None else gap_ratios(self.neighbours.holdout)
        if generated is None or outside is None:
            return None
        return Ratios(generated[self.different], outside)

    @property
    def copies(self) -> Counts | None:
        """Copies by the gap ratio; None where all training images are near duplicates."""
        ratios = self.ratios
        if ratios is None:
            return None
        generated, outside = ratios.generated < GAP_RATIO, ratios.outside < GAP_RATIO
        return Counts(int(generated.sum()), len(generated), int(outside.sum()), len(outside))


def against_holdout(
    side: Side,
    *,
    training_units: Int64[Tensor, " n"] | None,
    holdout_units: Int64[Tensor, " m"] | None,
    level: float,
    seed: int,
) -> tuple[Finding, ...]:
    """Return the tests of generated images against a training set and a holdout.

    Args:
        side: the neighbours of the generated images.
        training_units: a number for each training image, those of one group sharing theirs; None
            without groups.
        holdout_units: the same of held-out images.
        level: chance of any false finding, shared among the tests.
        seed: for permutations.
    """
    tests = _copies(side, "held-out ones")
    for name, weights, question, which in (
        (
            "standing_out",
            standing_out(side.neighbours),
            "Where one real image stands out as the nearest, is it more often one that was trained "
            "on than chance has it?",
            "of generated images whose nearest real image stands out, by how much it does,",
        ),
        (
            "closest_record",
            None,
            "Is the nearest real image more often one that was trained on than chance has it?",
            "of all generated images",
        ),
    ):
        record = closest_record_test(
            side.neighbours,
            training_units=training_units,
            holdout_units=holdout_units,
            weights=weights,
            seed=seed,
        )
        if record is not None:
            seen = f"{percent(record.share)} {which} have a training image for their nearest; "
            seen += f"labels dealt by chance would give {percent(record.expected)}"
            tests.append((name, "overfitting", question, record.p_value, seen))
    return _at(tests, level)


def against_halves(first: Side, second: Side, *, level: float) -> tuple[Finding, ...]:
    """Return the test that needs no holdout: each half of the training set stands in for one.

    An image of one half is to the other half what a held-out image would be. Copies of it are
    found against its own half. The test is made twice, and counts twice the smaller p-value.
    That the generator knows both halves makes this weaker: nothing here can tell a generator that
    is near to the training set as a whole from one that is near to the population.

    Args:
        first: generated images against one half, the other in the holdout's place.
        second: the halves exchanged.
        level: chance of any false finding, shared among the tests.
    """
    pairs = zip(
        *(_copies(side, "images of the other half") for side in (first, second)), strict=True
    )
    tests = []
    for pair in pairs:
        name, kind, question, p_value, seen = min(pair, key=lambda test: test[3])
        both = min(1.0, 2 * p_value)
        tests.append((name, kind, question, both, f"{seen}, in the half that shows more"))
    return _at(tests, level)


@dataclass(frozen=True)
class Reach:
    """What the test of copies could have seen.

    Args:
        share: the smallest share of copies seen with a chance of 95 %; None where none would be.
        needed: images for the share that is to be seen, where ``share`` is None or above it; None
            where no number would do.
    """

    share: float | None
    needed: Needed | None


def reach(sides: Sequence[Side], *, asked: float, level: float, tests: int) -> Reach | None:
    """Return what share of verbatim copies the audit could have seen.

    With two sides (halves) each holds half of the copied images and is tested at half the level.

    Args:
        sides: one, or the two halves.
        asked: share that is to be seen.
        level: chance of any false finding.
        tests: that it is shared among.

    Returns:
        The reach; None where there is no telling copies, all training images being duplicates.
    """
    of_one = level / tests / len(sides)
    shares, needed = [], []
    for side in sides:
        counts = side.copies
        if counts is None:
            return None
        _, n, floor, m = counts
        seen = detectable_share(n, floor, m, of_one)
        shares.append(None if seen is None else min(1.0, seen * len(sides)))
        if seen is None or seen * len(sides) > asked:
            needed.append(
                images_needed(asked / len(sides), n=n, floor_copied=floor, m=m, level=of_one)
            )
    worst = None if None in shares else max(share for share in shares if share is not None)
    enough = [need for need in needed if need is not None]
    if len(enough) < len(needed) or not needed:
        return Reach(worst, None)
    return Reach(
        worst,
        Needed(max(e.generated for e in enough), max(e.holdout for e in enough)),
    )


_Raw = tuple[str, Kind, str, float, str]


def _copies(side: Side, others: str) -> list[_Raw]:
    counts = side.copies
    if counts is None:
        return []
    return [
        (
            "gap_ratio",
            "copies",
            "Are more generated images than others three times nearer to one training image than "
            "to any other distinct one?",
            copying_p_value(*counts),
            f"{counts.copied:,} of {counts.n:,} different generated images are, and "
            f"{counts.floor:,} of {counts.m:,} {others}",
        )
    ]


def _at(tests: Sequence[_Raw], level: float) -> tuple[Finding, ...]:
    return tuple(
        Finding(name, kind, question, p_value, level / len(tests), seen)
        for name, kind, question, p_value, seen in tests
    )
