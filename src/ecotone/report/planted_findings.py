"""What a planted-copy benchmark shows: smallest shares seen, and false positives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
from scipy.special import bdtrc

from ecotone.laws.detection import smallest_shares
from ecotone.report.planted_study import PlantedStudy
from ecotone.report.study import Condition

__all__ = ["POWER", "Rate", "Seen", "SizeFindings", "find_planted"]

POWER = 0.8
"""A share of copies is seen where so many replicates of it are."""

LEVEL = 0.05


@dataclass(frozen=True)
class Seen:
    """The smallest share that a detector sees, or the end of the shares planted it lies beyond."""

    status: str
    value: float | None
    low: float | None
    high: float | None
    bound: float | None

    @property
    def place(self) -> float | None:
        """The share, an upper bound of it, or None where the largest planted is not seen."""
        return self.bound if self.status == "left_censored" else self.value


@dataclass(frozen=True)
class Rate:
    """A share of replicates, with Wilson's interval."""

    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class SizeFindings:
    """What was seen among so many generated images under one condition.

    Args:
        condition: the levels of the factors that vary.
        generated: how many images were judged.
        level: of the detectors' own tests.
        shares: of copies that were planted, ascending.
        rows: the readings.
        own: smallest share by detector and transform, by the detectors' own tests.
        calibrated: the same by their statistics without copies.
        false_positives: rate of each detector's own test where nothing was planted.
        rates: how many such rates the study has.
    """

    condition: Condition
    generated: int
    level: float
    shares: tuple[float, ...]
    rows: pl.DataFrame
    own: Mapping[tuple[str, str], Seen] = field(default_factory=dict)
    calibrated: Mapping[tuple[str, str], Seen] = field(default_factory=dict)
    false_positives: Mapping[str, Rate] = field(default_factory=dict)
    rates: int = 1

    @property
    def unreliable(self) -> tuple[str, ...]:
        """Detectors whose own test clearly finds copies where there are none too often.

        The exact binomial test that a rate is no higher than the level, at 5 % for all of the
        study's rates together (Bonferroni): of thirty rates, some interval lies above it by chance.
        """
        found = []
        for name, rate in self.false_positives.items():
            hits = round(rate.value * rate.samples)
            chance = bdtrc(hits - 1, rate.samples, self.level) if hits else 1.0
            if chance <= 0.05 / self.rates:
                found.append(name)
        return tuple(found)

    def best(self, transform: str) -> tuple[str, Seen] | None:
        """Return the detector whose own test sees the smallest share; None where none sees any.

        Tests that find copies where there are none too often are passed over.
        """
        known = [
            (seen.place, name, seen)
            for (name, kind), seen in self.own.items()
            if kind == transform and seen.place is not None and name not in self.unreliable
        ]
        if not known:
            return None
        _, name, seen = min(known, key=lambda one: one[0])
        return name, seen


def find_planted(study: PlantedStudy) -> list[SizeFindings]:
    """Return what each condition and number of generated images shows, the largest number first."""
    found = []
    rates = max(1, study.results.filter(measure="false_positive_rate").height)
    for condition in study.conditions:
        rows = condition.of(study.results)
        level = study.config(condition).get("level", LEVEL)
        smallest = smallest_shares(rows, power=POWER)
        for size in reversed(study.sizes):
            own = rows.filter(pl.col("generated") == size)
            if own.is_empty():
                continue
            planted = own.filter(pl.col("copies") > 0)["share"]
            found.append(
                SizeFindings(
                    condition=condition,
                    generated=size,
                    level=level,
                    shares=tuple(planted.unique().sort().to_list()),
                    rows=own,
                    own=_seen(smallest, size, "detected"),
                    calibrated=_seen(smallest, size, "detected_calibrated"),
                    false_positives={
                        row["detector"]: Rate(row["value"], row["low"], row["high"], row["samples"])
                        for row in own.filter(measure="false_positive_rate").iter_rows(named=True)
                    },
                    rates=rates,
                )
            )
    return found


def _seen(smallest: pl.DataFrame, size: int, measure: str) -> dict[tuple[str, str], Seen]:
    rows = smallest.filter((pl.col("generated") == size) & (pl.col("measure") == measure))
    return {
        (row["detector"], row["transform"]): Seen(
            row["status"], row["value"], row["low"], row["high"], row["bound"]
        )
        for row in rows.iter_rows(named=True)
    }
