"""The contract every denoiser keeps, and the checks they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ecotone.core.shapes import Batch, Levels

__all__ = ["Denoiser", "check_inputs", "expand_like"]


@runtime_checkable
class Denoiser(Protocol):
    """An estimate of E[x0 | x], where x = x0 + sigma·z and z is standard normal noise.

    Exact denoisers and networks keep the same contract, so that whatever runs on one runs on all:

    - ``x`` is a batch of noisy samples, ``sigma`` one positive noise level for each;
    - the result has the shape, dtype and device of ``x``;
    - each sample is denoised by itself, whatever else is in the batch.

    The score of the noisy distribution is (D(x; σ) − x)/σ² (Tweedie's formula).
    """

    def __call__(self, x: Batch, sigma: Levels, /) -> Batch:
        """Return the denoised batch."""
        ...


def check_inputs(x: Tensor, sigma: Tensor, shape: Sequence[int] | None = None) -> None:
    """Check that a noisy batch and its noise levels fit together.

    Values are left alone: to look at them would make a GPU wait.

    Args:
        x: the noisy batch, (batch, *shape).
        sigma: the levels, (batch,).
        shape: of one sample, where the denoiser knows it.

    Raises:
        ValueError: for a wrong shape, numbers that are not floating point, or two devices.

    >>> import torch
    >>> check_inputs(torch.zeros(3, 2), torch.ones(3))
    >>> check_inputs(torch.zeros(3, 2), torch.tensor(1.0))
    Traceback (most recent call last):
        ...
    ValueError: sigma must have shape (3,), one level per sample of x (3, 2), not ()
    """
    for name, tensor in (("x", x), ("sigma", sigma)):
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point, not {tensor.dtype}")
    if x.ndim < 1 or (shape is not None and tuple(x.shape[1:]) != tuple(shape)):
        expected = "*shape" if shape is None else ", ".join(str(side) for side in shape)
        raise ValueError(f"x must have shape (batch, {expected}), not {tuple(x.shape)}")
    if sigma.shape != x.shape[:1]:
        raise ValueError(
            f"sigma must have shape ({x.shape[0]},), one level per sample of x "
            f"{tuple(x.shape)}, not {tuple(sigma.shape)}"
        )
    if sigma.device != x.device:
        raise ValueError(f"sigma is on {sigma.device}, but x is on {x.device}")


def expand_like(sigma: Levels, x: Tensor) -> Float[Tensor, "batch ..."]:
    """Return the levels in x's dtype, with as many axes as x, so that the two multiply.

    >>> import torch
    >>> expand_like(torch.ones(5), torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 1, 1, 1])
    """
    return sigma.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
