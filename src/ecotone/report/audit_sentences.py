"""What an audit's numbers say, in sentences that are had from its record."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ecotone.auditing.record import AuditRecord, DisagreementRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_measures import DISTRIBUTIONS, said
from ecotone.report.audit_pairs import RawPairs
from ecotone.report.text import capital, clean, listed, number, percent, plain

__all__ = [
    "count",
    "disagreement_told",
    "distances_told",
    "level_told",
    "opening",
    "pairs_told",
    "ranked",
    "space",
    "typeset",
]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_RANKED = 30
"""Images from which on rank correlations are told."""

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
        return f"features ({'a function in Python' if what == 'callable' else what})"
    return "pixels" if folder.noun == "images" else "the numbers as they are"


def opening(folder: AuditFolder) -> str:
    """Return what was compared with what, without the names of the sets."""
    record, noun = folder.record, folder.noun
    told = (
        f"{count(record.sets['generated'].items, f'generated {noun}')} against "
        f"{record.sets['training'].items:,} that the generator was trained on"
    )
    held = record.sets.get("holdout")
    if held is None:
        told += "; there is no holdout: halves of the training set stand in for one."
    else:
        told += f" and {held.items:,} held-out ones, of the same kind and never trained on."
    told += f" Distances are those of {space(folder)}"
    if record.features.get("mirrored") is True:
        told += "; an image and its mirror image count as the same"
    recall = record.readings.get("search_recall")
    if recall is None:
        return f"{told}."
    # Not rounded to all of them.
    found = f"{number(100 * recall.value)} %"
    return f"{told}. The nearest {noun} were looked for by an index, which finds {found} of them."


_POWER = re.compile(r"\bp ([=<]) ([\d.]+)e([-+]?\d+)")


def typeset(sentence: str) -> str:
    """Return a sentence of the audit with its numbers as the page writes them.

    >>> typeset("Copies (p = 7.2e-74).").replace("\N{NO-BREAK SPACE}", " ")
    'Copies (p = 7.2·10⁻⁷⁴).'
    """

    def raised(found: re.Match[str]) -> str:
        exponent = str(int(found[3])).translate(_SUPERSCRIPTS)
        lead = "" if found[2] == "1" else f"{found[2]}·"
        return f"p {found[1]} {lead}10{exponent}"

    whole = _POWER.sub(raised, clean(sentence))
    return re.sub(r" (?=%)|(?<=\bp) (?=[=<])|(?<=[=<]) (?=\d)", "\N{NO-BREAK SPACE}", whole)


def pairs_told(folder: AuditFolder, pairs: RawPairs, shown: int) -> str:
    """Return how to read the pairs, and how many of them are copies."""
    told = (
        "Generated images most like copies, one for each training image that is their nearest, the "
        "most suspicious first: each beside that training image and the second nearest one, of "
        "those that are no near duplicates of the nearest. "
    )
    if "nearest_holdout" in pairs.ids:
        told += "The nearest held-out image shows how near one comes that was not trained on. "
    told += (
        "Beneath them stand their distances to the generated image; the gap ratio is the first "
        "over the second, and below 1/3 the generated image counts as a copy. "
    )
    if not pairs.copies:
        told += f"None of these {pairs.size} does" if pairs.size > 1 else "This one does not"
    elif pairs.copies == pairs.size:
        told += f"All of these {pairs.size} do" if pairs.size > 1 else "This one does"
    else:
        told += f"{pairs.copies:,} of these {pairs.size} {'does' if pairs.copies == 1 else 'do'}"
    leaks = folder.record.leaks
    if leaks is not None and leaks.copies > pairs.copies:
        told += f", of {leaks.copies:,} copies in all"
    left = f" ({shown} are shown, as their pictures are large)" if shown < pairs.size else ""
    return f"{told}{left}."


def level_told(record: AuditRecord) -> str:
    """Return how the level is shared among the tests."""
    tests = len(record.findings)
    if not tests:
        return "No test could be made."
    chance = percent(record.level)
    honest = "If the generator knew no more of its training data than of others of their kind, "
    if tests == 1:
        told = f"{honest}the chance of a significant p-value would be {chance} at most."
    else:
        told = (
            f"{honest}the chance that any of these {tests} tests is significant would be {chance} "
            f"at most: each is held to {number(record.level / tests)}."
        )
    if record.basis == "halves":
        told += (
            " Each was made twice, with either half of the training set in the holdout’s place, "
            "and has twice the smaller p-value."
        )
    return told


def distances_told(folder: AuditFolder) -> str:
    """Return where the generated distribution is nearer to the training set than to the holdout."""
    record = folder.record
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
        return f"Here generated {folder.noun} are nearer to the training set by {listed(knows)}."
    return f"Here no difference can be told from chance, by {listed(alike)}."


def ranked(record: AuditRecord) -> bool:
    """Tell whether generated images are enough for the ranks of their scores to say anything."""
    return record.sets["generated"].items >= _RANKED


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
        all_of = f"all {len(asked)} say" if yes else f"none of {len(asked)} says"
        if len(asked) == 1:
            return f"One detector was asked: held to {level} it says {'' if yes else 'no '}copying."
        return f"Detectors agree: each held to {level}, {all_of} copying."
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
    names = list(record.agreement) if ranked(record) else []
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
