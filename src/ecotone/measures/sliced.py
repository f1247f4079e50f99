"""The sliced Wasserstein distance between two samples, by POT (the extra ``transport``)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import jackknife
from ecotone.core.readings import Reading
from ecotone.core.seeds import generator
from ecotone.measures.subsets import shuffled

__all__ = ["sliced_wasserstein2"]

_GROUPS = 20
_LEVEL = 0.95


def sliced_wasserstein2(
    *,
    generated: Float[Tensor, " g *shape"],
    reference: Float[Tensor, " n *shape"],
    projections: int = 128,
    seed: int,
) -> Reading:
    """Return the squared sliced 2-Wasserstein distance, a mean over directions.

    E_θ W2²(θᵀx, θᵀy) with θ uniform on the sphere (Bonneel et al. 2015). Without a root the mean
    over the directions drawn is unbiased; that samples are finite biases it upwards.

    The interval is for the chance in the directions and that in the generated images: squared
    standard errors of the mean over directions, and of leaving out a twentieth of the images in
    turn, are added.

    Args:
        generated: generated images, of any shape.
        reference: the images to compare with.
        projections: how many directions, 2 or more.
        seed: of the directions.

    Returns:
        The distance, in squared units of the data, 0 or more.

    Raises:
        ConfigError: where POT is not installed, or for fewer than two directions.
        DataError: for an empty set, different shapes, or values that are not finite.

    >>> import torch
    >>> points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> found = sliced_wasserstein2(generated=points, reference=points, seed=0)
    >>> found.value, found.unit
    (0.0, 'squared data unit')
    """
    transport = _pot()
    if projections < 2:
        raise ConfigError(f"projections = {projections} is too small", hint="give 2 or more")
    order = shuffled(generated, seed, "sliced", "generated").to(generated.device)
    ours, theirs = _rows("generated", generated[order]), _rows("reference", reference)
    if ours.shape[1] != theirs.shape[1]:
        raise DataError(
            f"generated images have {ours.shape[1]} values, reference images {theirs.shape[1]}"
        )
    directions = generator(seed, "sliced").standard_normal((ours.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    one, two = ours @ directions, theirs @ directions

    def along(kept: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """Return W2² along each direction."""
        return np.asarray(transport.wasserstein_1d(one[kept], two, p=2))

    squares = along(slice(None))
    value = float(squares.mean())
    n, low, high = len(ours), None, None
    groups = min(_GROUPS, n)
    of_images = jackknife(lambda kept: float(along(kept).mean()), n, groups=groups)
    if of_images is not None:
        of_directions = float(squares.std(ddof=1)) / math.sqrt(projections)
        freedom = min(groups, projections) - 1
        half = float(stdtrit(freedom, 0.5 + _LEVEL / 2)) * math.hypot(of_images, of_directions)
        low, high = max(0.0, value - half), value + half
    return Reading(
        value,
        n=n,
        unit="squared data unit",
        higher_is="worse",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "reference_images": len(theirs),
            "projections": projections,
            "seed": seed,
            "interval": "delete-a-group jackknife of generated images, and spread of directions",
        },
    )


def _pot() -> Any:
    # POT takes seconds to import, and is there for this alone.
    try:
        import ot
    except ImportError as error:
        raise ConfigError(
            "the sliced Wasserstein distance needs POT, which is not installed",
            hint="pip install 'ecotone[transport]'",
        ) from error
    return ot


def _rows(name: str, images: Tensor) -> Float64[np.ndarray, "n d"]:
    if len(images) == 0:
        raise DataError(f"there are no {name} images", hint="give at least one")
    rows = images.detach().reshape(len(images), -1).double().cpu().numpy()
    if not np.isfinite(rows).all():
        raise DataError(f"{name} images hold a value that is not finite")
    return rows
