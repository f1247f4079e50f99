"""The tables of the planted-copy benchmark: power, false positives, rankings and replicates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecotone.core import Reading, RecordError
from ecotone.core.intervals import mean_interval, wilson
from ecotone.core.records import canonical_json
from ecotone.studies.design import Cell, Scalar
from ecotone.studies.planted_config import NULL, PlantedConfig
from ecotone.studies.store import RunFolder, RunRecord
from ecotone.studies.tables import ENDS, NUMBERS, factor_types, write_table

__all__ = ["calibrated_p_values", "write_tables"]

_WHERE = {
    "generated": pl.Int64,
    "transform": pl.String,
    "share": pl.Float64,
    "copies": pl.Int64,
    "detector": pl.String,
}

Place = tuple[int, str, float, int, str]
"""Images judged, transform, share, copies, and detector or score."""

Values = dict[tuple[Place, str], dict[int, float]]
"""The value of each replicate, by place and measure."""


def write_tables(path: Path, cells: Sequence[Cell], folders: Sequence[RunFolder]) -> None:
    """Write results.parquet, replicates.parquet and runs.parquet from the run folders.

    - ``results``: one row per combination of factors, ``generated`` (images judged), ``transform``,
      ``share``, ``copies``, ``detector`` and ``measure``; ``value``, ``low``, ``high`` and
      ``samples``, the replicates it was had from. ``detected`` is the share of replicates whose own
      test is at its level, and ``false_positive_rate`` the same with nothing planted;
      ``detected_calibrated`` is had by :func:`calibrated_p_values`. ``auc`` and
      ``average_precision`` are means, and ``detector`` then names a score.
    - ``replicates``: the value of each replicate, with ``replicate``; measures ``statistic``,
      ``p_value``, ``auc``, ``average_precision``.
    - ``runs``: one row per block of replicates; factors, ``first``, ``replicates``, ``run``,
      ``status``, ``steps`` (replicates done), ``failed_step``, ``reason``.

    Args:
        path: the study's folder.
        cells: of its design, in order.
        folders: of the cells.
    """
    raw: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    gathered: dict[str, tuple[dict[str, Scalar], float, Values]] = {}
    for cell, folder in zip(cells, folders, strict=True):
        config = cell.config
        assert isinstance(config, PlantedConfig)
        lead = dict(cell.factors)
        try:
            replicates = folder.values()
        except RecordError:  # a harmed run has nothing to tell until it is done again
            replicates = {}
        record = folder.record() or RunRecord("unfinished", steps=len(replicates))
        block = {"first": config.first, "replicates": config.replicates}
        runs.append({**lead, **block, "run": folder.identity, **asdict(record)})
        _, _, values = gathered.setdefault(canonical_json(lead), (lead, config.level, {}))
        for index in sorted(replicates, key=int):
            for place, measure, value in _told(replicates[index]):
                values.setdefault((place, measure), {})[int(index)] = value
                where = dict(zip(_WHERE, place, strict=True))
                row = {"replicate": int(index), "measure": measure, "value": value}
                raw.append({**lead, **where, **row})
    results = [
        {**lead, **dict(zip(_WHERE, place, strict=True)), **_row(measure, reading)}
        for lead, level, values in gathered.values()
        for place, measure, reading in _summaries(values, level)
    ]
    leads = factor_types(cell.factors for cell in cells)
    write_table(path / "results.parquet", results, {**leads, **_WHERE, **NUMBERS})
    one = {"replicate": pl.Int64, "measure": pl.String, "value": pl.Float64}
    write_table(path / "replicates.parquet", raw, {**leads, **_WHERE, **one})
    blocks = {"first": pl.Int64, "replicates": pl.Int64}
    write_table(path / "runs.parquet", runs, {**leads, **blocks, **ENDS})


def calibrated_p_values(
    statistics: Mapping[int, float], null: Mapping[int, float]
) -> NDArray[np.float64]:
    """Return a p-value for each replicate's statistic, from the others with nothing planted.

    p_i = (1 + #{j ≠ i: null_j ≥ s_i}) / R with R replicates: a replicate shares its sets with its
    own null, which is left out. With null statistics themselves it would be uniform, so that
    detectors whose own tests promise different things, or which have none, can be compared.

    Args:
        statistics: of replicates with copies planted; the higher, the more copying.
        null: of the same replicates, and perhaps others, with none.

    >>> calibrated_p_values({0: 5.0, 2: 1.5}, {0: 9.0, 1: 1.0, 2: 2.0, 3: 3.0}).tolist()
    [0.25, 0.75]
    """
    known = np.sort(np.array(list(null.values())))
    found = np.array(list(statistics.values()))
    own = np.array([null.get(index, -np.inf) for index in statistics])
    as_high = len(known) - np.searchsorted(known, found, side="left")
    return (1 + as_high - (own >= found)) / len(known)


def _told(sets: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Place, str, float]]:
    """Yield every value of a replicate, and where it belongs."""
    names = {
        "detections": ("statistic", "p_value"),
        "rankings": ("auc", "average_precision"),
    }
    for one in sets:
        where = (one["generated"], one["transform"], one["share"], one["copies"])
        for kind, measures in names.items():
            for detector, told in one[kind].items():
                for measure, value in zip(measures, told, strict=True):
                    if value is not None:
                        yield (*where, detector), measure, value


def _summaries(values: Values, level: float) -> Iterator[tuple[Place, str, Reading]]:
    """Yield what replicates say together."""
    reached = level * (1 + 1e-12)
    for (place, measure), by_replicate in values.items():
        numbers = list(by_replicate.values())
        generated, transform, *_, detector = place
        if measure == "p_value":
            name = "false_positive_rate" if transform == NULL else "detected"
            yield place, name, _share(np.array(numbers) <= reached)
        elif measure == "statistic" and transform != NULL:
            null = values[(generated, NULL, 0.0, 0, detector), "statistic"]
            # With fewer replicates no p-value is as low as the level.
            if len(null) * reached >= 1:
                yield (
                    place,
                    "detected_calibrated",
                    _share(calibrated_p_values(by_replicate, null) <= reached),
                )
        elif measure in ("auc", "average_precision"):
            low, high = mean_interval(numbers) or (None, None)
            mean = sum(numbers) / len(numbers)
            yield (
                place,
                measure,
                Reading(mean, n=len(numbers), unit=measure, higher_is="better", low=low, high=high),
            )


def _share(hits: NDArray[np.bool_]) -> Reading:
    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n)
    return Reading(count / n, n=n, unit="share", higher_is="better", low=low, high=high)


def _row(measure: str, reading: Reading) -> dict[str, Any]:
    return {
        "measure": measure,
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "samples": reading.n,
    }
