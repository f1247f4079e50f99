"""The ready-made study at its real size."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ecotone.laws import fit_law, onsets
from ecotone.studies import load_design, run_study


@pytest.mark.slow
def test_the_onset_of_copying_rises_with_n(tmp_path: Path) -> None:
    for _ in run_study(load_design("digits"), tmp_path / "out", workers=2):
        pass
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    table = onsets(results, pl.read_parquet(tmp_path / "out" / "runs.parquet"))
    copying = table.filter(pl.col("onset") == "tau_mem").sort("n")
    assert copying["n"].to_list() == [16, 32, 64, 128]
    assert copying["status"].to_list() == ["observed"] * 4
    assert copying["value"].is_sorted()
    (law,) = fit_law(table)
    assert law.power.exponent is not None
    assert 0.5 < law.power.exponent.value < 1.6
