"""How much better a denoiser is on images it was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.intervals import mean_interval
from ecotone.core.readings import Direction, Reading
from ecotone.denoisers import Denoiser
from ecotone.measures.evidence import Evidence
from ecotone.measures.probe import IMAGES, Answers, Probe
from ecotone.noise import edm_weight

__all__ = ["denoising", "denoising_losses", "label", "mean_reading", "weights"]


def denoising(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`denoising_losses` of at most 64 images of each set at seven noise levels.

    Nothing is returned without a denoiser or a holdout.
    """
    asked = evidence.asked
    if asked is None:
        return {}
    return _readings(*asked, sigma_data=evidence.sigma_data)


def denoising_losses(
    denoiser: Denoiser,
    *,
    training: Float[Tensor, " n *shape"],
    holdout: Float[Tensor, " m *shape"],
    sigmas: Sequence[float],
    sigma_data: float,
    seed: int,
    draws: int = 1,
    images: int = IMAGES,
    device: torch.device | str | None = None,
) -> dict[str, Reading]:
    """Return the denoising loss on training and holdout images, and the gap between them.

    The loss of an image x at level σ is the mean over its values of (D(x + σz; σ) − x)². As many
    images are taken of each set, at random, and paired: image i of both gets the same noise z, so
    that much of the chance in the noise drops out of the gap (holdout − training). At each level
    intervals are Student's t over images, and over pairs for the gap; what stands for all levels is
    the mean over them of λ(σ) times the loss or gap, with λ(σ) = (σ² + σ_data²)/(σ σ_data)², the
    weight of the training loss (Karras et al. 2022, Table 1). That of the holdout is the validation
    loss.

    Args:
        denoiser: what to measure.
        training: images it was trained on.
        holdout: images of the same population it was not.
        sigmas: noise levels, one or more, above 0, in the units of the data.
        sigma_data: standard deviation of the data, above 0.
        seed: for the images taken and the noise.
        draws: of noise, for each image and level.
        images: the most images taken of each set.
        device: where the denoiser takes its input; None for where the images are.

    Returns:
        ``denoising_loss_training[sigma=S]``, ``denoising_loss_holdout[sigma=S]`` and
        ``denoising_gap[sigma=S]`` for each level, and all three without a level over all of them.
        Levels whose loss is not finite are left out, and with them those over all.

    Raises:
        DataError: for an empty set.
        ConfigError: for no levels, or values that are not above 0.

    >>> sets = {"training": torch.zeros(4, 2), "holdout": torch.ones(4, 2)}
    >>> memorizer = lambda x, sigma: torch.zeros_like(x)
    >>> found = denoising_losses(memorizer, **sets, sigmas=[1.0], sigma_data=1.0, seed=0)
    >>> for name, reading in found.items():
    ...     print(name, reading.value)
    denoising_loss_training[sigma=1] 0.0
    denoising_loss_holdout[sigma=1] 1.0
    denoising_gap[sigma=1] 1.0
    denoising_loss_training 0.0
    denoising_loss_holdout 2.0
    denoising_gap 2.0
    """
    if sigma_data <= 0:
        raise ConfigError(f"sigma_data = {sigma_data} cannot be used", hint="give one above 0")
    probe = Probe(
        training=training, holdout=holdout, sigmas=sigmas, seed=seed, draws=draws, images=images
    )
    return _readings(probe, probe.ask(denoiser, device=device), sigma_data=sigma_data)


def label(sigma: float) -> str:
    """Return what a reading's name ends in to say its noise level.

    >>> label(0.53862)
    '[sigma=0.539]'
    """
    return f"[sigma={sigma:.3g}]"


def weights(probe: Probe, sigma_data: float) -> Float64[np.ndarray, " levels"]:
    """Return the weights λ(σ) of a probe's levels, by which what is read at each is averaged."""
    return edm_weight(torch.tensor(probe.sigmas, dtype=torch.float64), sigma_data).numpy()


def _readings(probe: Probe, answers: Answers, *, sigma_data: float) -> dict[str, Reading]:
    how = {
        "images_each": probe.count,
        "draws": probe.draws,
        "seed": probe.seed,
        "interval": "Student's t",
    }
    losses = answers.losses.numpy()
    kinds: list[tuple[str, np.ndarray, str, Direction]] = [
        ("denoising_loss_training", losses[:, 0], "squared value", "worse"),
        ("denoising_loss_holdout", losses[:, 1], "squared value", "worse"),
        ("denoising_gap", losses[:, 1] - losses[:, 0], "squared value", "more copying"),
    ]
    readings: dict[str, Reading] = {}
    for level, sigma in enumerate(probe.sigmas):
        if np.isfinite(losses[level]).all():
            for name, values, unit, higher_is in kinds:
                reading = mean_reading(values[level], unit, higher_is, how)
                readings[f"{name}{label(sigma)}"] = reading
    if np.isfinite(losses).all():
        weight = weights(probe, sigma_data)[:, None]
        how = {**how, "sigmas": list(probe.sigmas), "sigma_data": sigma_data}
        for name, values, _, higher_is in kinds:
            overall = (weight * values).mean(axis=0)
            readings[name] = mean_reading(overall, "weighted loss", higher_is, how)
    return readings


def mean_reading(
    values: Float64[np.ndarray, " images"],
    unit: str,
    higher_is: Direction,
    how: dict[str, object],
) -> Reading:
    """Return the mean over images with Student's t interval; none for fewer than two images."""
    low, high = mean_interval(values) or (None, None)
    return Reading(
        float(values.mean()),
        n=len(values),
        unit=unit,
        higher_is=higher_is,
        low=low,
        high=high,
        how=how,
    )
