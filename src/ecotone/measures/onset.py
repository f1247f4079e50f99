"""Whether the marginals of generated images lie nearer to those of the training set or of others.

The distances of :mod:`ecotone.measures.coordinates`, with the holdout for the originals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.intervals import jackknife
from ecotone.core.readings import Direction, Reading
from ecotone.measures.coordinates import Coordinates, Scale
from ecotone.measures.evidence import Evidence
from ecotone.measures.subsets import shuffled

__all__ = ["onset", "onset_readings"]

_GROUPS = 20
_LEVEL = 0.95
_DISTINCT = 0.9
"""Share of different values from which on a coordinate is taken to have a density."""
_UNIT = "1/(data unit)"


def onset(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`onset_readings`, the holdout being the originals; nothing without one."""
    if evidence.holdout is None or min(len(evidence.holdout), len(evidence.training)) < 2:
        return {}
    return onset_readings(
        generated=evidence.generated,
        training=evidence.training,
        original=evidence.holdout,
        seed=evidence.seed,
    )


def onset_readings(
    *,
    generated: Float[Tensor, " g *shape"],
    training: Float[Tensor, " n *shape"],
    original: Float[Tensor, " m *shape"],
    seed: int,
) -> dict[str, Reading]:
    """Return E_TG, E_OG, Δ = E_TG − E_OG, and the Δ to expect without any memorization.

    ``delta`` above 0 means that the generated images' marginals lie nearer to the originals'. An
    ideal sampler, one that draws from the population, is not at 0: with p the density of a
    coordinate, its E[Δ] = −(1/N_T − 1/N_O) ∫p² + O(N⁻³), mean over the coordinates, whatever the
    number of generated images (widths of kernels cancel in first order; derived in docs/onset.md).
    That is ``delta_null``, ∫p² being taken from pairs of originals. It is absent where values
    repeat, as those of pixels of few levels do: there is no density then.

    Intervals are by leaving out a twentieth in turn of the generated images, and of the originals
    for ``delta_null``. The chance in choosing the training set, usually the larger part, shows
    between seeds only.

    Args:
        generated: generated images.
        training: the training set, two images or more.
        original: other images of the population, two or more.
        seed: of the order in which images fall into groups.

    Returns:
        The readings by name; none where no coordinate varies.
    """
    if bool((original == original[:1]).all()):
        return {}
    scale = Scale.of(original)
    sets = {"generated": generated, "training": training, "original": original}
    g, t, o = (
        Coordinates.of(
            images[shuffled(images, seed, "onset", name).to(images.device)], scale, name=name
        )
        for name, images in sets.items()
    )
    within_g, within_o = _PairMean(g), _PairMean(o)
    within_t = float(t.pair_means().mean())
    across_t, across_o = g.kernel_means(t).numpy(), g.kernel_means(o).numpy()
    known = 2 * scale.self_term + np.array([within_t, within_o.value])

    def distance(index: int, across: NDArray[np.float64]) -> Reading:
        def value(kept: NDArray[np.intp]) -> float:
            return float(known[index] + within_g.of(kept) - 2 * across[kept].mean())

        return _reading(value, g.count, "worse" if index else "neither", least=0.0)

    def difference(kept: NDArray[np.intp]) -> float:
        return float(within_t - within_o.value + 2 * (across_o[kept] - across_t[kept]).mean())

    readings = {
        "e_training_generated": distance(0, across_t),
        "e_original_generated": distance(1, across_o),
        "delta": _reading(difference, g.count, "less copying"),
    }
    if o.distinct >= _DISTINCT:
        excess = 1 / t.count - 1 / o.count

        def null(kept: NDArray[np.intp]) -> float:
            return -excess * within_o.of(kept) * o.count / (o.count - 1)

        readings["delta_null"] = _reading(null, o.count, "neither")
    how = {
        "training_images": t.count,
        "original_images": o.count,
        "coordinates": len(scale.std),
        "seed": seed,
    }
    return {name: reading.noting(**how) for name, reading in readings.items()}


class _PairMean:
    """The mean (1/N²) Σ φ of pairs within a set, and what it is without a group of images.

    Args:
        images: the set, in the order of which image i belongs to group i mod 20.
    """

    def __init__(self, images: Coordinates) -> None:
        self.count, self.groups = images.count, min(_GROUPS, images.count)
        index = np.arange(self.count)
        rows = self._sums(images)
        self._total = float(rows.sum())
        self._lost = np.empty(self.groups)
        for group in range(self.groups):
            members = index[index % self.groups == group]
            # Pairs with one image in the group stand in two rows; so do those of two in the group.
            within = float(self._sums(images.take(members)).sum())
            self._lost[group] = 2 * float(rows[members].sum()) - within
        self.value = self._total / self.count**2

    @staticmethod
    def _sums(images: Coordinates) -> Float64[Tensor, " n"]:
        return images.pair_means() * images.count

    def of(self, kept: NDArray[np.intp]) -> float:
        """Return it for all images or all but a group, at the pairs' share of the whole set."""
        if len(kept) == self.count:
            return self.value
        missing = np.setdiff1d(np.arange(self.groups), kept % self.groups)
        total = self._total - float(self._lost[missing].sum())
        pairs = len(kept) * (len(kept) - 1)
        return total / pairs * (self.count - 1) / self.count if pairs else 0.0


def _reading(
    value: Callable[[NDArray[np.intp]], float],
    n: int,
    higher_is: Direction,
    *,
    least: float = -np.inf,
) -> Reading:
    """Return a statistic of all images with the interval from leaving out groups of them."""
    groups = min(_GROUPS, n)
    centre = max(least, value(np.arange(n)))
    # Two images less one have no pair.
    error = jackknife(value, n, groups=groups) if n > 2 else None
    low = high = None
    if error is not None:
        half = float(stdtrit(groups - 1, 0.5 + _LEVEL / 2)) * error
        low, high = max(least, centre - half), centre + half
    return Reading(
        centre,
        n=n,
        unit=_UNIT,
        higher_is=higher_is,
        low=low,
        high=high,
        level=_LEVEL,
        how={"interval": "delete-a-group jackknife"},
    )
