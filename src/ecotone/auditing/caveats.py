"""What a reader of a verdict has to know beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ecotone.auditing.confounders import Confounder, Sets
from ecotone.auditing.control import Control
from ecotone.auditing.verdict import Outcome, Verdict
from ecotone.core.readings import Reading
from ecotone.core.wording import percent
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

_POOR = 0.5
"""Below this precision not copying is no merit."""

_FEW = 0.3
"""Below this share of the coverage that honest images have, samples are few kinds of image."""

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
            sentence=f"{len(several):,} of {n:,} training images have near duplicates among the "
            f"others. Of near duplicates one counts, which leaves {distinct:,}: a copy stands out "
            "against the nearest distinct image. Duplicated images are copied first; the table of "
            "training images says which they are.",
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
        "JPEG": "stronger edges at the 8×8 blocks of JPEG",
        "resampling": "more fine detail, which resizing and blur take away",
    }[kind]
    # An AUC above a half means that the first set has more of it.
    more, less = (one, other) if auc.value > 0.5 else (other, one)
    consequence = (
        "Then it is no chance which set an image is in, and the verdict may rest on that alone. "
        "Store both alike and audit again."
        if serious
        else "Copies may be missed for it. Where the generator did not make that difference, store "
        "both alike and audit again."
    )
    return Confounder(
        f"{kind} differs",
        serious=serious,
        sentence=f"{more.capitalize()} images have {what} than {less} ones (in "
        f"{percent(max(auc.value, 1 - auc.value))} of pairs). {consequence}",
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
    equal: Sequence[str],
) -> list[str]:
    """Return what limits this verdict, in sentences.

    Args:
        verdict: reached.
        readings: of all measures.
        confounders: found.
        controls: of altered copies.
        halves: whether halves of the training set stood in for a holdout.
        equal: ids of generated images that are training images.
    """
    told = [confounder.sentence for confounder in confounders if confounder.serious]
    if halves:
        told.append(
            "There is no holdout. Halves of the training set stand in for one, which shows copies "
            "of single images, but not a generator that is near to the training set as a whole."
        )
    if verdict.outcome is not Outcome.COPIES:
        told.extend(_equal(equal))
        told.extend(_blind(controls))
    if verdict.outcome in (Outcome.NONE, Outcome.TOO_FEW):
        told.extend(_bad_samples(readings))
    return told


def _equal(ids: Sequence[str]) -> list[str]:
    """Tell generated images that are training images, which no test needs to find."""
    if not ids:
        return []
    equal = "image equals" if len(ids) == 1 else "images equal"
    return [
        f"{len(ids):,} generated {equal} a training image, value for value: {', '.join(ids[:3])}"
        f"{', …' if len(ids) > 3 else ''}."
    ]


def _blind(controls: Sequence[Control]) -> list[str]:
    """Tell what may be done to a copy for it not to be seen."""
    blind = [
        one.transform
        for one in controls
        if one.recognized.value < _WEAK
        and (one.standing_out is None or one.standing_out.value < _WEAK)
    ]
    if not blind:
        return []
    return [
        f"Most copies altered by {', '.join(blind)} would be taken for none (see the positive "
        "control); an encoder (--features) may see them."
    ]


def _bad_samples(readings: Mapping[str, Reading]) -> list[str]:
    """Tell where samples are so far from the population that not copying is no merit."""
    precision, coverage = readings.get("precision"), readings.get("coverage")
    if precision is not None and precision.high is not None and precision.high < _POOR:
        return [
            f"Only {percent(precision.value)} of the generated images lie where real ones do "
            "(precision): a generator of noise copies nothing either."
        ]
    if coverage is not None and coverage.high is not None:
        expected = _expected_coverage(coverage)
        if expected is not None and coverage.high < _FEW * expected:
            return [
                f"The generated images cover {percent(coverage.value)} of the real ones, where as "
                f"many honest ones would cover {percent(expected)}: they are few kinds of image, "
                "over and over."
            ]
    return []


def _expected_coverage(coverage: Reading) -> float | None:
    """Return the coverage of as many images of the population: 1 − Π_i (m − i)/(n + m − i).

    i from 1 to k, with m real images and n generated ones (Naeem et al. 2020, eq. 10).
    """
    m, k = coverage.how.get("reference_images"), coverage.how.get("k")
    if not isinstance(m, int) or not isinstance(k, int):
        return None
    missed = math.prod((m - i) / (coverage.n + m - i) for i in range(1, k + 1))
    return 1 - missed
