"""How far generated images keep from the training set, in units of what new images do."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import Neighbours

__all__ = ["novelty", "novelty_rank", "novelty_ratio"]

_LEVEL = 0.95


def novelty(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`novelty_ratio`, as ``novelty``, and :func:`novelty_rank`.

    Both compare distances to one training set, which is what the intervals take for given. Nothing
    is returned without a holdout.
    """
    found = {
        "novelty": novelty_ratio(evidence.neighbours),
        "novelty_rank": novelty_rank(evidence.neighbours),
    }
    return {name: reading for name, reading in found.items() if reading is not None}


def novelty_ratio(neighbours: Neighbours) -> Reading | None:
    """Return how far generated images are from the training set, over how far the holdout is.

    mean d(G → T) / mean d(H → T), of distances to the nearest training image: 0 for copies and 1
    for images as new as those of the holdout. Above 1 images are not newer but off the population:
    read it beside fidelity. The interval is Fieller's, for a ratio of independent means (Fieller
    1954), with Satterthwaite's degrees of freedom. That knows nothing of images too rare to have
    been drawn, which matter where nearly all are copies. They are z²/(n + z²) of all at most, by
    Wilson's bound; the upper end is at least where so many would bring the ratio if they were as
    new as the holdout.

    Args:
        neighbours: of the generated images and the holdout.

    Returns:
        The ratio, or None without a holdout or where all of it is in the training set. It has no
        interval for one image of either set, and where the holdout's mean may as well be 0.

    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> found = neighbours(generated=1.5 * images, training=images, holdout=2 * images)
    >>> print(novelty_ratio(found))
    0.5 [0.5, 0.7449] ratio, n=4
    """
    if neighbours.holdout is None:
        return None
    generated, holdout = neighbours.generated.distance, neighbours.holdout.distance
    mean = float(holdout.mean())
    if mean == 0:
        return None
    value = float(generated.mean()) / mean
    low, high = _fieller(generated, holdout) or (None, None)
    if high is not None and value < 1:
        unseen = wilson(0, len(generated), level=_LEVEL)[1]
        high = max(high, value + unseen * (1 - value))
    return Reading(
        value,
        n=len(generated),
        unit="ratio",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "distance": "Euclidean, to the nearest training image",
            "holdout_images": len(holdout),
            "mean_holdout_distance": mean,
            "interval": "Fieller, for this training set",
        },
    )


def _fieller(
    above: Float64[Tensor, " n"], below: Float64[Tensor, " m"]
) -> tuple[float, float] | None:
    """Return where |mean(above) − θ mean(below)| is within t standard errors, θ ≥ 0."""
    n, m = len(above), len(below)
    if min(n, m) < 2:
        return None
    a, b = float(above.mean()), float(below.mean())
    of_a, of_b = float(above.var()) / n, float(below.var()) / m
    ratio = a / b
    chance = of_a + ratio**2 * of_b
    if chance == 0:
        return ratio, ratio
    freedom = chance**2 / (of_a**2 / (n - 1) + (ratio**2 * of_b) ** 2 / (m - 1))
    t2 = float(stdtrit(freedom, 0.5 + _LEVEL / 2)) ** 2
    # (b² − t² v_b) θ² − 2 a b θ + a² − t² v_a ≤ 0
    leading = b * b - t2 * of_b
    if leading <= 0:
        return None
    root = math.sqrt(max(0.0, (a * b) ** 2 - leading * (a * a - t2 * of_a)))
    return max(0.0, (a * b - root) / leading), (a * b + root) / leading


def novelty_rank(neighbours: Neighbours) -> Reading | None:
    """Return the chance that a generated image is farther from the training set than a new one.

    P(d_G > d_H) + ½ P(d_G = d_H), of distances to the nearest training image of a generated and a
    holdout image: the Mann–Whitney statistic over n m, which is the area under the curve that tells
    the two apart. 0 where all are nearer than any holdout image, ½ where they are like these, and
    towards 1 where they are off the population. Nothing but the order of distances enters.

    Its variance is had from the shares of the one set that each image of the other exceeds (DeLong
    et al. 1988, eq. 4), and gives the number of independent images with as much chance, for
    Wilson's interval. That is at most what both sets are worth where nothing tells them apart,
    3 n m / (n + m + 1), and the size of the smaller one at 0 and 1, where there is no variance.

    Args:
        neighbours: of the generated images and the holdout.

    Returns:
        The chance, or None without a holdout.

    >>> from ecotone.measures import neighbours
    >>> images = torch.eye(4)
    >>> print(novelty_rank(neighbours(generated=images, training=images, holdout=-images)))
    0 [0, 0.4899] share, n=4
    """
    if neighbours.holdout is None:
        return None
    generated, holdout = neighbours.generated.distance, neighbours.holdout.distance
    n, m = len(generated), len(holdout)
    exceeded = _below(generated, holdout)
    value = float(exceeded.mean())
    variance = 0.0
    if n > 1:
        variance += float(exceeded.var()) / n
    if m > 1:
        variance += float(_below(holdout, generated).var()) / m
    trials = min(n, m)
    if variance > 0:
        most = max(1, 3 * n * m // (n + m + 1))
        trials = min(most, max(1, math.floor(value * (1 - value) / variance)))
    low, high = wilson(value * trials, trials, level=_LEVEL)
    return Reading(
        value,
        n=n,
        unit="share",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "distance": "Euclidean, to the nearest training image",
            "ties": "one half",
            "holdout_images": m,
            "effective_images": trials,
            "interval": "Wilson, at the images that the chance in both sets is worth, "
            "for this training set",
        },
    )


def _below(values: Float64[Tensor, " n"], others: Float64[Tensor, " m"]) -> Float64[Tensor, " n"]:
    """Return the share of the others below each value, those equal to it counted one half."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)
    return below.double() / (2 * len(others))
