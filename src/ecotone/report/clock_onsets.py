"""When every run turned, on every clock: steps, epochs, images seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ecotone.core.intervals import mean_interval
from ecotone.laws import windows
from ecotone.report.chapter import Chapter, Material, cut, spanned
from ecotone.report.tables import ABSENT, Cell, Table, level_cell
from ecotone.report.text import clean, number

__all__ = ["clock_onsets"]

CLOCKS = {"steps": "steps", "epochs": "epochs", "images": "images seen"}
SYMBOLS = {"tau_gen": "τ_gen", "tau_mem": "τ_mem"}
MOST_RUNS = 24
"""Runs that have a row each; of more, those that differ in their seed alone share one."""


def clock_onsets(material: Material) -> Chapter | None:
    """Return onsets and window of every run; None where runs do not say their batch size."""
    if not material.batches or material.onsets.is_empty():
        return None
    study = material.study
    found = windows(material.onsets, study.runs)
    together = found.select(*study.factors, "seed").unique().height > MOST_RUNS
    keys = [name for name in study.varying if name in found.columns]
    keys += [] if together else ["seed"]
    rows = [
        (
            *(level_cell(value) for value in key),
            *(_onset(group.filter(clock=clock), onset) for onset in SYMBOLS for clock in CLOCKS),
            _cell(group.filter(clock="steps"), "window", "more than", "less than"),
        )
        for key, group in found.partition_by(keys, as_dict=True, maintain_order=True).items()
    ]
    head = (
        *(clean(name) for name in keys),
        *(f"{symbol}, {clock}" for symbol in SYMBOLS.values() for clock in CLOCKS.values()),
        "window τ_mem / τ_gen",
    )
    caption = "Onsets counted in steps, epochs (passes over the training set) and images seen"
    caption += ": geometric means over seeds." if together else ", with 95 % intervals beneath."
    return Chapter(
        "clocks",
        "Onsets on every clock",
        (_sentence(found.filter(clock="steps")),),
        tables=(cut(Table(caption, head, tuple(rows), keys=len(keys))),),
    )


def _sentence(runs: pl.DataFrame) -> str:
    """Return how wide the window is over the runs."""
    known = [value for value in runs["window"].to_list() if value is not None]
    open_ended = runs.filter(window_status="right_censored").height
    said = "The window between generalizing and copying, τ_mem / τ_gen, is the same on every clock"
    if known:
        of = f"in {len(known)} of {runs.height} runs" if len(known) < runs.height else ""
        said += f": a factor of {spanned(known)}{' ' if of else ''}{of}"
        if min(known) < 1:
            said += " (below 1 copying began before samples were near their best)"
    if open_ended:
        verb = "run shows" if open_ended == 1 else "runs show"
        said += f"; {open_ended} {verb} only how wide it is at least"
    if not known and not open_ended:
        said += ", and cannot be told of any run"
    return f"{said}."


def _onset(rows: pl.DataFrame, onset: str) -> Cell:
    return _cell(rows, onset, "not within", "before")


def _cell(rows: pl.DataFrame, name: str, beyond: str, before: str) -> Cell:
    """Return a number of one run with its interval, or of several their geometric mean."""
    told = [row for row in rows.iter_rows(named=True) if row[f"{name}_status"] is not None]
    told = [row for row in told if row[f"{name}_status"] != "unknown"]
    known = [row for row in told if row[name] is not None]
    if rows.height > 1:
        return _several(told, known, name, beyond, before)
    if not told:
        return ABSENT
    if known:
        return _single(known[0], name)
    return _bound(told, name, beyond, before)


def _single(row: Mapping[str, Any], name: str) -> Cell:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is not None and high is not None:
        return Cell(number(row[name]), f"{number(low)} to {number(high)}")
    detail = f"from {number(low)}" if low is not None else ""
    return Cell(number(row[name]), f"up to {number(high)}" if high is not None else detail)


def _bound(told: Sequence[Mapping[str, Any]], name: str, beyond: str, before: str) -> Cell:
    """Return what censored runs say: the least that none of them got beyond."""
    early = told[0][f"{name}_status"] == "left_censored"
    bounds = [row[f"{name}_bound"] for row in told]
    return Cell(f"{before if early else beyond} {number(max(bounds) if early else min(bounds))}")


def _several(
    told: Sequence[Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]],
    name: str,
    beyond: str,
    before: str,
) -> Cell:
    if not told:
        return ABSENT
    if not known:
        same = {row[f"{name}_status"] for row in told}
        cell = _bound(told, name, beyond, before) if len(same) == 1 else ABSENT
        return Cell(cell.text, f"{len(told)} seeds")
    logs = [math.log(row[name]) for row in known]
    mean = number(math.exp(sum(logs) / len(logs)))
    if len(known) < len(told):
        return Cell(mean, f"{len(known)} of {len(told)} seeds")
    ends = mean_interval(logs) if len(logs) > 2 else None
    if ends is None:
        return Cell(mean, f"{len(told)} seeds")
    return Cell(mean, f"{number(math.exp(ends[0]))} to {number(math.exp(ends[1]))}")
