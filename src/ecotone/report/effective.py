"""How large a training set the models still copy whole when training ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from ecotone.laws import EffectiveMemorization, effective_memorization
from ecotone.laws.tables import SHARE
from ecotone.report.chapter import Chapter, Material
from ecotone.report.curves import Figure, Panel, draw_panels
from ecotone.report.lines import last_step, levels
from ecotone.report.study import Condition
from ecotone.report.tables import Cell, Table
from ecotone.report.text import capital, clean, interval, number, percent, shortened

__all__ = ["effective"]

MOST_TOLD = 4
MOST_LINES = 8


def effective(material: Material) -> Chapter | None:
    """Return the effective memorization of each condition; None where n does not vary."""
    study = material.study
    if study.runs["n"].n_unique() < 2 or SHARE not in set(study.results["measure"]):
        return None
    found = [
        one
        for one in effective_memorization(study.results, study.runs)
        if int(str(one.how["sizes"])) > 1
    ]
    if not found:
        return None
    others = [name for name in study.varying if name in found[0].group]
    sentences = [_sentence(one, others, material.noun) for one in found[:MOST_TOLD]]
    if len(found) > MOST_TOLD:
        sentences.append(f"The table has {len(found) - MOST_TOLD} more.")
    return Chapter(
        "effective",
        "Effective memorization",
        (" ".join(sentences),),
        figures=_figure(material, found, others),
        tables=(_table(found, others),) if len(found) > 1 else (),
        note=(
            "The largest training set of which a model still copies 90 % of what it generates at "
            "its last measured step, interpolated in log n (after Gu et al. 2023). Finished runs "
            "only: it says what these lengths of training have led to, no more."
        ),
    )


def _sentence(one: EffectiveMemorization, others: list[str], noun: str) -> str:
    """Return one condition's answer, censored ones in words."""
    where = ", ".join(f"{clean(name)} = {clean(one.group[name])}" for name in others)
    share = percent(1 - _epsilon(one))
    if one.status == "observed":
        assert one.value is not None
        said = f"when training ended, at least {share} of the generated samples were copies "
        said += f"up to {_size(one)} {noun}"
    elif one.status == "right_censored":
        bound = number(one.bound or 0, 9)
        said = f"even with {bound} {noun}, the most there were, {share} or more were copies at the "
        said += "end: effective memorization lies at or above that"
    else:
        bound = number(one.bound or 0, 9)
        said = f"even with {bound} {noun}, the fewest there were, less than {share} were copies at "
        said += "the end: effective memorization lies below that, if there is any"
    return f"{capital(f'with {where}, {said}' if where else said)}."


def _size(one: EffectiveMemorization) -> str:
    """Return an observed size with its interval, open ends in words."""
    assert one.value is not None
    if one.low is not None and one.high is not None:
        return interval(one.value, one.low, one.high)
    if one.high is not None:
        return f"{number(one.value)} (at most {number(one.high)})"
    if one.low is not None:
        return f"{number(one.value)} (at least {number(one.low)})"
    return number(one.value)


def _epsilon(one: EffectiveMemorization) -> float:
    epsilon: Any = one.how["epsilon"]
    return float(epsilon)


def _table(found: list[EffectiveMemorization], others: list[str]) -> Table:
    rows = []
    for one in found:
        text, _, detail = _size(one).partition(" (") if one.value is not None else ("", "", "")
        if one.bound is not None:
            beyond = "at or above" if one.status == "right_censored" else "below"
            text = f"{beyond} {number(one.bound, 9)}"
        rows.append(
            (
                *(Cell(clean(one.group[name])) for name in others),
                Cell(text, detail.removesuffix(")")),
                Cell(str(one.how["sizes"])),
                Cell(str(one.how["runs"])),
            )
        )
    return Table(
        "Effective memorization in training samples, with 95 % intervals.",
        (*(clean(name) for name in others), "training samples", "sizes", "finished runs"),
        tuple(rows),
        keys=max(1, len(others)),
    )


def _figure(
    material: Material, found: list[EffectiveMemorization], others: list[str]
) -> tuple[Figure, ...]:
    """Draw the copied share at the end against the size of the training set."""
    study = material.study
    ended = study.runs.filter(status="finished").select(*study.factors, "seed").rows()
    keys = set(ended)
    results = study.results.filter(measure=SHARE)
    kept = [row in keys for row in results.select(*study.factors, "seed").rows()]
    rows = last_step(results.filter(pl.Series(kept, dtype=pl.Boolean)), study.factors)
    names = [shortened(_label(one, others)) for one in found[:MOST_LINES]]
    looks = levels(others[0] if len(others) == 1 else "", names)
    if not others:
        looks = [replace(look, name="all runs", label="") for look in looks]
    tables = [
        (look, Condition({name: one.group[name] for name in others}).of(rows))
        for look, one in zip(looks, found[:MOST_LINES], strict=True)
    ]
    panel = Panel(
        name="effective-share",
        heading="Copied share when training ended",
        measure=SHARE,
        ylabel="share of generated samples",
        xlabel="training-set size n, samples",
        kind="share",
        exact=True,
        rule=(1 - _epsilon(found[0]), percent(1 - _epsilon(found[0]))),
        caption="Effective memorization is where a curve falls through the dashed line.",
    )
    return draw_panels([panel], tables, x="n")


def _label(one: EffectiveMemorization, others: list[str]) -> str:
    return ", ".join(clean(one.group[name]) for name in others)
