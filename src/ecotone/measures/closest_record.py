"""Whether generated images have more training images for their nearest than chance would give them.

Put the training set and the holdout into one pool. A generator that knows nothing of the training
set in particular cannot tell which images of the pool were trained on: their labels are as good as
any others. So the number of generated images whose nearest is a training image is compared with
what other labels would give. That holds for every generator, however bad its images are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.core.seeds import generator
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import SURROUNDINGS, Neighbours

__all__ = ["ClosestRecord", "closest_record", "closest_record_test", "standing_out"]

PERMUTATIONS = 9999


@dataclass(frozen=True)
class ClosestRecord:
    """What the pool's labels say.

    Args:
        share: of generated images whose nearest image of the pool is a training image; ties count
            one half.
        expected: the mean of that share over all labels.
        effective: images that the share is worth, as those nearest to the same image of the pool
            turn with its label together: n²/Σc².
        n: generated images that count.
        training: independent training images or groups of them, in the pool.
        holdout: the same of the holdout.
        p_value: chance of such a share or a larger one.
        permutations: drawn for it.
    """

    share: float
    expected: float
    effective: int
    n: int
    training: int
    holdout: int
    p_value: float
    permutations: int

    @property
    def leakage(self) -> tuple[float, float, float]:
        """The share λ of images that owe it to the training set, with a 95 % interval.

        share = λ + (1 − λ)·expected: λ of the images have a training image for their nearest
        whatever the holdout holds, and the others by chance. Below 0 it is cut off.
        """
        low, high = wilson(self.share * self.effective, self.effective)
        scaled = ((x - self.expected) / (1 - self.expected) for x in (self.share, low, high))
        value, least, most = (min(1.0, max(0.0, x)) for x in scaled)
        return value, least, most


def closest_record_test(
    neighbours: Neighbours,
    *,
    training_units: Int64[Tensor, " n"] | None = None,
    holdout_units: Int64[Tensor, " m"] | None = None,
    weights: Int64[Tensor, " generated"] | None = None,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> ClosestRecord | None:
    """Test that generated images are no nearer to training images than labels by chance make them.

    S = Σ_u c_u·[u is trained on], c_u being the generated images whose nearest image of the pool
    belongs to unit u. Under the null every choice of the training units among all is equally
    likely; p = (1 + #{S* ≥ S})/(1 + B) (Phipson & Smyth 2010). Units are images, or groups of them
    (patients, scenes) that only ever are on one side together. Near duplicates are no units: those
    of a larger set are more often near one another, so that the larger set would have too few.
    Duplicates within the training set alone make the test stricter.

    Generated images may count by weights that do not depend on the labels either, such as
    :func:`standing_out`.

    It needs a split by chance: where the holdout differs from the training set by more (another
    camera, other compression), the test sees that difference.

    Args:
        neighbours: of the generated images, with a holdout.
        training_units: a number for each training image, those of one group sharing theirs; every
            image by itself where None.
        holdout_units: the same for held-out images. A number on both sides is no link.
        weights: of the generated images, whole numbers of 0 or more; 1 each where None.
        seed: for the permutations.
        permutations: B, 1 or more.

    Returns:
        The test, or None without a holdout, and where all weights are 0.

    >>> import torch
    >>> from ecotone.measures import neighbours
    >>> pool = torch.eye(40)
    >>> found = neighbours(generated=pool[:20], training=pool[:20], holdout=pool[20:])
    >>> test = closest_record_test(found)
    >>> test.share, test.expected, test.p_value
    (1.0, 0.5, 0.0001)
    """
    if neighbours.generated_to_holdout is None:
        return None
    assert neighbours.holdout is not None
    sizes = len(neighbours.clusters), len(neighbours.holdout.distance)
    _, ours = _numbered(training_units, sizes[0])
    _, theirs = _numbered(holdout_units, sizes[1])
    n_training, n_holdout = int(ours.max()) + 1, int(theirs.max()) + 1
    to_training = neighbours.generated.distance
    to_holdout = neighbours.generated_to_holdout.distances[:, 0]
    # Ties count one half on each side; doubled, all counts are whole.
    training_halves = ((to_training < to_holdout).long() * 2 + (to_training == to_holdout)).numpy()
    each = np.ones(len(to_training), dtype=np.int64) if weights is None else weights.numpy()
    counts = np.zeros(n_training + n_holdout, dtype=np.int64)
    np.add.at(counts, ours[neighbours.generated.index.numpy()], each * training_halves)
    nearest_holdout = neighbours.generated_to_holdout.indices[:, 0].numpy()
    np.add.at(counts, n_training + theirs[nearest_holdout], each * (2 - training_halves))
    observed, total = int(counts[:n_training].sum()), int(counts.sum())
    if not total:
        return None
    drawn = _drawn(counts, n_training, permutations, seed)
    return ClosestRecord(
        share=observed / total,
        expected=n_training / len(counts),
        effective=max(1, round(float(total) ** 2 / float((counts.astype(float) ** 2).sum()))),
        n=int((each > 0).sum()),
        training=n_training,
        holdout=n_holdout,
        p_value=(1 + int((drawn >= observed).sum())) / (1 + permutations),
        permutations=permutations,
    )


def standing_out(neighbours: Neighbours) -> Int64[Tensor, " n"]:
    """Return how much the nearest image of the pool stands out for each generated image, 0 to 16.

    16 · min(−ln(d_1/d_10), 1)², rounded, with d_k the distance to the k-th nearest image of the
    training set and the holdout together: 0 in the midst of others, 16 where the nearest is 1/e as
    far as the tenth, or nearer. It does not look at labels. As weights of
    :func:`closest_record_test` it leaves the images that may be copies of something, and asks what
    they are copies of.

    Raises:
        ValueError: for neighbours without a holdout.

    >>> import torch
    >>> from ecotone.measures import neighbours
    >>> line = torch.arange(40.0)[:, None]
    >>> found = neighbours(
    ...     generated=torch.tensor([[5.1], [5.4]]), training=line[::2], holdout=line[1::2])
    >>> standing_out(found).tolist()
    [16, 16]
    """
    if neighbours.generated_to_holdout is None:
        raise ValueError("there is no holdout to make a pool with")
    ours, theirs = neighbours.generated.listed.distances, neighbours.generated_to_holdout.distances
    # A list that is cut off holds no more of the nearest of both than it is long.
    k = SURROUNDINGS
    if ours.shape[1] < len(neighbours.clusters):
        k = min(k, ours.shape[1])
    pool = torch.cat([ours, theirs], dim=1).sort(dim=1).values
    k = min(k, pool.shape[1])
    ratio = pool[:, 0] / pool[:, k - 1]
    outstanding = (-ratio.clamp_min(1e-9).log()).clamp(0, 1).nan_to_num(nan=0.0)
    return (16 * outstanding.square()).round().long()


def _numbered(
    units: Int64[Tensor, " n"] | None, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the units, and the place of each image's among them."""
    return np.unique(np.arange(size) if units is None else units.numpy(), return_inverse=True)


def _drawn(
    counts: NDArray[np.int64], chosen: int, permutations: int, seed: int
) -> NDArray[np.int64]:
    """Return the sums of the counts of units chosen by chance, so many at a time.

    Units of one count are alike, so how many of each count are chosen is all there is to draw.
    """
    values, sizes = np.unique(counts, return_counts=True)
    random = generator(seed, "closest record")
    taken = random.multivariate_hypergeometric(sizes, chosen, size=permutations, method="marginals")
    return taken @ values


def closest_record(evidence: Evidence) -> dict[str, Reading]:
    """Return the share of generated images that owe it to the training set that they are near it.

    The share λ of :attr:`ClosestRecord.leakage`; ``how`` has the p-value. Nothing without a
    holdout.
    """
    test = closest_record_test(evidence.neighbours, seed=evidence.seed)
    if test is None:
        return {}
    value, low, high = test.leakage
    reading = Reading(
        value,
        n=test.n,
        unit="share",
        higher_is="more copying",
        low=low,
        high=high,
        how={
            "distance": "Euclidean",
            "nearest_is_training_share": test.share,
            "expected_share": test.expected,
            "p_value": test.p_value,
            "permutations": test.permutations,
            "effective_images": test.effective,
            "interval": "Wilson, at the images that are worth one with a label of its own",
        },
    )
    return {"leakage_share": reading}
