"""What stopping at the first sign of copying would have kept, and lost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ecotone.laws import stopping
from ecotone.laws.tables import FLOOR, SHARE
from ecotone.report.chapter import Chapter, Material, cut, spanned
from ecotone.report.tables import ABSENT, Cell, Table, level_cell
from ecotone.report.text import capital, clean, interval, listed, number, percent

__all__ = ["stopping_early"]


def stopping_early(material: Material) -> Chapter | None:
    """Return what stopping at the alarm gives on every run; None where no run could ring it."""
    study = material.study
    if not {SHARE, FLOOR} <= set(study.results["measure"]):
        return None
    found = stopping(study.results, study.runs)
    if found.is_empty():
        return None
    rows = list(found.iter_rows(named=True))
    return Chapter(
        "stopping",
        "Stopping early",
        (_sentence(rows),),
        tables=(cut(_table(material, found)),),
        note=(
            "The alarm rings where the copied share exceeds its floor by Fisher’s exact test, with "
            "at most 5 % chance of a false alarm during a run. The safe step is the last one "
            "measured before it. Fidelity cost is the Fréchet distance there over the lowest of "
            "the whole run, which nobody knows before its end; as the lowest of many noisy "
            "distances is too low, the cost errs to the large side."
        ),
    )


def _sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the alarm would have cost, and what the validation loss would have let pass."""
    whole = [row for row in rows if row["status"] == "finished"]
    parts = []
    if whole:
        rang = [row for row in whole if row["alarm_step"] is not None]
        parts.append(_alarm(whole, rang) if rang else _silent(whole))
        parts += _validation(whole)
    stopped = [row for row in rows if row["status"] == "stopped"]
    if stopped:
        steps = spanned([float(row["alarm_step"]) for row in stopped], 6)
        runs = "1 run was" if len(stopped) == 1 else f"{len(stopped)} runs were"
        parts.append(f"{runs} really ended at the alarm, after {steps} steps")
    if not parts:
        return "No run has finished, and none was stopped: what stopping gives cannot be told yet."
    return capital(f"{'; '.join(parts)}.")


def _alarm(whole: Sequence[Mapping[str, Any]], rang: Sequence[Mapping[str, Any]]) -> str:
    """Return what stopping at the first alarm would have cost."""
    costly = [row for row in rang if row["fidelity_cost"] is not None]
    said = f"stopping at the first alarm (after {_steps(rang, 'alarm_step')} steps)"
    if len(costly) == 1:
        row = costly[0]
        ends = (row["fidelity_cost"], row["fidelity_cost_low"], row["fidelity_cost_high"])
        said += f" would have cost a factor of {interval(*ends)} in Fréchet distance"
    elif costly:
        costs = [row["fidelity_cost"] for row in costly]
        said += (
            f" would have cost a factor of {number(statistics.median(costs))} in Fréchet distance "
            f"(median of {len(costs)} runs, {spanned(costs)})"
        )
    else:
        said += " would have cost what cannot be told, for want of a distance at the safe step"
    first = sum(row["safe_step"] is None for row in rang)
    asides = []
    if first:
        asides.append(f"in {first} it rang at the first look, so that no safe step was left")
    if len(rang) < len(whole):
        asides.append(f"in {len(whole) - len(rang)} of {len(whole)} runs it never rang")
    return f"{said}, and {listed(asides)}" if asides else said


def _silent(whole: Sequence[Mapping[str, Any]]) -> str:
    runs = "the one run that finished" if len(whole) == 1 else f"the {len(whole)} finished runs"
    return f"the alarm rang in none of {runs}, so that there was nothing to stop for"


def _validation(whole: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return where validation loss alone would have stopped, and how many copies there were."""
    told = [row for row in whole if row["copied_at_validation"] is not None]
    if not told:
        return []
    copied = [row["copied_at_validation"] for row in told]
    share = f"{percent(statistics.median(copied))} of the samples were copies"
    if percent(min(copied)) != percent(max(copied)):
        share += f" (median; {percent(min(copied))} to {percent(max(copied))})"
    said = f"validation loss alone would have stopped after {_steps(told, 'validation_step')} steps"
    late = sum(row["validation_minimum"] == "after the alarm" for row in told)
    rang = sum(row["validation_minimum"] != "no alarm" for row in told)
    after = ""
    if rang and len(told) == 1:
        after = f", {told[0]['validation_minimum']}"
    elif rang:
        after = f"; that is after the alarm in {late or 'none'} of {rang} runs with one"
    return [f"{said}, when {share}{after}"]


def _steps(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    return spanned([float(row[column]) for row in rows], 6)


def _table(material: Material, found: pl.DataFrame) -> Table:
    names = material.study.varying
    rows = [
        (*(level_cell(row[name]) for name in (*names, "seed")), *_cells(row))
        for row in found.iter_rows(named=True)
    ]
    head = (
        *(clean(name) for name in names),
        "seed",
        "alarm at step",
        "last safe step",
        "copied there",
        "Fréchet there",
        "best Fréchet",
        "fidelity cost",
        "validation loss lowest at",
        "copied there",
        "Fréchet there",
    )
    kept = [i for i in range(len(head)) if any(row[i] != ABSENT for row in rows)]
    return Table(
        "What stopping gives, run by run, with 95 % intervals beneath.",
        tuple(head[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows),
        keys=len(names) + 1,
    )


def _cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    alarm, safe, lowest = row["alarm_step"], row["safe_step"], row["validation_step"]
    stopped = "the run ended here" if row["status"] == "stopped" else ""
    low, high = row["copied_at_safe_low"], row["copied_at_safe_high"]
    ends = "" if low is None or high is None else f"{percent(low)} to {percent(high)}"
    cost = [row[f"fidelity_cost{end}"] for end in ("", "_low", "_high")]
    bounds = "" if None in cost or cost[1] == cost[2] else f"{number(cost[1])} to {number(cost[2])}"
    best = row["best_frechet"]
    return (
        Cell("no alarm") if alarm is None else Cell(number(alarm, 9), stopped),
        Cell("none") if safe is None else Cell(number(safe, 9)),
        _share(row["copied_at_safe"], ends),
        _number(row["frechet_at_safe"]),
        ABSENT if best is None else Cell(number(best), f"at step {number(row['best_step'], 9)}"),
        ABSENT if cost[0] is None else Cell(number(cost[0]), bounds),
        ABSENT if lowest is None else Cell(number(lowest, 9), _order(row)),
        _share(row["copied_at_validation"], ""),
        _number(row["frechet_at_validation"]),
    )


def _order(row: Mapping[str, Any]) -> str:
    return "" if row["validation_minimum"] == "no alarm" else str(row["validation_minimum"])


def _share(value: float | None, detail: str) -> Cell:
    return ABSENT if value is None else Cell(percent(value), detail)


def _number(value: float | None) -> Cell:
    return ABSENT if value is None else Cell(number(value))
