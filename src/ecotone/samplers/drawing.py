"""Drawing samples: from pure noise, through any denoiser, one seed per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import normal
from ecotone.core.shapes import Batch
from ecotone.denoisers.base import Denoiser
from ecotone.samplers.base import Sampler

__all__ = ["sample", "sample_batches"]


def sample(
    denoiser: Denoiser,
    sampler: Sampler,
    *,
    seeds: Sequence[int],
    shape: Sequence[int],
    batch_size: int = 256,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Batch:
    """Generate one sample per seed.

    Sample i depends on ``seeds[i]`` and the settings alone: other seeds, their order and the batch
    size change it by no more than rounding does. Levels are float64; the state has ``dtype``. A
    module is sampled in evaluation mode and left as it was; no gradients are kept.

    Args:
        denoiser: any, on ``device``.
        sampler: any.
        seeds: one per sample, of the noise to start from and of any added later.
        shape: of one sample.
        batch_size: how many samples to work on at once.
        device: the CPU where None.
        dtype: of the samples, float32 or float64; torch's default where None.

    Returns:
        (len(seeds), *shape).

    Raises:
        ConfigError: for a batch size below 1.
        DataError: where the denoiser returns NaN or infinity; the level is named.
        ValueError: where it returns another shape than it was given.

    >>> from ecotone.samplers import Euler
    >>> def to_nothing(x, sigma):
    ...     return torch.zeros_like(x)
    >>> sample(to_nothing, Euler(steps=2), seeds=[1, 2, 3], shape=(2,)).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    how = {"shape": shape, "batch_size": batch_size, "device": device, "dtype": dtype}
    batches = sample_batches(denoiser, sampler, seeds=seeds, **how)
    return torch.cat([torch.empty((0, *shape), device=device, dtype=dtype), *batches])


def sample_batches(
    denoiser: Denoiser,
    sampler: Sampler,
    *,
    seeds: Sequence[int],
    shape: Sequence[int],
    batch_size: int = 256,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[Batch]:
    """Yield the samples of :func:`sample` batch by batch, each as soon as it is finished."""
    if batch_size < 1:
        raise ConfigError(f"batch_size = {batch_size} is too small", hint="give 1 or more")
    for start in range(0, len(seeds), batch_size):
        part = seeds[start : start + batch_size]
        yield _sample_batch(denoiser, sampler, part, tuple(shape), device, dtype)


@torch.no_grad()
def _sample_batch(
    denoiser: Denoiser,
    sampler: Sampler,
    seeds: Sequence[int],
    shape: tuple[int, ...],
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Tensor:
    def draw(index: int) -> Tensor:
        return normal(seeds, shape, index=index, dtype=dtype, device=device)

    def estimate(x: Tensor, sigma: float) -> Tensor:
        clean = denoiser(x, x.new_full((len(x),), sigma))
        if clean.shape != x.shape:
            raise ValueError(f"the denoiser returned {clean.shape} for a batch of {x.shape}")
        if not bool(clean.isfinite().all()):
            raise DataError(
                f"the denoiser returned NaN or infinity at sigma = {sigma:.4g}",
                hint="lower the learning rate, or sample an earlier checkpoint",
            )
        return clean

    with _evaluating(denoiser):
        x, advance = sampler.sigma_max * draw(0), sampler.begin()
        for step, (sigma, lower) in enumerate(pairwise(sampler.levels()), start=1):
            x = advance(estimate, x, sigma, lower, lambda step=step: draw(step))
    return x


@contextmanager
def _evaluating(denoiser: Denoiser) -> Iterator[None]:
    """Switch a module's dropout off, and afterwards every part back to the mode it was in."""
    modules = denoiser.modules() if isinstance(denoiser, nn.Module) else ()
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
