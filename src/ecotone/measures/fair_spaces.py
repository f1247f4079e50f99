"""Feature spaces that a comparison of two sets is fair in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Num
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.features import FeatureSpace
from ecotone.measures.evidence import Evidence
from ecotone.measures.subsets import shuffled

__all__ = ["fair_space", "fitted_alike"]

_FITTED = 2048
_FITTED_BYTES = 1 << 27


def fair_space(evidence: Evidence, *names: Literal["training", "holdout"]) -> FeatureSpace:
    """Return the evidence's feature space fitted to a random part of sets that are not compared.

    Principal components spread those images wider that they were fitted to, so two sets may be
    compared in a space that was fitted to neither, or to both alike. Of each set the same share is
    taken, 2,048 images in all at most. Encoders, which need no fitting, are returned as they are,
    and so is a space that cannot be fitted to these images. What was fitted once is kept for all
    evidence on the same training set and holdout.

    Args:
        evidence: with a holdout, where it is named.
        names: of the sets to fit to.
    """
    space, kept = evidence.features, evidence.neighbours.kept
    key = ("fair space", space, names, evidence.seed)
    if key not in kept:
        sets = [evidence.training if name == "training" else evidence.holdout for name in names]
        there = [images for images in sets if images is not None]
        try:
            kept[key] = fitted_alike(space, there, seed=evidence.seed)
        except DataError:
            kept[key] = space
    return kept[key]


def fitted_alike(
    space: FeatureSpace, sets: Sequence[Num[Tensor, " _ *shape"]], *, seed: int
) -> FeatureSpace:
    """Return a feature space fitted to the same share of each set, 2,048 images in all at most.

    What is fitted spreads the images it was fitted to a little wider than others of the same
    population. A space that the sets shaped alike favours none of them, so distances to one and to
    the other can be compared.

    Args:
        space: to fit.
        sets: one or more, none empty; which of their images are taken depends on their content.
        seed: of that choice.

    Raises:
        DataError: for images that the space cannot be fitted to.

    >>> from ecotone.features.pca import PrincipalComponents
    >>> sets = [torch.arange(8.0).view(4, 2), torch.ones(6, 2)]
    >>> fitted_alike(PrincipalComponents(1), sets, seed=0)(torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """
    total = sum(len(images) for images in sets)
    size = sets[0][:1].nbytes
    share = min(1.0, _FITTED / total, _FITTED_BYTES / max(1, size * total))
    parts = []
    for images in sets:
        order = shuffled(images, seed, "fair space")[: math.ceil(share * len(images))]
        parts.append(images[order.to(images.device)])
    return space.fit(torch.cat(parts))
