"""What a prediction is: a formula for one measure, and the sizes for which it holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import root_scalar

__all__ = ["Law", "Threshold", "root"]


@dataclass(frozen=True)
class Law:
    """A predicted curve of one measure against the size n of the training set.

    Args:
        measure: what is predicted, by the name it has in a study's results.
        name: the law in words, for a legend.
        formula: n to the predicted value, or None where there is none.
        holds: least and greatest n for which the law is claimed, both included.
        source: the equation in words, and where it comes from.
        variant: ``"exact"``, or ``"as_published"`` for a model as its paper's code took it.

    >>> law = Law("affinity", "rank", lambda n: 0.0, (2, 10), "a generated Gaussian without volume")
    >>> law.predict(5), law.predict(11)
    (0.0, None)
    """

    measure: str
    name: str
    formula: Callable[[float], float | None]
    holds: tuple[float, float]
    source: str
    variant: str = "exact"

    def predict(self, n: float) -> float | None:
        """Return the prediction at n; None outside the range in which it holds."""
        if not self.holds[0] <= n <= self.holds[1]:
            return None
        value = self.formula(n)
        return None if value is None or not math.isfinite(value) else value


@dataclass(frozen=True)
class Threshold:
    """A size of the training set at which something changes.

    Args:
        n: the size; not an integer in general.
        name: what changes there, in words.
        source: the equation in words, and where it comes from.
    """

    n: float
    name: str
    source: str


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function of one number crosses 0, by Brent's method.

    Raises:
        ValueError: where it has the same sign at both ends.

    >>> round(root(lambda x: x * x - 2, 0, 2), 12)
    1.414213562373
    """
    found = root_scalar(function, bracket=(low, high), method="brentq", xtol=1e-100, rtol=1e-14)
    return float(found.root)
