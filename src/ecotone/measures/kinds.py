"""Memorized, spurious and generalized images: near training images, near one another, or neither.

Between copying its training set and generalizing, a model makes images again and again that are not
in the training set: spurious states, as memories that merge have them (Pham et al. 2025).
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Direction, Reading
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import GAP_RATIO, Neighbours
from ecotone.measures.search import Search, nearest

__all__ = ["KINDS", "generated_kinds", "kinds", "nearest_others"]

KINDS = ("memorized", "spurious", "generalized")
"""Kinds of generated images, by the numbers that :func:`generated_kinds` gives them."""

_HIGHER_IS: tuple[Direction, ...] = ("more copying", "neither", "less copying")


def kinds(evidence: Evidence) -> dict[str, Reading]:
    """Return the shares of memorized, spurious and generalized images, which sum to 1.

    See :func:`generated_kinds`. The spurious share grows with the number of images generated, and
    the generalized one falls: compare these at one number only. Intervals are Wilson's. Nothing is
    returned where all training images are near duplicates of one another.
    """
    found = evidence.neighbours
    threshold = found.how["near_duplicate_threshold"]
    assert isinstance(threshold, float)  # A Reference gives it.
    others = nearest_others(evidence.generated, search=evidence.search)
    labels = generated_kinds(found, others=others, threshold=threshold)
    if labels is None:
        return {}
    n = len(labels)
    readings = {}
    for number, (name, higher_is) in enumerate(zip(KINDS, _HIGHER_IS, strict=True)):
        count = int((labels == number).sum())
        low, high = wilson(count, n)
        readings[f"{name}_share"] = Reading(
            count / n,
            n=n,
            unit="share",
            higher_is=higher_is,
            low=low,
            high=high,
            how={
                **found.how,
                "gap_ratio": GAP_RATIO,
                "same_image_within": threshold,
                "depends_on": f"the number of generated images, {n}",
                "interval": "Wilson",
            },
        )
    return readings


def generated_kinds(
    neighbours: Neighbours, *, others: Float64[Tensor, " n"], threshold: float
) -> Int64[Tensor, " n"] | None:
    """Return the kind of each generated image, as its number in :data:`KINDS`.

    - memorized (0): its nearest training image stands out, d1 < d2/3 with d2 the distance to the
      nearest distinct one, as in :mod:`ecotone.measures.copying`;
    - spurious (1): not memorized, and another generated image lies within ``threshold``;
    - generalized (2): neither.

    The kinds are those of Pham et al. (2025, arXiv 2505.21777), the thresholds are ours: "the same
    image again" is what it is among training images, within the threshold for near duplicates. That
    is a third of the median distance from the holdout to the training set: as near as a copy would
    have to be. The more images are generated, the nearer the nearest other one is, so the spurious
    share depends on their number; of data of few dimensions, where much that is new lies close
    together, all of it may be called spurious.

    Args:
        neighbours: of the generated images.
        others: distance to the nearest other generated image, see :func:`nearest_others`.
        threshold: 0 or more, in the units of the images.

    Returns:
        Numbers, or None where all training images are near duplicates of one another.

    >>> from ecotone.measures import neighbours
    >>> training = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    >>> generated = torch.tensor([[1.0, 0.0], [5.0, 5.0], [5.0, 5.1], [9.0, 9.0]])
    >>> found = neighbours(generated=generated, training=training)
    >>> labels = generated_kinds(found, others=nearest_others(generated), threshold=3.0)
    >>> [KINDS[label] for label in labels]
    ['memorized', 'spurious', 'spurious', 'generalized']
    """
    distance, distinct = neighbours.generated.distance, neighbours.generated.distinct_distance
    if distinct is None:
        return None
    spurious, generalized = KINDS.index("spurious"), KINDS.index("generalized")
    again = torch.full_like(neighbours.generated.index, generalized)
    again[others <= threshold] = spurious
    return again.masked_fill(distance < GAP_RATIO * distinct, KINDS.index("memorized"))


def nearest_others(
    images: Shaped[Tensor, "n ..."], *, search: Search = nearest
) -> Float64[Tensor, " n"]:
    """Return the distance of each image to the nearest other of the same set.

    0 where it is there twice, infinite where it is the only one.

    Args:
        images: (n, *shape), floating point or uint8.
        search: how nearest images are found, which says what a distance is.

    Raises:
        DataError: for an empty set and values that are not finite.

    >>> nearest_others(torch.tensor([[0.0], [3.0], [3.0], [5.0]])).tolist()
    [3.0, 0.0, 0.0, 2.0]
    """
    if len(images) == 1:
        return torch.full((1,), torch.inf, dtype=torch.float64)
    # The nearest of all is the image itself, or one equal to it.
    names = ("generated images", "generated images")
    return search(images, images, 2, names=names).distances[:, 1].cpu()
