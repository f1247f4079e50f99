"""Whether two models that share no training image make the same images from the same noise."""

from __future__ import annotations

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.intervals import mean_interval, wilson
from ecotone.core.readings import Reading
from ecotone.measures.search import nearest

__all__ = ["agreement"]

_LEVEL = 0.95


def agreement(
    *, first: Shaped[Tensor, "n ..."], second: Shaped[Tensor, "m ..."]
) -> dict[str, Reading]:
    """Return how alike the images are that two models make from the same seeds.

    The models are trained on disjoint halves of the data. Where they memorize, images i of both
    have nothing to do with each other; where they generalize, both have learned the same density,
    and so the same map from noise to images (Kadkhodaie et al. 2024, §2).

    - ``agreement_halves``: the mean cosine of first_i − μ and second_i − μ, with μ the mean image
      of both sets together, so that what all images share does not count; 1 for equal pairs.
    - ``agreement_halves_floor``: the same of first_i and second_{i+1 mod n}, which come from
      different seeds: what models with nothing in common would show. Means of images are removed
      that these are part of, which leaves unrelated pairs a cosine of about −1/(2n), in both alike.
    - ``agreement_matched``: the share of i whose nearest image of the second set is second_i, 1/n
      by chance. Of equally near ones the first counts.

    Intervals are Student's t for the means, Wilson's for the share. Pairs of the floor that share
    an image are dependent, yet their cosines are uncorrelated where seeds are independent.

    Args:
        first: (n, *shape), images of the one model.
        second: (n, *shape), those of the other, from the same seeds in the same order.

    Returns:
        Readings by name. Pairs with an image equal to μ have no cosine and are left out; ``how``
        says how many. The means are absent where no pair is left.

    Raises:
        DataError: for sets of different sizes or shapes, fewer than two pairs, and values that are
            not finite.

    >>> images = torch.eye(8)
    >>> same = agreement(first=images, second=images)
    >>> print(same["agreement_halves"])
    1 [1, 1] cosine, n=8
    >>> print(same["agreement_matched"])
    1 [0.6756, 1] share, n=8
    """
    if first.shape != second.shape:
        raise DataError(
            f"images of shapes {tuple(first.shape)} and {tuple(second.shape)} are no pairs",
            hint="sample both models from the same seeds",
        )
    n = len(first)
    if n < 2:
        raise DataError(f"{n} pairs of images have no mean to remove", hint="give two or more")
    found = nearest(first, second, 1, names=("images of the first", "images of the second"))
    matched = int((found.indices[:, 0].cpu() == torch.arange(n)).sum())
    rows = [images.detach().reshape(n, -1).double().cpu() for images in (first, second)]
    mean = torch.cat(rows).mean(dim=0)
    left, right = (_directions(images, mean) for images in rows)
    readings = {
        "agreement_halves": _cosine(left, right),
        "agreement_halves_floor": _cosine(left, right.roll(-1, dims=0)),
        "agreement_matched": _matched(matched, n),
    }
    return {name: reading for name, reading in readings.items() if reading is not None}


def _directions(
    images: Float64[Tensor, "n d"], mean: Float64[Tensor, " d"]
) -> Float64[Tensor, "n d"]:
    """Return images less the mean, of length 1; NaN where what is left is rounding."""
    rows = images - mean
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    rounding = 4 * len(images) * torch.finfo(torch.float64).eps * torch.linalg.vector_norm(mean)
    return torch.where(lengths > rounding, rows / lengths, torch.nan)


def _cosine(left: Float64[Tensor, "n d"], right: Float64[Tensor, "n d"]) -> Reading | None:
    cosines = (left * right).sum(dim=1)
    kept = cosines[cosines.isfinite()].clamp(-1, 1).numpy()
    if not len(kept):
        return None
    low, high = mean_interval(kept, level=_LEVEL) or (None, None)
    if low is not None and high is not None:
        low, high = max(-1.0, low), min(1.0, high)
    return Reading(
        float(kept.mean()),
        n=len(kept),
        unit="cosine",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={
            "removed": "mean image of both sets",
            "left_out": len(cosines) - len(kept),
            "interval": "Student's t",
        },
    )


def _matched(count: int, n: int) -> Reading:
    low, high = wilson(count, n, level=_LEVEL)
    return Reading(
        count / n,
        n=n,
        unit="share",
        higher_is="less copying",
        low=low,
        high=high,
        level=_LEVEL,
        how={"distance": "Euclidean", "by_chance": 1 / n, "interval": "Wilson"},
    )
