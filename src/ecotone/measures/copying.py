"""Shares of generated images that are copies of training images."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.distinct import Proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import GAP_RATIO, Neighbours

__all__ = [
    "copied_share_gap_ratio",
    "copied_share_gap_ratio_floor",
    "copied_share_holdout_quantile",
    "copied_share_holdout_quantile_floor",
    "copying",
    "holdout_threshold",
]

FALSE_POSITIVE_RATE = 0.01


def copying(evidence: Evidence) -> dict[str, Reading]:
    """Return the copied shares of generated images, and of the holdout in their place.

    The floors are what an honest generator, one that draws from the population itself, would show.
    """
    found = evidence.neighbours
    readings = {
        "copied_share_gap_ratio": copied_share_gap_ratio(found),
        "copied_share_gap_ratio_floor": copied_share_gap_ratio_floor(found),
        "copied_share_holdout_quantile": copied_share_holdout_quantile(found),
        "copied_share_holdout_quantile_floor": copied_share_holdout_quantile_floor(found),
    }
    return {name: reading for name, reading in readings.items() if reading is not None}


def copied_share_gap_ratio(neighbours: Neighbours, ratio: float = GAP_RATIO) -> Reading | None:
    """Return the share of generated images whose nearest training image stands out.

    mean[d1 < ratio · d2] with d1 the distance to the nearest training image and d2 that to the
    nearest *distinct* one, of another cluster of near duplicates (Yoon et al. 2023, with clusters
    added: an exact copy of an image that is there twice has 0/0 for a ratio otherwise). The
    interval is Wilson's.

    Args:
        neighbours: of the generated images.
        ratio: between 0 and 1.

    Returns:
        The share, or None where all training images are near duplicates of one another.

    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> print(copied_share_gap_ratio(neighbours(generated=images, training=images)))
    1 [0.5101, 1] share, n=4
    """
    return _gap_ratio(neighbours, neighbours.generated, ratio)


def copied_share_gap_ratio_floor(
    neighbours: Neighbours, ratio: float = GAP_RATIO
) -> Reading | None:
    """Return :func:`copied_share_gap_ratio` of the holdout; None without one."""
    if neighbours.holdout is None:
        return None
    return _gap_ratio(neighbours, neighbours.holdout, ratio)


def copied_share_holdout_quantile(
    neighbours: Neighbours, false_positive_rate: float = FALSE_POSITIVE_RATE
) -> Reading | None:
    """Return the share of generated images nearer to training images than nearly all holdout is.

    mean[d1 < t], t being the j-th smallest of the m distances from the holdout to the training set
    and j = floor(rate · (m + 1)). An image that is exchangeable with the holdout's falls below t
    with probability j/(m + 1) exactly, or less where distances tie, whatever the distribution
    (conformal prediction: Vovk et al. 2005). The interval is Wilson's, for this threshold.

    Args:
        neighbours: of the generated images.
        false_positive_rate: asked for, between 0 and 1; ``how`` of the reading gives the one had.

    Returns:
        The share, or None without a holdout or with one too small for the rate: m + 1 < 1/rate.

    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> found = neighbours(generated=images, training=images, holdout=-images)
    >>> print(copied_share_holdout_quantile(found))
    None
    >>> print(copied_share_holdout_quantile(found, false_positive_rate=0.2))
    1 [0.5101, 1] share, n=4
    """
    if neighbours.holdout is None:
        return None
    m = len(neighbours.holdout.distance)
    rank = _rank(m, false_positive_rate)
    if rank < 1:
        return None
    threshold = holdout_threshold(neighbours.holdout.distance, rank)
    copied = neighbours.generated.distance < threshold
    return _share(
        copied,
        neighbours,
        threshold=threshold,
        false_positive_rate=rank / (m + 1),
        holdout_images=m,
    )


def copied_share_holdout_quantile_floor(
    neighbours: Neighbours, false_positive_rate: float = FALSE_POSITIVE_RATE
) -> Reading | None:
    """Return the share of the holdout that :func:`copied_share_holdout_quantile` would call copied.

    Each holdout image is judged by the threshold of the others (leave-one-out).

    Returns:
        The share, or None without a holdout or with one too small for the rate: m < 1/rate.
    """
    if neighbours.holdout is None:
        return None
    distance = neighbours.holdout.distance
    m = len(distance)
    rank = _rank(m - 1, false_positive_rate)
    if rank < 1:
        return None
    # Without image i the rank-th smallest is the next one up where i is among the first.
    ordered = distance.sort().values
    own = torch.where(distance <= ordered[rank - 1], ordered[rank], ordered[rank - 1])
    return _share(distance < own, neighbours, false_positive_rate=rank / m, holdout_images=m - 1)


def holdout_threshold(distance: Float64[Tensor, " m"], rank: int) -> float:
    """Return the ``rank``-th smallest distance, counted from 1.

    >>> holdout_threshold(torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64), 2)
    2.0
    """
    return float(distance.kthvalue(rank).values)


def _rank(m: int, rate: float) -> int:
    if not 0 < rate < 1:
        raise ValueError(f"a false-positive rate lies between 0 and 1, not at {rate}")
    # 0.01 · 100 must be 1 although 0.01 is not a float64.
    return math.floor(rate * (m + 1) * (1 + 1e-12))


def _gap_ratio(neighbours: Neighbours, images: Proximity, ratio: float) -> Reading | None:
    if not 0 < ratio < 1:
        raise ValueError(f"a gap ratio lies between 0 and 1, not at {ratio}")
    if images.distinct_distance is None:
        return None
    return _share(images.distance < ratio * images.distinct_distance, neighbours, gap_ratio=ratio)


def _share(copied: Bool[Tensor, " n"], neighbours: Neighbours, **how: object) -> Reading:
    count, n = int(copied.sum()), len(copied)
    low, high = wilson(count, n)
    return Reading(
        count / n,
        n=n,
        unit="share",
        higher_is="more copying",
        low=low,
        high=high,
        how={**neighbours.how, **how, "interval": "Wilson"},
    )
