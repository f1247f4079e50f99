"""What a reader of a verdict has to know beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecotone.auditing.confounders import Confounder, Sets
from ecotone.auditing.control import Control
from ecotone.auditing.verdict import Outcome, Verdict
from ecotone.core.readings import Reading
from ecotone.measures.artefacts import blockiness, compare, high_frequency_share
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.subsets import shuffled
from ecotone.populations.sources import Items

__all__ = ["artefacts", "caveats", "duplicates"]

_IMAGES = 2000
"""Of each set that artefacts are looked for in, at most."""

_P_VALUE = 1e-3
_AUC = 0.1
"""Sets differ where the test says so and pairs are told apart by this much more than by chance."""

_WEAK = 0.5
"""Below this share of recognized copies the rule is called blind to what was done to them."""


def duplicates(sets: Sets, neighbours: Neighbours) -> list[Confounder]:
    """Tell near duplicates within the training set."""
    n, distinct = len(neighbours.clusters), len(neighbours.clusters.unique())
    if n == distinct:
        return []
    counts = neighbours.clusters.bincount()[neighbours.clusters]
    several = (counts > 1).nonzero()[:, 0].tolist()
    return [
        Confounder(
            "duplicates in training",
            serious=False,
            sentence=f"{len(several):,} of {n:,} training images are near duplicates of others, "
            f"{distinct:,} are distinct. Of duplicates one counts: a copy stands out against the "
            "nearest distinct image. Duplicated images are copied first; the table of training "
            "images says which they are.",
            count=len(several),
            examples=tuple(sets.training.ids[row] for row in several[:5]),
        )
    ]


def artefacts(sets: Sets, *, seed: int) -> list[Confounder]:
    """Tell where sets differ by how their images were stored or resized.

    Between training set and holdout such a difference breaks the audit, as it tells the two apart
    whatever was generated. Between generated images and the others it hides copies.
    """
    if not sets.training.is_image:
        return []
    found = []
    pairs = [("training", sets.training, "generated", sets.generated, False)]
    if sets.holdout is not None:
        pairs.insert(0, ("training", sets.training, "held-out", sets.holdout, True))
    for one, first, other, second, serious in pairs:
        for kind, measure in (("JPEG", blockiness), ("resampling", high_frequency_share)):
            ours, theirs = (measure(_some(items, seed)) for items in (first, second))
            if not len(ours) or not len(theirs):
                continue
            told = compare(ours, theirs)
            if told.p_value > _P_VALUE or abs(told.auc.value - 0.5) < _AUC:
                continue
            found.append(_told_apart(kind, one, other, told.auc, len(second.ids), serious))
    return found


def _told_apart(
    kind: str, one: str, other: str, auc: Reading, count: int, serious: bool
) -> Confounder:
    what = {
        "JPEG": "edges of the 8×8 blocks of JPEG",
        "resampling": "fine detail, which resizing and blur take away",
    }[kind]
    # An AUC above a half means that the first set has more of it.
    more, less = (one, other) if auc.value > 0.5 else (other, one)
    consequence = (
        "Their labels are then no chance: the verdict may be that difference. Store both alike and "
        "audit again."
        if serious
        else "Copies may be missed for it: shares are what is left to see. Where the generator did "
        "not make that difference, store both alike and audit again."
    )
    return Confounder(
        f"{kind} differs",
        serious=serious,
        sentence=f"{more.capitalize()} images have more {what} than {less} ones (in "
        f"{100 * max(auc.value, 1 - auc.value):.0f} % of pairs). {consequence}",
        count=count,
    )


def _some(items: Items, seed: int):
    order = shuffled(items.items, seed, "artefacts")[:_IMAGES]
    return items.items[order]


def caveats(
    verdict: Verdict,
    readings: Mapping[str, Reading],
    confounders: Sequence[Confounder],
    controls: Sequence[Control],
    *,
    halves: bool,
) -> list[str]:
    """Return what limits this verdict, in sentences."""
    told = [confounder.sentence for confounder in confounders if confounder.serious]
    if halves:
        told.append(
            "There is no holdout. Halves of the training set stand in for one, which shows copies "
            "of single images, but not a generator that is near to the training set as a whole."
        )
    blind = [c.transform for c in controls if c.recognized.value < _WEAK]
    if blind and verdict.outcome in (Outcome.NONE, Outcome.TOO_FEW):
        told.append(
            f"The rule is blind to most copies that are altered by: {', '.join(blind)} (see the "
            "positive control). Other features may see them."
        )
    if verdict.outcome in (Outcome.NONE, Outcome.TOO_FEW):
        told.extend(_bad_samples(readings))
    return told


def _bad_samples(readings: Mapping[str, Reading]) -> list[str]:
    """Tell where samples are so far from the population that not copying is no merit."""
    precision, coverage = readings.get("precision"), readings.get("coverage")
    if precision is not None and precision.high is not None and precision.high < 0.5:
        return [
            f"Only {100 * precision.value:.0f} % of the generated images lie where real ones do "
            "(precision): a generator of noise copies nothing either."
        ]
    if coverage is not None and coverage.high is not None and coverage.high < 0.3:
        return [
            f"The generated images cover {100 * coverage.value:.0f} % of the real ones: they are "
            "few kinds of image, over and over."
        ]
    return []
