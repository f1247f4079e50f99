"""What makes sets look alike or unlike whatever the generator did: found first, and told.

An audit compares distances to images that were trained on with distances to images that were not.
That is worth something only where nothing else tells the two apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.artefacts import constant
from ecotone.measures.duplicates import digests
from ecotone.populations.sources import Items

__all__ = ["Confounder", "Sets", "prepare"]

MOST_SHARED = 0.1
"""Share of a set that may also be in another: more of it is another set than was meant."""

_EXAMPLES = 5


@dataclass(frozen=True)
class Confounder:
    """Something that disturbs an audit.

    Args:
        kind: what, in a word or two.
        serious: whether the verdict may be wrong for it; otherwise it is handled, or a note.
        sentence: what was found, and what was done about it.
        count: of images concerned.
        examples: ids of some of them.
    """

    kind: str
    serious: bool
    sentence: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sets:
    """The three sets of an audit, of one form, without what cannot be compared.

    Args:
        generated: the samples.
        training: the training set.
        holdout: images that were never trained on, or None.
        confounders: found on the way.
        equal: ids of generated images that are training images, value for value; none for other
            items, which may be equal by chance.
    """

    generated: Items
    training: Items
    holdout: Items | None
    confounders: tuple[Confounder, ...]
    equal: tuple[str, ...] = ()


def prepare(*, generated: Items, training: Items, holdout: Items | None) -> Sets:
    """Leave out what cannot be compared, and tell it.

    - Constant images say nothing: they are near to everything flat. They are left out everywhere.
    - Held-out images that are also in the training set were trained on. They are left out; where
      they are more than a tenth of the holdout it is no holdout, and that is an error.
    - Held-out images of a group that the training set has too, likewise.
    - Generated images that are also in the holdout were never seen by the generator. A tenth of
      them and more is an error: one of the sets is not what it was said to be.

    Numbers that are no images (tables, series) may well be equal by chance, among honest ones too:
    then nothing is left out for that, and the holdout tells how much of it is usual.

    Args:
        generated: as opened, all of one shape and scale.
        training: likewise.
        holdout: likewise, or None.

    Raises:
        DataError: for sets that overlap as told, or of which nothing is left.
    """
    found: list[Confounder] = []
    generated = _without_constant(generated, "generated", found)
    training = _without_constant(training, "training", found)
    known = set(digests(training.items))
    own = digests(generated.items)
    copied = torch.tensor([name in known for name in own]) & generated.is_image
    equal = tuple(generated.ids[row] for row in copied.nonzero()[:, 0].tolist())
    if holdout is None:
        return Sets(generated, training, None, (*found, *_one_scale(generated, training)), equal)
    holdout = _without_constant(holdout, "holdout", found)
    names = digests(holdout.items)
    shared = torch.tensor([name in known for name in names])
    holdout = _without_shared(holdout, training, shared, found)
    if holdout.groups is not None and training.groups is not None:
        holdout = _without_groups(holdout, training, set(training.groups), found)
    of_holdout = set(digests(holdout.items))
    held = torch.tensor([name in of_holdout for name in own])
    _check_generated(generated, holdout, held, found)
    return Sets(
        generated, training, holdout, (*found, *_one_scale(generated, training, holdout)), equal
    )


def kept(items: Items, chosen: Bool[Tensor, " n"]) -> Items:
    """Return the items of a set that are chosen."""
    rows = chosen.nonzero()[:, 0].tolist()
    return replace(
        items,
        items=items.items[chosen],
        ids=tuple(items.ids[row] for row in rows),
        groups=None if items.groups is None else tuple(items.groups[row] for row in rows),
    )


def _examples(items: Items, chosen: Bool[Tensor, " n"]) -> tuple[str, ...]:
    return tuple(items.ids[row] for row in chosen.nonzero()[:_EXAMPLES, 0].tolist())


def _without_constant(items: Items, role: str, found: list[Confounder]) -> Items:
    """Leave out images that have one value only."""
    if not items.is_image:
        return items
    flat = constant(items.items)
    count = int(flat.sum())
    if not count:
        return items
    if count == len(flat):
        raise DataError(
            f"all {count} {role} images of {items.name} are constant: one value, no content",
            hint="look at how they were made or read",
        )
    found.append(
        Confounder(
            "constant images",
            serious=False,
            sentence=f"{count:,} of {len(flat):,} {role} images have one value only. They are left "
            "out, as such an image is near to everything flat.",
            count=count,
            examples=_examples(items, flat),
        )
    )
    return kept(items, ~flat)


def _without_shared(
    holdout: Items, training: Items, shared: Bool[Tensor, " n"], found: list[Confounder]
) -> Items:
    """Leave out held-out images that are in the training set."""
    count, examples = int(shared.sum()), _examples(holdout, shared)
    if not count:
        return holdout
    if not holdout.is_image and count <= MOST_SHARED * len(shared):
        found.append(
            Confounder(
                "holdout and training share items",
                serious=False,
                sentence=f"{count:,} of {len(shared):,} held-out items equal a training item. "
                "They stay, as numbers may be equal by chance: equality counts as a copy only "
                "where it is more frequent among generated items.",
                count=count,
                examples=examples,
            )
        )
        return holdout
    if count > MOST_SHARED * len(shared):
        raise DataError(
            f"{count:,} of {len(shared):,} items of the holdout {holdout.name} are also in the "
            f"training set {training.name}, the first is {examples[0]}",
            hint="give a holdout that was never trained on, or leave --holdout out",
        )
    found.append(
        Confounder(
            "holdout and training share images",
            serious=False,
            sentence=f"{count:,} of {len(shared):,} held-out images are also in the training set. "
            "They are left out of the holdout; near duplicates stay, as honest samples have them.",
            count=count,
            examples=examples,
        )
    )
    return kept(holdout, ~shared)


def _without_groups(
    holdout: Items, training: Items, groups: set[str], found: list[Confounder]
) -> Items:
    """Leave out held-out items of groups that were trained on."""
    assert holdout.groups is not None
    ours = torch.tensor([group in groups for group in holdout.groups])
    count = int(ours.sum())
    if not count:
        return holdout
    both = sorted({group for group in holdout.groups if group in groups})
    if count == len(ours):
        raise DataError(
            f"every group of the holdout {holdout.name} is also one of the training set "
            f"{training.name}, such as {both[0]!r}",
            hint="split by group, or leave --groups out",
        )
    found.append(
        Confounder(
            "groups on both sides",
            serious=False,
            sentence=f"{count:,} held-out items belong to {len(both):,} groups that the training "
            "set has too. They are left out of the holdout.",
            count=count,
            examples=tuple(both[:_EXAMPLES]),
        )
    )
    return kept(holdout, ~ours)


def _check_generated(
    generated: Items, holdout: Items, held: Bool[Tensor, " n"], found: list[Confounder]
) -> None:
    """Refuse generated images that are held-out ones."""
    count = int(held.sum())
    if not count:
        return
    examples = _examples(generated, held)
    if generated.is_image and count > MOST_SHARED * len(held):
        raise DataError(
            f"{count:,} of {len(held):,} generated images of {generated.name} are also in the "
            f"holdout {holdout.name}, the first is {examples[0]}",
            hint="a generator cannot know what it was not trained on: give another holdout",
        )
    found.append(
        Confounder(
            "generated and holdout share items",
            serious=generated.is_image,
            sentence=f"{count:,} of {len(held):,} generated items equal a held-out one. Was the "
            "holdout really kept from training?",
            count=count,
            examples=examples,
        )
    )


def _one_scale(*sets: Items) -> Sequence[Confounder]:
    """Tell what opening the sets did to bring them to one form."""
    found = []
    sizes = Counter[tuple[int, int]]()
    for items in sets:
        sizes.update(items.facts.sizes)
    resized = [items.facts.resized_to for items in sets if items.facts.resized_to is not None]
    if len(sizes) > 1 and resized:
        told = ", ".join(f"{w}×{h} ({count:,})" for (h, w), count in sizes.most_common(4))
        found.append(
            Confounder(
                "mixed sizes",
                serious=False,
                sentence=f"Images come in {len(sizes):,} sizes (width×height): {told}"
                f"{', …' if len(sizes) > 4 else ''}. All were cut to their central square and "
                f"resized to {resized[0]}×{resized[0]} by one filter (Lanczos).",
                count=sum(sizes.values()),
            )
        )
    return found
