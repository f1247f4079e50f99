"""A study folder as a study would write it, from known curves, with images of digits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits

from ecotone.core.intervals import wilson
from ecotone.core.records import write_json
from ecotone.core.seeds import generator
from ecotone.core.tensors import write_tensors
from ecotone.report import build

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

SIGMAS = (0.05, 0.15, 0.5, 1.5, 5.0)
SAMPLES = 200
FLOOR = 0.01
Row = dict[str, Any]
ENDS = {
    "failed": "the loss was not finite (nan)",
    "stopped": "copying was seen at step 2000; safe.safetensors is of step 1500",
    "unfinished": None,
}
"""Why a run ended, by how it did."""


@dataclass(frozen=True)
class Recipe:
    """What the synthetic study is: its onsets are ``per_image`` · n ** ``exponent`` steps."""

    sizes: tuple[int, ...] = (16, 32, 64, 128)
    seeds: tuple[int, ...] = (0,)
    horizon: int = 20_000
    measured: int = 24
    per_image: float = 20.0
    exponent: float = 1.0
    ceiling: float = 0.97
    extra: tuple[tuple[str, Any], ...] = ()
    failed: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    title: str = "Digits: how the onset of copying moves with the training set"
    images: bool = True
    references: bool = True
    batch: int = 64
    twins: bool = False
    stopped: tuple[int, ...] = ()


def onset(recipe: Recipe, n: int) -> float:
    return recipe.per_image * n**recipe.exponent


def steps_of(recipe: Recipe, n: int) -> list[int]:
    early = (*recipe.failed, *recipe.unfinished, *recipe.stopped)
    last = recipe.horizon // (10 if n in early else 1)
    if recipe.measured == 1:
        return [last]
    return sorted({round(step) for step in np.geomspace(1, last, recipe.measured)})


def readings(recipe: Recipe, n: int, seed: int, step: int) -> list[Row]:
    """Return one measured step's readings: a logistic copied share, a U-shaped distance."""
    rng = generator(seed, "synthetic", n, step)
    started = np.log(step) - np.log(onset(recipe, n))
    share = FLOOR + (recipe.ceiling - FLOOR) / (1 + np.exp(-2.5 * (started - 0.9)))
    learning = 180.0 / (1 + (step / 12.0) ** 2) + 3.0 + 40.0 / np.sqrt(n)
    copying = 9.0 * share
    rows: list[Row] = []

    def add(measure: str, value: float, low: float | None = None, high: float | None = None):
        rows.append({"measure": measure, "value": value, "low": low, "high": high})

    def add_share(measure: str, truth: float):
        hits = int(rng.binomial(SAMPLES, min(max(truth, 0.0), 1.0)))
        add(measure, hits / SAMPLES, *wilson(hits, SAMPLES))

    def add_distance(measure: str, truth: float, width: float):
        value = truth + width * float(rng.normal()) / 3
        add(measure, value, value - width, value + width)

    add_share("copied_share_gap_ratio", share)
    add_share("copied_share_gap_ratio_floor", FLOOR)
    add_share("copied_share_holdout_quantile", 0.9 * share + 0.01)
    add_share("copied_share_holdout_quantile_floor", 0.01)
    add_share("closer_to_training_share", 0.5 + 0.49 * share)
    add_distance("frechet_holdout", learning + copying, 0.6 + 0.03 * learning)
    add_distance("frechet_holdout_matched", learning + copying + 2, 0.8 + 0.03 * learning)
    add_distance("frechet_training_matched", learning + 2 - 0.3 * copying, 0.8 + 0.03 * learning)
    add_distance("kid_holdout_matched", (learning - 3 + copying) / 400, 0.004)
    add_distance("kid_training_matched", (learning - 3 - 0.2 * copying) / 400, 0.004)
    add_distance("novelty", 1.4 / (1 + step / 900) + 1.0 - 1.1 * share, 0.05)
    add_share("novelty_rank", 0.55 * (1 - share))
    add_share("precision", 0.9)
    add_share("precision_matched", 0.9)
    add_share("coverage_matched", 0.9)
    add_share("precision_training", 0.9 + 0.09 * share)
    add_share("recall", 0.9 - 0.6 * share)
    add_distance("density", 1 + 0.2 * share, 0.06)
    add_share("coverage", 0.95 - 0.5 * share)
    add_share("coverage_training", 0.95)
    gaps = []
    # Levels follow a run's own training set, so those of seeds differ a little.
    for sigma in (sigma * (1 + 0.04 * seed) for sigma in SIGMAS):
        at = f"[sigma={sigma:.3g}]"
        height = 0.2 * share * np.exp(-((np.log(sigma / 0.4)) ** 2))
        gaps.append(height)
        add(f"denoising_loss_training{at}", 0.1 + 0.01 * sigma)
        add(f"denoising_loss_holdout{at}", 0.1 + 0.01 * sigma + height)
        add_distance(f"denoising_gap{at}", height, 0.006)
        add_distance(f"memorizer_excess{at}", 0.02 + 0.2 * (1 - share) * sigma, 0.01)
        add_distance(f"memorizer_distance{at}", (1.2 - share) / (1 + sigma), 0.02)
    gap = float(np.mean(gaps))
    add_distance("denoising_gap", gap, 0.004)
    validation = 0.1 + 0.5 / (1 + step / 30)
    add_distance("denoising_loss_training", validation, 0.004)
    add_distance("denoising_loss_holdout", validation + gap, 0.004)
    add_distance("memorizer_excess", 0.3 * (1 - share) + 0.02, 0.01)
    add_distance("memorizer_distance", 1.1 - share, 0.03)
    if recipe.twins:
        agree = float(generator(0, "twins", n, step).normal()) / 50 + 0.95 * (1 - share)
        add("agreement_halves", agree, agree - 0.04, agree + 0.04)
        add("agreement_halves_floor", 0.0, -0.04, 0.04)
        add("agreement_matched", 1 - share, *wilson((1 - share) * SAMPLES, SAMPLES))
    head = {**dict(recipe.extra), "n": n, "seed": seed, "step": step}
    return [{**head, **row, "samples": SAMPLES} for row in rows]


def references(recipe: Recipe, n: int, seed: int) -> list[Row]:
    head = {**dict(recipe.extra), "n": n, "seed": seed}
    known = {
        "perfect_memorizer": {
            "copied_share_gap_ratio": 1.0,
            "copied_share_holdout_quantile": 0.98,
            "closer_to_training_share": 1.0,
            "frechet_holdout": 19.0 + 40 / n,
            "novelty_rank": 0.0,
            "precision": 1.0,
        },
        "holdout": {
            "copied_share_gap_ratio": FLOOR,
            "copied_share_holdout_quantile": 0.01,
            "closer_to_training_share": 0.49,
            "frechet_holdout": 3.2,
            "novelty_rank": 0.5,
            "precision": 0.94,
        },
    }
    rows = []
    for reference, values in known.items():
        for measure, value in values.items():
            bounds = wilson(value * SAMPLES, SAMPLES) if value <= 1 else (value - 1, value + 1)
            low, high = bounds
            rows.append(
                {**head, "reference": reference, "measure": measure, "value": value, "low": low}
                | {"high": high, "samples": SAMPLES}
            )
    return rows


def write_gallery(path: Path, n: int, step: int, *, pairs: int = 40) -> None:
    """Write a gallery of digits: generated images are training images with growing noise."""
    bunch: Any = load_digits()
    digits = (bunch.images / 8 - 1).astype(np.float32)[:, None]
    rng = generator(0, "gallery", n)
    n = min(n, 900)
    picked = rng.permutation(n)[np.arange(pairs) % n]
    training, holdout = digits[:n], digits[900:]
    noise = np.linspace(0.01, 0.9, pairs)[:, None, None, None]
    made = np.clip(training[picked] + noise * rng.normal(size=(pairs, 1, 8, 8)), -1, 1)
    made = made.astype(np.float32)
    apart = np.sqrt(((made[:, None] - training[None]) ** 2).sum((2, 3, 4)))
    order = np.argsort(apart, axis=1)
    rows = np.arange(pairs)
    first, second = order[:, 0], order[:, 1]
    beyond = np.sqrt(((made[:, None] - holdout[None]) ** 2).sum((2, 3, 4)))
    ratio = apart[rows, first] / apart[rows, second]
    rank = np.argsort(ratio)
    tensors = {
        "generated": made[rank],
        "nearest_training": training[first][rank],
        "second_training": training[second][rank],
        "nearest_holdout": holdout[beyond.argmin(1)][rank],
        "distance_training": apart[rows, first][rank].astype(np.float32),
        "distance_second": apart[rows, second][rank].astype(np.float32),
        "distance_holdout": beyond.min(1)[rank].astype(np.float32),
    }
    about = {
        "step": step,
        "value_low": -1.0,
        "value_high": 1.0,
        "training_ids": [f"digit/{index}" for index in first[rank]],
        "measure": "Euclidean distance of pixels",
    }
    write_tensors(path, {name: torch.from_numpy(array) for name, array in tensors.items()}, about)


def run_name(recipe: Recipe, n: int, seed: int) -> str:
    extra = "".join(f"-{name}={value}" for name, value in recipe.extra)
    extra += f"-batch={recipe.batch}"
    return f"n={n}{extra}-seed={seed}"


def write_study(folder: Path, *recipes: Recipe) -> Path:
    """Write a study folder; several recipes with different ``extra`` make several conditions."""
    results: list[Row] = []
    known: list[Row] = []
    runs: list[Row] = []
    for recipe in recipes:
        for n in recipe.sizes:
            for seed in recipe.seeds:
                steps = steps_of(recipe, n)
                run = run_name(recipe, n, seed)
                for step in steps:
                    results += readings(recipe, n, seed, step)
                if recipe.references:
                    known += references(recipe, n, seed)
                status = next(
                    (end for end in ENDS if n in getattr(recipe, end)),
                    "finished",
                )
                runs.append(
                    {**dict(recipe.extra), "n": n, "seed": seed, "run": run}
                    | {"status": status, "steps": steps[-1]}
                    | {"failed_step": steps[-1] + 1 if status == "failed" else None}
                    | {"reason": ENDS.get(status), "batch_size": recipe.batch, "images": n}
                    | {"parameters": 160_000}
                    | {"twin_of": seed - 1 if recipe.twins and seed % 2 else None}
                )
                if recipe.images:
                    write_gallery(folder / "runs" / run / "gallery.safetensors", n, steps[-1])
    first = recipes[0]
    factors: dict[str, Sequence[Any]] = {"n": list(first.sizes)}
    for name, _ in first.extra:
        factors[name] = [dict(recipe.extra)[name] for recipe in recipes]
    write_json(
        folder / "study.json",
        {
            "name": "digits-onset",
            "title": first.title,
            "design": {
                "name": "digits-onset",
                "factors": {"n": list(first.sizes)},
                "seeds": list(first.seeds),
                "population": {"kind": "digits"},
                "holdout": 800,
                "model": {"kind": "unet", "width": 16},
                "training": {"steps": first.horizon, "batch_size": 64, "learning_rate": 0.001},
                "sampler": {"kind": "heun", "steps": 18},
            },
            "factors": factors,
            "versions": {"ecotone": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
            "machine": {"processor": "x86-64", "cores": 2, "memory_gb": 24.0, "gpu": None},
            "seeds": list(first.seeds),
        },
    )
    kinds = {"n": pl.Int64, "seed": pl.Int64, "step": pl.Int64, "samples": pl.Int64}
    kinds |= {"low": pl.Float64, "high": pl.Float64}
    write_table(folder / "results.parquet", results, kinds)
    write_table(
        folder / "runs.parquet",
        runs,
        {"failed_step": pl.Int64, "reason": pl.String, "n": pl.Int64, "twin_of": pl.Int64},
    )
    if known:
        del kinds["step"]
        write_table(folder / "references.parquet", known, kinds)
    return folder


def write_table(path: Path, rows: Sequence[Row], kinds: dict[str, Any]) -> None:
    pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None).write_parquet(path)


@pytest.fixture(scope="session")
def recipe() -> type[Recipe]:
    return Recipe


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Path]:
    return write_study


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain study: four sizes, one seed, everything there. Do not change it."""
    return write_study(tmp_path_factory.mktemp("study") / "digits-onset", Recipe())


@pytest.fixture(scope="session")
def batch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Onsets in proportion to n / batch size, of pairs of twins. Do not change it."""
    made = [
        Recipe(
            sizes=(16, 32, 64),
            seeds=(0, 1),
            measured=16,
            images=False,
            references=False,
            per_image=20 * 64 / batch,
            batch=batch,
            twins=True,
            extra=(("training.batch_size", batch),),
        )
        for batch in (16, 64)
    ]
    return write_study(tmp_path_factory.mktemp("batches"), *made)


@pytest.fixture(scope="session")
def batch_report(batch_folder: Path) -> Path:
    """The page on batch sizes."""
    return build(batch_folder)


@pytest.fixture(scope="session")
def report(study_folder: Path) -> Path:
    """The plain study's page."""
    return build(study_folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        reason = f"none of {', '.join(NAMES)} is on PATH"
        if os.environ.get("ECOTONE_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason}, and ECOTONE_REQUIRE_BROWSER=1 requires one")
        pytest.skip(f"{reason}; set ECOTONE_REQUIRE_BROWSER=1 to fail instead")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()
