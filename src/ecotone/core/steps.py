"""What a training loop yields after each step."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step, as its watcher sees it.

    Args:
        index: how many steps have been taken, counting this one (the first is 1).
        loss: the weighted denoising loss of this step's batch.
        gradient_norm: Euclidean norm of the gradient before clipping.
        learning_rate: the rate this step was taken with.
        images_seen: training images drawn so far, repeats counted.

    >>> Step(index=1, loss=0.5, gradient_norm=1.0, learning_rate=1e-3, images_seen=32).index
    1
    """

    index: int
    loss: float
    gradient_norm: float
    learning_rate: float
    images_seen: int
