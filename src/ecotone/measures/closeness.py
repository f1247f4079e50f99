"""Whether generated images lie nearer to the training set than to images never trained on."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.intervals import jackknife, wilson
from ecotone.core.readings import Reading
from ecotone.measures.distinct import LISTED, proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.search import Search, nearest
from ecotone.measures.subsets import shuffled

__all__ = ["closeness", "closer_to_training_share"]

_SUBSETS = 4
"""The most subsets of the larger set: a few take most of the chance out of choosing one."""
_PARTS = 10
"""Parts of the holdout that are left out in turn."""


def closeness(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`closer_to_training_share`; nothing without a holdout."""
    if evidence.holdout is None:
        return {}
    share = closer_to_training_share(
        generated=evidence.generated,
        training=evidence.training,
        holdout=evidence.holdout,
        seed=evidence.seed,
        search=evidence.search,
    )
    return {"closer_to_training_share": share}


def closer_to_training_share(
    *,
    generated: Shaped[Tensor, "generated ..."],
    training: Shaped[Tensor, "training ..."],
    holdout: Shaped[Tensor, "holdout ..."],
    seed: int,
    search: Search = nearest,
) -> Reading:
    """Return the share of generated images nearer to the training set than to the holdout.

    P(d_T < d_H) + ½ P(d_T = d_H), one half for a generator that knows nothing of the training set.
    That holds for sets of one size only, so the larger is cut to the size of the smaller, and the
    share averaged over up to four disjoint random subsets of it.

    The interval covers the chance in the generated images and that in both sets. What the holdout's
    images contribute is had by leaving out each tenth of it in turn (delete-a-group jackknife); a
    training set of the same size contributes as much where nothing leaks. It is not left out
    itself: the model was trained on all of it. Together they give the number of independent images
    that would show as much chance, for Wilson's interval.

    Args:
        generated: (n, *shape).
        training: (n_T, *shape).
        holdout: (n_H, *shape).
        seed: for the subsets.
        search: how nearest images are found, which says what a distance is.

    Raises:
        DataError: for empty sets, values that are not finite, and shapes or types that differ.

    >>> images = torch.eye(6)
    >>> share = closer_to_training_share(
    ...     generated=images[:2], training=images[:4], holdout=images[4:], seed=0)
    >>> share.how["subsets"], share.how["images_each"]
    (2, 2)
    """
    size = min(len(training), len(holdout))
    if size == 0:
        raise DataError(
            f"{len(training)} training and {len(holdout)} holdout images cannot be compared",
            hint="give at least one of each",
        )
    subsets = min(_SUBSETS, max(len(training), len(holdout)) // size)
    parts = min(_PARTS, size)
    apart = partial(_distances, generated, size=size, subsets=subsets, seed=seed, search=search)
    to_training = apart(training, parts=1, name="training")[-1]
    to_holdout = apart(holdout, parts=parts, name="holdout")

    def closer(without: int) -> Float64[Tensor, "subsets generated"]:
        others = to_holdout[without]
        return (to_training < others).double() + 0.5 * (to_training == others).double()

    each = closer(parts).mean(dim=0)
    value, n = float(each.mean()), len(each)
    of_images = float(each.var(correction=1)) / n if n > 1 else 0.0
    of_holdout = jackknife(lambda kept: float(closer(_without(kept, parts)).mean()), parts) or 0.0
    # One subset's chance is that of their mean times their number; the set that is not divided, or
    # neither where both are of one size, contributes that of one.
    of_subset = of_holdout**2 * (subsets if len(holdout) > size else 1)
    of_training = of_subset / (subsets if len(training) > size else 1)
    variance = of_images + of_holdout**2 + of_training
    trials = n if variance == 0 else min(n, max(1, math.floor(value * (1 - value) / variance)))
    low, high = wilson(value * trials, trials)
    return Reading(
        value,
        n=n,
        unit="share",
        higher_is="more copying",
        low=low,
        high=high,
        how={
            "distance": "Euclidean",
            "ties": "one half",
            "images_each": size,
            "subsets": subsets,
            "seed": seed,
            "effective_images": trials,
            "interval": "Wilson, at the images that the chance in images and sets is worth",
        },
    )


def _without(kept: np.ndarray, parts: int) -> int:
    """Return which part is not kept."""
    return int(np.setdiff1d(np.arange(parts), kept)[0])


def _distances(
    generated: Tensor,
    images: Tensor,
    *,
    size: int,
    subsets: int,
    parts: int,
    seed: int,
    name: str,
    search: Search,
) -> Float64[Tensor, "ways subsets generated"]:
    """Return the distance to the nearest image of each subset without each part, and with all.

    A set of the smaller size has one subset, itself. Parts are dealt like cards, in an order that
    does not depend on that of the set.
    """
    count = subsets if len(images) > size else 1
    order = shuffled(images, seed, "closeness", name)[: count * size].to(images.device)
    part = torch.arange(size) % parts
    result = []
    for chosen in order.split(size):
        subset = images[chosen]
        names = ("generated images", f"{name} images")
        listed = search(generated, subset, min(LISTED, size), names=names)
        found = proximity(generated, subset, kinds=part, listed=listed, search=search)
        ways = found.distance.repeat(parts + 1, 1)
        if found.distinct_distance is not None:
            # What leaving out a part takes away is the nearest image, where that is one of it.
            own = part[found.index], torch.arange(len(generated))
            ways[own] = found.distinct_distance
        result.append(ways)
    return torch.stack(result, dim=1)
