"""What a verdict means, for readers who have not met these measures before."""

from __future__ import annotations

from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_ratios import below_copies, numbers
from ecotone.report.audit_sentences import count
from ecotone.report.text import listed, percent

__all__ = ["looked_for", "meaning", "terms"]


def meaning(folder: AuditFolder) -> tuple[str, ...]:
    """Return what the verdict says and what it does not, in paragraphs of plain words."""
    told = {
        "copies": _copies,
        "overfits": _overfits,
        "none": _none,
        "too_few": _too_few,
    }[folder.record.outcome](folder)
    return tuple(one for one in (told, _all_the_same(folder)) if one)


def _copies(folder: AuditFolder) -> str:
    noun = folder.noun
    told = (
        f"A generated {noun[:-1]} counts as a copy where it is less than a third as far from one "
        f"training {noun[:-1]} as from any other that is not nearly the same. "
    )
    told += (
        f"Held-out {noun}, which the generator never saw, say how often that happens by chance. "
        if folder.record.basis == "holdout"
        else "Without a holdout, either half of the training set, held against the other, says how "
        "often that happens by chance. "
    )
    if same := _same(folder):
        told += f"{_equal(folder, same)}, value for value. "
    return (
        f"{told}The clearest are shown below, beside what they are nearest to; training.csv ranks "
        f"all training {noun} by risk."
    )


def _overfits(folder: AuditFolder) -> str:
    noun = folder.noun
    if folder.record.leaks is None:
        return (
            f"Generated {noun} are more like the training {noun} than chance would make them. "
            f"Whether they are copies cannot be told, as all training {noun} are near duplicates "
            "of one another, and none can stand out."
        )
    return (
        f"Generated {noun} are more like the training {noun} than chance would make them, but no "
        "more of them than chance would make are copies by the rule of this audit. They may be "
        "copies that were altered, or the generator may only be drawn towards what it was trained "
        "on: look at those that stand first below, and at which altered copies the control "
        "recognizes."
    )


def _none(folder: AuditFolder) -> str:
    return (
        f"None of the tests found generated {folder.noun} to be more like the training "
        f"{folder.noun} than chance would make them. That is no proof that none is a copy."
        f"{_missed(folder)}, and so may copies altered in ways that the control below does not "
        "recognize."
    )


def _too_few(folder: AuditFolder) -> str:
    record, noun = folder.record, folder.noun
    if record.leaks is None:
        return ""
    told = f"None of the tests found anything, but from so few {noun} that says little."
    told += f"{_missed(folder)}."
    if record.basis == "halves":
        told += (
            f" A holdout helps most: {noun} of the same kind, set aside by chance before training. "
            f"Against one, the same {noun} tell more."
        )
    return told


def _missed(folder: AuditFolder) -> str:
    """Return what copies may have been missed, without a full stop."""
    seen = folder.record.seen_share
    if seen is None:
        return f" Even if all generated {folder.noun} were copies, that may have been missed"
    share = f"fewer than {percent(seen)} of what the generator makes"
    return f" Copies that are {share} may have been missed"


def _all_the_same(folder: AuditFolder) -> str:
    """Return what there are of copies where the verdict is not one of copies."""
    record, noun = folder.record, folder.noun
    if record.outcome == "copies":
        return ""
    if same := _same(folder):
        return (
            f"Yet {_equal(folder, same)}, value for value. It takes no test to see that; look at "
            "those that stand first below."
        )
    copied, n = below_copies(folder.generated)
    if not copied:
        return ""
    others, m = below_copies(folder.holdout)
    held = f", and {others:,} of {m:,} held-out ones" if m else ""
    are = "is a copy" if copied == 1 else "are copies"
    return (
        f"{copied:,} of {n:,} generated {noun} {are} by the gap ratio{held}; that many may be "
        "chance. They are the first of those below."
    )


def _mirrored(folder: AuditFolder) -> bool:
    """Tell whether an image and its mirror image count as the same."""
    return folder.record.features.get("mirrored") is True


def _same(folder: AuditFolder) -> int:
    """Return how many generated images equal a training image; 0 where numbers may by chance."""
    if not folder.is_image or folder.record.features.get("distances", "pixels") != "pixels":
        return 0
    return int((numbers(folder.generated, "distance") == 0).sum())


def _equal(folder: AuditFolder, same: int) -> str:
    """Return that so many generated images equal a training image."""
    mirrored = " or its mirror image" if _mirrored(folder) else ""
    equal = f"equals a training image{mirrored}"
    if same > 1:
        equal = f"equal a training image{mirrored} each"
    return f"{count(same, f'generated {folder.noun}')} {equal}"


def looked_for(folder: AuditFolder) -> str:
    """Return what confounders an audit of such sets looks for."""
    record, noun = folder.record, folder.noun
    sought = [f"near duplicates among the training {noun}"]
    if folder.is_image:
        sought = ["constant images", *sought, "mixed sizes"]
    if "holdout" in record.sets:
        sought.append(f"{noun} that are in two of the sets")
        if "group" in folder.training.columns:
            sought.append("groups that are in both training set and holdout")
    if folder.is_image:
        sought.append("traces of compression and of resizing that tell the sets apart")
    return f"Looked for were {listed(sought)}."


def terms(folder: AuditFolder) -> tuple[tuple[str, str], ...]:
    """Return the words that the rest of the page takes as known, and what they mean."""
    noun, one = folder.noun, folder.noun[:-1]
    record = folder.record
    plain = record.features.get("distances", "pixels") == "pixels"
    mirrored = ", mirrored or not, whichever is less" if _mirrored(folder) else ""
    holdout = (
        "Held-out, holdout",
        f"The {noun} that were given as never trained on. They show what is usual: what is as "
        "frequent among them cannot be put down to copying.",
    )
    return (
        *((holdout,) if "holdout" in record.sets else ()),
        (
            "Distance",
            f"How far two {noun} are apart (Euclidean): the root of the sum of the squared "
            f"differences of {'all their values' if plain else 'their features'}{mirrored}.",
        ),
        (
            "Near duplicates",
            f"Training {noun} as near to each other as a copy would have to be: they count as one.",
        ),
        (
            "Gap ratio",
            f"Distance to the nearest training {one}, over that to the nearest one that is no near "
            "duplicate of it: 0 for an exact copy, near 1 where none stands out.",
        ),
        (
            "p-value",
            "How likely so much, or more, would be by chance alone, if the generator knew nothing "
            f"of its training {noun} that it does not know of others of their kind.",
        ),
        (
            "95 % interval",
            "A range made in a way that catches the true value in about 95 of 100 audits: it is "
            f"wide where {noun} are few.",
        ),
    )
