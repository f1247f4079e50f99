"""Numbers as a sentence says them."""

from __future__ import annotations

import math

__all__ = ["percent"]


def percent(share: float, *, up: bool = False) -> str:
    """Return a share as a percentage.

    Args:
        share: usually between 0 and 1.
        up: round up, for a share that is to be a bound.

    >>> percent(0.05), percent(0.0188), percent(1.0), percent(0.0), percent(1e-7)
    ('5 %', '1.9 %', '100 %', '0 %', '< 0.01 %')
    >>> percent(0.0231, up=True), percent(0.1401, up=True)
    ('2.4 %', '15 %')
    """
    scaled = 100 * share
    if 0 < scaled < 0.01:
        return "< 0.01 %"
    if up and scaled > 0:
        step = 1.0 if scaled >= 10 else 10.0 ** (math.floor(math.log10(scaled)) - 1)
        # What is a multiple of the step but for rounding stays it.
        scaled = math.ceil(scaled / step - 1e-9) * step
    return f"{scaled:.0f} %" if scaled >= 10 or scaled == round(scaled) else f"{scaled:.2g} %"
