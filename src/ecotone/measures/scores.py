"""Scores of how much an image looks like a copy: the smaller, the more.

Each is had for generated images and for held-out ones in their place, so that the holdout says
what is usual (:mod:`ecotone.measures.exceedance`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.measures.authenticity import authenticity_ratios
from ecotone.measures.calibrated import calibrated_distances
from ecotone.measures.distinct import Proximity
from ecotone.measures.neighbours import Neighbours

__all__ = ["SCORES", "Scores", "copy_scores", "gap_ratios"]


class Scores(NamedTuple):
    """One score of two sets."""

    generated: Float64[Tensor, " n"]
    holdout: Float64[Tensor, " m"] | None
    """None without a holdout."""


SCORES = ("distance", "gap_ratio", "calibrated", "authenticity")
"""Names of the scores: the distance to the nearest training image, and that distance over the one
to the nearest distinct training image, over half the mean one to the 50 nearest, and over the one
from the nearest training image to its own nearest."""


def gap_ratios(proximity: Proximity) -> Float64[Tensor, " n"] | None:
    """Return d1/d2: the nearest training image over the nearest distinct one.

    0/0, a copy of an image that is there in more than one cluster, is 0: the clearest copy of all.
    None where all training images are near duplicates of one another.

    >>> from ecotone.measures import neighbours
    >>> images = torch.tensor([[0.0], [4.0], [10.0]])
    >>> gap_ratios(neighbours(generated=images + 1, training=images).generated).tolist()
    [0.3333333333333333, 0.2, 0.14285714285714285]
    """
    if proximity.distinct_distance is None:
        return None
    ratios = proximity.distance / proximity.distinct_distance
    return torch.where(proximity.distance == 0, torch.zeros_like(ratios), ratios)


def copy_scores(neighbours: Neighbours) -> dict[str, Scores]:
    """Return every score that can be had, by its name in :data:`SCORES`.

    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> found = copy_scores(neighbours(generated=images[:1], training=images, holdout=-images))
    >>> sorted(found), found["gap_ratio"].generated.tolist()
    (['authenticity', 'calibrated', 'distance', 'gap_ratio'], [0.0])
    """
    generated, holdout = neighbours.generated, neighbours.holdout
    found = {"distance": Scores(generated.distance, holdout.distance if holdout else None)}

    def calibrated(proximity: Proximity) -> Float64[Tensor, " n"] | None:
        return calibrated_distances(proximity, clusters=neighbours.clusters)

    for name, score in (("gap_ratio", gap_ratios), ("calibrated", calibrated)):
        ours = score(generated)
        if ours is not None:
            found[name] = Scores(ours, None if holdout is None else score(holdout))
    ratios = authenticity_ratios(neighbours)
    if ratios is not None:
        found["authenticity"] = Scores(*ratios)
    return found
