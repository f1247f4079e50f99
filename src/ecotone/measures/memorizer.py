"""How near a denoiser is to the exact memorizer of its training set."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from scipy.special import stdtrit

from ecotone.core.intervals import jackknife
from ecotone.core.readings import Reading
from ecotone.denoisers import Denoiser
from ecotone.measures.denoising import label, mean_reading, weights
from ecotone.measures.evidence import Evidence
from ecotone.measures.probe import Answers, Probe

__all__ = ["memorizer", "memorizer_readings"]

_GROUPS = 20
_LEVEL = 0.95


def memorizer(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`memorizer_readings` at the levels and images of the denoising losses.

    Nothing is returned without a denoiser or a holdout.
    """
    asked = evidence.asked
    if asked is None:
        return {}
    return _readings(*asked, sigma_data=evidence.sigma_data)


def memorizer_readings(
    denoiser: Denoiser,
    probe: Probe,
    *,
    sigma_data: float,
    device: torch.device | str | None = None,
) -> dict[str, Reading]:
    """Return a denoiser's excess over the exact memorizer, and its distance from it.

    The exact memorizer M(x; σ) is the posterior mean over the training set
    (:class:`~ecotone.denoisers.EmpiricalDenoiser`), the one minimizer of the training loss. At each
    noise level σ:

    - ``memorizer_excess``: mean over training images x of |D(x + σz) − x|² − |M(x + σz) − x|², per
      value of an image. Its expectation is E|D − M|², as M's errors are orthogonal to every
      function of the noisy image: 0 for the memorizer, positive for all others. Student's t
      interval.
    - ``memorizer_distance``: Σ|D − M|² / Σ|x_σ − M|² over noisy *holdout* images x_σ, where nothing
      was to be learned by heart: the squared distance of the two scores (D − x_σ)/σ² and
      (M − x_σ)/σ², relative to the memorizer's. 0 for the memorizer. Jackknife over images.

    What stands for all levels is the mean over them: of λ(σ) times the excess, with the weight of
    the training loss, and of the distance as it is.

    Args:
        denoiser: what to measure.
        probe: the noisy images.
        sigma_data: standard deviation of the data, above 0.
        device: where the denoiser takes its input; None for where the images are.

    Returns:
        Both at every level, as ``memorizer_excess[sigma=S]``, and over all. Levels at which the
        denoiser is not finite are left out, and with them those over all.

    >>> training = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> probe = Probe(training=training, holdout=-training, sigmas=[0.5], seed=0)
    >>> from ecotone.denoisers import EmpiricalDenoiser
    >>> found = memorizer_readings(EmpiricalDenoiser(training), probe, sigma_data=1.0)
    >>> {name: reading.value for name, reading in found.items()}
    {'memorizer_excess[sigma=0.5]': 0.0, 'memorizer_distance[sigma=0.5]': 0.0,
     'memorizer_excess': 0.0, 'memorizer_distance': 0.0}
    """
    return _readings(probe, probe.ask(denoiser, device=device), sigma_data=sigma_data)


def _readings(probe: Probe, answers: Answers, *, sigma_data: float) -> dict[str, Reading]:
    exact = probe.memorizer
    excess = (answers.losses[:, 0] - exact.losses[:, 0]).numpy()
    apart, whole = _squares(probe, answers, exact)
    how: dict[str, object] = {"images": probe.count, "draws": probe.draws, "seed": probe.seed}
    readings: dict[str, Reading] = {}
    finite = [bool(np.isfinite(level).all()) for level in excess + apart]
    for level, sigma in enumerate(probe.sigmas):
        if finite[level]:
            readings[f"memorizer_excess{label(sigma)}"] = mean_reading(
                excess[level],
                "squared value",
                "less copying",
                {**how, "interval": "Student's t"},
            )
            readings[f"memorizer_distance{label(sigma)}"] = _distance(
                apart[level : level + 1], whole[level : level + 1], how
            )
    if all(finite):
        weight = weights(probe, sigma_data)[:, None]
        how = {**how, "sigmas": list(probe.sigmas), "sigma_data": sigma_data}
        readings["memorizer_excess"] = mean_reading(
            (weight * excess).mean(axis=0),
            "weighted loss",
            "less copying",
            {**how, "interval": "Student's t"},
        )
        readings["memorizer_distance"] = _distance(apart, whole, how)
    return readings


def _squares(
    probe: Probe, answers: Answers, exact: Answers
) -> tuple[Float64[np.ndarray, "levels images"], Float64[np.ndarray, "levels images"]]:
    """Return |D − M|² and |x_σ − M|² of every noisy holdout image, summed over draws."""
    held = probe.clean[1]
    apart = (answers.estimates[:, :, 1] - exact.estimates[:, :, 1]).double().square()
    whole = torch.empty(apart.shape[:3], dtype=torch.float64)
    for level, sigma in enumerate(probe.sigmas):
        for draw in range(probe.draws):
            noisy = held + sigma * probe.noise(level, draw)
            moved = (noisy - exact.estimates[level, draw, 1]).double().square()
            whole[level, draw] = moved.flatten(1).sum(dim=1).cpu()
    return apart.flatten(3).sum(dim=3).sum(dim=1).cpu().numpy(), whole.sum(dim=1).numpy()


def _distance(
    apart: Float64[np.ndarray, "levels images"],
    whole: Float64[np.ndarray, "levels images"],
    how: dict[str, object],
) -> Reading:
    """Return the mean over levels of Σ|D − M|² / Σ|x_σ − M|²."""
    n = apart.shape[1]

    def ratio(kept: np.ndarray) -> float:
        return float((apart[:, kept].sum(axis=1) / whole[:, kept].sum(axis=1)).mean())

    value, groups = ratio(np.arange(n)), min(_GROUPS, n)
    low = high = None
    if n > 2 and (error := jackknife(ratio, n, groups=groups)) is not None:
        half = float(stdtrit(groups - 1, 0.5 + _LEVEL / 2)) * error
        low, high = max(0.0, value - half), value + half
    return Reading(
        value,
        n=n,
        unit="of the memorizer's squared score",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={**how, "interval": "delete-a-group jackknife of images"},
    )
