from __future__ import annotations

import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws import onsets
from ecotone.laws.tables import DISTANCE, FLOOR, SHARE, factors

STEPS = [10, 100, 1000, 10_000]


def run(share, distance, *, n=32, seed=0, steps=STEPS, **more) -> pl.DataFrame:
    rows = []
    for step, copied, away in zip(steps, share, distance, strict=True):
        rows += [
            (step, SHARE, copied, None, None, 500),
            (step, FLOOR, 0.0, None, None, 500),
            (step, DISTANCE, away, 0.98 * away, 1.02 * away, 500),
            (step, "closer_to_training_share", 0.5, 0.4, 0.6, 500),
        ]
    schema = {
        "step": pl.Int64,
        "measure": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "samples": pl.Int64,
    }
    keys = {"n": n, **more, "seed": seed}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.select(*(pl.lit(value).alias(name) for name, value in keys.items()), pl.all())


TURNS = ([0.0, 0.0, 0.3, 0.9], [9.0, 3.0, 1.0, 2.0])
STAYS = ([0.0, 0.0, 0.01, 0.01], [9.0, 3.0, 1.02, 1.0])


def row(table: pl.DataFrame, **where) -> dict:
    return table.row(
        by_predicate=pl.all_horizontal(*(pl.col(name) == value for name, value in where.items())),
        named=True,
    )


def test_one_row_a_run_and_onset_with_any_factors():
    results = pl.concat(
        [
            run(*TURNS, n=64, seed=1, model="unet", width=8.5),
            run(*STAYS, n=64, seed=0, model="mlp", width=8.5),
            run(*TURNS, n=16, seed=0, model="unet", width=8.5),
        ]
    )
    table = onsets(results)
    factors = ["n", "model", "width", "seed"]
    assert table.columns == [*factors, "onset", "status", "value", "low", "high", "bound"]
    assert table.select("n", "model", "onset").rows() == [
        (16, "unet", "tau_mem"),
        (16, "unet", "tau_gen"),
        (64, "mlp", "tau_mem"),
        (64, "mlp", "tau_gen"),
        (64, "unet", "tau_mem"),
        (64, "unet", "tau_gen"),
    ]
    assert row(table, model="unet", n=16, onset="tau_mem")["status"] == "observed"
    assert row(table, model="mlp", onset="tau_mem")["bound"] == 10_000
    assert table.schema["n"] == results.schema["n"]


def test_a_run_that_never_crosses_is_censored_not_dropped():
    table = onsets(pl.concat([run(*TURNS), run(*STAYS, seed=1)]))
    assert table.filter(onset="tau_mem")["status"].to_list() == ["observed", "right_censored"]


def test_a_run_that_failed_is_censored_at_what_was_measured():
    share, distance = [0.0, 0.0, 0.01], [9.0, 1.01, 1.0]
    results = pl.concat([run(share, distance, steps=STEPS[:3], seed=seed) for seed in (0, 1, 2)])
    runs = pl.DataFrame({"n": [32, 32], "seed": [0, 1], "status": ["finished", "failed"]})
    table = onsets(results, runs)
    assert row(table, seed=1, onset="tau_mem")["bound"] == 1000
    for seed, status in ((0, "observed"), (1, "right_censored"), (2, "observed")):
        assert row(table, seed=seed, onset="tau_gen")["status"] == status
    # Having turned before it failed, a run keeps its onset.
    turned = onsets(run(*TURNS, seed=1), runs)
    assert set(turned["status"]) == {"observed"}


def test_what_is_told_of_a_run_is_no_factor():
    told = (
        "run",
        "status",
        "steps",
        "failed_step",
        "reason",
        "batch_size",
        "images",
        "parameters",
        "twin_of",
    )
    frame = pl.DataFrame({"n": [16], "training.batch_size": [8], "seed": [0]})
    runs = frame.with_columns(pl.lit(1).alias(name) for name in told)
    assert factors(runs) == ["n", "training.batch_size"]
    # A table of results may bring them along; its runs stay the same ones.
    results = run(*TURNS)
    wide = onsets(results.with_columns(batch_size=pl.lit(8), parameters=pl.lit(100)))
    assert wide.equals(onsets(results))


def test_a_run_that_its_policy_stopped_is_censored():
    share, distance = [0.0, 0.0, 0.03], [9.0, 1.01, 1.0]
    runs = pl.DataFrame({"n": [32], "seed": [0], "status": ["stopped"]})
    table = onsets(run(share, distance, steps=STEPS[:3]), runs)
    assert table["status"].to_list() == ["right_censored"] * 2


def test_order_of_rows_does_not_matter():
    results = pl.concat([run(*TURNS), run(*STAYS, n=64), run(*TURNS, seed=1)])
    assert onsets(results).equals(onsets(results.sample(fraction=1.0, shuffle=True, seed=4)))


def test_onsets_that_cannot_be_had_have_no_row():
    assert onsets(run(*TURNS).filter(pl.col("measure") != FLOOR))["onset"].to_list() == ["tau_gen"]
    empty = onsets(run(*TURNS).clear())
    assert empty.is_empty()
    assert empty.columns == onsets(run(*TURNS)).columns


def test_tables_of_another_shape_are_refused():
    with pytest.raises(DataError, match="no column 'samples'"):
        onsets(run(*TURNS).drop("samples"))
    with pytest.raises(DataError, match="no column 'n'"):
        onsets(run(*TURNS), pl.DataFrame({"seed": [0], "status": ["finished"]}))
    with pytest.raises(DataError, match="more than one row"):
        onsets(pl.concat([run(*TURNS), run(*TURNS)]))
