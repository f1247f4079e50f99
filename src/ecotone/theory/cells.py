"""A cell of a linear study as laws see it: spectrum, model, and what a sampler makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ecotone.core.errors import ConfigError
from ecotone.denoisers.linear import LINEAR, LinearModel
from ecotone.denoisers.wiener import Wiener
from ecotone.populations import POPULATIONS
from ecotone.populations.gaussian import SingleNormal
from ecotone.theory.wiener import SampledTheory

__all__ = ["Cell", "cell_of", "mean_reached", "reaches_limit", "sampled_theory"]

LEAST_DIMENSION = 10
"""Directions that share the variance, from which on limits for d → ∞ hold, by simulation."""

LEAST_POSITIVE = 16
"""The least d for P(Δ > 0): in fewer dimensions pairs of near points, which are few, decide too."""

_TOLERANCE = 0.02
"""Share of a variance by which a sampler may miss its limit."""


@dataclass(frozen=True)
class Cell:
    """What laws are told apart by."""

    dimension: int
    originals: float | None
    model: LinearModel
    variances: Float64[np.ndarray, " d"]
    mean: Float64[np.ndarray, " d"]

    @property
    def isotropic(self) -> bool:
        """Whether all variances are the same."""
        return bool(np.ptp(self.variances) <= 1e-9 * self.variances[0])

    @property
    def large(self) -> bool:
        """Whether limits for d → ∞ apply: enough directions share the variance."""
        share = self.variances.sum() ** 2 / np.square(self.variances).sum()
        return bool(share >= LEAST_DIMENSION - 1e-9)

    @property
    def decided_by_overlaps(self) -> bool:
        """Whether pairs of near points within a set hardly bear on the sign of Δ."""
        return self.large and self.dimension >= LEAST_POSITIVE


def cell_of(
    dimension: int,
    originals: float | None,
    model: Mapping[str, Any],
    population: Mapping[str, Any],
) -> Cell | None:
    """Return the cell; None for populations that no law was derived for."""
    options = {name: value for name, value in model.items() if name != "kind"}
    fitted = LINEAR.create(model["kind"], options)
    kind = POPULATIONS.find(population["kind"])
    if not (isinstance(kind, type) and issubclass(kind, SingleNormal)):
        return None
    options = {name: value for name, value in population.items() if name != "kind"}
    if options.get("dimension") is None and options.get("shape") is None:
        options["dimension"] = dimension
    data = POPULATIONS.create(population["kind"], options)
    assert isinstance(data, SingleNormal)
    if data.dimension != dimension:
        raise ConfigError(
            f"dimension = {dimension}, but the population has {data.dimension}",
            hint="give one of them",
        )
    normal = data.normal
    beyond = dimension - len(normal.variances)
    variances = np.concatenate([normal.variances.numpy(), np.full(beyond, normal.floor)])
    if not (variances > 0).all():
        return None
    if originals is not None and not math.isfinite(originals):
        originals = None
    return Cell(dimension, originals, fitted, variances, normal.mean.numpy())


def _amplitudes(
    model: Wiener, variances: Float64[np.ndarray, " d"]
) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, " d"]]:
    deviations, factors = model.amplitudes(torch.from_numpy(np.ascontiguousarray(variances)))
    return np.square(deviations.numpy()), factors.numpy()


def reaches_limit(cell: Cell, model: Wiener) -> bool:
    """Whether what is sampled is N(x̄, S + c) to within a few percent of every variance."""
    if model.sampler != "exact" or (model.ridge > 0 and model.convention == "weight"):
        return False
    wanted = cell.variances + model.ridge
    made, _ = _amplitudes(model, cell.variances)
    return bool((np.abs(made / wanted - 1) <= _TOLERANCE).all())


def mean_reached(cell: Cell, model: Wiener) -> bool:
    """Whether the share of the starting noise's mean that is left in place of x̄ is nothing."""
    _, factors = _amplitudes(model, cell.variances)
    lost = float(factors.max()) ** 2 * float(np.square(cell.mean).sum())
    return lost <= _TOLERANCE * float(cell.variances.min())


def sampled_theory(cell: Cell, model: Wiener) -> SampledTheory:
    """Return the theory of an isotropic population in units of its variance."""
    unit = float(cell.variances[0])
    return SampledTheory(
        cell.dimension,
        lambda x: _amplitudes(model, unit * x)[0] / unit,
        lambda x: _amplitudes(model, unit * x)[1],
    )
