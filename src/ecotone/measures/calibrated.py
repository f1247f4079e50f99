"""Distances to the training set in units of how densely it lies around an image."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.distinct import Proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.search import TopK
from ecotone.measures.search import nearest as search

__all__ = ["ALPHA", "NEAREST", "calibrated", "calibrated_distances", "listing_distinct"]

ALPHA = 0.5
NEAREST = 50
"""Carlini et al. (2023) take half the mean distance to the 50 nearest training images."""

_MOST = 3
"""Lists grow to at most so many times ``NEAREST`` beyond it where duplicates fill them."""


def calibrated(evidence: Evidence) -> dict[str, Reading]:
    """Return the share of images whose calibrated distance is below 1, as copies have it.

    ``copied_share_calibrated`` of the generated images and ``copied_share_calibrated_floor`` of the
    holdout in their place, see :func:`calibrated_distances`; intervals are Wilson's. Where the
    neighbours list too few training images, those of the images concerned are searched again.
    Nothing is returned where all training images are near duplicates of one another.
    """
    found = evidence.neighbours
    readings = {
        "copied_share_calibrated": _share(evidence.generated, found.generated, evidence),
    }
    if evidence.holdout is not None and found.holdout is not None:
        readings["copied_share_calibrated_floor"] = _share(
            evidence.holdout, found.holdout, evidence
        )
    return {name: reading for name, reading in readings.items() if reading is not None}


def calibrated_distances(
    proximity: Proximity,
    *,
    clusters: Int64[Tensor, " training"],
    alpha: float = ALPHA,
    nearest: int = NEAREST,
) -> Float64[Tensor, " n"] | None:
    """Return d(x, t*) / (alpha · mean distance of x to its ``nearest`` nearest training images).

    t* is the nearest of all and counts in the mean (Carlini et al. 2023). It is 0 for an
    exact copy, 1/alpha where all of them are equally far, and below 1 where t* is much nearer than
    what else lies around x. A mean over images that are there several times would say nothing of
    what else there is, and be 0 for a copy of one that is there 50 times. So of each cluster of
    near duplicates only the nearest one counts; without duplicates that is the paper's formula.

    The mean is over as many as are listed: see :func:`listing_distinct` for longer lists. If one
    cluster fills a list, it is over that and the nearest distinct image, and a value below 1 at
    alpha = ½ means what a gap ratio below 1/3 does.

    Args:
        proximity: of n images to the training set.
        clusters: of near duplicates, a number for each training image.
        alpha: above 0.
        nearest: how many to average over, 2 or more.

    Returns:
        Ratios of 0 or more, or None where all training images are of one cluster.

    Raises:
        ValueError: for alpha or ``nearest`` out of range.

    >>> from ecotone.measures import neighbours
    >>> found = neighbours(
    ...     generated=torch.tensor([[1.0]]), training=torch.tensor([[0.0], [0.0], [4.0], [9.0]]))
    >>> calibrated_distances(found.generated, clusters=found.clusters).tolist()  # 1/(½ · 12/3)
    [0.5]
    """
    if not alpha > 0 or nearest < 2:
        raise ValueError(f"alpha={alpha} must be above 0 and nearest={nearest} at least 2")
    if proximity.distinct_distance is None:
        return None
    mean, _ = _mean_distance(proximity, clusters, nearest)
    ratios = proximity.distance / (alpha * mean)
    # 0/0, a copy of an image that is there in more than one cluster, is a copy all the same.
    return ratios.masked_fill(proximity.distance == 0, 0.0)


def listing_distinct(
    images: Shaped[Tensor, "n ..."],
    proximity: Proximity,
    *,
    training: Shaped[Tensor, "training ..."],
    clusters: Int64[Tensor, " training"],
    nearest: int = NEAREST,
) -> Proximity:
    """Return the proximity with at least ``nearest`` distinct training images listed an image.

    Those whose lists already hold so many clusters, or all there are, keep them. The others are
    searched again for ``nearest`` training images and one more for each that is redundant, up to
    four times ``nearest``: beyond that, lists of images near masses of duplicates stay shorter.

    Args:
        images: whose proximity it is.
        proximity: of the images to the training set.
        training: on the images' device and of their type.
        clusters: of near duplicates, a number for each training image.
        nearest: how many distinct ones to list.

    >>> from ecotone.measures import Reference
    >>> images = torch.eye(6)
    >>> reference = Reference(training=images, listed=2)
    >>> found = reference.neighbours(images[:3]).generated
    >>> longer = listing_distinct(
    ...     images[:3], found, training=images, clusters=reference.clusters, nearest=5)
    >>> found.listed.indices.shape, longer.listed.indices.shape
    (torch.Size([3, 2]), torch.Size([3, 5]))
    """
    count = len(clusters.unique())
    first = _first_of_clusters(proximity.listed, clusters)
    rows = (first.sum(dim=1) < min(nearest, count)).nonzero()[:, 0]
    if not len(rows):
        return proximity
    redundant = len(clusters) - count
    k = min(len(clusters), nearest + min(redundant, _MOST * nearest))
    found = search(images[rows.to(images.device)], training, k)
    n, width = first.shape
    distances = torch.full((n, max(k, width)), torch.inf, dtype=torch.float64)
    indices = torch.full((n, max(k, width)), -1, dtype=torch.int64)
    distances[:, :width], indices[:, :width] = proximity.listed
    # A list that was longer than what is searched for now is no worse.
    if k > width:
        distances[rows, :k], indices[rows, :k] = found.distances.cpu(), found.indices.cpu()
    return replace(proximity, listed=TopK(distances, indices))


def _first_of_clusters(
    listed: TopK, clusters: Int64[Tensor, " training"]
) -> Bool[Tensor, "n listed"]:
    """Return which listed images are the nearest of their cluster."""
    there = listed.indices >= 0
    labels = clusters[listed.indices].masked_fill(~there, -1)
    # A stable sort keeps those of one cluster in the order of their distances.
    ordered, places = labels.sort(dim=1, stable=True)
    first = torch.ones_like(there)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.zeros_like(there).scatter(1, places, first) & there


def _mean_distance(
    proximity: Proximity, clusters: Int64[Tensor, " training"], nearest: int
) -> tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Return the mean distance to the nearest distinct images, and to how many of them."""
    first = _first_of_clusters(proximity.listed, clusters)
    first &= first.cumsum(dim=1) <= nearest
    total = proximity.listed.distances.masked_fill(~first, 0.0).sum(dim=1)
    count = first.sum(dim=1)
    alone = (count < 2).nonzero()[:, 0]
    if len(alone) and proximity.distinct_distance is not None:
        total[alone] += proximity.distinct_distance[alone]
        count[alone] += 1
    return total / count, count


def _share(images: Tensor, proximity: Proximity, evidence: Evidence) -> Reading | None:
    """Return the share of images with a calibrated distance below 1."""
    clusters = evidence.neighbours.clusters
    proximity = listing_distinct(
        images, proximity, training=evidence.training, clusters=clusters, nearest=NEAREST
    )
    values = calibrated_distances(proximity, clusters=clusters)
    if values is None:
        return None
    _, averaged = _mean_distance(proximity, clusters, NEAREST)
    copied, n = int((values < 1).sum()), len(values)
    low, high = wilson(copied, n)
    return Reading(
        copied / n,
        n=n,
        unit="share",
        higher_is="more copying",
        low=low,
        high=high,
        how={
            **evidence.neighbours.how,
            "alpha": ALPHA,
            "nearest": NEAREST,
            "distinct_images_averaged_at_least": int(averaged.min()),
            "interval": "Wilson",
        },
    )
