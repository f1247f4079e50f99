from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws.terms import terms, varying
from ecotone.laws.units import CLOCKS, batch_factors, beside, per_step, unstopped

RUNS = pl.DataFrame(
    {
        "n": [64, 64, 256],
        "training.batch_size": [16, 32, 16],
        "seed": [0, 0, 0],
        "status": ["finished", "stopped", "failed"],
        "batch_size": [16, 32, 16],
        "parameters": [100, 100, 100],
    }
)


def test_an_epoch_shows_every_image_once():
    frame = RUNS.with_columns(per_step(clock).alias(clock) for clock in CLOCKS)
    assert (frame["epochs"] * frame["n"] == frame["images"]).all()
    assert (frame["steps"] == 1).all()
    assert frame["images"].to_list() == [16, 32, 16]


def test_batch_size_by_another_name():
    assert batch_factors(RUNS) == ["training.batch_size"]
    # Full batches: n is then n all the same.
    full = RUNS.with_columns(batch_size=pl.col("n"))
    assert batch_factors(full) == []
    # What does not vary is nobody's other name.
    alike = RUNS.with_columns(pl.lit(16).alias("batch_size"), width=pl.lit(16))
    assert batch_factors(alike) == []


def test_rows_find_their_run_whatever_the_order():
    lead = RUNS.select("n", "training.batch_size", "seed")
    onsets = lead.reverse().with_columns(status=pl.lit("observed"), onset=pl.lit("tau_mem"))
    told = beside(onsets, RUNS, end="status", size="parameters")
    assert told["end"].to_list() == ["failed", "stopped", "finished"]
    assert told["status"].to_list() == ["observed"] * 3
    assert told.schema["size"] == RUNS.schema["parameters"]
    kept = unstopped(onsets, RUNS, "parameters")
    assert kept["n"].to_list() == [256, 64]
    assert kept["parameters"].to_list() == [100, 100]
    assert beside(onsets.clear(), RUNS, end="status").is_empty()
    with pytest.raises(DataError, match="no column 'n'"):
        beside(onsets, RUNS.drop("n"), end="status")


def test_terms_are_logs_levels_and_intercepts():
    frame = pl.DataFrame(
        {
            "n": [1.0, 10.0, 100.0, 10.0],
            "kind": ["b", "a", "c", None],
            "decay": [0.0, 0.1, 0.0, 0.1],
            "seed": [0, 0, 0, 0],
        }
    )
    assert varying(frame) == ["n", "kind", "decay"]
    columns = terms(frame, ["n", "kind", "decay"], np.array([True, False, True, True]))
    by = {one.name: one for one in columns}
    assert np.allclose(by["n"].values, np.log([1, 10, 100, 10]))
    # "a" comes first, but no run of it turned.
    assert {one.reference for one in columns if one.factor == "kind"} == {"b"}
    assert by["kind=a"].values.tolist() == [0, 1, 0, 0]
    assert by["decay=0.1"].values.tolist() == [0, 1, 0, 1]
    assert [one.values.tolist() for one in columns if one.factor is None] == [[0, 0, 0, 1]]
    with pytest.raises(DataError, match="no factor 'knd'; did you mean 'kind'"):
        terms(frame, ["knd"], np.array([True] * 4))
