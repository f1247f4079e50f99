"""What an audit of so many images can see at all, before it looks at one of them."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv

from ecotone.core.alarm import copying_p_value

__all__ = ["POWER", "Needed", "critical_count", "detectable_share", "images_needed"]

POWER = 0.95
"""Chance with which a share that "would have been seen" is seen, at least."""

_MOST = 10_000_000


@dataclass(frozen=True)
class Needed:
    """How many images of each kind would be enough."""

    generated: int
    holdout: int


def critical_count(n: int, floor_copied: int, m: int, level: float) -> int | None:
    """Return the least number of copies among n images that Fisher's test calls copying.

    Args:
        n: generated images.
        floor_copied: held-out images that the same rule calls copies.
        m: held-out images.
        level: of the test.

    Returns:
        The count; None where even n copies would not be enough.

    >>> critical_count(500, 0, 500, 0.0125), critical_count(20, 0, 500, 0.0125)
    (7, 2)
    >>> critical_count(3, 0, 3, 0.0125) is None
    True
    """
    if copying_p_value(n, n, floor_copied, m) > level:
        return None
    least, most = 0, n
    while least < most:
        middle = (least + most) // 2
        if copying_p_value(middle, n, floor_copied, m) <= level:
            most = middle
        else:
            least = middle + 1
    return least


def detectable_share(
    n: int, floor_copied: int, m: int, level: float, *, power: float = POWER
) -> float | None:
    """Return the smallest share of copies that the test finds with a chance of ``power``.

    The smallest p with P(B ≥ k) ≥ power, B ~ Binomial(n, p) and k the critical count: a quantile
    of Beta(k, n − k + 1) (Clopper & Pearson 1934). It is for copies that the rule recognizes.

    Returns:
        The share in (0, 1]; None where no share would be found.

    >>> round(detectable_share(500, 0, 500, 0.0125), 4)
    0.0235
    >>> detectable_share(3, 0, 3, 0.0125) is None
    True
    """
    k = critical_count(n, floor_copied, m, level)
    if k is None:
        return None
    return float(betaincinv(k, n - k + 1, power))


def images_needed(
    share: float, *, n: int, floor_copied: int, m: int, level: float, power: float = POWER
) -> Needed | None:
    """Return how many images would show a share of copies, the fewest in all.

    Either n alone grows, or both do, m to n at least, the holdout's own share of copies staying
    what it is.

    Args:
        share: to be seen, in (0, 1).
        n: generated images there are.
        floor_copied: held-out images that the rule calls copies.
        m: held-out images there are.
        level: of the test.
        power: chance to see it.

    Returns:
        The numbers; None where more than ten million would be needed.

    >>> images_needed(0.05, n=20, floor_copied=0, m=500, level=0.0125)
    Needed(generated=124, holdout=500)
    >>> images_needed(0.05, n=20, floor_copied=0, m=10, level=0.0125).holdout > 10
    True
    """

    def enough(generated: int, holdout: int) -> bool:
        floor = -(-floor_copied * holdout // m)
        seen = detectable_share(generated, floor, holdout, level, power=power)
        return seen is not None and seen <= share

    plans = []
    for holdout in (lambda _: m, lambda size: max(m, size)):
        size = max(n, 1)
        while size <= _MOST and not enough(size, holdout(size)):
            size *= 2
        if size > _MOST:
            continue
        least, most = max(n, size // 2), size
        while least < most:
            middle = (least + most) // 2
            if enough(middle, holdout(middle)):
                most = middle
            else:
                least = middle + 1
        plans.append(Needed(most, holdout(most)))
    return min(plans, key=lambda plan: plan.generated + plan.holdout, default=None)
