from __future__ import annotations

import math

import pytest
import torch

from ecotone.core import ConfigError
from ecotone.core.seeds import generator
from ecotone.measures.delta import delta, delta_of
from ecotone.measures.densities import ExactDensity, KernelDensity
from ecotone.measures.overlaps import overlaps
from ecotone.populations.mixtures import Mixture
from ecotone.populations.normal import Normal


def points(n: int, d: int, name: str) -> torch.Tensor:
    return torch.from_numpy(generator(0, name).standard_normal((n, d)))


def test_known_overlaps_give_the_same_difference() -> None:
    training = KernelDensity(points(20, 3, "training"), std=1.0)
    unit = Normal(torch.zeros(3).double(), torch.ones(3).double())
    models = [unit, Normal(unit.mean + 0.4, 0.5 * unit.variances)]
    for original in (
        KernelDensity(points(90, 3, "original"), std=1.0),
        ExactDensity(unit, std=1.0),
    ):
        whole = delta(generated=models, training=training, original=original)
        parts = delta_of(
            overlaps(models, training),
            overlaps(models, original),
            training=training,
            original=original,
        )
        assert torch.equal(whole, parts)


def test_a_mixture_is_the_mean_of_its_components() -> None:
    """Δ of a mixture, by its overlaps, against quadrature of both densities in one dimension."""
    population = Mixture(means=[[-1.5], [1.0]], weights=[0.3, 0.7], std=0.6)
    std = population.std
    sets = [KernelDensity(population.stream(n, seed=1), std=std) for n in (15, 60)]
    logs = [
        (population.weights.log() + overlaps(population.components, one)).logsumexp(0)[None]
        for one in sets
    ]
    found = delta_of(logs[0], logs[1], training=sets[0], original=sets[1])
    axis = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    clean = torch.zeros(len(axis), dtype=torch.float64)
    generated = population.log_density(axis[:, None], clean).exp()

    def distance(one: KernelDensity) -> float:
        variance = math.exp(one.log_variance)
        squares = (axis[:, None] - one.points[:, 0]).square()
        kernel = (-squares / (2 * variance)).exp().mean(1) / math.sqrt(2 * math.pi * variance)
        return float(torch.trapezoid((generated - kernel).square(), axis))

    unit = math.sqrt(4 * math.pi) * std
    direct = unit * (distance(sets[0]) - distance(sets[1]))
    assert float(found[0]) == pytest.approx(direct, rel=1e-6)


def test_a_tolerance_of_nothing_is_refused() -> None:
    one = KernelDensity(points(5, 2, "one"), std=1.0)
    logs = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(ConfigError, match="tolerance = 0"):
        delta_of(logs, logs, training=one, original=one, tolerance=0)
