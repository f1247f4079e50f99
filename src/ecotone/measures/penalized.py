"""The Fréchet distance, penalized where generated images are copies."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.intervals import mean_interval, wilson
from ecotone.core.readings import Reading
from ecotone.measures.diversity import unit_rows
from ecotone.measures.evidence import Evidence
from ecotone.measures.fair_spaces import fair_space
from ecotone.measures.fidelity import frechet_reading
from ecotone.measures.frechet import frechet_distance
from ecotone.measures.search import nearest
from ecotone.measures.subsets import shuffled

__all__ = [
    "THRESHOLD",
    "CosineDistances",
    "cosine_distances",
    "memorization_penalty",
    "minimal_cosine_distances",
    "penalized",
    "penalized_frechet_distance",
    "penalized_frechet_reading",
]

THRESHOLD = 0.1
"""Mean minimal cosine distance from which on nothing is penalized (Bai et al. 2021)."""

_RESOLUTION = 1e-14
"""Published code adds this to the penalty; below it a cosine distance is rounding alone."""
_LEVEL = 0.95
_BLOCK = 8192


def penalized(evidence: Evidence) -> dict[str, Reading]:
    """Return the memorization-penalized Fréchet distance, and what it is penalized by.

    - ``memorization_distance``: mean minimal cosine distance of generated images to the training
      set; the lower, the more copying.
    - ``memorization_distance_floor``: that of the holdout in their place, which an honest generator
      comes to. Nothing but the difference of the two tells of copying: how far images are from one
      another depends on the features and on the size of the training set.
    - ``mifid_holdout``: the Fréchet distance to the holdout at matched numbers,
      ``frechet_holdout_matched``, over :func:`memorization_penalty`.

    The threshold of 0.1 was chosen for the features of an Inception network. Where even the holdout
    would be penalized, ``how`` of the reading says so (``holdout_penalized``) and it is not to be
    trusted. It is left out where the mean distance is 0 to rounding: a division by 0 has no value,
    and the distance itself says all.

    A space that was fitted to the holdout would keep it farther from the training set than other
    images. So what is fitted at all is fitted anew for cosine distances, to the training set, which
    is neither of the two compared. Without a holdout ``memorization_distance`` alone is returned.
    """
    seed, space = evidence.seed, evidence.features
    apart, found = fair_space(evidence, "training"), cosine_distances(evidence)
    generated, floor = found.generated, found.holdout
    how: dict[str, object] = {**apart.describe(), "training_images": len(evidence.training)}
    if apart is not space:
        how["features_fitted_to"] = "training images"
    if floor is None or evidence.holdout is None:
        return {"memorization_distance": _distance(generated, None, how)}
    readings = {
        "memorization_distance": _distance(generated, float(floor.mean()), how),
        "memorization_distance_floor": _distance(floor, None, how),
    }
    size = min(len(evidence.training), len(evidence.holdout))

    def features(images: Tensor, name: str) -> Float64[Tensor, "n d"]:
        order = shuffled(images, seed, "fidelity", name)[: size if name == "holdout" else None]
        return space(images[order.to(images.device)]).cpu()

    frechet = frechet_reading(
        generated=features(evidence.generated, "generated"),
        reference=features(evidence.holdout, "holdout"),
    )
    if frechet is not None:
        mifid = penalized_frechet_reading(frechet, generated)
        if mifid is not None:
            readings["mifid_holdout"] = mifid.noting(
                **space.describe(),
                seed=seed,
                holdout_penalized=float(floor.mean()) < THRESHOLD,
                training_images=len(evidence.training),
            )
    return readings


class CosineDistances(NamedTuple):
    """Minimal cosine distances to the training set."""

    generated: Float64[Tensor, " n"]
    holdout: Float64[Tensor, " m"] | None


def cosine_distances(evidence: Evidence) -> CosineDistances:
    """Return the minimal cosine distances of both sets to the training set, in a fair space."""
    space, kept = fair_space(evidence, "training"), evidence.neighbours.kept
    blocks = [space(part) for part in evidence.training.split(_BLOCK)]

    def distances(images: Tensor) -> Float64[Tensor, " n"]:
        found, rows = torch.full((len(images),), torch.inf, dtype=torch.float64), space(images)
        for block in blocks:
            near = minimal_cosine_distances(generated=rows, training=block)
            found = found.minimum(near.cpu())
        return found

    if evidence.holdout is None:
        return CosineDistances(distances(evidence.generated), None)
    # The holdout's are those of every set of generated images.
    key = ("cosine distances", space, len(evidence.holdout))
    if key not in kept:
        kept[key] = distances(evidence.holdout)
    return CosineDistances(distances(evidence.generated), kept[key])


def penalized_frechet_distance(
    *,
    generated: Float[Tensor, "n d"],
    training: Float[Tensor, "t d"],
    reference: Float[Tensor, "m d"],
) -> float | None:
    """Return the memorization-penalized Fréchet distance of features (MiFID, Bai et al. 2021).

    FID(G, R) / p(m), where m is the mean over *generated* images of the minimal cosine distance to
    the training set and p(m) is m below 0.1 and 1 from there on. A mean over training images
    instead, as some libraries take, says nothing of a generator that copies a few of them.

    Args:
        generated: features of generated images.
        training: features of the training set.
        reference: features for the Fréchet distance; the training set in the competition that the
            distance was made for, better a holdout.

    Returns:
        The distance, or None where m is 0 to rounding and it would be infinite.

    Raises:
        DataError: for fewer than two images of ``generated`` or ``reference``, no training images,
            and values that are not finite.

    >>> images = torch.eye(4) + 0.5
    >>> penalized_frechet_distance(generated=images, training=images, reference=images.flip(1))
    """
    distances = minimal_cosine_distances(generated=generated, training=training)
    mean = float(distances.mean())
    if mean <= _RESOLUTION:
        return None
    frechet = frechet_distance(generated=generated, reference=reference)
    return frechet / memorization_penalty(mean)


def memorization_penalty(mean: float) -> float:
    """Return what a Fréchet distance is divided by: the mean distance below 0.1, else 1.

    >>> memorization_penalty(0.02), memorization_penalty(0.3)
    (0.02, 1.0)
    """
    return mean if mean < THRESHOLD else 1.0


def minimal_cosine_distances(
    *, generated: Float[Tensor, "n d"], training: Float[Tensor, "t d"]
) -> Float64[Tensor, " n"]:
    """Return min_t 1 − cos(g, t) of each generated image, from 0 (copies) to 2.

    By float64 differences of unit vectors, as 1 − cos = |ĝ − t̂|²/2: exact copies are at 0. The
    published code takes the absolute value of the cosine. In features that are never negative, as
    those it was written for, that is the same; in others an image would be a copy of its negative.
    Rows of zeros are at distance 0 of one another and 1 of all others.

    Args:
        generated: features of generated images.
        training: features of the training set.

    Raises:
        DataError: for empty sets, and values that are not finite.

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    >>> minimal_cosine_distances(generated=2 * rows, training=rows[:1]).tolist()
    [0.0, 0.2928932188134524]
    """
    for name, rows in (("generated", generated), ("training", training)):
        if not bool(torch.isfinite(rows).all()):
            index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
            raise DataError(
                f"features of {name} image {index} are not finite",
                hint="look at how they were made",
            )
    found = nearest(
        unit_rows(generated), unit_rows(training), 1, names=("generated images", "training images")
    )
    return found.distances[:, 0].square() / 2


def penalized_frechet_reading(frechet: Reading, distances: Float64[Tensor, " n"]) -> Reading | None:
    """Return a Fréchet distance over its penalty, with an interval.

    The interval is all that the two intervals at 95 % allow, that of the penalty taken on a log
    scale; so it covers at 90 % at least (Bonferroni). It reaches over the jump of the penalty at
    0.1 where the mean distance is not surely on one side of it.

    Args:
        frechet: see :func:`~ecotone.measures.fidelity.frechet_reading`.
        distances: minimal cosine distances of the generated images to the training set.

    Returns:
        The reading, or None where the mean distance is 0 to rounding.

    >>> frechet = Reading(8.0, n=4, unit="squared feature distance", higher_is="worse")
    >>> near = torch.tensor([0.01, 0.03], dtype=torch.float64)
    >>> print(penalized_frechet_reading(frechet, near))
    400 penalized squared feature distance, n=4
    """
    mean, n = float(distances.mean()), len(distances)
    if mean <= _RESOLUTION:
        return None
    low = high = None
    if frechet.low is not None and frechet.high is not None and n > 1:
        error = float(distances.std()) / math.sqrt(n)
        spread = math.exp(float(stdtrit(n - 1, 0.5 + _LEVEL / 2)) * error / mean)
        low = frechet.low / memorization_penalty(mean * spread)
        high = frechet.high / memorization_penalty(mean / spread)
    return Reading(
        frechet.value / memorization_penalty(mean),
        n=frechet.n,
        unit=f"penalized {frechet.unit}",
        higher_is="worse",
        low=low,
        high=high,
        level=0.9,
        how={
            **frechet.how,
            "memorization_distance": mean,
            "penalized": mean < THRESHOLD,
            "threshold": THRESHOLD,
            "interval": "all that those of distance and penalty allow",
        },
    )


def _distance(
    distances: Float64[Tensor, " n"], honest: float | None, how: dict[str, object]
) -> Reading:
    """Return the mean with Student's interval.

    Of images that were too rare to be drawn, z²/(n + z²) of all at most, nothing is known: the
    upper end is at least where so many honest ones would bring the mean.
    """
    value = float(distances.mean())
    low, high = mean_interval(distances.numpy(), level=_LEVEL) or (None, None)
    if low is not None and high is not None:
        low = max(0.0, low)
        if honest is not None and value < honest:
            unseen = wilson(0, len(distances), level=_LEVEL)[1]
            high = max(high, value + unseen * (honest - value))
    return Reading(
        value,
        n=len(distances),
        unit="cosine distance",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={**how, "interval": "Student's t"},
    )
