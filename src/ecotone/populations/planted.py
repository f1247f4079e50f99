"""Copies planted among images that are none, so that measures of copying face a known truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.registry import Registry
from ecotone.core.seeds import generator, sample_seeds
from ecotone.populations.transforms import Transform, ValueRange

__all__ = ["TRANSFORMS", "PlantedCopies", "plant_copies"]

TRANSFORMS: Registry[Transform] = Registry(
    "transform",
    {
        "exact": "ecotone.populations.transforms:Exact",
        "jpeg": "ecotone.populations.image_transforms:Jpeg",
        "noise": "ecotone.populations.transforms:Noise",
        "tone": "ecotone.populations.transforms:Tone",
        "shift": "ecotone.populations.image_transforms:Shift",
        "crop": "ecotone.populations.image_transforms:Crop",
        "flip": "ecotone.populations.image_transforms:Flip",
        "blend": "ecotone.populations.transforms:Blend",
    },
)
"""Every transform by name, built from a user's options: ``TRANSFORMS.create("jpeg", {})``."""


@dataclass(frozen=True, eq=False)
class PlantedCopies:
    """Images of which some are known to be copies.

    Args:
        images: all of them, in the order they came in.
        rows: which of the images are copies, in the order they were planted: the first k of them
            are those of a smaller share.
        sources: which training image each of those is a copy of.
    """

    images: Shaped[Tensor, " n *shape"]
    rows: Int64[Tensor, " copies"]
    sources: Int64[Tensor, " copies"]


def plant_copies(
    *,
    generated: Shaped[Tensor, "n ..."],
    training: Shaped[Tensor, "t ..."],
    share: float,
    seed: int,
    transform: str = "exact",
    options: Mapping[str, Any] | None = None,
    value_range: ValueRange = None,
) -> PlantedCopies:
    """Replace a share of generated images by copies of training images drawn with replacement.

    round(share · n) images, chosen at random, are replaced. Which they are, what they are copies
    of, and what chance does to each depends on the seed and on n: the copies of a smaller share are
    among those of a larger one, and the same.

    Args:
        generated: images to replace some of, none of which is a copy: held-out ones, say; floating
            point, or uint8 for 8-bit images.
        training: images to copy, of the same shape and type.
        share: of images to replace, between 0 and 1.
        seed: chooses images and sources, and draws what a transform draws.
        transform: what is done to each copy, a name in :data:`TRANSFORMS`.
        options: of the transform; its defaults where None.
        value_range: lowest and highest value of the data, where copies are cut off; None for no
            bounds, and for uint8, whose range is 0 to 255 and whose copies are rounded.

    Raises:
        ConfigError: for a share out of range, an unknown transform or a wrong option.
        DataError: for sets of different shapes or types, and for a transform that the data cannot
            have.

    >>> planted = plant_copies(
    ...     generated=torch.zeros(10, 2), training=torch.ones(3, 2), share=0.3, seed=0
    ... )
    >>> int(planted.images.sum(1).count_nonzero()), len(planted.rows)
    (3, 3)
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share = {share} is not a share", hint="give a number from 0 to 1")
    if generated.dtype != training.dtype or generated.shape[1:] != training.shape[1:]:
        raise DataError(
            f"copies of training images of shape {tuple(training.shape[1:])} in {training.dtype} "
            f"cannot be planted among generated ones of shape {tuple(generated.shape[1:])} in "
            f"{generated.dtype}",
            hint="bring both sets to one shape and type",
        )
    change = TRANSFORMS.create(transform, options or {})
    copies = round(share * len(generated))
    random = generator(seed, "copies")
    rows = torch.from_numpy(random.permutation(len(generated))[:copies])
    sources = torch.from_numpy(random.integers(len(training), size=copies))
    images = generated.clone()
    if copies:
        images[rows] = _changed(
            change,
            training[sources],
            generated[rows],
            seeds=sample_seeds(copies, seed, "copy"),
            value_range=value_range,
        )
    return PlantedCopies(images, rows, sources)


def _changed(
    change: Transform,
    images: Tensor,
    fresh: Tensor,
    *,
    seeds: tuple[int, ...],
    value_range: ValueRange,
) -> Tensor:
    """Return transformed images, in their own type and within their range."""
    eight_bit = images.dtype == torch.uint8
    bounds = (0.0, 255.0) if eight_bit else value_range
    exact = images.dtype in (torch.float32, torch.float64)
    found = change(
        images if exact else images.float(),
        fresh=fresh if exact else fresh.float(),
        seeds=seeds,
        value_range=bounds,
    )
    if bounds is not None:
        found = found.clamp(*bounds)
    return (found.round() if eight_bit else found).to(images.dtype)
