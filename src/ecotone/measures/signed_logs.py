"""Differences of numbers that only their logarithms can hold."""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

__all__ = ["Signed", "log_sum", "minus", "plus"]


class Signed(NamedTuple):
    """A number as its sign and the logarithm of its size."""

    sign: int
    log: float

    def value(self) -> float:
        """Return it as a float: of the same sign, and finite, even where its size is not.

        >>> Signed(-1, -5000.0).value() < 0
        True
        """
        if self.sign == 0:
            return 0.0
        limits = sys.float_info
        size = math.exp(min(max(self.log, math.log(limits.min)), math.log(limits.max) - 1e-12))
        return math.copysign(size, self.sign)


def minus(left: float, right: float) -> Signed:
    """Return e^left − e^right.

    >>> minus(-2000.0, -2001.0).sign, round(minus(-2000.0, -2001.0).log, 4)
    (1, -2000.4587)
    """
    if left == right:
        return Signed(0, -math.inf)
    high, low = max(left, right), min(left, right)
    size = high if low == -math.inf else high + math.log(-math.expm1(low - high))
    return Signed(1 if left > right else -1, size)


def plus(*terms: Signed) -> Signed:
    """Return the sum.

    >>> plus(minus(0.0, -1.0), minus(-1.0, 0.0))
    Signed(sign=0, log=-inf)
    """
    sides = {1: -math.inf, -1: -math.inf, 0: -math.inf}
    for term in terms:
        sides[term.sign] = log_sum(sides[term.sign], term.log)
    return minus(sides[1], sides[-1])


def log_sum(left: float, right: float) -> float:
    """Return log(e^left + e^right).

    >>> log_sum(-1000.0, -1000.0) == math.log(2) - 1000
    True
    """
    high, low = max(left, right), min(left, right)
    return high if math.isinf(high) or low == -math.inf else high + math.log1p(math.exp(low - high))
