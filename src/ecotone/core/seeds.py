"""Randomness that depends on names and indices, never on the order or size of batches.

Every random number in ecotone comes from a stream named by a root seed and by what it is for.
Noise for samples has one independent stream per sample, so a batch of 100 and a hundred batches of
one see the same noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["derive", "generator", "normal", "sample_seeds", "torch_generator"]


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream that these names call for under a root seed.

    The root seed and the names are hashed (BLAKE2b), so streams with different names are
    independent for every purpose but cryptography.

    >>> derive(0, "training", 5) == derive(0, "training", 5)
    True
    >>> derive(0, "training", 5) == derive(0, "training", 6)
    False
    """
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in (int(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for the stream that these names call for.

    >>> float(generator(0, "split").random()) == float(generator(0, "split").random())
    True
    """
    return np.random.Generator(np.random.Philox(key=derive(seed, *names)))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU torch generator for the stream that these names call for.

    Draw on the CPU and move: the same seed then gives the same numbers on every device.
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def sample_seeds(n: int, seed: int, *names: str | int) -> tuple[int, ...]:
    """Return one seed for each of n samples; the first k are the same whatever n is.

    >>> sample_seeds(5, 0, "generated")[:3] == sample_seeds(3, 0, "generated")
    True
    """
    return tuple(derive(seed, *names, index) for index in range(n))


def normal(
    seeds: Sequence[int],
    shape: Sequence[int],
    *,
    index: int = 0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, " samples *shape"]:
    """Draw standard normal noise, one independent stream per seed.

    Row i depends on ``seeds[i]``, ``shape`` and ``index`` alone. The draw is made in float64 by a
    counter-based generator (Philox, keyed by the seed, with ``index`` in its counter) and cast, so
    that dtype and device do not change which numbers are drawn.

    Args:
        seeds: one seed per sample.
        shape: shape of one sample.
        index: which draw of each stream: 0 for the starting noise, 1, 2 ... for later steps.
        dtype: of the result; torch's default where None.
        device: of the result; the CPU where None.

    >>> together = normal([1, 2], (3,))
    >>> bool((together[1] == normal([2], (3,))[0]).all())
    True
    """
    import torch

    draws = np.empty((len(seeds), *shape))
    for row, seed in enumerate(seeds):
        # The counter's highest word leaves 2^192 draws between one index and the next.
        bits = np.random.Philox(key=seed, counter=[0, 0, 0, index])
        np.random.Generator(bits).standard_normal(out=draws[row, ...])
    return torch.from_numpy(draws).to(device=device, dtype=dtype or torch.get_default_dtype())
