"""Distances between sets of images by the kernel densities of their single coordinates.

Each coordinate of a set S of N_S images has the kernel density p_S = (1/N_S) Σ_i N(x_i, ε²) with
ε = s/N_S (in one dimension N_S^{−1/1}), s being the coordinate's standard deviation, the *same* for
all sets. The squared distance of two sets in one coordinate, ∫(p_1 − p_2)², is

    E = (1/N_1²) Σ φ(u; 2ε_1²) + (1/N_2²) Σ φ(u; 2ε_2²) − (2/N_1N_2) Σ φ(u; ε_1² + ε_2²)

over all pairs, u being their difference and φ(u; v) = exp(−u²/2v)/√(2πv); what is given is its mean
over the coordinates, in units of 1/(data unit). As N ε = s, an image paired with itself adds
1/(2√π s) whatever N: such terms are never computed where they cancel. It sees no more than
the marginals. Derived in docs/onset.md.

Kernels are narrow, so a coordinate is sorted and only pairs within 10.07 √v are summed: a kernel
left out is below 1e−22 of its height, and all of them together below 5e−22 · N of the self-term,
1e−15 of it at N of two million images. Values that repeat are summed once, with a weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError

__all__ = ["CoordinateDistances", "Coordinates", "Scale", "distances"]

_REACH = math.sqrt(2 * 22 * math.log(10))
"""Kernel widths beyond which a kernel is below 1e−22 of its height."""
_PAIRS = 1 << 18
"""Pairs held at once."""
_DENSE = 0.25
"""Share of all pairs from which on looking windows up does not pay."""


@dataclass(frozen=True)
class CoordinateDistances:
    """Distances of a generated set to two others, means over coordinates.

    Args:
        training: E_TG, to the training set.
        original: E_OG, to the originals.
        delta: E_TG − E_OG from the terms that differ; above 0 where the generated set lies nearer
            to the originals.
        coordinates: how many were compared: those that vary among the originals.
    """

    training: float
    original: float
    delta: float
    coordinates: int


def distances(
    *,
    generated: Float[Tensor, " g *shape"],
    training: Float[Tensor, " n *shape"],
    original: Float[Tensor, " m *shape"],
    std: Float[Tensor, " *given"] | float | None = None,
    variant: str = "exact",
) -> CoordinateDistances:
    """Return the coordinates' distances of generated images to training images and to originals.

    Args:
        generated: generated images, of any shape.
        training: the training set.
        original: other images of the population, independent of the training set.
        std: standard deviation of each coordinate, or of all: the population's; where None, that
            of the originals. It is the scale of all three sets' kernels.
        variant: ``"as_published"`` is √(2π) times the exact value; signs are the same.

    Raises:
        ConfigError: for an unknown variant.
        DataError: for an empty set, values that are not finite, negative standard deviations, or
            originals without any coordinate that varies.

    >>> images = torch.tensor([[0.0], [1.0], [2.0], [4.0]])
    >>> found = distances(generated=images, training=images, original=images + 0.5)
    >>> found.training, found.delta < 0
    (0.0, True)
    """
    if variant not in ("exact", "as_published"):
        raise ConfigError(f"unknown variant {variant!r}", hint='give "exact" or "as_published"')
    scale = Scale.of(original, std=std)
    g, t, o = (
        Coordinates.of(images, scale, name=name)
        for name, images in (
            ("generated", generated),
            ("training", training),
            ("original", original),
        )
    )
    within_g, within_t, within_o = (float(images.pair_means().mean()) for images in (g, t, o))
    across_t, across_o = float(g.kernel_means(t).mean()), float(g.kernel_means(o).mean())
    factor = math.sqrt(2 * math.pi) if variant == "as_published" else 1.0
    both = 2 * scale.self_term + within_g
    return CoordinateDistances(
        training=factor * max(0.0, both + within_t - 2 * across_t),
        original=factor * max(0.0, both + within_o - 2 * across_o),
        delta=factor * ((within_t - within_o) - 2 * (across_t - across_o)),
        coordinates=len(scale.std),
    )


@dataclass(frozen=True, eq=False)
class Scale:
    """What all sets are measured with.

    Args:
        kept: which coordinates vary.
        centre: a value near those of each kept coordinate, taken off before it is divided.
        std: standard deviation of each kept coordinate.
    """

    kept: NDArray[np.intp]
    centre: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(
        cls, original: Float[Tensor, " m *shape"], *, std: Tensor | float | None = None
    ) -> Scale:
        """Return the scale that the originals set, or their population's given deviations.

        Raises:
            DataError: as :func:`distances` does.
        """
        rows = _rows(original, "original")
        own = np.zeros(rows.shape[1])
        # The deviation of equal values is not 0 but for rounding.
        varied = np.ptp(rows, axis=0) > 0
        own[varied] = rows[:, varied].std(axis=0, ddof=1)
        if std is not None:
            given = torch.as_tensor(std, dtype=torch.float64).flatten().cpu().numpy()
            if given.size not in (1, rows.shape[1]):
                raise DataError(
                    f"{given.size} standard deviations do not fit {rows.shape[1]} coordinates",
                    hint="give one, or one for each",
                )
            if not (np.isfinite(given).all() and (given >= 0).all()):
                raise DataError("a standard deviation is negative or not finite")
            own = np.broadcast_to(given, (rows.shape[1],))
        kept = np.flatnonzero(own > 0)
        if kept.size == 0:
            raise DataError(
                f"no coordinate of the {len(rows)} originals varies",
                hint="give more of them, or std",
            )
        return cls(kept, rows[:, kept].mean(axis=0), own[kept])

    @property
    def self_term(self) -> float:
        """What images paired with themselves add to a set's own term: mean of 1/(2√π s)."""
        return float((1 / self.std).mean()) / (2 * math.sqrt(math.pi))


class Coordinates:
    """A set of images, sorted by each coordinate.

    Args:
        scale: of all the sets that are compared.
        rows: standardized values of its coordinates.
        width: of the kernels, in standard deviations: 1/N of the whole set.
    """

    def __init__(self, scale: Scale, rows: NDArray[np.float64], width: float) -> None:
        self.scale, self.count, self.width = scale, len(rows), width
        self._rows = rows

    @cached_property
    def _sorted(self) -> list[_Sorted]:
        return [_Sorted(column) for column in self._rows.T]

    @classmethod
    def of(cls, images: Float[Tensor, " n *shape"], scale: Scale, *, name: str) -> Coordinates:
        """Return those of a set of images; ``name`` says which, for errors.

        Raises:
            DataError: for an empty set and values that are not finite.
        """
        rows = _rows(images, name)[:, scale.kept]
        return cls(scale, (rows - scale.centre) / scale.std, 1 / len(rows))

    def take(self, images: NDArray[np.intp]) -> Coordinates:
        """Return some of the images, with the kernels of the whole set."""
        return Coordinates(self.scale, self._rows[images], self.width)

    def kernel_means(self, other: Coordinates) -> Float64[Tensor, " n"]:
        """Return each image's mean of φ(u; ε² + ε'²) over the images of the other set.

        The mean over the coordinates, too. Their own mean is (1/N_1N_2) Σ φ.
        """
        variance = self.width**2 + other.width**2
        if self._rows.size * other.count <= _PAIRS:
            gaps = (self._rows[:, None] - other._rows) / math.sqrt(variance)
            total = (_kernel(gaps) / self.scale.std).sum((1, 2))
        else:
            total = np.zeros(self.count)
            for mine, theirs, std in zip(self._sorted, other._sorted, self.scale.std, strict=True):
                total += mine.kernel_sums(theirs, variance) / std
        total /= other.count * len(self.scale.std) * math.sqrt(2 * math.pi * variance)
        return torch.from_numpy(total)

    def pair_means(self) -> Float64[Tensor, " n"]:
        """Return the same within the set, (1/N) Σ φ(u; 2ε²), without the image itself."""
        return self.kernel_means(self) - self.scale.self_term / (self.width * self.count)

    @property
    def distinct(self) -> float:
        """The share of different values among those of a coordinate, where it is lowest."""
        return min(len(column.values) for column in self._sorted) / self.count


class _Sorted:
    """Different values of one coordinate in order, how often each is there, and which is whose."""

    def __init__(self, column: NDArray[np.float64]) -> None:
        self.values, self.owner, counts = np.unique(column, return_inverse=True, return_counts=True)
        self.weights = None if len(counts) == len(column) else counts.astype(np.float64)

    def kernel_sums(self, other: _Sorted, variance: float) -> NDArray[np.float64]:
        """Return Σ exp(−u²/2v) over the other's values, for each value in the order given."""
        width = math.sqrt(variance)
        first = np.searchsorted(other.values, self.values - _REACH * width)
        last = np.searchsorted(other.values, self.values + _REACH * width, side="right")
        sums = np.zeros(len(self.values))
        counts = last - first
        if counts.sum() > _DENSE * len(self.values) * len(other.values):
            for rows in np.array_split(
                np.arange(len(sums)), 1 + len(sums) * len(other.values) // _PAIRS
            ):
                kernels = _kernel((self.values[rows, None] - other.values) / width)
                sums[rows] = kernels.sum(1) if other.weights is None else kernels @ other.weights
            return sums[self.owner]
        occupied = np.flatnonzero(counts)
        for rows in _pieces(occupied, counts[occupied]):
            many = counts[rows]
            starts = np.cumsum(many) - many
            partner = np.arange(many.sum()) + np.repeat(first[rows] - starts, many)
            kernels = _kernel((other.values[partner] - np.repeat(self.values[rows], many)) / width)
            if other.weights is not None:
                kernels *= other.weights[partner]
            sums[rows] = np.add.reduceat(kernels, starts)
        return sums[self.owner]


def _kernel(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(−u²/2), in place."""
    np.square(gaps, out=gaps)
    gaps *= -0.5
    return np.exp(gaps, out=gaps)


def _pieces(rows: NDArray[np.intp], counts: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Cut rows into pieces with about as many pairs as are held at once."""
    cuts = np.flatnonzero(np.diff(np.cumsum(counts) // _PAIRS)) + 1
    yield from (piece for piece in np.split(rows, cuts) if piece.size)


def _rows(images: Tensor, name: str) -> NDArray[np.float64]:
    if len(images) == 0:
        raise DataError(f"there are no {name} images", hint="give at least one")
    rows = images.detach().reshape(len(images), -1).double().cpu().numpy()
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{name} image {int(np.argmin(finite))} holds a value that is not finite",
            hint="look at how it was made",
        )
    return rows
