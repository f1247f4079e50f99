"""A number with its doubt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

__all__ = ["Direction", "Reading"]

Direction = Literal["better", "worse", "more copying", "less copying", "neither"]
"""What a higher value means."""


def _no_notes() -> Mapping[str, object]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value, its interval, and how it was had.

    A reading that cannot be had is absent (``None`` in its place, or no row in a table); it is
    never 0.0 or NaN, so a value that is not finite is refused.

    Args:
        value: the estimate.
        n: how many samples it was had from, 1 or more.
        unit: what it is counted in: ``"share"``, ``"pixel distance"``, ``"steps"`` ...
        higher_is: what a higher value means.
        low: lower end of the interval, or None where no interval is known.
        high: upper end of the interval, or None where no interval is known.
        level: coverage the interval is built for, between 0 and 1.
        how: what was done to get it (feature space, thresholds, seeds, corrections), by name.

    Raises:
        ValueError: for a value or bound that is not finite, bounds in the wrong order or not
            around the value, only one bound, n below 1, or an unknown direction.

    >>> share = Reading(0.25, n=200, unit="share", higher_is="more copying", low=0.19, high=0.31)
    >>> print(share)
    0.25 [0.19, 0.31] share, n=200
    >>> Reading(float("nan"), n=3, unit="share", higher_is="neither")
    Traceback (most recent call last):
        ...
    ValueError: a reading's value must be finite, not nan: leave it out where it cannot be had
    """

    value: float
    n: int
    unit: str
    higher_is: Direction
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    how: Mapping[str, object] = field(default_factory=_no_notes)

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None:
                if not math.isfinite(number):
                    raise ValueError(
                        f"a reading's {name} must be finite, not {number}: "
                        "leave it out where it cannot be had"
                    )
                object.__setattr__(self, name, float(number))
        if (self.low is None) != (self.high is None):
            raise ValueError(f"give both bounds or neither, not low={self.low}, high={self.high}")
        if self.low is not None and self.high is not None:
            slack = 1e-9 * max(1.0, abs(self.value))
            if not self.low - slack <= self.value <= self.high + slack:
                raise ValueError(f"the interval [{self.low}, {self.high}] misses {self.value}")
        if self.n < 1:
            raise ValueError(f"a reading needs at least one sample, not n={self.n}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {self.level}")
        if self.higher_is not in get_args(Direction):
            raise ValueError(f"higher_is={self.higher_is!r} is not one of {get_args(Direction)}")
        object.__setattr__(self, "how", MappingProxyType(dict(self.how)))

    def noting(self, **notes: object) -> Reading:
        """Return the same reading with more said about how it was had.

        >>> Reading(1.0, n=2, unit="share", higher_is="neither").noting(seed=3).how["seed"]
        3
        """
        return replace(self, how={**self.how, **notes})

    def to_record(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold.

        >>> reading = Reading(1.0, n=2, unit="share", higher_is="neither")
        >>> Reading.from_record(reading.to_record()) == reading
        True
        """
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "unit": self.unit,
            "higher_is": self.higher_is,
            "level": self.level,
            "how": dict(self.how),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Reading:
        """Read back what :meth:`to_record` gave."""
        return cls(**record)

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle.
        return (_from_record, (self.to_record(),))

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}{interval} {self.unit}, n={self.n}"


def _from_record(record: Mapping[str, Any]) -> Reading:
    return Reading.from_record(record)
