"""The folder of a linear study as a study would write it, from known curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ecotone.core.intervals import mean_interval, wilson
from ecotone.core.records import write_json
from ecotone.core.seeds import generator

Row = dict[str, Any]
Factors = Mapping[str, Any]

SIGNS = {
    "delta_sign": "p_delta_positive",
    "delta_sign_null": "p_delta_positive_null",
    "delta_sign_density": "p_delta_positive_density",
}


@dataclass(frozen=True)
class LinearRecipe:
    """What the synthetic study is: P(Δ > 0) passes ½ at n = ``per`` · d ** ``exponent``."""

    dimensions: tuple[int, ...] = (16, 64)
    ratios: tuple[float, ...] = (0.5, 0.75, 1, 1.5, 2, 4, 8, 16)
    sizes: tuple[int, ...] = ()
    originals: tuple[int, ...] = (10_000,)
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    replicates: int = 30
    per: float = 0.5
    exponent: float = 1.4
    slopes: tuple[float, float] = (0.8, -0.6)
    title: str = "A linear study"
    description: str = "Known curves."
    left_out: tuple[str, ...] = ()


def cells(recipe: LinearRecipe) -> list[Row]:
    """Return the combinations of factors other than n."""
    levels = {"dimension": recipe.dimensions, "originals": recipe.originals, **recipe.extra}
    return [
        dict(zip(levels, values, strict=True)) for values in itertools.product(*levels.values())
    ]


def sizes(recipe: LinearRecipe, dimension: int) -> list[int]:
    """Return the sizes of the training sets."""
    return list(recipe.sizes) or [round(ratio * dimension) for ratio in recipe.ratios]


def replicate(recipe: LinearRecipe, cell: Factors, n: int, index: int) -> list[Row]:
    """Return one replicate's values."""
    d = int(cell["dimension"])
    rng = generator(index, "linear", str(sorted(cell.items(), key=str)), n)
    middle = math.log(recipe.per * d**recipe.exponent)

    def sign(start: float) -> float:
        chance = 1 / (1 + math.exp(-6 * (math.log(n) - start)))
        return 1.0 if rng.random() < chance else -1.0

    rows: list[Row] = []

    def add(measure: str, value: float, variant: str = "exact") -> None:
        rows.append({"variant": variant, "measure": measure, "value": value})

    add("delta_sign", sign(middle))
    add("delta_sign", sign(middle - 1.0), "as_published")
    add("delta_sign_null", sign(middle - 3.0))
    add("delta_sign_density", 1.0)
    noise = rng.normal(size=6)
    for whose, slope, wobble in zip(("training", "original"), recipe.slopes, noise, strict=False):
        add(f"log_overlap_{whose}", -slope * math.log(n) - 4 + 0.02 * wobble)
        if n > d:
            add(f"log_distance_{whose}", slope * math.log(n) - 2 + 0.02 * wobble)
    affinity = max(0.0, 1 - d / n) ** 0.2 * math.exp(0.001 * noise[2])
    for variant in ("exact", "as_published"):
        add("affinity", affinity, variant)
        add("hellinger_squared", 1 - min(affinity, 1.0) ** d, variant)
    if n > d:
        add("kl_generated_population", d * d / n * math.exp(0.05 * noise[3]))
        add("kl_population_generated", 3 * d * d / (n - d) * math.exp(0.1 * noise[4]))
    add("wasserstein2_squared", d * d / n * math.exp(0.05 * noise[5]))
    return rows


def summarized(rows: Sequence[Row]) -> list[Row]:
    """Return the table of results that replicates make."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    keys = [name for name in frame.columns if name not in ("replicate", "value")]
    results = []
    for key, group in frame.partition_by(keys, as_dict=True, maintain_order=True).items():
        values = group["value"].to_numpy()
        head = dict(zip(keys, key, strict=True))
        measure = str(head["measure"])
        value, low, high = _summary(measure, values)
        head |= {"measure": SIGNS.get(measure, measure), "value": value, "low": low, "high": high}
        results.append({**head, "samples": len(values)})
    return results


def _summary(measure: str, values: np.ndarray) -> tuple[float, float | None, float | None]:
    if measure in SIGNS:
        hits = float((values > 0).sum() + 0.5 * (values == 0).sum())
        return hits / len(values), *wilson(hits, len(values))
    if measure == "kl_population_generated":
        low, middle, high = np.quantile(values, [0.4, 0.5, 0.6])
        return float(middle), float(low), float(high)
    low, high = mean_interval(values) or (None, None)
    return float(values.mean()), low, high


def write_linear_study(folder: Path, recipe: LinearRecipe | None = None, **more: Any) -> Path:
    """Write the folder of a linear study; ``more`` goes into study.json."""
    recipe = recipe or LinearRecipe()
    folder.mkdir(parents=True, exist_ok=True)
    raw = [
        {**cell, "n": n, "replicate": index, **row}
        for cell in cells(recipe)
        for n in sizes(recipe, int(cell["dimension"]))
        for index in range(recipe.replicates)
        for row in replicate(recipe, cell, n, index)
        if row["measure"] not in recipe.left_out
    ]
    results = summarized(raw)
    kinds: dict[str, Any] = {"low": pl.Float64, "high": pl.Float64, "samples": pl.Int64}
    write(folder / "results.parquet", results, kinds)
    write(folder / "replicates.parquet", raw, {})
    runs = [
        {**cell, "first": 0, "replicates": recipe.replicates, "run": f"{index:08x}"}
        | {"status": "finished", "steps": recipe.replicates, "failed_step": None, "reason": None}
        for index, cell in enumerate(cells(recipe))
    ]
    write(folder / "runs.parquet", runs, {"failed_step": pl.Int64, "reason": pl.String})
    about = {
        "name": "onset-known",
        "title": recipe.title,
        "description": recipe.description,
        "experiment": "linear",
        "design": {"name": "onset-known", "experiment": "linear"},
        "seeds": [0],
        "versions": {"ecotone": "0.1.0", "python": "3.11.2"},
        "machine": {"processor": "x86-64"},
        "factors": {"dimension": list(recipe.dimensions)},
    }
    write_json(folder / "study.json", {**about, **more})
    return folder


def write(path: Path, rows: Sequence[Row], kinds: dict[str, Any]) -> None:
    """Write rows as a table."""
    pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None).write_parquet(path)
