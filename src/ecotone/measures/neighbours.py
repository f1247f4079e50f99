"""Nearest and second nearest training images: what every measure of copying starts from.

Training sets hold near duplicates, and of an image that is there twice the two nearest are equally
near, so that comparing them says nothing. So training images are first clustered, and "second
nearest" means the nearest in another cluster than the nearest's: the nearest *distinct* image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.distinct import LISTED, Proximity, proximity
from ecotone.measures.duplicates import exact_duplicates, near_duplicates
from ecotone.measures.search import Progress, Search, TopK, nearest

__all__ = ["GAP_RATIO", "SURROUNDINGS", "Neighbours", "Reference", "neighbours"]

GAP_RATIO = 1 / 3
"""An image counts as a copy where its nearest training image is nearer than this share of the
distance to the nearest distinct one (Yoon et al. 2023); near duplicates are told by it too."""

SURROUNDINGS = 10
"""Nearest images that say how densely images lie around one."""

_TRAINING, _HOLDOUT = "training images", "holdout images"


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """What generated images are near to, and what to hold that against.

    Args:
        generated: generated images to the training set.
        holdout: the same with the holdout in the place of generated images: what an honest
            generator would show. None without a holdout.
        training: training images to the others; None where there is but one.
        generated_to_holdout: nearest holdout images of each generated one, up to ten.
        clusters: of each training image; near duplicates share theirs.
        how: how clusters were told, for readings to quote.
        kept: what measures had of the training set and the holdout alone, by measure and seed; all
            neighbours of one reference share it.
    """

    generated: Proximity
    holdout: Proximity | None
    training: Proximity | None
    generated_to_holdout: TopK | None
    clusters: Int64[Tensor, " training"]
    how: Mapping[str, object] = field(repr=False)
    kept: dict[object, Any] = field(default_factory=dict, repr=False)


class Reference:
    """A training set and a holdout, with all that depends on these alone computed once.

    Two training images are near duplicates where their distance is at most
    ``GAP_RATIO`` × the median distance from the holdout to the training set: as near to each other
    as a copy would have to be. Without a holdout the median distance of each training image to the
    nearest that is not its exact duplicate takes its place. Exact duplicates always are.

    Args:
        training: (n, *shape), floating point or uint8.
        holdout: (m, *shape) of the same type, never trained on; or None.
        listed: how many nearest training images of each image to list, for measures that look at
            more than the nearest two; all where there are fewer.
        search: how nearest images are found, which says what a distance is; all pairs where not
            said.
        progress: called with the pairs of each search done and to do.

    Raises:
        DataError: for empty sets, values that are not finite, and shapes or types that differ.

    >>> points = torch.tensor([[0.0], [0.1], [5.0]])
    >>> reference = Reference(training=points, holdout=torch.tensor([[1.0], [4.0]]))
    >>> reference.clusters.tolist()
    [0, 0, 1]
    >>> found = reference.neighbours(torch.tensor([[0.1]])).generated
    >>> found.index.tolist(), found.distinct_index.tolist()
    ([1], [2])
    """

    def __init__(
        self,
        *,
        training: Shaped[Tensor, "training ..."],
        holdout: Shaped[Tensor, "holdout ..."] | None = None,
        listed: int = LISTED,
        search: Search = nearest,
        progress: Progress | None = None,
    ) -> None:
        self._training, self._holdout, self._search = training, holdout, search
        self.kept: dict[object, Any] = {}
        if training.ndim < 2 or not training.numel():
            raise DataError(
                f"the training images are empty: their shape is {tuple(training.shape)}",
                hint="give at least one image of at least one value",
            )
        self._listed = min(listed, len(training))
        same = exact_duplicates(training).to(training.device)
        others = search(
            training,
            training,
            self._listed,
            passing_over=(same, same),
            progress=progress,
            names=(_TRAINING, _TRAINING),
        )
        to_training = None
        if holdout is not None:
            to_training = search(
                holdout,
                training,
                self._listed,
                progress=progress,
                names=(_HOLDOUT, _TRAINING),
            )
        self.threshold, source = self._near(to_training, others, same)
        self.clusters = near_duplicates(
            training, exact=same.cpu(), others=others, threshold=self.threshold
        )
        count = int(self.clusters.max()) + 1
        self.how: Mapping[str, object] = MappingProxyType(
            {
                "distance": "Euclidean",
                "near_duplicate_threshold": self.threshold,
                "near_duplicate_threshold_from": source,
                "training_images": len(training),
                "distinct_training_images": count,
            }
        )
        self.holdout = None
        if holdout is not None and to_training is not None:
            self.holdout = self._proximity(holdout, to_training)
        self.training = self._among_training(others, same) if len(training) > 1 else None

    def neighbours(
        self, generated: Shaped[Tensor, "generated ..."], *, progress: Progress | None = None
    ) -> Neighbours:
        """Return what generated images are near to.

        Args:
            generated: (n, *shape), of the training set's type and on its device.
            progress: called with the pairs of each search done and to do.

        Raises:
            DataError: for an empty set, values that are not finite, another shape or type.
        """
        to_training = self._search(
            generated,
            self._training,
            self._listed,
            progress=progress,
            names=("generated images", _TRAINING),
        )
        to_holdout = None
        if self._holdout is not None:
            found = self._search(
                generated,
                self._holdout,
                min(SURROUNDINGS, len(self._holdout)),
                progress=progress,
                names=("generated images", _HOLDOUT),
            )
            to_holdout = TopK(found.distances.cpu(), found.indices.cpu())
        return Neighbours(
            generated=self._proximity(generated, to_training),
            holdout=self.holdout,
            training=self.training,
            generated_to_holdout=to_holdout,
            clusters=self.clusters,
            how=self.how,
            kept=self.kept,
        )

    def _near(self, to_training: TopK | None, others: TopK, same: Tensor) -> tuple[float, str]:
        """Return the threshold for near duplicates and where it comes from."""
        if to_training is not None:
            typical, source = to_training.distances[:, 0], "holdout to training"
        else:
            first = same == torch.arange(len(same), device=same.device)
            typical, source = others.distances[first, 0], "training to training"
        typical = typical[typical < torch.inf].cpu().numpy()
        # One image alone, however often it is there, has no distance to another.
        median = float(np.median(typical)) if typical.size else 0.0
        return GAP_RATIO * median, f"{GAP_RATIO:.3g} × median nearest distance, {source}"

    def _proximity(self, images: Tensor, listed: TopK) -> Proximity:
        return proximity(
            images, self._training, kinds=self.clusters, listed=listed, search=self._search
        )

    def _among_training(self, others: TopK, same: Tensor) -> Proximity:
        """Find the nearest other training image of each, exact duplicates among them."""
        distances, indices, same = others.distances.cpu(), others.indices.cpu(), same.cpu()
        n = len(same)
        order = torch.arange(n)
        # The first of a group of twins has the second for its nearest, the others have the first.
        second = torch.full((n,), n)
        second = second.scatter_reduce(0, same, order.masked_fill(same == order, n), "amin")
        twin = torch.where(same == order, second, same)
        has_twin = second[same] < n
        distances = torch.cat([torch.zeros(n, 1, dtype=torch.float64), distances], dim=1)
        indices = torch.cat([twin[:, None], indices], dim=1)
        # Those without a twin start their list one later, and repeat its last.
        start = (~has_twin).long()[:, None]
        places = (torch.arange(indices.shape[1]) + start).clamp_max(indices.shape[1] - 1)
        listed = TopK(distances.gather(1, places), indices.gather(1, places))
        return proximity(
            self._training,
            self._training,
            kinds=self.clusters,
            listed=listed,
            among=True,
            search=self._search,
        )


def neighbours(
    *,
    generated: Shaped[Tensor, "generated ..."],
    training: Shaped[Tensor, "training ..."],
    holdout: Shaped[Tensor, "holdout ..."] | None = None,
) -> Neighbours:
    """Return what generated images are near to; see :class:`Reference`, which can be kept.

    >>> images = torch.eye(3)
    >>> neighbours(generated=images, training=images).generated.distance.tolist()
    [0.0, 0.0, 0.0]
    """
    return Reference(training=training, holdout=holdout).neighbours(generated)
