"""What an audit's numbers say, in sentences that are had from its record."""

from __future__ import annotations

from collections.abc import Sequence

from ecotone.auditing.record import AuditRecord, DisagreementRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_measures import DISTRIBUTIONS, said
from ecotone.report.audit_pairs import RawPairs
from ecotone.report.text import capital, clean, listed, number, percent, plain

__all__ = [
    "altered",
    "control_told",
    "count",
    "disagreement_told",
    "distances_told",
    "leaks_told",
    "level_told",
    "opening",
    "pairs_told",
    "space",
]

TRANSFORMS = {
    "exact": "no change",
    "jpeg": "JPEG",
    "noise": "noise",
    "tone": "another tone",
    "shift": "a shift",
    "crop": "a crop",
    "flip": "a flip",
    "blend": "a blend with others",
}
"""What was done to copies, by the names of :data:`ecotone.populations.planted.TRANSFORMS`."""

_SEEN, _BLIND = 0.9, 0.5
"""Shares of altered copies from which on nearly all, and some, are said to be recognized."""

_MORE = 0.1
"""Difference of two such shares that is told."""

_ALIKE, _APART = 0.8, 0.5
"""Rank correlations from which scores are called alike, and up to which they are not."""


def count(number_of: int, noun: str) -> str:
    """Return so many of something: ``"1 image"`` of ``images``.

    >>> count(1, "images"), count(1200, "copies")
    ('1 image', '1,200 copies')
    """
    one = {"copies": "copy"}.get(noun, noun[:-1])
    return f"{number_of:,} {one if number_of == 1 else noun}"


def space(folder: AuditFolder) -> str:
    """Return what distances are measured between."""
    what = clean(folder.record.features.get("distances", "pixels"))
    if what != "pixels":
        return f"features ({what})"
    return "pixels" if folder.noun == "images" else "the numbers as they are"


def opening(folder: AuditFolder) -> str:
    """Return what was compared with what, without the names of the sets."""
    record = folder.record
    held = record.sets.get("holdout")
    told = [
        f"{count(record.sets['training'].items, folder.noun)} that the generator was trained on"
    ]
    if held is not None:
        told.append(f"{held.items:,} that it was not")
    else:
        told.append("there is no holdout: halves of the training set stand in for one")
    sizes = f"{count(record.sets['generated'].items, 'samples')} against {'; '.join(told)}"
    return f"{sizes}. Distances are those of {space(folder)}."


def pairs_told(pairs: RawPairs, shown: int) -> str:
    """Return how to read the pairs, and how many of them are copies."""
    what = (
        "Generated images most like copies, one for each training image that is their nearest; "
        "the most suspicious first. The ratio is the distance to the nearest training image over "
        "that to the second nearest distinct one: below 1/3 it counts as a copy."
    )
    if "nearest_holdout" in pairs.ids:
        what += " The nearest held-out image shows how near one comes that was not trained on."
    copies = f"{count(pairs.copies, 'copies')} among {pairs.size} pairs"
    if not pairs.copies:
        copies = f"None of {pairs.size} pairs is a copy by this rule"
    left = f" ({shown} are shown; their images are large)" if shown < pairs.size else ""
    return f"{what} {copies}{left}."


def level_told(record: AuditRecord) -> str:
    """Return how the level is shared among the tests."""
    tests = len(record.findings)
    if not tests:
        return "No test could be made."
    shared = f", so each of these {tests} is held to {number(record.level / tests)}"
    return (
        "Were the generator honest, the chance that any test is significant would be "
        f"{percent(record.level)} at most{shared if tests > 1 else ''}."
    )


def leaks_told(folder: AuditFolder) -> str:
    """Return how many different training images leaked, and how many more would."""
    leaks, noun = folder.record.leaks, folder.noun
    if leaks is None:
        return (
            f"All training {noun} are near duplicates of one another, so that no copy can stand "
            "out, and none can be told to leak."
        )
    if not leaks.copies:
        return (
            f"No generated {noun[:-1]} is a copy by the gap ratio: no training {noun[:-1]} is seen "
            "to leak. The table has those that generated ones come nearest to."
        )
    samples = folder.record.sets["generated"].items
    told = (
        f"{count(leaks.copies, 'copies')} among {samples:,} samples are of "
        f"{leaks.unique:,} different training {noun if leaks.unique != 1 else noun[:-1]} (near "
        "duplicates count once)."
    )
    last = leaks.samples[-1] if leaks.samples else samples
    if last > samples:
        told += (
            f" Among {last:,} samples {_about(leaks.expected[-1], leaks.low[-1], leaks.high[-1])} "
            "would be expected"
        )
        told += (
            f"; in the end at least {_about(leaks.total, leaks.total_low, leaks.total_high)} "
            "(Chao’s estimate, a lower bound)."
        )
    return told


def _about(value: float, low: float, high: float) -> str:
    if round(low) == round(high):
        return number(round(value), 3)
    return f"{number(round(value), 3)} ({number(round(low), 3)} to {number(round(high), 3)})"


def control_told(record: AuditRecord) -> str:
    """Return which alterations the audit's rule sees through, and which not."""
    if not record.controls:
        return "No control could be made, as no copy can stand out."
    parts: dict[str, list[str]] = {"nearly all": [], "some": [], "few": []}
    still = []
    for one in record.controls:
        name, value = altered(one.transform), one.recognized.value
        share = "nearly all" if value >= _SEEN else "some" if value >= _BLIND else "few"
        parts[share].append(f"{name} ({percent(value)})")
        out = one.standing_out
        if value < _SEEN and out is not None and out.value >= max(_BLIND, value + _MORE):
            still.append(f"{name} ({percent(out.value)})")
    told = [f"{share} copies with {listed(names)}" for share, names in parts.items() if names]
    whole = f"The gap ratio recognizes {listed(told)}."
    if not still:
        return whole
    return f"{whole} What stands out beyond 99 % of held-out images sees more with {listed(still)}."


def altered(transform: str) -> str:
    """Return what was done to copies, as a sentence has it after “with”.

    >>> altered("flip"), altered("new_way")
    ('a flip', 'new way')
    """
    return TRANSFORMS.get(transform, clean(plain(transform)))


def distances_told(record: AuditRecord) -> str:
    """Return where the generated distribution is nearer to the training set than to the holdout."""
    knows, alike = [], []
    for one in DISTRIBUTIONS:
        ours = record.readings.get(one.training or "")
        theirs = record.readings.get(one.matched or "")
        if ours is None or theirs is None:
            continue
        near_to, far_to = said(ours, ours.value), said(theirs, theirs.value)
        numbers = f" ({near_to} to training, {far_to} to held-out data)"
        near, far = (ours, theirs) if ours.higher_is == "worse" else (theirs, ours)
        apart = near.high is not None and far.low is not None and near.high < far.low
        if apart:
            knows.append(f"the {one.title}{numbers}")
        else:
            alike.append(f"the {one.title}")
    if not knows and not alike:
        return ""
    if knows:
        return f"Here generated samples are nearer to the training set by {listed(knows)}."
    return f"Here no difference can be told from chance, by {listed(alike)}."


def disagreement_told(record: AuditRecord) -> tuple[str, ...]:
    """Return which measures say copying and which do not, and which scores rank images alike."""
    return tuple(told for told in (_detectors(record), _scores(record)) if told)


def _detectors(record: AuditRecord) -> str:
    asked = [one for one in record.detectors if one.says_copying is not None]
    yes, no = (_named([d for d in asked if d.says_copying is way]) for way in (True, False))
    level = percent(record.level)
    if not asked and record.basis == "halves":
        return "Detectors compare with held-out images: without a holdout none can be asked."
    if not asked:
        return "No detector has a test of its own here."
    if not yes or not no:
        all_of = "all" if yes else "none of"
        return f"Detectors agree: each held to {level}, {all_of} {len(asked)} say copying."
    says, rest = "says" if len(yes) == 1 else "say", "does" if len(no) == 1 else "do"
    told = (
        f"Detectors disagree: each held to {level}, {listed(yes)} {says} copying; {listed(no)} "
        f"{rest} not."
    )
    if record.outcome in ("none", "too_few"):
        told += (
            f" Some of {len(asked)} do so by chance often enough: the verdict rests on the tests "
            "above, at their stricter level."
        )
    return told


def _named(detectors: Sequence[DisagreementRecord]) -> list[str]:
    return [plain(one.name) for one in detectors]


def _scores(record: AuditRecord) -> str:
    names = list(record.agreement)
    pairs = [
        (record.agreement[one][other], plain(one), plain(other))
        for index, one in enumerate(names)
        for other in names[index + 1 :]
        if other in record.agreement[one]
    ]
    if not pairs:
        return ""
    low, high = min(pairs), max(pairs)
    if low[0] >= _ALIKE:
        return (
            f"Scores of single images rank them alike: the least rank correlation is "
            f"{number(low[0], 2)}, of {low[1]} and {low[2]}."
        )
    how = "are hardly of one mind" if low[0] <= _APART else "differ somewhat"
    told = (
        f"On which images look most like copies, {low[1]} and {low[2]} {how} (rank correlation "
        f"{number(low[0], 2)})"
    )
    if len(pairs) > 1:
        told += f"; {high[1]} and {high[2]} agree most ({number(high[0], 2)})"
    return f"{capital(told)}."
