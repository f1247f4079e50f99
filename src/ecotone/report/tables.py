"""The page's tables: one row a run, reference rows, and the numbers behind the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ecotone.report.findings import Onset
from ecotone.report.lines import last_step
from ecotone.report.study import Condition, Study
from ecotone.report.text import clean, interval, number, percent

__all__ = ["Cell", "Table", "numbers_table", "reference_table", "run_table"]

NAMES = {
    "copied_share_gap_ratio": "copied share (gap ratio)",
    "copied_share_holdout_quantile": "copied share (holdout quantile)",
    "closer_to_training_share": "closer to training",
    "frechet_holdout": "Fréchet to held-out",
    "frechet_holdout_matched": "Fréchet to held-out, matched",
    "frechet_training_matched": "Fréchet to training, matched",
    "kid_holdout_matched": "KID to held-out",
    "kid_training_matched": "KID to training",
    "denoising_gap": "loss gap",
}
MOST_ROWS = 250
MOST_REFERENCES = 80


@dataclass(frozen=True)
class Cell:
    """What stands in a table's field, and beneath it in smaller type."""

    text: str
    detail: str = ""


ABSENT = Cell("–")


@dataclass(frozen=True)
class Table:
    """A table as it stands on the page.

    Args:
        caption: what it holds.
        head: column headings.
        rows: cells; the first ``keys`` of each row name the row.
        keys: how many leading columns name a row.
        note: what was left out, if anything.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    keys: int = 1
    note: str = ""


def run_table(study: Study, onsets: Sequence[Onset]) -> Table:
    """Return every run's factors, ending, onsets, final copied share and best distance."""
    times = {(onset.run, onset.kind): _split(onset.said) for onset in onsets}
    rows = []
    for run in study.runs.iter_rows(named=True):
        table = of_run(study, study.results, run)
        last = last_step(table)
        rows.append(
            (
                *_keys(study, run),
                _status(run),
                times.get((run["run"], "generalizing"), ABSENT),
                times.get((run["run"], "memorizing"), ABSENT),
                _reading(last, "copied_share_gap_ratio"),
                _reading(last, "copied_share_gap_ratio_floor"),
                _best(table),
            )
        )
    head = (
        *(clean(name) for name in study.varying),
        "seed",
        "status",
        "τ_gen, steps",
        "τ_mem, steps",
        "copied at the end",
        "floor",
        "best Fréchet distance",
    )
    caption = "Runs, with 95 % intervals beneath the values."
    # A study that measures no copying has no columns on it.
    kept = [i for i in range(len(head)) if i < len(study.varying) + 2 or _any(rows, i)]
    if len(kept) == len(study.varying) + 2:
        head, rows = tuple(head[i] for i in kept), [tuple(row[i] for i in kept) for row in rows]
    return Table(caption, head, tuple(rows), keys=len(study.varying) + 1)


def _any(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return any(row[column] != ABSENT for row in rows)


def reference_table(study: Study) -> Table | None:
    """Return the final models' readings between those of the two references."""
    references = study.references
    if references is None or references.is_empty():
        return None
    measures = [name for name in NAMES if name in set(references["measure"])]
    rows = []
    for run in study.runs.head(MOST_REFERENCES).iter_rows(named=True):
        own = of_run(study, references, run)
        if own.is_empty():
            continue
        whose = {
            "perfect memorizer": own.filter(reference="perfect_memorizer"),
            "the model, last step": last_step(of_run(study, study.results, run)),
            "held-out data": own.filter(reference="holdout"),
        }
        for who, table in whose.items():
            readings = (_reading(table, name) for name in measures)
            rows.append((*_keys(study, run), Cell(who), *readings))
    head = (*(clean(name) for name in study.varying), "seed", "samples of")
    return Table(
        "The same readings for samples of a perfect memorizer (the exact denoiser of the training "
        "set) and for held-out data in the generated samples' place.",
        (*head, *(NAMES[name] for name in measures)),
        tuple(rows),
        keys=len(head),
        note=""
        if study.runs.height <= MOST_REFERENCES
        else f"The first {MOST_REFERENCES} runs; all are in references.parquet.",
    )


def numbers_table(study: Study, condition: Condition) -> Table:
    """Return the readings behind the curves: one row a run and measured step."""
    results = condition.of(study.results)
    measures = [name for name in NAMES if name in set(results["measure"])]
    keys = [study.axis, "seed", "step"]
    wide = results.filter(pl.col("measure").is_in(measures)).sort(keys)
    parts = wide.partition_by(keys, maintain_order=True)
    rows = []
    for table in parts[:MOST_ROWS]:
        first = table.row(0, named=True)
        named = (Cell(_number(first[key])) for key in keys)
        rows.append((*named, *(_reading(table, name) for name in measures)))
    left_out = "" if len(parts) <= MOST_ROWS else f"The first {MOST_ROWS} of {len(parts):,} rows; "
    return Table(
        "Readings by run and step, with 95 % intervals beneath the values.",
        (clean(study.axis), "seed", "step", *(NAMES[name] for name in measures)),
        tuple(rows),
        keys=3,
        note=f"{left_out}every reading is in results.parquet.".capitalize(),
    )


def of_run(study: Study, table: pl.DataFrame, run: Mapping[str, Any]) -> pl.DataFrame:
    """Return a table's rows that belong to a run."""
    return Condition({name: run[name] for name in (*study.factors, "seed")}).of(table)


def _keys(study: Study, run: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return what names a run: its factors and seed."""
    return tuple(Cell(_number(run[name])) for name in (*study.varying, "seed"))


def _number(value: object) -> str:
    """Return a factor's level or a step as text, whole numbers with thousands apart."""
    return number(value, 9) if isinstance(value, int) and value >= 0 else clean(value)


def _split(said: str) -> Cell:
    """Put what stands in brackets beneath the rest."""
    text, _, detail = said.partition(" (")
    return Cell(text, detail.removesuffix(")"))


def _status(run: Mapping[str, Any]) -> Cell:
    """Return how a run ended, in words."""
    steps = number(run["steps"] or 0, 9)
    if run["status"] == "failed":
        at = number(run["failed_step"] or run["steps"] or 0, 9)
        return Cell(f"failed at step {at}", clean(run["reason"]))
    if run["status"] == "finished":
        return Cell("finished", f"{steps} steps")
    return Cell(clean(run["status"]), f"{steps} steps so far")


def _reading(table: pl.DataFrame, measure: str) -> Cell:
    """Return a measure's reading; its absence as a dash."""
    rows = table.filter(measure=measure)
    if rows.is_empty():
        return ABSENT
    row = rows.row(-1, named=True)
    if "share" not in measure:
        return _split(interval(row["value"], row["low"], row["high"]))
    if row["low"] is None or row["high"] is None:
        return Cell(percent(row["value"]))
    return Cell(percent(row["value"]), f"{percent(row['low'])} to {percent(row['high'])}")


def _best(table: pl.DataFrame) -> Cell:
    """Return the smallest Fréchet distance to held-out data, and when it was had."""
    rows = table.filter(measure="frechet_holdout")
    if rows.is_empty():
        return ABSENT
    best = rows.sort("value", "step").head(1)
    reading = _reading(best, "frechet_holdout")
    return Cell(f"{reading.text} at step {number(best['step'][0], 9)}", reading.detail)
