"""One replicate of a linear study: an original, training sets, fits, and what is between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ecotone.core.seeds import derive
from ecotone.denoisers.linear import LINEAR, LinearFit
from ecotone.measures.delta import delta_of
from ecotone.measures.gaussians import (
    affinity_per_dimension,
    hellinger_squared,
    kl,
    wasserstein2_squared,
)
from ecotone.measures.kernel_density import (
    ExactDensity,
    KernelDensity,
    log_distance,
    overlaps,
)
from ecotone.measures.published import published_hellinger_squared
from ecotone.populations.exact import ExactPopulation
from ecotone.populations.gaussian import SingleNormal
from ecotone.populations.mixtures import Mixture
from ecotone.populations.normal import Normal
from ecotone.studies.linear_config import LinearConfig

__all__ = ["replicate"]

Values = dict[str, dict[str, float]]
"""Variant and measure to value."""

_DRAWS = 2000
"""Samples of a generated Gaussian, where its divergence from a population has no closed form."""

_RELATIVE = 1e-9
"""How closely distances are had, relative to themselves."""


def replicate(config: LinearConfig, population: ExactPopulation, index: int) -> dict[str, Values]:
    """Draw, fit and measure once, for every size of the training set.

    Args:
        config: complete.
        population: that ``config`` names.
        index: number of the replicate; it names the streams of random numbers.

    Returns:
        Values by size, as text. What is infinite, or cannot be had for the population, is absent.
    """
    model = LINEAR.create(config.model.kind, config.model.options)

    def density(size: int, *names: str | int) -> KernelDensity:
        points = population.stream(size, derive(config.seed, *names, index))
        return KernelDensity(points, std=population.std)

    sets = {n: density(n, "training", n) for n in config.n}
    fits = {
        n: model.fit(training.points, seed=derive(config.seed, "noise", n, index))
        for n, training in sets.items()
    }
    # One original for all sizes lets one pass over it serve them all.
    groups = [[n] for n in config.n] if config.fresh_originals else [list(config.n)]
    values: dict[str, Values] = {}
    for group in groups:
        names = ["original", *(group if config.fresh_originals else [])]
        original = density(config.originals, *names)
        ideal, weights = _components(population)
        generated = [normal for n in group for normal in _generated(fits[n])]
        of_all = overlaps([*ideal, *generated], original)
        of_ideal, of_fits = of_all[: len(ideal)], iter(of_all[len(ideal) :])
        for n in group:
            seed = derive(config.seed, "generated", n, index)
            found = _against_population(fits[n], original.points, population, seed)
            pair = _generated(fits[n])
            both = overlaps([*ideal, *pair], sets[n])
            to_training = torch.cat([_mixed(both[: len(ideal)], weights), both[len(ideal) :]])
            theirs = torch.tensor([next(of_fits) for _ in pair], dtype=torch.float64)
            to_original = torch.cat([_mixed(of_ideal, weights), theirs])
            signs = _signs(to_training, to_original, sets[n], original)
            found.setdefault("exact", {})["delta_sign_null"] = signs[0]
            for variant, sign in zip(("exact", "as_published"), signs[1:], strict=False):
                found.setdefault(variant, {})["delta_sign"] = sign
            for name, kernel, logs in (
                ("training", sets[n], to_training),
                ("original", original, to_original),
            ):
                log_overlap = float(logs[1])
                found["exact"][f"log_overlap_{name}"] = log_overlap
                found["exact"][f"log_distance_{name}"] = log_distance(
                    pair[0], kernel, log_overlap=log_overlap, tolerance=_RELATIVE
                )
            if isinstance(population, SingleNormal) and math.isfinite(
                population.normal.log_determinant
            ):
                exact = ExactDensity(population.normal, std=population.std)
                with_density = overlaps(pair[:1], exact)
                (sign,) = _signs(to_training[1:2], with_density, sets[n], exact)
                found["exact"]["delta_sign_density"] = sign
            values[str(n)] = {variant: _finite(found[variant]) for variant in sorted(found)}
    return values


def _generated(fit: LinearFit) -> list[Normal]:
    """Return the Gaussian that a fit generates, and the published one where there is one."""
    return [fit.generated] if fit.published is None else [fit.generated, fit.published]


def _components(population: ExactPopulation) -> tuple[Sequence[Normal], Tensor]:
    """Return the Gaussians that a population is a mixture of, and their log weights."""
    if isinstance(population, Mixture):
        return population.components, population.weights.log()
    assert isinstance(population, SingleNormal)
    return [population.normal], torch.zeros(1, dtype=torch.float64)


def _mixed(logs: Tensor, weights: Tensor) -> Tensor:
    """Return the log overlap of a mixture, given those of its components and their log weights."""
    return (weights + logs).logsumexp(0)[None]


def _signs(
    to_training: Tensor,
    to_original: Tensor,
    training: KernelDensity,
    original: KernelDensity | ExactDensity,
) -> list[float]:
    """Return the sign of Δ of each model, given its overlaps with the two sets."""
    sets = {"training": training, "original": original}
    return delta_of(to_training, to_original, **sets, tolerance=math.inf).sign().tolist()


def _against_population(
    fit: LinearFit, original: Tensor, population: ExactPopulation, seed: int
) -> Values:
    """Return distances of what is generated to the population.

    Between Gaussians they are closed forms. For another population the divergences are means of
    log density ratios, over the original and over samples of the generated Gaussian.
    """
    generated = fit.generated
    if not isinstance(population, SingleNormal):
        found = {"kl_population_generated": math.inf, "kl_generated_population": math.inf}
        if math.isfinite(generated.log_determinant):
            stream = np.random.Generator(np.random.SFC64(seed))
            drawn = generated.stream(_DRAWS, stream)
            found = {
                "kl_population_generated": _log_ratio(original, population, generated),
                "kl_generated_population": -_log_ratio(drawn, population, generated),
            }
        return {"exact": found}
    normal = population.normal
    found = {
        "exact": {
            "affinity": affinity_per_dimension(generated, normal),
            "hellinger_squared": hellinger_squared(generated, normal),
            "kl_generated_population": kl(generated, normal),
            "kl_population_generated": kl(normal, generated),
            "wasserstein2_squared": wasserstein2_squared(generated, normal),
        }
    }
    if fit.published is not None:
        squared = published_hellinger_squared(fit.published, normal)
        if squared is not None:
            d = len(normal.mean)
            affinity = (1 - squared) ** (1 / d)
            found["as_published"] = {"hellinger_squared": squared, "affinity": affinity}
    return found


def _log_ratio(x: Tensor, population: ExactPopulation, generated: Normal) -> float:
    """Return the mean of log p(x) − log p_generated(x)."""
    clean = torch.zeros(len(x), dtype=torch.float64)
    of_population = population.log_density(x.reshape(len(x), *population.shape), clean)
    return float((of_population - generated.log_density(x, clean)).mean())


def _finite(measures: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in sorted(measures.items()) if math.isfinite(value)}
