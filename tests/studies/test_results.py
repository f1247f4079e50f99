"""The script that makes the tables and figures in docs/results."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import polars as pl
import pytest

from ecotone.studies import load_design, run_study
from tiny_study import write_study

SCRIPT = Path(__file__).parents[2] / "docs" / "results" / "summarize.py"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *(str(word) for word in words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_a_study_is_summarized_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, factors={"n": [4, 8], "training.batch_size": [4, 8]})
    list(run_study(load_design(str(study)), tmp_path / "out", workers=0))
    for name in ("once", "twice"):
        run(monkeypatch, tmp_path / "out", "--out", tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "once").iterdir())
    assert files == sorted(
        [f"{name}.csv" for name in ("curves", "effects", "onsets", "stopping")]
        + ["curves.svg", "onsets.svg", "study.yaml"]
    )
    for name in files:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()
    assert len(pl.read_csv(tmp_path / "once" / "stopping.csv")) == 4


def test_trainings_that_studies_share_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    for folder, steps in ((short, 40), (long, 60)):
        folder.mkdir()
        training = {"steps": steps, "batch_size": 8, "warmup_steps": 5, "checkpoint_every": 7}
        study = write_study(folder, training=training)
        list(run_study(load_design(str(study)), folder / "out", workers=0))
    run(monkeypatch, short / "out", long / "out", "--out", tmp_path / "both")
    told = pl.read_csv(tmp_path / "both" / "effects.csv")
    assert set(told["runs"].drop_nulls()) <= {0, 2}
    turned = pl.read_csv(tmp_path / "both" / "onsets.csv")
    assert len(turned) == 2 * turned["onset"].n_unique()
