"""Make the tables of the planted-copy benchmark in docs/audit.md, and the files beside them.

    python docs/results/planted.py STUDY [STUDY ...] OUT

STUDY is a folder of ``ecotone study planted-copies``; of several, which differ in their detectors
only, the first says what was done. OUT gets smallest.csv (the smallest share
that each detector sees with a power of 80 %), false-positives.csv, ranking.csv and study.yaml; the
table for the largest number of generated images goes to standard output, as Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ecotone.core.records import read_json, write_atomic
from ecotone.laws.detection import smallest_shares
from ecotone.measures.detectors import DETECTORS
from ecotone.populations.planted import TRANSFORMS

_KEY = ("generated", "transform", "detector")


def main(studies: list[Path], out: Path) -> None:
    """Write the tables of studies' folders."""
    results = pl.concat(pl.read_parquet(study / "results.parquet") for study in studies)
    smallest = smallest_shares(results).sort("generated", "measure", "detector", "transform")
    false = results.filter(pl.col("measure") == "false_positive_rate")
    ranked = results.filter(pl.col("measure").is_in(["auc", "average_precision"]))
    for name, table in (
        ("smallest", smallest),
        ("false-positives", false.select("generated", "detector", "value", "low", "high")),
        ("ranking", ranked.select(*_KEY, "share", "measure", "value", "low", "high")),
    ):
        rounded = table.with_columns(pl.col(pl.Float64).round_sig_figs(4))
        write_atomic(out / f"{name}.csv", rounded.write_csv().encode())
    about = read_json(studies[0] / "study.json")
    kept = {key: about[key] for key in ("name", "title", "scale", "design", "versions", "machine")}
    write_atomic(out / "study.yaml", yaml.safe_dump(kept, sort_keys=False).encode())
    print(markdown(smallest, false))


def markdown(smallest: pl.DataFrame, false: pl.DataFrame) -> str:
    """Return a row for each detector, a column for each transform, in per cent.

    Detectors without a test of their own are called where their statistic is above nearly all of
    those without copies; an asterisk marks them.
    """
    largest = smallest["generated"].max()
    rows = smallest.filter(pl.col("generated") == largest)
    order = [*TRANSFORMS]
    transforms = sorted(rows["transform"].unique(), key=lambda name: order.index(name.split()[0]))
    own = set(rows.filter(pl.col("measure") == "detected")["detector"])
    lines = [
        f"| detector | false positives | {' | '.join(transforms)} |",
        "|---|---|" + "---|" * len(transforms),
    ]
    for detector in sorted(rows["detector"].unique(), key=[*DETECTORS].index):
        measure = "detected" if detector in own else "detected_calibrated"
        chosen = rows.filter((pl.col("detector") == detector) & (pl.col("measure") == measure))
        cells = {row["transform"]: _cell(row) for row in chosen.iter_rows(named=True)}
        name = f"`{detector}`" if detector in own else f"`{detector}`*"
        told = " | ".join(cells.get(transform, "–") for transform in transforms)
        lines.append(f"| {name} | {_rate(false, detector, largest)} | {told} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    if row["status"] == "observed":
        return f"{100 * row['value']:.2g}"
    sign = "≤" if row["status"] == "left_censored" else ">"
    return f"{sign} {100 * row['bound']:.2g}"


def _rate(false: pl.DataFrame, detector: str, generated: object) -> str:
    rows = false.filter((pl.col("detector") == detector) & (pl.col("generated") == generated))
    if rows.is_empty():
        return "–"
    row = rows.row(0, named=True)
    low, high = (f"{100 * row[end]:.0f}" for end in ("low", "high"))
    return f"{100 * row['value']:.0f} ({low} to {high})"


if __name__ == "__main__":
    *folders, target = map(Path, sys.argv[1:])
    main(folders, target)
