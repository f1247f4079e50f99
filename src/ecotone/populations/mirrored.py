"""Training sets with the mirror image of every image."""

from __future__ import annotations

import torch

from ecotone.core.errors import ConfigError
from ecotone.populations.base import Split

__all__ = ["mirrored"]


def mirrored(split: Split) -> Split:
    """Return a split whose training set also holds every image's mirror image.

    Training on it is training with random horizontal flips: an epoch shows each image both ways.
    Left and right are the last axis. The holdout stays as it is.

    Args:
        split: of images, (n, channels, height, width).

    Returns:
        A split with 2n training images, the mirror images last; their ids end in ``mirrored``.

    Raises:
        ConfigError: for items that are not images.

    >>> split = Split(torch.tensor([[[[0.0, 1.0]]]]), torch.zeros(1, 1, 1, 2), ("a",), ("b",))
    >>> mirrored(split).training.flatten(1).tolist(), mirrored(split).training_ids
    ([[0.0, 1.0], [1.0, 0.0]], ('a', 'a mirrored'))
    """
    images = split.training
    if images.ndim != 4:
        raise ConfigError(
            f"items of shape {tuple(images.shape[1:])} have no left and right",
            hint="set flips=false, or give images (channels, height, width)",
        )
    return Split(
        training=torch.cat([images, images.flip(-1)]),
        holdout=split.holdout,
        training_ids=(*split.training_ids, *(f"{name} mirrored" for name in split.training_ids)),
        holdout_ids=split.holdout_ids,
    )
