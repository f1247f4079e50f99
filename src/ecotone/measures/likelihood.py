"""Whether the training set is likelier than the holdout under a density around generated images.

The density is a mixture of normal distributions, one around each generated image, whose widths are
fitted (feature likelihood divergence: Jiralerspong et al. 2023). A generator that copies has images
next to those of the training set, where the fit makes the mixture narrow and the training set very
likely; the same mixture says little of images it was not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.readings import Reading
from ecotone.core.seeds import generator
from ecotone.features import FeatureSpace
from ecotone.measures.diversity import refitted
from ecotone.measures.evidence import Evidence
from ecotone.measures.subsets import shuffled

__all__ = [
    "GapTest",
    "feature_likelihood_divergence",
    "fitted_variances",
    "likelihood",
    "likelihood_gap",
    "likelihood_gap_p_value",
    "likelihood_test",
    "log_likelihoods",
]

FittedTo = Literal["both", "training"]
"""The images that the widths are fitted to."""

_LEVEL = 0.95
_GROUPS = 20
_CENTRES = 2000
_IMAGES = 10_000
_NARROWEST = 1e-4
"""Least variance of a component, a hundredth of the features' standard deviation squared: nearer
than that a copy is no more a copy, and of exact ones the likelihood would be infinite."""
_STEPS = 100
_SETTLED = 1e-5
"""Nats per dimension that a step must gain for another to be made."""
_TILE = 1 << 17
_KEPT = 128
"""Squared distances of more dimensions than this are kept from step to step."""
_LOWEST = -700.0
_IDLE = 1e-200
_DRAWS = 1999
_BOTH = "training and holdout images"


class GapTest(NamedTuple):
    """The gap, and the chance of so low a one where the generator knows nothing of the sets."""

    gap: Reading
    p_value: float


class _Sets(TypedDict):
    generated: Float64[Tensor, "m d"]
    training: Float64[Tensor, "n d"]
    holdout: Float64[Tensor, "h d"]


def likelihood(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`likelihood_gap` and :func:`feature_likelihood_divergence` of the evidence.

    As ``likelihood_gap``, with widths fitted to the training set and the holdout together, and as
    ``fld_holdout``. At most 2,000 generated images and 10,000 of either other set are looked at,
    random subsets. Nothing is returned without a holdout.

    A space that was fitted to the holdout spreads it wider than the training set, which then looks
    likelier although nothing was copied: with 24 principal components of CIFAR-10 images a test at
    5 % rang for 84 % of honest generators at 500 images of each set, and for 52 % at 2,000. So what
    is fitted at all is fitted anew: for the gap to training set and holdout alike, for the
    divergence, which holds generated against training images, to the holdout.
    """
    if evidence.holdout is None:
        return {}
    given, seed = evidence.features, evidence.seed
    both = refitted(given, evidence.training, evidence.holdout, seed=seed)
    own = refitted(given, evidence.holdout, seed=seed)
    sets = _sets(evidence, both)
    gap = likelihood_gap(**sets).noting(**_told(both, given, _BOTH), seed=seed)
    if own is not both:
        sets = _sets(evidence, own)
    divergence = feature_likelihood_divergence(**sets)
    if divergence is None:
        return {"likelihood_gap": gap}
    told = _told(own, given, "holdout images")
    return {"likelihood_gap": gap, "fld_holdout": divergence.noting(**told, seed=seed)}


def likelihood_test(evidence: Evidence) -> GapTest | None:
    """Return :func:`likelihood_gap` of the evidence and its p-value; None without a holdout."""
    if evidence.holdout is None:
        return None
    given, seed = evidence.features, evidence.seed
    space = refitted(given, evidence.training, evidence.holdout, seed=seed)
    sets = _sets(evidence, space)
    logs = _per_dimension(**sets, fitted_to="both")
    gap = _gap(*logs, len(sets["generated"]), "both")
    p_value = _permutation_p_value(*logs, seed, _DRAWS)
    return GapTest(gap.noting(**_told(space, given, _BOTH), seed=seed), p_value)


def likelihood_gap(
    *,
    generated: Float[Tensor, "m d"],
    training: Float[Tensor, "n d"],
    holdout: Float[Tensor, "h d"],
    fitted_to: FittedTo = "both",
) -> Reading:
    """Return how much less likely the training set is than the holdout, in nats per dimension.

    NLL(T) − NLL(H), the mean negative log-likelihoods over d, under the mixture
    p(x) = (1/m) Σ_j N(x; g_j, σ_j² I) around the generated images (the generalization gap of
    Jiralerspong et al. 2023, there times 100). 0 is expected of an honest generator; below 0 the
    training set is likelier: the generator overfits, and the more so the lower. Features are
    standardized by the mean and standard deviation of T and H together (the published code takes
    the test set's), and σ_j is at least a hundredth of these.

    The paper fits the widths to the training set. With as many of them as generated images that
    alone makes it likelier than the holdout: for 500 CIFAR-10 images of each set by 0.02 nats per
    dimension, where nothing was copied. Widths fitted to ``"both"`` do not know which image is of
    which set, so that nothing but the generated images can tell the two apart.

    The interval is Welch's, for the chance in T and H, given the generated images.

    Args:
        generated: features of generated images, the centres.
        training: features of the training set.
        holdout: features of the holdout.
        fitted_to: ``"both"``, or ``"training"`` as published.

    Returns:
        The gap; without an interval for fewer than two images of either set.

    Raises:
        DataError: for empty sets, and values that are not finite.

    >>> rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> gap = likelihood_gap(generated=rows[:20], training=rows[:20], holdout=rows[20:])
    >>> gap.high < 0
    True
    """
    of_training, of_holdout = _per_dimension(
        generated=generated, training=training, holdout=holdout, fitted_to=fitted_to
    )
    return _gap(of_training, of_holdout, len(generated), fitted_to)


def likelihood_gap_p_value(
    *,
    generated: Float[Tensor, "m d"],
    training: Float[Tensor, "n d"],
    holdout: Float[Tensor, "h d"],
    seed: int,
    draws: int = _DRAWS,
) -> float:
    """Return the p-value of "training images are no likelier than held-out ones".

    A permutation test of :func:`likelihood_gap` with widths fitted to both sets. Where generated
    images know nothing of which images are of which set, the labels of T ∪ H are exchangeable, and
    neither widths nor units depend on them. So the test is exact: with B random labellings, of
    which b have as low a gap, p = (1 + b)/(1 + B) (Phipson & Smyth 2010). That takes features that
    were not fitted to one of the two sets.

    With 500 CIFAR-10 images of each set, widths fitted to the training set made a test at 5 % ring
    for 40 % of honest generators. Widths fitted to one half of it and tested on the other were
    honest too, but saw one generator in three that copied a tenth of its images exactly, where this
    saw all; ranks in place of means saw three in four.

    Args:
        generated: features of generated images.
        training: features of the training set.
        holdout: features of the holdout.
        seed: for the labellings.
        draws: how many labellings, B.

    Raises:
        DataError: for empty sets, and values that are not finite.

    >>> rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> sets = {"generated": rows[:20], "training": rows[:20], "holdout": rows[20:]}
    >>> likelihood_gap_p_value(**sets, seed=0) < 0.01
    True
    """
    of_training, of_holdout = _per_dimension(
        generated=generated, training=training, holdout=holdout, fitted_to="both"
    )
    return _permutation_p_value(of_training, of_holdout, seed, draws)


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

    >>> rows = torch.randn(90, 2, generator=torch.Generator().manual_seed(0))
    >>> sets = {"training": rows[:60], "holdout": rows[60:]}
    >>> far = feature_likelihood_divergence(generated=rows[:30] + 5, **sets)
    >>> far.low > 1
    True
    """
    half, h = len(training) // 2, len(holdout)
    m = min(len(generated), half)
    generated, training, holdout = _standardized(generated, training, holdout, by=holdout)
    if m == 0:
        return None
    parts = training[:half], training[half : 2 * half]

    def likely(centres: Tensor, images: Tensor) -> Float64[Tensor, "h groups"]:
        variances = fitted_variances(centres=centres, images=images)
        return _without_groups(holdout, centres, variances)

    honest = [likely(parts[other][:m], parts[1 - other]) for other in (0, 1)]
    given = [likely(generated[:m], part) for part in parts]
    lost = (honest[0] + honest[1] - given[0] - given[1]) / 2
    value = float(lost[:, 0].mean())
    low = high = None
    if m > 2 and h > 1:
        chances = [(given[0] + given[1]) / 2, honest[0] / 2, honest[1] / 2]
        variance = float(lost[:, 0].var()) / h + sum(map(_jackknifed, chances))
        half_width = float(stdtrit(min(m, _GROUPS) - 1, 0.5 + _LEVEL / 2)) * math.sqrt(variance)
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


def _without_groups(
    images: Float64[Tensor, "n d"],
    centres: Float64[Tensor, "m d"],
    variances: Float64[Tensor, " m"],
) -> Float64[Tensor, "n groups"]:
    """Return log-likelihoods over d, with all centres and without every g-th of them in turn."""
    m, d = centres.shape
    groups = min(_GROUPS, m)
    parts = []
    for squared in _Tiles(images, centres):
        logs = [
            _posterior(squared[:, j::groups], variances[j::groups], d)[0] for j in range(groups)
        ]
        parts.append(torch.stack(logs, dim=1))
    of_groups = torch.cat(parts)
    # Sums of what is left, as a difference from the whole would be rounding where one centre rules.
    own = torch.eye(groups, dtype=torch.bool)
    left = [of_groups.masked_fill(out, -torch.inf).logsumexp(dim=1) for out in own]
    logs = torch.stack([of_groups.logsumexp(dim=1), *left], dim=1)
    sizes = torch.tensor([m] + [m - len(range(j, m, groups)) for j in range(groups)])
    return (logs - sizes.log()) / d - 0.5 * math.log(2 * math.pi)


def _jackknifed(logs: Float64[Tensor, "n groups"]) -> float:
    """Return the variance of their mean that leaving groups of centres out shows."""
    means = logs[:, 1:].mean(dim=0)
    return float((means - means.mean()).square().sum()) * (len(means) - 1) / len(means)


def fitted_variances(
    *,
    centres: Float64[Tensor, "m d"],
    images: Float64[Tensor, "n d"],
    narrowest: float = _NARROWEST,
) -> Float64[Tensor, " m"]:
    """Return the variances under which a mixture around centres makes images most likely.

    Expectation maximization with equal weights: with r_ij the posterior of centre j for image i,
    σ_j² = Σ_i r_ij |x_i − g_j|² / (d Σ_i r_ij), from σ_j² = min_i |x_i − g_j|²/d on, until a step
    gains less than 1e-5 nats per dimension (some ten steps; at most 100). A centre that no image
    belongs to keeps its width.

    Args:
        centres: one row a component.
        images: what is to be likely.
        narrowest: least variance, above 0.

    >>> centres, images = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
    >>> fitted_variances(centres=centres, images=images).tolist()
    [12.5]
    """
    d = images.shape[1]
    tiles: Iterable[Tensor] = _Tiles(images, centres)
    if d > _KEPT:
        tiles = list(tiles)
    nearest = images.new_full((len(centres),), torch.inf)
    for squared in tiles:
        nearest = nearest.minimum(squared.amin(dim=0))
    variances = (nearest / d).clamp_min(narrowest)
    before = -math.inf
    for _ in range(_STEPS):
        total, belonging, spread = 0.0, torch.zeros_like(variances), torch.zeros_like(variances)
        for squared in tiles:
            logs, posterior, sums = _posterior(squared, variances, d)
            total += float(logs.sum())
            belonging += (1 / sums) @ posterior
            spread += (1 / sums) @ posterior.mul_(squared)
        mean = total / (len(images) * d)
        if mean - before < _SETTLED:
            break
        before = mean
        fitted = spread / (d * belonging.clamp_min(_IDLE))
        variances = torch.where(belonging > _IDLE, fitted, variances).clamp_min(narrowest)
    return variances


def log_likelihoods(
    images: Float64[Tensor, "n d"],
    *,
    centres: Float64[Tensor, "m d"],
    variances: Float64[Tensor, " m"],
) -> Float64[Tensor, " n"]:
    """Return log (1/m) Σ_j N(x; g_j, σ_j² I) of each image, in nats.

    >>> images = torch.zeros(1, 2).double()
    >>> found = log_likelihoods(images, centres=images, variances=torch.ones(1).double())
    >>> round(float(found), 6) == round(-math.log(2 * math.pi), 6)
    True
    """
    d = images.shape[1]
    logs = [_posterior(squared, variances, d)[0] for squared in _Tiles(images, centres)]
    return torch.cat(logs) - math.log(len(centres)) - d / 2 * math.log(2 * math.pi)


class _Tiles:
    """Squared distances of images to centres, some images at a time, as often as asked for."""

    def __init__(self, images: Tensor, centres: Tensor) -> None:
        self._images, self._centres = images, centres
        self._rows = max(1, _TILE // len(centres))

    def __iter__(self) -> Iterator[Float64[Tensor, "some m"]]:
        squares = self._centres.square().sum(dim=1)
        for rows in self._images.split(self._rows):
            own = rows.square().sum(dim=1, keepdim=True)
            yield torch.addmm(own, rows, self._centres.T, alpha=-2).add_(squares).clamp_min_(0)


def _posterior(
    squared: Float64[Tensor, "some m"], variances: Float64[Tensor, " m"], d: int
) -> tuple[Float64[Tensor, " some"], Float64[Tensor, "some m"], Float64[Tensor, " some"]]:
    """Return log Σ_j σ_j^−d exp(−|x − g_j|²/2σ_j²), and its terms and their sum, to a scale."""
    terms = (squared * (-0.5 / variances)).sub_(0.5 * d * variances.log())
    highest = terms.amax(dim=1, keepdim=True)
    # Smaller numbers than this take a hundred times as long.
    terms = terms.sub_(highest).clamp_min_(_LOWEST).exp_()
    sums = terms.sum(dim=1)
    return sums.log() + highest[:, 0], terms, sums


def _sets(evidence: Evidence, space: FeatureSpace) -> _Sets:
    """Return features of random subsets of the evidence's images."""
    assert evidence.holdout is not None  # Callers have asked.

    def features(images: Tensor, most: int, name: str) -> Float64[Tensor, "n d"]:
        order = shuffled(images, evidence.seed, "likelihood", name)[:most]
        return space(images[order.to(images.device)]).cpu()

    return {
        "generated": features(evidence.generated, _CENTRES, "generated"),
        "training": features(evidence.training, _IMAGES, "training"),
        "holdout": features(evidence.holdout, _IMAGES, "holdout"),
    }


def _told(space: FeatureSpace, given: FeatureSpace, fitted_to: str) -> dict[str, object]:
    notes = space.describe()
    return notes if space is given else {**notes, "features_fitted_to": fitted_to}


def _standardized(
    generated: Tensor, training: Tensor, holdout: Tensor, *, by: Tensor | None = None
) -> tuple[Float64[Tensor, "m d"], Float64[Tensor, "n d"], Float64[Tensor, "h d"]]:
    """Return features in units of the standard deviation of some: of T and H where None."""
    sets = {"generated": generated, "training": training, "holdout": holdout}
    for name, rows in sets.items():
        if not rows.numel():
            raise DataError(
                f"features of the {name} images are empty: their shape is {tuple(rows.shape)}",
                hint="give at least one image of at least one feature",
            )
        if not bool(torch.isfinite(rows).all()):
            index = int((~torch.isfinite(rows)).any(dim=1).int().argmax())
            raise DataError(
                f"features of {name} image {index} are not finite",
                hint="look at how they were made",
            )
    units = (torch.cat([training, holdout]) if by is None else by).detach().double()
    mean, scale = units.mean(dim=0), units.std(dim=0, correction=0)
    # Features that are the same throughout have no scale.
    scale = scale.masked_fill(scale <= 1e-12 * scale.max(), 1)
    first, second, third = ((rows.detach().double() - mean) / scale for rows in sets.values())
    return first, second, third


def _per_dimension(
    *, generated: Tensor, training: Tensor, holdout: Tensor, fitted_to: FittedTo
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " h"]]:
    """Return the log-likelihoods of both sets, over d."""
    generated, training, holdout = _standardized(generated, training, holdout)
    both = torch.cat([training, holdout])
    variances = fitted_variances(
        centres=generated, images=both if fitted_to == "both" else training
    )
    logs = log_likelihoods(both, centres=generated, variances=variances) / both.shape[1]
    return logs[: len(training)], logs[len(training) :]


def _gap(
    of_training: Float64[Tensor, " n"],
    of_holdout: Float64[Tensor, " h"],
    centres: int,
    fitted_to: FittedTo,
) -> Reading:
    n, h = len(of_training), len(of_holdout)
    value = float(of_holdout.mean() - of_training.mean())
    low = high = None
    if min(n, h) > 1:
        one, two = float(of_training.var()) / n, float(of_holdout.var()) / h
        low = high = value
        if one + two > 0:
            freedom = (one + two) ** 2 / (one**2 / (n - 1) + two**2 / (h - 1))
            half = float(stdtrit(freedom, 0.5 + _LEVEL / 2)) * math.sqrt(one + two)
            low, high = value - half, value + half
    return Reading(
        value,
        n=centres,
        unit="nats per dimension",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "training_images": n,
            "holdout_images": h,
            "widths_fitted_to": fitted_to,
            "interval": "Welch, over training and holdout images",
        },
    )


def _permutation_p_value(
    of_training: Float64[Tensor, " n"], of_holdout: Float64[Tensor, " h"], seed: int, draws: int
) -> float:
    """Return the share of labellings under which as likely images are called training images."""
    fewer = min(len(of_training), len(of_holdout))
    # In an order that does not depend on that of the sets, and about the mean.
    values = np.sort(torch.cat([of_training, of_holdout]).numpy())
    values -= values.mean()
    told = float(of_training.mean() - of_holdout.mean())
    share = len(values) / (len(values) - fewer)
    sign = 1 if fewer == len(of_training) else -1
    random = generator(seed, "likelihood gap")
    batch, reached = max(1, (1 << 21) // len(values)), 0
    for start in range(0, draws, batch):
        keys = random.random((min(batch, draws - start), len(values)))
        chosen = keys <= np.partition(keys, fewer - 1, axis=1)[:, fewer - 1 : fewer]
        # With the sum s of the values of one set, that of the other is −s.
        gaps = sign * (chosen @ values) / fewer * share
        reached += int((gaps >= told - 1e-12 * max(1.0, abs(told))).sum())
    return (1 + reached) / (1 + draws)
