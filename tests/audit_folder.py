"""The folder of an audit as an audit would write it, of digits with some copies among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from ecotone.auditing.record import (
    AuditRecord,
    ConfounderRecord,
    ControlRecord,
    DisagreementRecord,
    FindingRecord,
    LeaksRecord,
    NeededRecord,
    ReadingRecord,
    SetRecord,
)
from ecotone.core.alarm import copying_p_value
from ecotone.core.intervals import wilson
from ecotone.core.readings import Direction, Reading
from ecotone.core.records import write_json
from ecotone.core.seeds import generator
from ecotone.core.tensors import write_tensors
from ecotone.measures.accumulation import accumulation

Outcome = Literal["none", "copies", "overfits", "too_few"]
Numbers = NDArray[np.float64]

SENTENCES: dict[Outcome, str] = {
    "none": "No evidence of copying: a share of verbatim copies above 4.1 % would have been seen.",
    "copies": "Copies found: 20 % (14 % to 27 %) of the generated images are copies (p = 3e-15).",
    "overfits": "The generator overfits, without verbatim copies in evidence (p = 0.0002).",
    "too_few": "Too few to tell: give at least 120 generated images to see 5 %.",
}
EXIT_CODES: dict[Outcome, int] = {"none": 0, "copies": 1, "overfits": 4, "too_few": 3}
SEEN: dict[Outcome, float | None] = {
    "none": 0.041,
    "copies": 0.041,
    "overfits": 0.041,
    "too_few": None,
}


@dataclass(frozen=True)
class AuditRecipe:
    """What the audit is of."""

    outcome: Outcome = "copies"
    holdout: bool = True
    images: bool = True
    copies: int = 30
    generated: int = 150
    training: int = 300
    names: tuple[str, str] = ("samples", "train")
    id: str = "digit-{:03d}.png"
    confounders: tuple[ConfounderRecord, ...] = ()
    caveats: tuple[str, ...] = ()
    groups: bool = False
    verbatim: int = 0
    """Copies that equal their training image, of ``copies``."""


@dataclass(frozen=True)
class _Data:
    generated: Numbers
    training: Numbers
    holdout: Numbers


def _data(recipe: AuditRecipe) -> _Data:
    """Return rows: training images, others, and samples of which some are copies."""
    bunch: Any = load_digits()
    rows = bunch.data / 8 - 1
    random = generator(0, "audit folder")
    rows = rows[random.permutation(len(rows))]
    n, m = recipe.training, recipe.generated
    training, holdout, made = rows[:n], rows[n : n + 250], rows[n + 250 : n + 250 + m].copy()
    sources = random.integers(0, n // 3, recipe.copies)
    made[: recipe.copies] = training[sources] + 0.01 * random.normal(size=(recipe.copies, 64))
    made[: recipe.verbatim] = training[sources[: recipe.verbatim]]
    return _Data(np.clip(made, -1, 1), training, holdout)


def _distances(one: Numbers, other: Numbers) -> Numbers:
    return np.sqrt(((one[:, None] - other[None]) ** 2).sum(2))


def _reading(
    value: float,
    n: int,
    higher_is: Direction = "neither",
    *,
    unit: str = "ratio",
    half: float | None = None,
) -> ReadingRecord:
    low, high = (None, None) if half is None else (value - half, value + half)
    if unit == "share":
        low, high = wilson(value * n, n)
    return ReadingRecord.of(Reading(value, n, unit, higher_is, low, high))


def _readings(recipe: AuditRecipe, ratio: Numbers, floor: Numbers) -> dict[str, ReadingRecord]:
    n, m = len(ratio), len(floor)
    copied, usual = float((ratio < 1 / 3).mean()), float((floor < 1 / 3).mean())
    found = {
        "copied_share_gap_ratio": _reading(copied, n, "more copying", unit="share"),
        "authentic_share": _reading(0.6, n, "less copying", unit="share"),
        "memorized_share": _reading(copied, n, "more copying", unit="share"),
        "spurious_share": _reading(0.1, n, unit="share"),
        "generalized_share": _reading(0.9 - copied, n, "less copying", unit="share"),
        "vendi": _reading(14.2, n, "better", unit="images", half=0.6),
        "a_new_measure": _reading(2.5, n),
    }
    if not recipe.holdout:
        return found
    squared = "squared feature distance"
    return found | {
        "copied_share_gap_ratio_floor": _reading(usual, m, "more copying", unit="share"),
        "copied_share_holdout_quantile": _reading(copied + 0.01, n, "more copying", unit="share"),
        "copied_share_holdout_quantile_floor": _reading(0.01, m, "more copying", unit="share"),
        "leakage_share": _reading(copied, n, "more copying", unit="share"),
        "closer_to_training_share": _reading(0.5 + copied / 2, n, "more copying", unit="share"),
        "membership_auc": _reading(0.54, 300, "more copying", unit="AUC", half=0.04),
        "authentic_share_holdout": _reading(0.62, m, "less copying", unit="share"),
        "data_copying_statistic": _reading(-2.1, n, "less copying", unit="standard deviations"),
        "frechet_holdout": _reading(8.4, n, "worse", unit=squared, half=1.1),
        "frechet_holdout_matched": _reading(8.9, n, "worse", unit=squared, half=1.2),
        "frechet_training_matched": _reading(4.9, n, "worse", unit=squared, half=0.9),
        "kid_holdout_matched": _reading(
            0.002, n, "worse", unit="squared kernel distance", half=0.01
        ),
        "kid_training_matched": _reading(
            -0.001, n, "worse", unit="squared kernel distance", half=0.01
        ),
        "precision": _reading(0.9, n, "better", unit="share"),
        "precision_matched": _reading(0.89, n, "better", unit="share"),
        "precision_training": _reading(0.95, n, "better", unit="share"),
        "coverage": _reading(0.8, m, "better", unit="share"),
        "recall": _reading(0.7, m, "better", unit="share"),
        "density": _reading(1.02, n, half=0.1),
        "novelty": _reading(0.84, n, "less copying", half=0.05),
        "novelty_rank": _reading(0.41, n, "less copying", unit="share"),
        "vendi_holdout_matched": _reading(15.0, m, "better", unit="images", half=0.5),
    }


def _findings(recipe: AuditRecipe, ratio: Numbers, floor: Numbers) -> list[FindingRecord]:
    copied, usual = int((ratio < 1 / 3).sum()), int((floor < 1 / 3).sum())
    p = copying_p_value(copied, len(ratio), usual, len(floor))
    tests: list[tuple[str, Literal["copies", "overfitting"], str, float, str]] = [
        ("gap_ratio", "copies", "Are more generated images copies?", p, f"{copied} are"),
        ("standing_out", "overfitting", "Does one stand out?", 0.2, "3 of 150 are"),
    ]
    if recipe.holdout:
        near = 0.0002 if recipe.outcome in ("overfits", "copies") else 0.4
        tests.append(("new_test", "overfitting", "Are they nearer?", near, "54 % of pairs are"))
    level = 0.05 / len(tests)
    return [
        FindingRecord(
            name=name,
            kind=kind,
            question=question,
            p_value=value,
            level=level,
            significant=value <= level,
            seen=seen,
        )
        for name, kind, question, value, seen in tests
    ]


def _controls(recipe: AuditRecipe) -> list[ControlRecord]:
    known = {"exact": 1.0, "jpeg": 0.99, "noise": 0.97, "tone": 0.7, "shift": 0.2}
    known |= {"crop": 0.1, "flip": 0.0, "blend": 0.55}
    if not recipe.images:
        known = {"exact": 1.0, "noise": 0.9}
    return [
        ControlRecord(
            transform=name,
            recognized=_reading(value, 200, unit="share"),
            standing_out=_reading(min(1.0, 3 * value), 200, unit="share")
            if recipe.holdout
            else None,
            traced=_reading((1 + value) / 2, 200, unit="share"),
        )
        for name, value in known.items()
    ]


def _leaks(recipe: AuditRecipe, nearest: NDArray[np.intp], ratio: Numbers) -> LeaksRecord:
    copied = nearest[ratio < 1 / 3]
    _, counts = np.unique(copied, return_counts=True)
    curve = accumulation(counts.tolist(), len(ratio), seed=0, most=1000)
    return LeaksRecord(
        copies=len(copied),
        unique=len(counts),
        samples=list(curve.samples),
        expected=list(curve.unique),
        low=list(curve.low),
        high=list(curve.high),
        total=curve.total,
        total_low=curve.total_low,
        total_high=curve.total_high,
    )


def _detectors(recipe: AuditRecipe) -> list[DisagreementRecord]:
    known = {"gap_ratio": 1e-9, "distance_quantile": 2e-7, "closest_record": 0.01}
    known |= {"membership": 0.2}
    if recipe.outcome in ("none", "too_few"):
        known = dict.fromkeys(known, 0.4)
    found = [
        DisagreementRecord(
            name=name,
            about=f"What {name} asks.",
            statistic=1 - p,
            p_value=p,
            says_copying=p <= 0.05,
        )
        for name, p in known.items()
    ]
    more = DisagreementRecord(
        name="distance_only", about="No test.", statistic=0.1, p_value=None, says_copying=None
    )
    return [*found, more]


def _set(recipe: AuditRecipe, name: str, items: int) -> SetRecord:
    return SetRecord(
        name=name,
        kind="folder" if recipe.images else "array",
        items=items,
        is_image=recipe.images,
        shape=[1, 8, 8] if recipe.images else [64],
        type="float64",
        fingerprint="0123456789abcdef" * 4,
        formats={"PNG": items} if recipe.images else {},
        sizes={f"{8 + k}×8": items - k for k in range(9)} if recipe.images else {},
        notes=["scaled from −1 to 1"],
        range=(0.0, 255.0),
        left_out=2,
    )


def write_audit_folder(folder: Path, recipe: AuditRecipe | None = None, **changes: Any) -> Path:
    """Write the folder of an audit; ``changes`` replace fields of its record."""
    recipe = recipe or AuditRecipe()
    folder.mkdir(parents=True, exist_ok=True)
    data = _data(recipe)
    apart = _distances(data.generated, data.training)
    order = np.argsort(apart, axis=1)
    rows = np.arange(len(apart))
    first, second = order[:, 0], order[:, 1]
    nearest, ratio = apart[rows, first], apart[rows, first] / apart[rows, second]
    beyond = _distances(data.generated, data.holdout)
    others = np.sort(_distances(data.holdout, data.training), axis=1)
    floor = others[:, 0] / others[:, 1]
    record = AuditRecord(
        version="0.1.0",
        outcome=recipe.outcome,
        exit_code=EXIT_CODES[recipe.outcome],
        sentence=SENTENCES[recipe.outcome],
        settings={
            "features": None,
            "groups": "folder" if recipe.groups else None,
            "mirrored": None,
            "approximate": False,
            "size": None,
            "layout": "auto",
            "samples": None,
            "download": False,
        },
        level=0.05,
        asked_share=0.05,
        seen_share=SEEN[recipe.outcome],
        needed=NeededRecord(generated=120, holdout=250) if recipe.outcome == "too_few" else None,
        basis="holdout" if recipe.holdout else "halves",
        seed=3,
        features={"distances": "pixels", "mirrored": recipe.images, "components": 32},
        sets={
            "generated": _set(recipe, recipe.names[0], len(ratio)),
            "training": _set(recipe, recipe.names[1], len(data.training)),
        },
        findings=_findings(recipe, ratio, floor),
        readings=_readings(recipe, ratio, floor),
        confounders=list(recipe.confounders),
        controls=_controls(recipe),
        leaks=_leaks(recipe, first, ratio),
        detectors=_detectors(recipe),
        agreement={
            "distance": {"distance": 1.0, "gap_ratio": 0.42, "authenticity": 0.77},
            "gap_ratio": {"distance": 0.42, "gap_ratio": 1.0, "authenticity": 0.6},
            "authenticity": {"distance": 0.77, "gap_ratio": 0.6, "authenticity": 1.0},
        },
        caveats=list(recipe.caveats),
    )
    if recipe.holdout:
        held = _set(recipe, "held", len(data.holdout))
        record = record.model_copy(update={"sets": {**record.sets, "holdout": held}})
    write_json(folder / "audit.json", record.model_copy(update=changes).model_dump(mode="json"))
    ids = [recipe.id.format(index) for index in range(len(data.training))]
    names = [recipe.id.format(1000 + index) for index in range(len(ratio))]
    held_out = others[:, 0], floor
    _write_tables(folder, recipe, data, ids, names, ratio, first, nearest, beyond, held_out)
    if recipe.images:
        ranked = np.argsort(ratio, kind="stable")
        _, one_each = np.unique(first[ranked], return_index=True)
        picked = ranked[np.sort(one_each)[:24]]
        _write_pairs(folder, recipe, data, picked, first, second, beyond, apart, ids, names)
    return folder


def _write_tables(
    folder: Path,
    recipe: AuditRecipe,
    data: _Data,
    ids: list[str],
    names: list[str],
    ratio: Numbers,
    first: NDArray[np.intp],
    nearest: Numbers,
    beyond: Numbers,
    others: tuple[Numbers, Numbers],
) -> None:
    n = len(ids)
    copies = np.bincount(first[ratio < 1 / 3], minlength=n)
    least = np.full(n, np.inf)
    np.minimum.at(least, first, ratio)
    to_generated = _distances(data.training, data.generated)
    held = np.sort(_distances(data.holdout, data.generated).min(1))
    p = (1 + np.searchsorted(held, to_generated.min(1), side="right")) / (1 + len(held))
    columns: dict[str, Any] = {
        "training": ids,
        "copies": copies,
        "gap_ratio": pl.Series([x if np.isfinite(x) else None for x in least], dtype=pl.Float64),
        "distance": to_generated.min(1),
        "nearest_generated": [names[i] for i in to_generated.argmin(1)],
        "p_value": pl.Series(list(p) if recipe.holdout else [None] * n, dtype=pl.Float64),
        "duplicates": np.zeros(n, dtype=np.int64),
        "cluster": np.arange(n),
    }
    if recipe.groups:
        columns["group"] = [f"patient {index // 3}" for index in range(n)]
    table = pl.DataFrame(columns).sort(
        ["copies", "gap_ratio", "distance"], descending=[True, False, False], nulls_last=True
    )
    table.insert_column(0, pl.Series("rank", np.arange(1, n + 1)))
    table.write_csv(folder / "training.csv")
    columns = {
        "generated": names,
        "copy": ratio < 1 / 3,
        "distance": nearest,
        "gap_ratio": ratio,
        "nearest_training": [ids[i] for i in first],
    }
    if recipe.holdout:
        columns["distance_holdout"] = beyond.min(1)
        distances, floor = others
        pl.DataFrame(
            {
                "holdout": [f"held {index}" for index in range(len(floor))],
                "distance": distances,
                "gap_ratio": floor,
            }
        ).write_csv(folder / "holdout.csv")
    table = pl.DataFrame(columns).sort("gap_ratio")
    table.insert_column(0, pl.Series("rank", np.arange(1, len(ratio) + 1)))
    table.write_csv(folder / "generated.csv")


def _write_pairs(
    folder: Path,
    recipe: AuditRecipe,
    data: _Data,
    picked: NDArray[np.intp],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    beyond: Numbers,
    apart: Numbers,
    ids: list[str],
    names: list[str],
) -> None:
    def images(rows: Numbers) -> torch.Tensor:
        return torch.from_numpy(rows.reshape(-1, 1, 8, 8)).float()

    def numbers(values: Numbers) -> torch.Tensor:
        return torch.from_numpy(values).float()

    tensors = {
        "generated": images(data.generated[picked]),
        "nearest_training": images(data.training[first[picked]]),
        "second_training": images(data.training[second[picked]]),
        "distance_training": numbers(apart[picked, first[picked]]),
        "distance_second": numbers(apart[picked, second[picked]]),
    }
    about: dict[str, Any] = {
        "generated_ids": [names[i] for i in picked],
        "training_ids": [ids[i] for i in first[picked]],
        "second_ids": [ids[i] for i in second[picked]],
        "value_range": [-1.0, 1.0],
    }
    if recipe.holdout:
        outside = beyond[picked].argmin(1)
        tensors["nearest_holdout"] = images(data.holdout[outside])
        tensors["distance_holdout"] = numbers(beyond[picked].min(1))
        about["holdout_ids"] = [f"held {i}" for i in outside]
    write_tensors(folder / "gallery.safetensors", tensors, about)
