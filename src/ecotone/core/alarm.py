"""When to say that copying has begun, with few false alarms however often one looks."""

from __future__ import annotations

import math

__all__ = ["copying_alarm", "copying_p_value"]


def copying_alarm(
    copied: int,
    n: int,
    floor_copied: int,
    m: int,
    *,
    looks: int,
    level: float = 0.05,
    excess: float = 0.0,
) -> bool:
    """Return whether one look at a run in training says that copying has begun.

    It rings where Fisher's exact test (:func:`copying_p_value`) finds more copies among generated
    images than the same rule finds among held-out ones, at ``level / looks``. The looks at one run
    share their held-out images and follow one another, so they are not independent; Bonferroni's
    bound needs no independence: while generated images are no more often called copies than
    held-out ones, the chance that any of the looks rings is at most ``level``.

    With ``excess`` it must also be *seen* to matter: copied/n − floor_copied/m of at least
    ``excess``. That makes false alarms rarer still, and true ones later; without it 500 images of
    each kind and 20 looks ring at 9 copies where the floor has none.

    Args:
        copied: generated images that are called copies; of a share, ``round(share * n)``.
        n: generated images, 1 or more.
        floor_copied: held-out images that the same rule calls copies.
        m: held-out images, 1 or more.
        looks: how many looks at the run are planned, this one included.
        level: chance of any false alarm during the run, at most.
        excess: least difference of the two shares, in [0, 1).

    Raises:
        ValueError: for counts that are not shares, fewer than one look, or a level outside (0, 1).

    >>> [copying_alarm(copied, 500, 0, 500, looks=20) for copied in (0, 8, 9)]
    [False, False, True]
    >>> copying_alarm(9, 500, 0, 500, looks=20, excess=0.05)
    False
    """
    if looks < 1:
        raise ValueError(f"looks = {looks}: at least one look is needed")
    if not 0 < level < 1 or not 0 <= excess < 1:
        raise ValueError(f"level={level} must lie in (0, 1) and excess={excess} in [0, 1)")
    p_value = copying_p_value(copied, n, floor_copied, m)
    return p_value <= level / looks and copied / n - floor_copied / m >= excess


def copying_p_value(copied: int, n: int, floor_copied: int, m: int) -> float:
    """Return Fisher's one-sided exact p-value that the copied share exceeds its floor.

    Given c copies among all N = n + m images, the number among the n generated ones is
    hypergeometric if neither kind is copied more often (Fisher 1935):
    p = Σ_{k ≥ copied} C(c, k)·C(N − c, n − k) / C(N, n). Terms follow from one another by
    their ratio, summed away from the mode, where they fall.

    Args:
        copied: generated images that are called copies.
        n: generated images, 1 or more.
        floor_copied: held-out images that are called copies.
        m: held-out images, 1 or more.

    Raises:
        ValueError: for counts outside [0, n] or [0, m].

    >>> round(copying_p_value(3, 3, 0, 3), 12)  # 1 of C(6, 3) ways to deal three copies
    0.05
    >>> copying_p_value(0, 50, 2, 50)
    1.0
    """
    for count, size in ((copied, n), (floor_copied, m)):
        if size < 1 or not 0 <= count <= size:
            raise ValueError(f"{count} copies among {size} images is not a share")
    total, copies = n + m, copied + floor_copied
    lowest, highest = max(0, copies - m), min(n, copies)
    if copied == lowest:
        return 1.0
    mode = (n + 1) * (copies + 1) // (total + 2)
    if copied > mode:
        tail = _tail(copied, highest, total, copies, n)
    else:
        tail = 1.0 - _tail(copied - 1, lowest, total, copies, n)
    return min(1.0, max(0.0, tail))


def _tail(start: int, stop: int, total: int, copies: int, n: int) -> float:
    """Return the hypergeometric probabilities from start to stop, both included."""
    log_first = (
        _log_choose(copies, start) + _log_choose(total - copies, n - start) - _log_choose(total, n)
    )
    term, told, k = 1.0, 1.0, start
    while k != stop and term > 1e-18 * told:
        if stop > start:
            term *= (copies - k) * (n - k) / ((k + 1) * (total - copies - n + k + 1))
            k += 1
        else:
            term *= k * (total - copies - n + k) / ((copies - k + 1) * (n - k + 1))
            k -= 1
        told += term
    # A p-value below the smallest float is 0, which rings at every level.
    return math.exp(log_first) * told


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
