"""Whether generated images lie where real ones do, and whether they reach all of these.

Each image of a set has a ball around it that reaches to its k-th nearest other, and the balls of
all together are taken for the set's support. Precision and recall ask for the share of one set in
the other's support, density and coverage how often balls of the reference are hit. All depend on
the number of images, so a training set and a holdout are compared at one size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import jackknife, wilson
from ecotone.core.readings import Reading
from ecotone.measures.balls import Balls
from ecotone.measures.evidence import Evidence
from ecotone.measures.subsets import shuffled

__all__ = ["support", "support_readings"]

_NEAREST = 5
_GROUPS = 20
_LEVEL = 0.95


def support(evidence: Evidence) -> dict[str, Reading]:
    """Return precision, recall, density and coverage of the generated images.

    They are those of :func:`support_readings` with the whole holdout for reference. In
    ``precision_training`` and ``coverage_training`` the training set takes its place, and in
    ``precision_matched`` and ``coverage_matched`` as large a part of the holdout: both are cut to
    min(n_T, n_H) images, a random subset of the larger. Where readings of the training set are
    higher than those matched, the generator knows it. A training set is not left out in parts, as
    the model was trained on all of it: its chance is taken to be worth as many images as the
    holdout's.

    A space fitted to what is compared, such as principal components, spreads these images a little
    wider than others, the more the fewer there are: precision and density are then too high, but
    alike against both sets where it was fitted to both alike.

    Nothing is returned without a holdout; what needs more images than there are is left out.
    """
    if evidence.holdout is None:
        return {}
    seed, space = evidence.seed, evidence.features

    def features(images: Tensor, name: str) -> Float64[Tensor, "n d"]:
        order = shuffled(images, seed, "support", name)
        return space(images[order.to(images.device)]).cpu()

    generated = features(evidence.generated, "generated")
    holdout = features(evidence.holdout, "holdout")
    readings = support_readings(generated=generated, reference=holdout)
    size = min(len(evidence.training), len(evidence.holdout))
    if size > _NEAREST:
        training = features(evidence.training, "training")
        readings |= _matched(generated, holdout[:size], training[:size])
    how = {**space.describe(), "seed": seed}
    return {name: reading.noting(**how) for name, reading in readings.items()}


def _matched(
    generated: Float64[Tensor, "n d"],
    holdout: Float64[Tensor, "m d"],
    training: Float64[Tensor, "m d"],
) -> dict[str, Reading]:
    """Return precision and coverage against as many images of either set."""
    shares = _shares(_around(holdout, generated, _NEAREST))
    known = _shares(_around(training, generated, _NEAREST, groups=0))
    how = {"k": _NEAREST, **_sizes(generated, holdout)}
    readings = {}
    for name, share in shares.items():
        like = replace(known[name], centres_worth=share.centres_worth)
        readings[f"{name}_matched"] = share.reading(**how)
        readings[f"{name}_training"] = like.reading(**how)
    return readings


def support_readings(
    *,
    generated: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int | None = None,
) -> dict[str, Reading]:
    """Return precision, recall, density and coverage of one set of features against another.

    With B(x) the closed ball around x that reaches to the k-th nearest other image of x's set,

    - precision: the share of generated images in the balls of the reference,
    - recall: the share of the reference in the balls of generated images (Kynkäänniemi et al. 2019,
      eqs. 1 and 2),
    - density: Σ_ij 1[g_i ∈ B(r_j)] / (k n), expected to be 1 where both are drawn alike; it is
      above 1 where generated images crowd where the reference is dense, so neither way is better,
    - coverage: the share of balls of the reference that hold a generated image (Naeem et al. 2020,
      eqs. 3 and 4).

    Balls are closed, as those of images that are there more than k times have no radius, and their
    exact copies are to count. Distances that decide are float64 differences.

    Intervals cover the chance in both sets. In precision, recall and density images that are or are
    not in balls count as independent. All else (the balls, and generated images in coverage)
    contributes what leaving out each twentieth of it in turn shows (delete-a-group jackknife), less
    what that shows of the other set's chance, which is there already. For shares the two give the
    number of independent images with as much chance, for Wilson's interval.

    Args:
        generated: features of generated images.
        reference: features of the images to compare with.
        k: which nearest other a ball reaches to; None for 5, or nothing where sets are too small.

    Returns:
        Readings by name. Without ``k``, those that need more images than there are, k + 1 to have
        balls around, are left out.

    Raises:
        ConfigError: for k below 1, and for a given k that is not below the number of images of
            either set.
        DataError: for empty sets, and values that are not finite.

    >>> line = torch.arange(20.0)[:, None]
    >>> found = support_readings(generated=line[:10], reference=line, k=1)
    >>> {name: reading.value for name, reading in found.items()}
    {'precision': 1.0, 'coverage': 0.55, 'density': 2.9, 'recall': 0.55}
    """
    x, y = _checked("generated", generated), _checked("reference", reference)
    if k is not None and not 1 <= k < min(len(x), len(y)):
        raise ConfigError(
            f"k = {k} needs {max(k, 1) + 1} images or more of each set, not {len(x)} generated and "
            f"{len(y)} of the reference",
            hint=f"give k of 1 to {min(len(x), len(y)) - 1}" if min(len(x), len(y)) > 1 else None,
        )
    k = _NEAREST if k is None else k
    return _readings(x, y, _around(y, x, k) if len(y) > k else None, k)


def _readings(
    generated: Float64[Tensor, "n d"],
    reference: Float64[Tensor, "m d"],
    balls: Balls | None,
    k: int,
) -> dict[str, Reading]:
    """Return what can be had from the balls around the reference, and from those of generated."""
    how = {"k": k, **_sizes(generated, reference)}
    readings = {}
    if balls is not None:
        readings = {name: share.reading(**how) for name, share in _shares(balls).items()}
        readings["density"] = _density(balls, k).noting(**how)
    if len(generated) > k:
        # What precision is to one set, recall is to the other.
        readings["recall"] = _shares(_around(generated, reference, k))["precision"].reading(**how)
    return readings


def _sizes(generated: Tensor, reference: Tensor) -> dict[str, int]:
    return {"generated_images": len(generated), "reference_images": len(reference)}


@dataclass(frozen=True)
class _Share:
    """A share, and how many independent images would show the chance of each set.

    Args:
        value: the share.
        n: images it is a share of.
        centres_worth: images of the set with the balls; None where it is not known, infinite where
            leaving out parts of it changes nothing.
        others_worth: the same of the other set.
        fewest: images of the smaller set.
    """

    value: float
    n: int
    centres_worth: float | None
    others_worth: float | None
    fewest: int

    def reading(self, **how: object) -> Reading:
        low = high = trials = None
        if self.centres_worth is not None and self.others_worth is not None:
            chance = 1 / self.centres_worth + 1 / self.others_worth
            # Leaving out parts shows nothing of the chance at the ends.
            trials = self.n if 0 < self.value < 1 else self.fewest
            if chance > 0:
                trials = min(trials, max(1, math.floor(1 / chance)))
            low, high = wilson(self.value * trials, trials, level=_LEVEL)
        interval = "Wilson, at the images that the chance in both sets is worth"
        return Reading(
            self.value,
            n=self.n,
            unit="share",
            higher_is="better",
            low=low,
            high=high,
            level=_LEVEL,
            how={**how, "effective_images": trials, "interval": interval},
        )


def _around(
    centres: Float64[Tensor, "centres d"],
    others: Float64[Tensor, "others d"],
    k: int,
    groups: int = _GROUPS,
) -> Balls:
    return Balls.around(centres, others, k, groups=groups, parts=min(_GROUPS, len(others)))


def _shares(balls: Balls) -> dict[str, _Share]:
    """Return the share of others that lie in balls, and that of balls that hold others."""
    (others, ways), centres = balls.held.shape, len(balls.holding)
    fewest = min(others, centres)
    inside = (balls.held > 0).double()
    hit = (balls.holding > 0).double()
    groups = ways - 1
    without = hit[:, :-1].sum(dim=0) / (centres - _group_sizes(centres, groups))
    rest = (balls.parts.sum(dim=1, keepdim=True) - balls.parts > 0).double()
    return {
        "precision": _Share(
            value=float(inside[:, -1].mean()),
            n=others,
            centres_worth=_worth(inside[:, :-1].mean(dim=0), _error(inside[:, :-1])),
            others_worth=others,
            fewest=fewest,
        ),
        "coverage": _Share(
            value=float(hit[:, -1].mean()),
            n=centres,
            # Balls depend on each other, so that they do not count as independent themselves.
            centres_worth=_worth(without, _group_error(without)),
            others_worth=_worth(rest.mean(dim=0), _error(rest)),
            fewest=fewest,
        ),
    }


def _group_sizes(n: int, groups: int) -> Float64[Tensor, " groups"]:
    return torch.bincount(torch.arange(n) % max(groups, 1), minlength=groups)[:groups].double()


def _density(balls: Balls, k: int) -> Reading:
    """Return the mean number of balls that hold an image, over k."""
    each = balls.held.double() / k
    n, ways = each.shape
    value, low, high = float(each[:, -1].mean()), None, None
    of_centres = _error(each[:, :-1])
    if of_centres is not None and n > 1:
        of_others = float(each[:, -1].std()) / math.sqrt(n)
        quantile = float(stdtrit(min(ways - 1, n) - 1, 0.5 + _LEVEL / 2))
        half = quantile * math.hypot(of_centres, of_others)
        low, high = max(0.0, value - half), value + half
    return Reading(
        value,
        n=n,
        unit="ratio",
        higher_is="neither",
        low=low,
        high=high,
        level=_LEVEL,
        how={"interval": "Student's t, for the chance in both sets"},
    )


def _worth(without: Float64[Tensor, " groups"], error: float | None) -> float | None:
    """Return how many independent images would show the chance that leaving out groups shows.

    The share is taken from these too, as it may be 0 or 1 with all images and not without some.
    """
    if error is None:
        return None
    share = float(without.mean())
    return share * (1 - share) / error**2 if error else math.inf


def _group_error(without: Float64[Tensor, " groups"]) -> float | None:
    """Return the standard error of a statistic from its values without each group."""
    values, groups = without.tolist(), np.arange(len(without))
    return jackknife(lambda kept: values[int(np.setdiff1d(groups, kept)[0])], len(values))


def _error(each: Float64[Tensor, "images groups"]) -> float | None:
    """Return what groups that are left out contribute to the standard error of a mean of images.

    An image answers to each group in its own way, and the mean of n such answers has chance even
    where groups have none. It is what remains beside the means of rows and columns (two-way
    analysis of variance), is part of the chance in the images, and is taken off here.
    """
    error, (n, g) = _group_error(each.mean(dim=0)), each.shape
    if error is None or n < 2:
        return error
    means = each.mean(dim=0, keepdim=True)
    rest = each - each.mean(dim=1, keepdim=True) - means + means.mean()
    of_images = (g - 1) / g * float(rest.square().sum()) / (n * (n - 1))
    return math.sqrt(max(0.0, error**2 - of_images))


def _checked(name: str, features: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    rows = features.detach().double().cpu()
    if not rows.numel():
        raise DataError(f"there are no features of {name} images", hint="give at least one image")
    if not bool(torch.isfinite(rows).all()):
        index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
        raise DataError(
            f"features of {name} image {index} are not finite", hint="look at how they were made"
        )
    return rows
