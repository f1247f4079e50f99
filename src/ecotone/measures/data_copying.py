"""The three-sample test for data-copying of Meehan, Chaudhuri and Dasgupta (2020).

Are generated images nearer to the training set than held-out ones are? Asked cell by cell of a
partition, so that images made in excess where the training set is sparse do not hide copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.core.seeds import derive, generator
from ecotone.measures.evidence import Evidence
from ecotone.measures.search import nearest
from ecotone.measures.subsets import shuffled

__all__ = [
    "DataCopying",
    "cell_centres",
    "cells_of",
    "data_copying",
    "data_copying_of",
    "data_copying_test",
]

LEAST = 20
"""Generated images that a cell must hold to count, where there is more than one."""

_CELLS, _EACH = 10, 100
"""The most cells, and how many images of each set there must be for one on average."""
_FITTED = 2000
"""Distinct training images that the cells are fitted to; more would hardly move them."""
_PART = 4096
"""Images cast to floating point at a time."""


class DataCopying(NamedTuple):
    """Whether generated images are nearer to the training set than held-out ones of their cell."""

    statistic: float
    """C_T, in standard deviations; far below 0 where images are copied."""
    auc: float
    """Chance that a generated image is nearer than a held-out one of its cell; ½ if honest."""
    p_value: float
    """Chance of a C_T as low if labels within cells are dealt at random."""
    statistic_interval: tuple[float, float]
    auc_interval: tuple[float, float]
    cells: int
    """How many cells counted."""


def data_copying(evidence: Evidence) -> dict[str, Reading]:
    """Return ``data_copying_statistic`` and ``data_copying_auc``, see :func:`data_copying_test`.

    The statistic grows with the square root of the number of images, so that it cannot be compared
    between sets of different sizes; the AUC can. An average over k cells alike, it has a standard
    deviation of 1/√k for honest images, so that the p-value, in ``how`` of both, is the one to go
    by. All say no more than that images are near the training set: a generator of images near the
    mean of all is, too. Copying in one region may be outweighed by images far off in others.
    Nothing is returned without a holdout.
    """
    found = data_copying_of(evidence)
    if found is None or evidence.holdout is None:
        return {}
    how = {
        **evidence.neighbours.how,
        "holdout_images": len(evidence.holdout),
        "cells": found.cells,
        "p_value": found.p_value,
        "seed": evidence.seed,
        "ties": "one half",
        "interval": "Wilson in each cell, combined by MOVER, for these cells and training set",
    }
    n, unit = len(evidence.generated), "standard deviations"
    low, high = found.statistic_interval
    statistic = Reading(found.statistic, n, unit, "less copying", low, high, how=how)
    low, high = found.auc_interval
    auc = Reading(found.auc, n, "share", "more copying", low, high, how=how)
    return {"data_copying_statistic": statistic, "data_copying_auc": auc}


def data_copying_of(evidence: Evidence) -> DataCopying | None:
    """Return :func:`data_copying_test` of what was gathered; None without a holdout.

    There is one cell for each full hundred images of the smallest of the three sets (of the
    training set, distinct ones), at least one and at most ten.
    """
    found = evidence.neighbours
    if found.holdout is None or evidence.holdout is None:
        return None
    sets = evidence.generated, evidence.holdout
    distinct = len(found.clusters.unique())
    cells = min(_CELLS, min(distinct, *map(len, sets)) // _EACH)
    labels = [torch.zeros(len(images), dtype=torch.int64) for images in sets]
    if cells > 1:
        key = ("data copying", cells, evidence.seed)
        if key not in found.kept:
            centres = cell_centres(
                evidence.training, clusters=found.clusters, cells=cells, seed=evidence.seed
            )
            found.kept[key] = centres, cells_of(evidence.holdout, centres)
        centres, of_holdout = found.kept[key]
        labels = [cells_of(evidence.generated, centres), of_holdout]
    return data_copying_test(
        generated=found.generated.distance,
        holdout=found.holdout.distance,
        generated_cells=labels[0],
        holdout_cells=labels[1],
        seed=evidence.seed,
    )


def data_copying_test(
    *,
    generated: Float64[Tensor, " n"],
    holdout: Float64[Tensor, " m"],
    generated_cells: Int64[Tensor, " n"],
    holdout_cells: Int64[Tensor, " m"],
    seed: int,
    permutations: int = 999,
) -> DataCopying:
    """Return C_T, the AUC beside it, and the p-value of C_T.

    In each cell π with n_π generated and m_π held-out images, U_π counts the pairs whose generated
    image is the farther one from the training set (of ties one half), and

        Z_π = (U_π − n_π m_π / 2) / s_π,    C_T = Σ_π P(π) Z_π / Σ_π P(π)

    (Meehan et al. 2020), with P(π) the share of the holdout in the cell. The sums are over cells of
    at least 20 generated images and one held-out one; where no cell is like that, all images make
    one. s_π is the standard deviation of U_π over all ways to deal the labels: with N = n + m,
    s² = n m (N + 1)/12 as in the paper, less n m Σ (t³ − t) / 12 N (N − 1) for t equal distances
    each. Z_π is 0 where all are equal.

    The AUC, Σ_π P(π) (1 − U_π / n_π m_π) / Σ_π P(π), is an effect whatever the sizes of the sets.
    Both intervals come from Wilson's for the AUC of each cell, at the independent images that the
    chance in both sets is worth (DeLong et al. 1988, see :mod:`ecotone.measures.novelty`), put
    together by MOVER (Zou & Donner 2008).

    The p-value is that of a permutation test: (1 + #{C_T* ≤ C_T}) / (1 + permutations), with the
    labels dealt anew within each cell. If generated images are drawn from the population as the
    holdout's are, it is exact: the cells depend on the training set alone.

    Args:
        generated: distance of generated images to the training set.
        holdout: the same of held-out images.
        generated_cells: a number for the cell of each; all the same for a test without cells.
        holdout_cells: the same of held-out images.
        seed: for the permutations.
        permutations: 1 or more.

    Raises:
        ValueError: for an empty set or no permutations.

    >>> near, far = torch.zeros(4).double(), torch.ones(4).double()
    >>> one = torch.zeros(4, dtype=torch.int64)
    >>> test = data_copying_test(
    ...     generated=near, holdout=far, generated_cells=one, holdout_cells=one, seed=0)
    >>> round(test.statistic, 3), test.auc, test.p_value < 0.05  # 1 of C(8, 4) deals
    (-2.646, 1.0, True)
    """
    if min(len(generated), len(holdout), permutations) < 1:
        sizes = f"{len(generated)} generated, {len(holdout)} held-out images"
        raise ValueError(f"{sizes} and {permutations} permutations: give at least one of each")
    ours, theirs = generated.cpu().numpy(), holdout.cpu().numpy()
    cell, cell_theirs = generated_cells.cpu().numpy(), holdout_cells.cpu().numpy()
    kept = [
        _Cell.holding(ours[cell == number], theirs[cell_theirs == number])
        for number in np.intersect1d(cell, cell_theirs)
        if (cell == number).sum() >= LEAST
    ] or [_Cell.holding(ours, theirs)]
    mass = np.array([each.m for each in kept]) / sum(each.m for each in kept)
    auc = np.array([each.auc for each in kept])
    low, high = np.array([each.interval() for each in kept]).T
    # Z = −slope (AUC − ½), and both averages are linear in the cells' AUCs.
    steep = mass * np.array([each.slope for each in kept])
    statistic = -float(steep @ (auc - 0.5))
    average = min(1.0, float(mass @ auc))
    below, above = auc - low, high - auc
    dealt = np.zeros(permutations)
    for number, (each, weight) in enumerate(zip(kept, steep, strict=True)):
        rng = generator(seed, "data copying", "permutation", number)
        dealt -= weight * (each.dealt(permutations, rng) - 0.5)
    # Equal sums may round differently.
    lower = int((dealt <= statistic + 1e-9 * (1 + abs(statistic))).sum())
    return DataCopying(
        statistic,
        average,
        (1 + lower) / (1 + permutations),
        (statistic - _norm(steep * above), statistic + _norm(steep * below)),
        (max(0.0, average - _norm(mass * below)), min(1.0, average + _norm(mass * above))),
        len(kept),
    )


def cell_centres(
    training: Shaped[Tensor, "training ..."],
    *,
    clusters: Int64[Tensor, " training"],
    cells: int,
    seed: int,
) -> Shaped[Tensor, "cells dimension"]:
    """Return the centres of k-means on the training set, flattened.

    Of each cluster of near duplicates one image takes part, and of more than 2,000 a random choice.
    The order of the training set does not matter.

    Args:
        training: (n, *shape), floating point or uint8.
        clusters: of near duplicates, at least ``cells`` different ones.
        cells: how many centres.
        seed: for the choice and the starting points.

    >>> line = torch.tensor([[0.0], [0.0], [1.0], [8.0], [9.0]])
    >>> clusters = torch.tensor([0, 0, 1, 2, 3])
    >>> cell_centres(line, clusters=clusters, cells=2, seed=0).sort(dim=0).values.tolist()
    [[0.5], [8.5]]
    """
    # These take most of a second to import, which sets with one cell need not wait for.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    order = shuffled(training, seed, "data copying")
    first = np.unique(clusters[order].numpy(), return_index=True)[1]
    chosen = order[torch.from_numpy(np.sort(first)[:_FITTED])]
    dtype = torch.float64 if training.dtype == torch.float64 else torch.float32
    rows = training.detach()[chosen.to(training.device)].flatten(1).to(dtype).cpu()
    means = KMeans(cells, n_init="auto", random_state=derive(seed, "data copying") % 2**32)
    # Threads add up in the order they end in.
    with threadpool_limits(limits=1):
        means.fit(rows.numpy())
    return torch.from_numpy(means.cluster_centers_).to(training.device)


def cells_of(
    images: Shaped[Tensor, "n ..."], centres: Shaped[Tensor, "cells dimension"]
) -> Int64[Tensor, " n"]:
    """Return the number of the nearest centre of each image.

    >>> cells_of(torch.tensor([[0.2], [7.0]]), torch.tensor([[0.5], [8.5]])).tolist()
    [0, 1]
    """
    parts = [
        nearest(part.flatten(1).to(centres.dtype), centres, 1).indices[:, 0].cpu()
        for part in images.detach().split(_PART)
    ]
    return torch.cat(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """Distances of generated and held-out images of one cell, as the test needs them.

    Args:
        n: generated images.
        m: held-out images.
        doubled: twice the rank of every distance, ascending; whole where ties share theirs.
        auc: chance that a generated image is the nearer one.
        slope: standard deviations of U that an AUC of 1 is away from one of 0; 0 where all tie.
        variance: of the AUC, by the chance in both sets.
    """

    n: int
    m: int
    doubled: NDArray[np.int64]
    auc: float
    slope: float
    variance: float

    @classmethod
    def holding(cls, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> _Cell:
        n, m = len(ours), len(theirs)
        total = n + m
        # In one order, so that sums round alike.
        ours, theirs = np.sort(ours), np.sort(theirs)
        _, counts = np.unique(np.concatenate([ours, theirs]), return_counts=True)
        doubled = np.repeat(2 * counts.cumsum() - counts + 1, counts)
        ties = float((counts.astype(np.float64) ** 3 - counts).sum())
        variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
        slope = 0.0 if len(counts) == 1 else n * m / math.sqrt(variance)
        nearer, farther = 1 - _below(ours, theirs), _below(theirs, ours)
        chance = sum(each.var(ddof=1) / len(each) for each in (nearer, farther) if len(each) > 1)
        return cls(n, m, doubled, float(nearer.mean()), slope, float(chance))

    def interval(self) -> tuple[float, float]:
        trials = min(self.n, self.m)
        if self.variance > 0:
            most = max(1, 3 * self.n * self.m // (self.n + self.m + 1))
            worth = math.floor(self.auc * (1 - self.auc) / self.variance)
            trials = min(most, max(1, worth))
        return wilson(min(trials, self.auc * trials), trials)

    def dealt(self, permutations: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the AUC with the labels dealt at random, so many times."""
        size = min(self.n, self.m)
        total = len(self.doubled)
        sums = np.empty(permutations)
        for start in range(0, permutations, step := max(1, 1_000_000 // total)):
            keys = rng.random((min(step, permutations - start), total), dtype=np.float32)
            dealt = np.argpartition(keys, size - 1, axis=1)[:, :size]
            sums[start : start + step] = self.doubled[dealt].sum(axis=1)
        # The rank sum of the smaller set tells the pairs in which its image is the farther one.
        farther = (sums - size * (size + 1)) / (2 * self.n * self.m)
        return 1 - farther if self.n <= self.m else farther


def _below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the ascending others below each value, of equal ones one half."""
    left, right = (np.searchsorted(others, values, side=side) for side in ("left", "right"))
    return (left + right) / (2 * len(others))


def _norm(parts: NDArray[np.float64]) -> float:
    return float(np.sqrt((parts**2).sum()))
