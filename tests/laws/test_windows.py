from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws import windows

RUNS = pl.DataFrame({"n": [64], "half": [0], "seed": [0], "batch_size": [16], "parameters": [9]})


def onset(name, status, value=None, low=None, high=None, bound=None, **lead) -> pl.DataFrame:
    numbers = {"value": value, "low": low, "high": high, "bound": bound}
    row = {"n": 64, "half": 0, "seed": 0, **lead, "onset": name, "status": status, **numbers}
    return pl.DataFrame([row], schema_overrides=dict.fromkeys(numbers, pl.Float64))


MEM = onset("tau_mem", "observed", 800.0, 700.0, 1000.0)
GEN = onset("tau_gen", "observed", 100.0, 50.0, 125.0)


def one(*onsets, clock="steps", runs=RUNS) -> dict:
    return windows(pl.concat(onsets), runs).row(by_predicate=pl.col("clock") == clock, named=True)


def test_the_ratio_is_the_same_on_every_clock_and_the_onsets_are_not():
    table = windows(pl.concat([MEM, GEN]), RUNS)
    assert table["clock"].to_list() == ["steps", "epochs", "images"]
    assert table["window"].to_list() == [8.0] * 3
    assert table["tau_mem"].to_list() == [800.0, 200.0, 12_800.0]
    assert table["tau_gen_low"].to_list() == [50.0, 12.5, 800.0]
    assert table["window_low"].n_unique() == 1
    assert table.columns[:5] == ["n", "half", "seed", "batch_size", "clock"]


def test_the_interval_is_that_of_a_difference_of_logs():
    row = one(MEM, GEN)
    low = math.hypot(math.log(800 / 700), math.log(125 / 100))
    high = math.hypot(math.log(1000 / 800), math.log(100 / 50))
    assert row["window_low"] == pytest.approx(8 * math.exp(-low))
    assert row["window_high"] == pytest.approx(8 * math.exp(high))


def test_the_interval_covers():
    random = np.random.default_rng(0)
    covered, repeats = 0, 200
    for _ in range(repeats):
        turns = []
        for name, truth, scatter in (("tau_mem", 900.0, 0.2), ("tau_gen", 100.0, 0.4)):
            value = truth * math.exp(scatter * random.standard_normal())
            reach = math.exp(1.96 * scatter)
            turns.append(onset(name, "observed", value, value / reach, value * reach))
        row = one(*turns)
        covered += row["window_low"] <= 9 <= row["window_high"]
    assert 0.9 <= covered / repeats <= 0.99


def test_an_open_end_stays_open():
    row = one(onset("tau_mem", "observed", 800.0, 700.0, None), GEN)
    assert row["window_high"] is None
    assert row["window_low"] is not None
    row = one(MEM, onset("tau_gen", "observed", 100.0))
    assert (row["window"], row["window_low"], row["window_high"]) == (8.0, None, None)


LATER, EARLIER = "right_censored", "left_censored"


@pytest.mark.parametrize(
    ("mem", "gen", "status", "bound"),
    [
        ((LATER, 600.0), None, LATER, 6.0),
        ((EARLIER, 600.0), None, EARLIER, 6.0),
        (None, (EARLIER, 50.0), LATER, 16.0),
        (None, (LATER, 400.0), EARLIER, 2.0),
        ((LATER, 600.0), (EARLIER, 50.0), LATER, 12.0),
        ((EARLIER, 600.0), (LATER, 300.0), EARLIER, 2.0),
        ((LATER, 600.0), (LATER, 600.0), "unknown", None),
        ((EARLIER, 10.0), (EARLIER, 10.0), "unknown", None),
    ],
)
def test_a_censored_onset_bounds_the_window(mem, gen, status, bound):
    turns = [
        given if other is None else onset(name, other[0], bound=other[1])
        for name, given, other in (("tau_mem", MEM, mem), ("tau_gen", GEN, gen))
    ]
    for clock in ("steps", "epochs", "images"):
        row = one(*turns, clock=clock)
        assert row["window_status"] == status
        assert row["window_bound"] == bound
        assert row["window"] is None


def test_an_onset_that_could_not_be_had_leaves_the_window_unknown():
    row = one(MEM)
    assert row["tau_gen_status"] is None
    assert row["tau_gen"] is None
    assert row["tau_mem"] == 800
    assert row["window_status"] == "unknown"


def test_runs_are_told_apart_and_null_is_a_value():
    turns = [
        MEM,
        GEN,
        MEM.with_columns(half=pl.lit(None, pl.Int64)),
        GEN.with_columns(seed=pl.lit(1, pl.Int64)),
    ]
    other = RUNS.with_columns(half=pl.lit(None, pl.Int64), batch_size=pl.lit(8, pl.Int64))
    listed = pl.concat([RUNS, other])
    with pytest.raises(DataError, match="not in the table of runs"):
        windows(pl.concat(turns), listed)
    listed = pl.concat([listed, RUNS.with_columns(seed=pl.lit(1, pl.Int64))])
    table = windows(pl.concat(turns), listed)
    assert table.height == 9
    assert table.filter(clock="images")["batch_size"].to_list() == [8, 16, 16]
    with pytest.raises(DataError, match="listed twice"):
        windows(MEM, pl.concat([RUNS, other.with_columns(half=pl.lit(0, pl.Int64))]))
    with pytest.raises(DataError, match="no column 'batch_size'"):
        windows(MEM, RUNS.drop("batch_size"))


def test_no_onsets_no_rows():
    table = windows(MEM.clear(), RUNS)
    assert table.is_empty()
    assert table.columns == windows(MEM, RUNS).columns
