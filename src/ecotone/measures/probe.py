"""Noisy images that a denoiser is asked about, the same ones at every measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import normal, sample_seeds
from ecotone.denoisers import Denoiser, EmpiricalDenoiser
from ecotone.measures.subsets import shuffled

__all__ = ["IMAGES", "LEVELS", "SPAN", "Answers", "Probe", "evaluations", "levels"]

IMAGES = 64
"""The most images taken of each set."""

LEVELS = 7
"""Noise levels, evenly spaced in their logarithm."""

SPAN = (0.05, 5.0)
"""Lowest and highest level, in standard deviations of the data: below, every image stands out from
the noise, and above, none does; memorization shows between."""

_BATCH = 256


def levels(sigma_data: float) -> tuple[float, ...]:
    """Return the noise levels that measures take.

    >>> [round(sigma, 4) for sigma in levels(0.5)]
    [0.025, 0.0539, 0.116, 0.25, 0.5386, 1.1604, 2.5]
    """
    low, high = (math.log(sigma_data * end) for end in SPAN)
    return tuple(math.exp(low + (high - low) * i / (LEVELS - 1)) for i in range(LEVELS))


def evaluations(
    *, training: int, holdout: int, sigmas: int = LEVELS, draws: int = 1, images: int = IMAGES
) -> int:
    """Return how many times :meth:`Probe.ask` has an image denoised.

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


@dataclass(frozen=True, eq=False)
class Answers:
    """What a denoiser made of a probe.

    Args:
        estimates: denoised images, by level, draw of noise, set (training, holdout) and image.
        losses: mean over an image's values and draws of (D(x + σz; σ) − x)².
    """

    estimates: Float[Tensor, " levels draws 2 images *shape"]
    losses: Float64[Tensor, "levels 2 images"]


class Probe:
    """Images of both sets with noise at several levels, and what the exact memorizer makes of them.

    As many images are taken of each set, at random, and paired: image i of both gets the same noise
    z. Which they are depends on the seed and on the sets alone, so that a training run is asked the
    same at every measurement.

    Args:
        training: images the denoiser was trained on.
        holdout: images of the same population it was not.
        sigmas: noise levels, one or more, above 0, in the units of the data.
        seed: for the images taken and the noise.
        draws: of noise, for each image and level.
        images: the most images taken of each set.

    Raises:
        DataError: for an empty set.
        ConfigError: for no levels, or values that are not above 0.

    >>> probe = Probe(training=torch.zeros(4, 2), holdout=torch.ones(4, 2), sigmas=[1.0], seed=0)
    >>> probe.ask(lambda x, sigma: torch.zeros_like(x)).losses.tolist()
    [[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]]
    """

    def __init__(
        self,
        *,
        training: Float[Tensor, " n *shape"],
        holdout: Float[Tensor, " m *shape"],
        sigmas: Sequence[float],
        seed: int,
        draws: int = 1,
        images: int = IMAGES,
    ) -> None:
        self.count = min(len(training), len(holdout), images)
        if self.count < 1:
            raise DataError(
                f"{len(training)} training and {len(holdout)} holdout images have no gap",
                hint="give at least one of each",
            )
        if not sigmas or min(sigmas) <= 0 or draws < 1:
            raise ConfigError(
                f"sigmas = {list(sigmas)}, draws = {draws} cannot be used",
                hint="give one level or more, all above 0, and one draw or more",
            )
        self.sigmas, self.seed, self.draws = tuple(sigmas), seed, draws
        self._training = training
        self.clean = torch.stack(
            [
                of[shuffled(of, seed, "denoising", name)[: self.count].to(of.device)]
                for name, of in (("training", training), ("holdout", holdout))
            ]
        )
        self._seeds = sample_seeds(self.count, seed, "denoising")

    def noise(self, level: int, draw: int) -> Float[Tensor, " images *shape"]:
        """Return the noise z of every image, the same for both sets."""
        index = level * self.draws + draw
        clean = self.clean
        return normal(
            self._seeds, clean.shape[2:], index=index, dtype=clean.dtype, device=clean.device
        )

    @torch.no_grad()
    def ask(self, denoiser: Denoiser, *, device: torch.device | str | None = None) -> Answers:
        """Have every noisy image denoised.

        Args:
            denoiser: any.
            device: where it takes its input; None for where the images are.
        """
        clean = self.clean.flatten(0, 1)
        estimates = [
            denoiser(noisy.to(device), sigma.to(device)).to(clean.device)
            for noisy, sigma in _together(self._noisy(clean))
        ]
        shape = (len(self.sigmas), self.draws, *self.clean.shape)
        answered = torch.cat(estimates).reshape(shape)
        errors = (answered - self.clean).double().square_()
        return Answers(answered, errors.flatten(4).mean(dim=4).mean(dim=1).cpu())

    @cached_property
    def memorizer(self) -> Answers:
        """What the posterior mean over the training set makes of it."""
        return self.ask(EmpiricalDenoiser(self._training))

    def _noisy(self, clean: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for level, sigma in enumerate(self.sigmas):
            for draw in range(self.draws):
                noise = self.noise(level, draw)
                for rows in torch.arange(2 * self.count, device=clean.device).split(_BATCH):
                    x = clean[rows] + sigma * noise[rows % self.count]
                    yield x, x.new_full((len(x),), sigma)


def _together(parts: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Join parts of batches, of any levels, as long as they fit one batch."""
    held: list[tuple[Tensor, Tensor]] = []
    size = 0
    for part in parts:
        if held and size + len(part[0]) > _BATCH:
            yield _joined(held)
            held, size = [], 0
        held.append(part)
        size += len(part[0])
    if held:
        yield _joined(held)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    noisy, sigma = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return noisy, sigma
