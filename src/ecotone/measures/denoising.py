"""How much better a denoiser is on images it was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import mean_interval
from ecotone.core.readings import Direction, Reading
from ecotone.core.seeds import normal, sample_seeds
from ecotone.denoisers import Denoiser
from ecotone.measures.evidence import Evidence
from ecotone.measures.subsets import shuffled
from ecotone.noise import edm_weight

__all__ = ["IMAGES", "LEVELS", "SPAN", "denoising", "denoising_losses", "evaluations", "levels"]

IMAGES = 64
"""The most images taken of each set."""

LEVELS = 7
"""Noise levels, evenly spaced in their logarithm."""

SPAN = (0.05, 5.0)
"""Lowest and highest level, in standard deviations of the data: below, every image stands out from
the noise, and above, none does; memorization shows between."""

_BATCH = 256


def denoising(evidence: Evidence) -> dict[str, Reading]:
    """Return :func:`denoising_losses` of at most 64 images of each set at seven noise levels.

    Nothing is returned without a denoiser or a holdout.
    """
    if evidence.denoiser is None or evidence.holdout is None:
        return {}
    return denoising_losses(
        evidence.denoiser,
        training=evidence.training,
        holdout=evidence.holdout,
        sigmas=levels(evidence.sigma_data),
        sigma_data=evidence.sigma_data,
        seed=evidence.seed,
        device=evidence.device,
    )


def levels(sigma_data: float) -> tuple[float, ...]:
    """Return the noise levels that :func:`denoising` takes.

    >>> [round(sigma, 4) for sigma in levels(0.5)]
    [0.025, 0.0539, 0.116, 0.25, 0.5386, 1.1604, 2.5]
    """
    low, high = (math.log(sigma_data * end) for end in SPAN)
    return tuple(math.exp(low + (high - low) * i / (LEVELS - 1)) for i in range(LEVELS))


def evaluations(
    *, training: int, holdout: int, sigmas: int = LEVELS, draws: int = 1, images: int = IMAGES
) -> int:
    """Return how many times :func:`denoising_losses` has an image denoised.

    Args:
        training: images in the training set.
        holdout: images in the holdout.
        sigmas: noise levels.
        draws: of noise, for each image and level.
        images: the most images taken of each set.

    >>> evaluations(training=1000, holdout=20)
    280
    """
    return 2 * min(training, holdout, images) * sigmas * draws


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
    intervals are Student's t over images, and over pairs for the gap; the gap over all levels is
    the mean over levels of λ(σ) · gap(σ), with λ(σ) = (σ² + σ_data²)/(σ σ_data)², the weight of the
    training loss (Karras et al. 2022, Table 1).

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
        ``denoising_gap[sigma=S]`` for each level, and ``denoising_gap`` over all. Levels whose loss
        is not finite are left out, and with them the gap over all.

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
    denoising_gap 2.0
    """
    count = min(len(training), len(holdout), images)
    if count < 1:
        raise DataError(
            f"{len(training)} training and {len(holdout)} holdout images have no gap",
            hint="give at least one of each",
        )
    if not sigmas or min(sigmas) <= 0 or sigma_data <= 0 or draws < 1:
        raise ConfigError(
            f"sigmas = {list(sigmas)}, sigma_data = {sigma_data}, draws = {draws} cannot be used",
            hint="give one level or more, all above 0, and one draw or more",
        )
    pairs = torch.stack(
        [
            images_of[shuffled(images_of, seed, "denoising", name)[:count].to(images_of.device)]
            for name, images_of in (("training", training), ("holdout", holdout))
        ]
    )
    losses = _losses(denoiser, pairs, sigmas, seed, draws, device or training.device)
    weights = edm_weight(torch.tensor(sigmas, dtype=torch.float64), sigma_data).numpy()
    how = {"images_each": count, "draws": draws, "seed": seed, "interval": "Student's t"}
    readings: dict[str, Reading] = {}
    weighted = np.zeros(count)
    for sigma, weight, (on_training, on_holdout) in zip(sigmas, weights, losses, strict=True):
        gap = on_holdout - on_training
        weighted = weighted + weight * gap / len(sigmas)
        if np.isfinite(gap).all():
            label = f"[sigma={sigma:.3g}]"
            for name, values in (("training", on_training), ("holdout", on_holdout)):
                reading = _mean(values, "squared value", "worse", how)
                readings[f"denoising_loss_{name}{label}"] = reading
            readings[f"denoising_gap{label}"] = _mean(gap, "squared value", "more copying", how)
    if np.isfinite(weighted).all():
        how = {**how, "sigmas": [float(sigma) for sigma in sigmas], "sigma_data": sigma_data}
        readings["denoising_gap"] = _mean(weighted, "weighted loss", "more copying", how)
    return readings


@torch.no_grad()
def _losses(
    denoiser: Denoiser,
    pairs: Float[Tensor, " 2 images *shape"],
    sigmas: Sequence[float],
    seed: int,
    draws: int,
    device: torch.device | str,
) -> Float64[np.ndarray, "levels 2 images"]:
    """Return the loss of each image of both sets at each level, averaged over draws."""
    count, shape = pairs.shape[1], pairs.shape[2:]
    clean = pairs.flatten(0, 1).to(device)
    seeds = sample_seeds(count, seed, "denoising")

    def noisy() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for index in range(len(sigmas) * draws):
            noise = normal(seeds, shape, index=index, dtype=clean.dtype, device=device)
            sigma = clean.new_full((2 * count,), sigmas[index // draws])
            for rows in torch.arange(2 * count, device=device).split(_BATCH):
                x = clean[rows]
                yield x, x + sigmas[index // draws] * noise[rows % count], sigma[rows]

    losses = []
    for x, perturbed, sigma in _together(noisy()):
        error = (denoiser(perturbed, sigma) - x).double().square_()
        losses.append(error.flatten(1).mean(dim=1).cpu())
    by_level = torch.cat(losses).reshape(len(sigmas), draws, 2, count)
    return by_level.mean(dim=1).numpy()


def _together(
    parts: Iterator[tuple[Tensor, Tensor, Tensor]],
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Join parts of batches, of any levels, as long as they fit one batch."""
    held: list[tuple[Tensor, Tensor, Tensor]] = []
    size = 0
    for part in parts:
        if held and size + len(part[0]) > _BATCH:
            yield _joined(held)
            held, size = [], 0
        held.append(part)
        size += len(part[0])
    if held:
        yield _joined(held)


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    clean, perturbed, sigma = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return clean, perturbed, sigma


def _mean(values: np.ndarray, unit: str, higher_is: Direction, how: dict[str, object]) -> Reading:
    bounds = mean_interval(values)
    low, high = bounds if bounds is not None else (None, None)
    return Reading(
        float(values.mean()),
        n=len(values),
        unit=unit,
        higher_is=higher_is,
        low=low,
        high=high,
        how=how,
    )
