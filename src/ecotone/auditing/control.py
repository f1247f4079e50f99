"""A positive control: training images themselves, untouched and altered, given as if generated.

An audit that finds nothing is worth what it would have found. So its own training images are put
through what a generator or a file format may do to a copy, and the rule of the audit is asked about
each: the share that it recognizes is its sensitivity, on these very data.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from ecotone.auditing.space import Space
from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures import Reference
from ecotone.measures.distinct import LISTED, proximity
from ecotone.measures.exceedance import exceedance
from ecotone.measures.neighbours import GAP_RATIO
from ecotone.measures.scores import gap_ratios
from ecotone.measures.subsets import shuffled
from ecotone.populations.planted import TRANSFORMS, plant_copies

__all__ = ["Control", "controls"]

IMAGES = 200
"""Copies made in each way, at most."""


@dataclass(frozen=True)
class Control:
    """How well the audit recognizes copies that were altered in one way.

    Args:
        transform: name of what was done to them.
        recognized: share of the altered copies that the gap ratio calls copies.
        standing_out: share whose gap ratio is below the holdout's 1 % quantile; None without a
            holdout.
        traced: share whose nearest training image is the one that they were made of.
    """

    transform: str
    recognized: Reading
    standing_out: Reading | None
    traced: Reading


def controls(
    *,
    training: Shaped[Tensor, " n *shape"],
    fresh: Shaped[Tensor, " m *shape"],
    rows: Shaped[Tensor, " n *row"],
    reference: Reference,
    space: Space,
    value_range: tuple[float, float] | None,
    is_image: bool,
    seed: int,
) -> tuple[Control, ...]:
    """Return what the audit's rule says of its own training images, altered and not.

    Args:
        training: the training set, as opened.
        fresh: real images that copies are blended with: the holdout, or the training set itself.
        rows: the training set in the space of the audit.
        reference: of these rows.
        space: of the audit.
        value_range: of the images.
        is_image: whether the items are images; others can be copied exactly or with noise only.
        seed: chooses the images, and draws the noise.
    """
    outside = None if reference.holdout is None else gap_ratios(reference.holdout)
    beside = fresh[shuffled(fresh, seed, "control")[:IMAGES].to(fresh.device)]
    found = []
    for name in TRANSFORMS if is_image else ("exact", "noise"):
        planted = plant_copies(
            generated=beside,
            training=training,
            share=1,
            seed=seed,
            transform=name,
            value_range=value_range,
        )
        images = space.rows(planted.images)
        listed = space.search(images, rows, min(LISTED, len(rows)))
        near = proximity(images, rows, kinds=reference.clusters, listed=listed, search=space.search)
        ratios = gap_ratios(near)
        if ratios is None:
            return ()
        own = reference.clusters[planted.sources[planted.rows.argsort()]]
        found.append(
            Control(
                name,
                _share(int((ratios < GAP_RATIO).sum()), len(beside)),
                None
                if outside is None
                else _share(exceedance(generated=ratios, holdout=outside).count, len(beside)),
                _share(int((reference.clusters[near.index] == own).sum()), len(beside)),
            )
        )
    return tuple(found)


def _share(count: int, n: int) -> Reading:
    low, high = wilson(count, n)
    return Reading(count / n, n=n, unit="share", higher_is="neither", low=low, high=high)
