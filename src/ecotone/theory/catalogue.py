"""Which laws apply to a cell of a linear study, and where its thresholds lie."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from ecotone.denoisers.linear import OneStep
from ecotone.denoisers.wiener import Wiener
from ecotone.theory.base import Law, Threshold
from ecotone.theory.cells import Cell, cell_of, mean_reached, reaches_limit, sampled_theory
from ecotone.theory.leave_one_out import Variant, probability_positive
from ecotone.theory.one_step import OneStepTheory
from ecotone.theory.positive import onset
from ecotone.theory.wiener import SampledTheory, WienerTheory

__all__ = ["predictions", "thresholds"]

_PLUG_IN = "Wishart moments of the training covariance; exact"
_EQUIVALENT = "deterministic equivalent of the training covariance, d and n large"
_SAMPLED = "Marchenko–Pastur law of the eigenvalues the sampler starts from"
_ONE_STEP = "random-matrix law of the least-squares slope B = rI + √(1 − r) G W^−½, d and n large"
_LEFT_OUT = "fits drawn from their law, and the effect of one more training point on each"


def predictions(
    *,
    dimension: int,
    originals: float | None,
    model: Mapping[str, Any],
    population: Mapping[str, Any],
) -> list[Law]:
    """Return all laws that apply to a cell of a linear study.

    Args:
        dimension: d.
        originals: N_O, size of the original set; None for none but the population's density.
        model: ``kind`` and options of a linear model.
        population: ``kind`` and options of a population.

    Returns:
        Laws of ``affinity``, ``hellinger_squared``, ``kl_generated_population``,
        ``kl_population_generated``, ``wasserstein2_squared``, ``p_delta_positive`` and
        ``p_delta_positive_density`` (to the density in place of an original set), those there are.
        None are given for a population that is not one Gaussian of full rank; for the one-step
        model on anisotropic data none but P(Δ > 0).

    Raises:
        ConfigError: for an unknown model, population or option, or where ``dimension`` is not the
            population's.

    >>> plug_in = {"kind": "wiener"}
    >>> isotropic = {"kind": "gaussian"}
    >>> laws = predictions(dimension=50, originals=None, model=plug_in, population=isotropic)
    >>> [law.measure for law in laws if law.predict(150) is not None][:2]
    ['kl_generated_population', 'kl_population_generated']
    """
    cell = cell_of(dimension, originals, model, population)
    if cell is None:
        return []
    if isinstance(cell.model, OneStep):
        return _one_step_laws(cell, cell.model)
    if isinstance(cell.model, Wiener):
        return _wiener_laws(cell, cell.model)
    return []


def thresholds(
    *,
    dimension: int,
    originals: float | None,
    model: Mapping[str, Any],
    population: Mapping[str, Any],
) -> list[Threshold]:
    """Return the sizes of the training set at which something is known to change, in order.

    Args:
        dimension: d.
        originals: N_O, or None.
        model: ``kind`` and options of a linear model.
        population: ``kind`` and options of a population.

    Raises:
        ConfigError: as :func:`predictions`.

    >>> one_step, isotropic = {"kind": "one_step"}, {"kind": "gaussian"}
    >>> found = thresholds(dimension=100, originals=10_000, model=one_step, population=isotropic)
    >>> [round(threshold.n) for threshold in found]
    [100, 198, 296]
    """
    cell = cell_of(dimension, originals, model, population)
    if cell is None:
        return []
    rank = Threshold(
        float(dimension),
        "n = d: what is generated fills all dimensions above",
        "n points fit a covariance of rank n − 1; KL divergences and affinity are infinite and 0 "
        "up to n = d",
    )
    if isinstance(cell.model, Wiener):
        full = cell.model.ridge > 0 and cell.model.convention == "covariance"
        return [] if full else [rank]
    if not isinstance(cell.model, OneStep):
        return []
    found = [rank]
    if cell.isotropic:
        noise = cell.model.sigma**2 / float(cell.variances[0])
        detached = OneStepTheory(dimension, noise).detached
        found.append(
            Threshold(
                detached,
                "n = (1 + g')d: KL(population ‖ generated) falls from order d² to order d",
                "the disc of the slope's eigenvalues lets go of 0",
            )
        )
        if originals is not None and math.isfinite(originals):
            n = onset(dimension=dimension, originals=originals, noise=noise)
            if n is not None:
                found.append(
                    Threshold(
                        n,
                        "n_c: P(Δ > 0) passes about a half",
                        "n log(N_O/n) = r(1 − r)d²/(1 + b), b = r + n^(−2/d): the originals' "
                        "narrower kernels outweigh the fit to the training points",
                    )
                )
    return sorted(found, key=lambda threshold: threshold.n)


def _one_step_laws(cell: Cell, model: OneStep) -> list[Law]:
    d, infinity = cell.dimension, math.inf
    laws: list[Law] = []
    if cell.isotropic and cell.large:
        theory = OneStepTheory(d, model.sigma**2 / float(cell.variances[0]))
        laws = [
            Law(
                "kl_generated_population",
                "one-step model, expected",
                theory.kl_generated_population,
                (d + 3, infinity),
                f"½[tr C + |μ − m|² − d − log det C]; {_ONE_STEP}",
            ),
            Law(
                "kl_population_generated",
                "one-step model, typical",
                theory.kl_population_generated,
                (math.ceil(1.5 * theory.detached), infinity),
                f"½[tr C^−1 + … − d + log det C]; {_ONE_STEP}; the mean is infinite, and the "
                "median a tenth higher at the left end",
            ),
            Law(
                "affinity",
                "one-step model, typical",
                theory.affinity,
                (2, infinity),
                f"½ log 2 + ¼L₀ − ½L₁, L_c = log det(C + c)/d; {_ONE_STEP}; 0 up to n = d",
            ),
            Law(
                "hellinger_squared",
                "one-step model, typical",
                theory.hellinger_squared,
                (2, infinity),
                f"1 − affinity^d; {_ONE_STEP}; 1 up to n = d",
            ),
        ]
    if cell.decided_by_overlaps:
        for variant in ("exact", "as_published"):
            laws += _positive(cell, "one_step", variant, noise=model.sigma**2)
    return laws


def _wiener_laws(cell: Cell, model: Wiener) -> list[Law]:
    d, infinity, laws = cell.dimension, math.inf, []
    if model.stopping_time is not None or not mean_reached(cell, model):
        return []
    if reaches_limit(cell, model):
        theory = WienerTheory(cell.variances, ridge=model.ridge)
        exact = model.ridge == 0
        source = _PLUG_IN if exact else _EQUIVALENT
        if exact or cell.large:
            laws += [
                Law(
                    "kl_generated_population",
                    "Wiener model, expected",
                    theory.kl_generated_population,
                    (d + 1 if exact else 2, infinity),
                    f"½[tr Σ^−1(S + c) + d/n − d − log det((S + c)/Σ)]; {source}",
                ),
                Law(
                    "kl_population_generated",
                    "Wiener model, expected",
                    theory.kl_population_generated,
                    (math.ceil(1.5 * d) + 3 if exact else 2, infinity),
                    f"½[(1 + 1/n) tr Σ(S + c)^−1 − d + log det((S + c)/Σ)]; {source}",
                ),
            ]
        if cell.large:
            laws += _affinities("Wiener model, typical", theory, (2, infinity), _EQUIVALENT)
            if cell.decided_by_overlaps:
                laws += _positive(cell, "wiener", "exact", ridge=model.ridge)
    elif cell.isotropic and cell.large:
        theory = sampled_theory(cell, model)
        holds = (2.0 * d, infinity)
        laws += [
            Law(
                "kl_generated_population",
                "Wiener model as sampled, expected",
                theory.kl_generated_population,
                holds,
                f"that of the training covariance + (d/2) E[f − x − log(f/x)]; {_SAMPLED}",
            ),
            Law(
                "kl_population_generated",
                "Wiener model as sampled, expected",
                theory.kl_population_generated,
                holds,
                f"that of the training covariance + (d/2) E[1/f − 1/x + log(f/x)]; {_SAMPLED}",
            ),
        ]
        laws += _affinities("Wiener model as sampled, typical", theory, holds, _SAMPLED)
    if cell.isotropic and cell.large:
        sampled, variance = sampled_theory(cell, model), float(cell.variances[0])

        def distance(n: float) -> float | None:
            value = sampled.wasserstein2_squared(n)
            return None if value is None else variance * value

        laws.append(
            Law(
                "wasserstein2_squared",
                "Wiener model, expected",
                distance,
                (2, infinity),
                f"std² d E[(√f − 1)² + 1/n]; {_SAMPLED}",
            )
        )
    return laws


def _affinities(
    name: str, theory: WienerTheory | SampledTheory, holds: tuple[float, float], source: str
) -> list[Law]:
    told = f"½ log 2 + ¼ log det C − ½ log det(C + Σ) over d; {source}"
    return [
        Law("affinity", name, theory.affinity, holds, told),
        Law("hellinger_squared", name, theory.hellinger_squared, holds, f"1 − affinity^d; {told}"),
    ]


def _positive(cell: Cell, model: str, variant: Variant, **options: float) -> list[Law]:
    """Return the laws of P(Δ > 0), to the original set where there is one, and to the density."""
    kinds: dict[str, float | None] = {"p_delta_positive_density": None}
    if cell.originals is not None:
        kinds["p_delta_positive"] = cell.originals

    def law(measure: str, originals: float | None) -> Law:
        formula = functools.partial(
            probability_positive,
            originals=originals,
            variances=cell.variances,
            model=model,
            variant=variant,
            **options,
        )
        # Each value is a small simulation.
        cached = functools.cache(formula)
        return Law(measure, "leave-one-out", cached, (3, math.inf), _LEFT_OUT, variant)

    return [law(measure, originals) for measure, originals in kinds.items()]
