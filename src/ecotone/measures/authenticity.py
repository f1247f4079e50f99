"""Whether generated images keep as far from training images as these do from one another."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float64
from torch import Tensor

from ecotone.core.alarm import copying_p_value
from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.distinct import Proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import Neighbours

__all__ = [
    "AuthenticityRatios",
    "authenticity",
    "authenticity_p_value",
    "authenticity_ratios",
]


class AuthenticityRatios(NamedTuple):
    """d(x, t*) over d(t*, T∖t*) for both sets: above 1 an image is authentic."""

    generated: Float64[Tensor, " n"]
    holdout: Float64[Tensor, " m"] | None
    """The holdout in the place of generated images; None without one."""


def authenticity(evidence: Evidence) -> dict[str, Reading]:
    """Return the share of authentic images, with ratios above 1 (Alaa et al. 2022, AuthPct).

    ``authentic_share`` of the generated images and ``authentic_share_holdout`` of the holdout in
    their place, which is what an honest generator shows: far from 1 by itself, so that the share
    means something beside it only. Intervals are Wilson's. Poor images, far from all training
    images, are authentic too: read it beside fidelity. Nothing is returned where no training image
    has a distinct other.
    """
    found = evidence.neighbours
    ratios = authenticity_ratios(found)
    if ratios is None:
        return {}
    readings = {"authentic_share": _share(ratios.generated, found)}
    if ratios.holdout is not None:
        readings["authentic_share"] = readings["authentic_share"].noting(
            p_value=authenticity_p_value(found), test="Fisher, fewer authentic than in the holdout"
        )
        readings["authentic_share_holdout"] = _share(ratios.holdout, found)
    return readings


def authenticity_ratios(neighbours: Neighbours) -> AuthenticityRatios | None:
    """Return how far images are from their nearest training image, in units of its own isolation.

    d(x, t*) / d(t*, T∖t*) with t* the training image nearest to x (Alaa et al. 2022). The
    second distance is to the nearest *distinct* other training image, of another cluster of near
    duplicates: of an image that is there twice it would be 0 otherwise, and every image near it
    authentic. Of equally near t*, as whole numbers have them, the most isolated one that is listed
    counts.

    Args:
        neighbours: of the generated images and the training set, and the holdout where there is.

    Returns:
        Ratios of 0 or more, or None where some training image has no distinct other.

    >>> import torch
    >>> from ecotone.measures import neighbours
    >>> training = torch.tensor([[0.0], [0.0], [4.0], [5.0]])
    >>> found = neighbours(generated=torch.tensor([[1.0], [7.0]]), training=training)
    >>> authenticity_ratios(found).generated.tolist()
    [0.25, 2.0]
    """
    isolation = _isolation(neighbours)
    if isolation is None:
        return None

    def ratios(images: Proximity) -> Float64[Tensor, " n"]:
        distances, indices = images.listed
        nearest = (distances == images.distance[:, None]) & (indices >= 0)
        around = isolation[indices].masked_fill(~nearest, 0.0).amax(dim=1)
        return images.distance / around

    holdout = neighbours.holdout
    return AuthenticityRatios(
        ratios(neighbours.generated), None if holdout is None else ratios(holdout)
    )


def authenticity_p_value(neighbours: Neighbours) -> float | None:
    """Return Fisher's exact p-value that fewer generated than holdout images are authentic.

    One-sided, see :func:`ecotone.core.alarm.copying_p_value`: if generated images are drawn from
    the population as the holdout's are, it is p or less with probability p at most.

    Returns:
        A probability; None without a holdout or where there are no ratios.

    >>> import torch
    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> found = neighbours(generated=images[:3], training=images, holdout=-2 * images[:3])
    >>> round(authenticity_p_value(found), 12)  # 1 of C(6, 3) ways to deal three copies
    0.05
    """
    ratios = authenticity_ratios(neighbours)
    if ratios is None or ratios.holdout is None:
        return None
    close, close_holdout = int((ratios.generated <= 1).sum()), int((ratios.holdout <= 1).sum())
    return copying_p_value(close, len(ratios.generated), close_holdout, len(ratios.holdout))


def _isolation(neighbours: Neighbours) -> Float64[Tensor, " training"] | None:
    """Return each training image's distance to the nearest of another cluster than its own."""
    training, clusters = neighbours.training, neighbours.clusters
    if training is None:
        return None
    distances, indices = training.listed
    other = (clusters[indices] != clusters[:, None]) & (indices >= 0)
    isolation = distances.gather(1, other.int().argmax(dim=1, keepdim=True))[:, 0]
    crowded = ~other.any(dim=1)
    if crowded.any():
        # Where near duplicates fill the list, the nearest of another kind than theirs is meant.
        if training.distinct_distance is None:
            return None
        isolation[crowded] = training.distinct_distance[crowded]
    return isolation


def _share(ratios: Float64[Tensor, " n"], neighbours: Neighbours) -> Reading:
    authentic, n = int((ratios > 1).sum()), len(ratios)
    low, high = wilson(authentic, n)
    return Reading(
        authentic / n,
        n=n,
        unit="share",
        higher_is="less copying",
        low=low,
        high=high,
        how={**neighbours.how, "interval": "Wilson"},
    )
