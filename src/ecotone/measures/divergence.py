"""Feature likelihood divergence: how much less likely the holdout is around generated images."""

from __future__ import annotations

import math

from jaxtyping import Float, Float64
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.readings import Reading
from ecotone.measures.mixture import GROUPS, fitted_variances, standardized, without_groups

__all__ = ["feature_likelihood_divergence"]

_LEVEL = 0.95


def feature_likelihood_divergence(
    *,
    generated: Float[Tensor, "m d"],
    training: Float[Tensor, "n d"],
    holdout: Float[Tensor, "h d"],
) -> Reading | None:
    """Return how much less likely the holdout is around generated than around training images.

    Mean of NLL(H | G, T_a) − NLL(H | T_b, T_a) in nats per dimension, a and b being the halves of
    the training set either way round: mixtures around min(m, n/2) images of G or T_b, with widths
    fitted to T_a. Poor images, missing ones and copies all raise it: around copies the fit makes
    the mixture so narrow that it gives the holdout nothing. 0 is a generator as good as the
    training set. What widths can mend is not seen: images that crowd in the middle may come out
    below 0.

    Features are standardized by the holdout. So they are in the paper (Jiralerspong et al. 2023),
    which gives 100 times as much and fits widths to all of T in the first term, to half of it in
    the second: more images to fit to make a generator look better than it is.

    The interval is for the chance in all three sets: that in the holdout, and what leaving out a
    twentieth of the centres in turn, of either mixture, shows (delete-a-group jackknife).

    Args:
        generated: features of generated images, in random order.
        training: features of the training set, in random order.
        holdout: features of the holdout.

    Returns:
        The divergence, or None for fewer than two training images; without an interval for fewer
        than three centres or two held-out images.

    Raises:
        DataError: for empty sets, and values that are not finite.

    >>> import torch
    >>> rows = torch.randn(90, 2, generator=torch.Generator().manual_seed(0))
    >>> sets = {"training": rows[:60], "holdout": rows[60:]}
    >>> far = feature_likelihood_divergence(generated=rows[:30] + 5, **sets)
    >>> far.low > 1
    True
    """
    half, h = len(training) // 2, len(holdout)
    m = min(len(generated), half)
    generated, training, holdout = standardized(generated, training, holdout, by=holdout)
    if m == 0:
        return None
    parts = training[:half], training[half : 2 * half]

    def likely(centres: Tensor, images: Tensor) -> Float64[Tensor, "h groups"]:
        variances = fitted_variances(centres=centres, images=images)
        return without_groups(holdout, centres, variances)

    honest = [likely(parts[other][:m], parts[1 - other]) for other in (0, 1)]
    given = [likely(generated[:m], part) for part in parts]
    lost = (honest[0] + honest[1] - given[0] - given[1]) / 2
    value = float(lost[:, 0].mean())
    low = high = None
    if m > 2 and h > 1:
        chances = [(given[0] + given[1]) / 2, honest[0] / 2, honest[1] / 2]
        variance = float(lost[:, 0].var()) / h + sum(map(_jackknifed, chances))
        half_width = float(stdtrit(min(m, GROUPS) - 1, 0.5 + _LEVEL / 2)) * math.sqrt(variance)
        low, high = value - half_width, value + half_width
    return Reading(
        value,
        n=len(generated),
        unit="nats per dimension",
        higher_is="worse",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "centres": m,
            "training_images": 2 * half,
            "holdout_images": h,
            "interval": "holdout images, and delete-a-group jackknife of centres",
        },
    )


def _jackknifed(logs: Float64[Tensor, "n groups"]) -> float:
    """Return the variance of their mean that leaving groups of centres out shows."""
    means = logs[:, 1:].mean(dim=0)
    return float((means - means.mean()).square().sum()) * (len(means) - 1) / len(means)
