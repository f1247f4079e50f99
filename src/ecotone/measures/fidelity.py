"""Distances between the distribution of generated images and that of real ones.

A distance to the training set falls when the training set is copied, so each is given to the
holdout too, and both at the same number of images, as the Fréchet distance depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.intervals import jackknife
from ecotone.core.readings import Reading
from ecotone.measures.evidence import Evidence
from ecotone.measures.frechet import frechet_distance
from ecotone.measures.kernels import KernelSums
from ecotone.measures.subsets import shuffled

__all__ = ["fidelity", "frechet_reading", "kid_reading"]

_GROUPS = 20
_LEVEL = 0.95


def fidelity(evidence: Evidence) -> dict[str, Reading]:
    """Return Fréchet and kernel distances of the generated images to the holdout and training set.

    "Matched" readings take min(n_T, n_H) images of each, a random subset of the larger. Those to
    the training set are there to be compared with those to the holdout: where they are lower, the
    generator knows the training set. Nothing is returned without a holdout.
    """
    if evidence.holdout is None:
        return {}
    seed, space = evidence.seed, evidence.features
    size = min(len(evidence.training), len(evidence.holdout))

    def features(images: Tensor, name: str) -> Float64[Tensor, "n d"]:
        order = shuffled(images, seed, "fidelity", name)
        return space(images[order.to(images.device)]).cpu()

    generated = features(evidence.generated, "generated")
    holdout = features(evidence.holdout, "holdout")
    training = features(evidence.training, "training")
    how = {**space.describe(), "seed": seed}
    readings = {
        "frechet_holdout": frechet_reading(generated=generated, reference=holdout),
        "frechet_holdout_matched": frechet_reading(generated=generated, reference=holdout[:size]),
        "frechet_training_matched": frechet_reading(generated=generated, reference=training[:size]),
        "kid_holdout_matched": kid_reading(generated=generated, reference=holdout[:size]),
        "kid_training_matched": kid_reading(generated=generated, reference=training[:size]),
    }
    return {name: reading.noting(**how) for name, reading in readings.items() if reading}


def frechet_reading(
    *, generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]
) -> Reading | None:
    """Return :func:`~ecotone.measures.frechet.frechet_distance` with its interval.

    The interval is for the chance in the generated images, by leaving out a twentieth of them in
    turn; the distance is biased upwards at few images, which it does not show.

    Returns:
        The reading; None for fewer than two images of either set, which have no covariance.
    """
    if min(len(generated), len(reference)) < 2:
        return None
    return _reading(
        frechet_distance(generated=generated, reference=reference),
        lambda kept: frechet_distance(generated=generated[kept], reference=reference),
        images=(len(generated), len(reference)),
        unit="squared feature distance",
        least=0.0,
    )


def kid_reading(
    *, generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]
) -> Reading | None:
    """Return :func:`~ecotone.measures.kernels.kid` with its interval.

    The interval is for the chance in the generated images, by leaving out a twentieth of them in
    turn.

    Returns:
        The reading; None for fewer than two images of either set.
    """
    if min(len(generated), len(reference)) < 2:
        return None
    groups = min(_GROUPS, len(generated))
    sums = KernelSums.of(generated=generated, reference=reference, groups=groups)
    return _reading(
        sums.distance(np.arange(groups)),
        # Leaving out samples i mod g = j leaves out group j of the sums.
        lambda kept: sums.distance(np.unique(kept % groups)),
        images=(len(generated), len(reference)),
        unit="squared kernel distance",
        least=-math.inf,
    )


def _reading(
    value: float,
    left_out: Callable[[NDArray[np.intp]], float],
    *,
    images: tuple[int, int],
    unit: str,
    least: float,
) -> Reading:
    """Return a distance with the interval that leaving out groups of generated images gives."""
    n, m = images
    groups = min(_GROUPS, n)
    low = high = None
    # Two images less one have no spread to tell.
    error = jackknife(left_out, n, groups=groups) if n > 2 else None
    if error is not None:
        half = float(stdtrit(groups - 1, 0.5 + _LEVEL / 2)) * error
        low, high = max(least, value - half), value + half
    return Reading(
        value,
        n=n,
        unit=unit,
        higher_is="worse",
        low=low,
        high=high,
        level=_LEVEL,
        how={"reference_images": m, "interval": "delete-a-group jackknife of generated images"},
    )
