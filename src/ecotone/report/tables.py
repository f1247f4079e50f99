"""The page's tables: one row a run, reference rows, and the numbers behind the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import polars as pl

from ecotone.report.findings import Onset
from ecotone.report.lines import last_step
from ecotone.report.study import Condition, Study
from ecotone.report.text import clean, interval, number, percent

__all__ = [
    "ABSENT",
    "Cell",
    "Table",
    "level_cell",
    "numbers_tables",
    "reference_tables",
    "run_table",
]

NAMES = {
    "Copying and novelty": {
        "copied_share_gap_ratio": "copied share (gap ratio)",
        "copied_share_holdout_quantile": "copied share (holdout quantile)",
        "closer_to_training_share": "closer to training",
        "novelty": "novelty",
        "novelty_rank": "novelty, by rank",
    },
    "Quality": {
        "frechet_holdout": "Fréchet to held-out",
        "frechet_holdout_matched": "Fréchet to held-out, matched",
        "frechet_training_matched": "Fréchet to training, matched",
        "kid_holdout_matched": "KID to held-out",
        "kid_training_matched": "KID to training",
    },
    "Precision and coverage": {
        "precision": "precision",
        "recall": "recall",
        "density": "density",
        "coverage": "coverage",
        "precision_matched": "precision, matched",
        "precision_training": "precision, of training",
        "coverage_matched": "coverage, matched",
        "coverage_training": "coverage, of training",
    },
    "The denoiser": {
        "denoising_loss_training": "loss, training",
        "denoising_loss_holdout": "loss, held-out",
        "denoising_gap": "loss gap",
        "memorizer_excess": "above the memorizer",
        "memorizer_distance": "distance from the memorizer",
    },
    "Agreement of twins": {
        "agreement_halves": "cosine of twins",
        "agreement_halves_floor": "its floor",
        "agreement_matched": "matched",
    },
}
"""What tables hold each measure, and what it is called there."""

NOTES = {"Agreement of twins": "A pair stands once, under the seed of its second run."}

SHARES = {
    "novelty_rank",
    "precision",
    "recall",
    "coverage",
    "precision_matched",
    "precision_training",
    "coverage_matched",
    "coverage_training",
    "agreement_matched",
}
"""Shares without the word in their name."""

MOST_ROWS = 100
MOST_REFERENCES = 40


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


def reference_tables(study: Study) -> tuple[Table, ...]:
    """Return the final models' readings between those of the two references."""
    references = study.references
    if references is None or references.is_empty():
        return ()
    known = set(references["measure"])
    last = {}
    for run in study.runs.head(MOST_REFERENCES).iter_rows(named=True):
        own = of_run(study, references, run)
        if not own.is_empty():
            last[run["run"]] = {
                "perfect memorizer": own.filter(reference="perfect_memorizer"),
                "the model, last step": last_step(of_run(study, study.results, run)),
                "held-out data": own.filter(reference="holdout"),
            }
    head = (*(clean(name) for name in study.varying), "seed", "samples of")
    tables = []
    for heading, names in NAMES.items():
        measures = [name for name in names if name in known]
        rows = [
            (*_keys(study, run), Cell(who), *(_reading(table, name) for name in measures))
            for run in study.runs.iter_rows(named=True)
            for who, table in last.get(run["run"], {}).items()
        ]
        if measures:
            heads = (*head, *(names[name] for name in measures))
            tables.append(Table(f"{heading}.", heads, tuple(rows), keys=len(head)))
    if tables and study.runs.height > MOST_REFERENCES:
        note = f"The first {MOST_REFERENCES} runs; all are in references.parquet."
        tables[-1] = replace(tables[-1], note=note)
    return tuple(tables)


def numbers_tables(study: Study, results: pl.DataFrame) -> tuple[Table, ...]:
    """Return the readings behind the curves: one row a run and measured step.

    Args:
        study: as read.
        results: its readings under one condition.
    """
    keys = [study.axis, "seed", "step"]
    tables = []
    for heading, names in NAMES.items():
        own = results.filter(pl.col("measure").is_in(list(names))).sort(keys)
        measures = [name for name in names if name in set(own["measure"])]
        parts = own.partition_by(keys, as_dict=True, maintain_order=True)
        rows = tuple(
            (*(level_cell(value) for value in key), *(_reading(table, name) for name in measures))
            for key, table in islice(parts.items(), MOST_ROWS)
        )
        if rows:
            left = (
                f"The first {MOST_ROWS} of {len(parts):,} rows." if len(parts) > MOST_ROWS else ""
            )
            heads = (clean(study.axis), "seed", "step", *(names[name] for name in measures))
            told = f"{left} {NOTES.get(heading, '')}".strip()
            tables.append(Table(f"{heading}.", heads, rows, keys=3, note=told))
    return tuple(tables)


def of_run(study: Study, table: pl.DataFrame, run: Mapping[str, Any]) -> pl.DataFrame:
    """Return a table's rows that belong to a run."""
    return Condition({name: run[name] for name in (*study.factors, "seed")}).of(table)


def _keys(study: Study, run: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return what names a run: its factors and seed."""
    return tuple(level_cell(run[name]) for name in (*study.varying, "seed"))


def level_cell(value: object) -> Cell:
    """Return a factor's level or a step, whole numbers with thousands apart."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Cell(number(value, 9))
    return Cell(clean(value))


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
    if run["status"] == "stopped":
        return Cell(f"stopped at step {steps}", clean(run["reason"] or ""))
    return Cell(clean(run["status"]), f"{steps} steps so far")


def _reading(table: pl.DataFrame, measure: str) -> Cell:
    """Return a measure's reading; its absence as a dash."""
    rows = table.filter(measure=measure)
    if rows.is_empty():
        return ABSENT
    row = rows.row(-1, named=True)
    if "share" not in measure and measure not in SHARES:
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
