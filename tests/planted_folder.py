"""The folder of a planted-copy benchmark as a study would write it, from known power curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ecotone.core.intervals import wilson
from ecotone.core.records import write_json

Row = dict[str, Any]


@dataclass(frozen=True)
class PlantedRecipe:
    """What the synthetic benchmark is.

    ``middles`` says at which share each detector sees each transform half the time, among the
    largest number of images; null is never. Detectors in ``untested`` have no test of their own.
    """

    sizes: tuple[int, ...] = (100, 500)
    shares: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2)
    middles: Mapping[str, Mapping[str, float | None]] = field(
        default_factory=lambda: {
            "gap_ratio": {"exact": 0.015, "jpeg": 0.03, "flip": None},
            "closest_record": {"exact": 0.05, "jpeg": 0.05, "flip": None},
            "distance_of_means": {"exact": 0.08, "jpeg": 0.09, "flip": None},
        }
    )
    untested: tuple[str, ...] = ("distance_of_means",)
    false_positives: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, tuple[Any, ...]] = field(
        default_factory=lambda: {"n": (500,), "holdout": (400,)}
    )
    samples: int = 100
    title: str = "Planted copies"
    description: str = "Known curves."
    about: bool = True


def reading(value: float, samples: int, **where: Any) -> Row:
    hits = round(value * samples)
    low, high = wilson(hits, samples)
    return {**where, "value": hits / samples, "low": low, "high": high, "samples": samples}


def readings(recipe: PlantedRecipe, lead: Mapping[str, Any]) -> list[Row]:
    """Return the readings of one combination of factors."""
    rows: list[Row] = []
    for size in recipe.sizes:
        null = {**lead, "generated": size, "transform": "none", "share": 0.0, "copies": 0}
        for detector in recipe.middles:
            if detector not in recipe.untested:
                rate = recipe.false_positives.get(detector, 0.04)
                where = {**null, "detector": detector, "measure": "false_positive_rate"}
                rows.append(reading(rate, recipe.samples, **where))
        for detector, kinds in recipe.middles.items():
            for transform, middle in kinds.items():
                for share in recipe.shares:
                    # Fewer images need a larger share.
                    at = middle and middle * (max(recipe.sizes) / size) ** 0.5
                    power = 0.04 if at is None else 1 / (1 + math.exp(-5 * math.log(share / at)))
                    where = {**lead, "generated": size, "transform": transform, "share": share}
                    where |= {"copies": round(share * size), "detector": detector}
                    measures = ["detected_calibrated"]
                    measures += ["detected"] * (detector not in recipe.untested)
                    rows += [
                        reading(power, recipe.samples, **where, measure=measure)
                        for measure in measures
                    ]
                    for measure, value in (("auc", 0.9), ("average_precision", 0.5)):
                        ranked = {**where, "detector": "distance", "measure": measure}
                        if not any(ranked.items() <= row.items() for row in rows[-40:]):
                            told = {"low": value - 0.02, "high": value + 0.02}
                            rows.append({**ranked, "value": value, **told, "samples": 100})
    return rows


def write_planted_study(folder: Path, recipe: PlantedRecipe | None = None, **more: Any) -> Path:
    """Write study.json, results.parquet and runs.parquet; return the folder."""
    recipe = recipe or PlantedRecipe()
    folder.mkdir(parents=True, exist_ok=True)
    combinations: list[dict[str, Any]] = [{}]
    for name, levels in recipe.factors.items():
        combinations = [{**lead, name: level} for lead in combinations for level in levels]
    rows = [row for lead in combinations for row in readings(recipe, lead)]
    keys = [name for name in rows[0] if name not in ("value", "low", "high", "samples")]
    table = pl.DataFrame(rows, infer_schema_length=None).unique(keys, maintain_order=True)
    table.write_parquet(folder / "results.parquet")
    ends = {"status": "finished", "steps": recipe.samples, "failed_step": None, "reason": None}
    runs = [
        {**lead, "first": 0, "replicates": recipe.samples, "run": f"{index:08x}", **ends}
        for index, lead in enumerate(combinations)
    ]
    kinds = {"failed_step": pl.Int64, "reason": pl.String}
    pl.DataFrame(runs, schema_overrides=kinds).write_parquet(folder / "runs.parquet")
    config = {
        "population": {"kind": "digits"},
        "distance": {"kind": "pixels"},
        "level": 0.05,
        "transforms": [{"kind": "exact"}, {"kind": "jpeg", "quality": 75}, {"kind": "flip"}],
    }
    about: dict[str, Any] = {
        "name": "copies-known",
        "title": recipe.title,
        "description": recipe.description,
        "experiment": "planted",
        "design": {"name": "copies-known", "experiment": "planted"},
        "seeds": [0],
        "versions": {"ecotone": "0.1.0", "python": "3.11.2"},
        "machine": {"processor": "x86-64"},
    }
    if recipe.about:
        about["cells"] = [{"factors": lead, "config": config} for lead in combinations]
    write_json(folder / "study.json", {**about, **more})
    return folder
