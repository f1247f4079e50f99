from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ecotone.core.alarm import copying_alarm
from ecotone.core.errors import DataError
from ecotone.laws import stopping
from ecotone.laws.stopping import VALIDATION
from ecotone.laws.tables import DISTANCE, FLOOR, SHARE

STEPS = (10, 100, 1000, 10_000)
COPIED = (0.0, 0.0, 0.1, 0.9)
AWAY = (8.0, 2.0, 1.0, 1.5)
LOSS = (4.0, 3.0, 2.0, 2.5)


def study(copied=COPIED, away=AWAY, loss=LOSS, *, floor=0.0, steps=STEPS, relative=0.05, seed=0):
    rows = []
    for step, share, distance, told in zip(steps, copied, away, loss, strict=True):
        reach = relative * distance
        rows += [
            (step, SHARE, share, max(share - 0.02, 0), share + 0.02, 500),
            (step, FLOOR, floor, None, None, 500),
            (step, DISTANCE, distance, distance - reach, distance + reach, 500),
            (step, VALIDATION, told, None, None, 500),
        ]
    schema = ["step", "measure", "value", "low", "high", "samples"]
    types = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, schema_overrides=types, orient="row")
    return frame.select(pl.lit(64).alias("n"), pl.lit(seed).alias("seed"), pl.all())


def runs(status="finished", seeds=(0,)) -> pl.DataFrame:
    return pl.DataFrame(
        {"n": [64] * len(seeds), "seed": seeds, "status": [status] * len(seeds)}
    ).cast({"n": pl.Int32, "seed": pl.Int32})


def one(results, status="finished", **options) -> dict:
    return stopping(results, runs(status), **options).row(0, named=True)


def test_what_stopping_keeps_and_loses():
    row = one(study())
    assert row["looks"] == 4
    assert (row["alarm_step"], row["safe_step"]) == (1000, 100)
    assert row["copied_at_safe"] == 0
    assert row["copied_at_safe_high"] == 0.02
    assert (row["frechet_at_safe"], row["best_step"], row["best_frechet"]) == (2.0, 1000, 1.0)
    assert row["fidelity_cost"] == 2.0
    reach = math.exp(0.05 * math.sqrt(2))  # each row is known to 5 % at the same level
    assert row["fidelity_cost_low"] == pytest.approx(2 / reach)
    assert row["fidelity_cost_high"] == pytest.approx(2 * reach)
    assert row["validation_step"] == 1000
    assert (row["copied_at_validation"], row["frechet_at_validation"]) == (0.1, 1.0)
    assert row["validation_minimum"] == "at the alarm"


@pytest.mark.parametrize(
    ("loss", "told"),
    [((4.0, 1.0, 2.0, 3.0), "before the alarm"), ((4.0, 3.0, 2.0, 1.0), "after the alarm")],
)
def test_the_validation_minimum_may_come_too_late(loss, told):
    row = one(study(loss=loss))
    assert row["validation_minimum"] == told
    assert row["copied_at_validation"] == COPIED[loss.index(1.0)]


def test_an_alarm_that_never_rings_lets_the_run_end():
    row = one(study(copied=(0.0, 0.0, 0.0, 0.002)))
    assert row["alarm_step"] is None
    assert row["safe_step"] == 10_000
    assert row["fidelity_cost"] == 1.5
    assert row["validation_minimum"] == "no alarm"


def test_the_best_step_costs_nothing_and_copying_from_the_start_leaves_nothing_safe():
    row = one(study(copied=(0.0, 0.0, 0.0, 0.9)))
    assert (row["safe_step"], row["fidelity_cost"]) == (1000, 1.0)
    assert (row["fidelity_cost_low"], row["fidelity_cost_high"]) == (1.0, 1.0)
    row = one(study(copied=(0.5, 0.5, 0.5, 0.9)))
    assert row["alarm_step"] == 10
    assert row["safe_step"] is None
    assert row["fidelity_cost"] is None
    assert row["best_frechet"] == 1.0


def test_it_is_the_alarm_that_training_hears():
    random = np.random.default_rng(0)
    for _ in range(20):
        copied = np.sort(random.integers(0, 40, size=4)) / 500
        floor = random.integers(0, 5) / 500
        row = one(study(copied=tuple(map(float, copied)), floor=float(floor)))
        heard = [
            step
            for step, share in zip(STEPS, copied, strict=True)
            if copying_alarm(round(share * 500), 500, round(floor * 500), 500, looks=4)
        ]
        assert row["alarm_step"] == (heard[0] if heard else None)


def test_false_alarms_are_rarer_than_the_level_in_whole_runs():
    random = np.random.default_rng(1)
    steps = tuple(range(1, 21))
    flat = (1.0,) * 20
    tables = []
    for seed in range(60):
        copied = tuple(map(float, random.binomial(500, 0.02, size=20) / 500))
        floor = float(random.binomial(500, 0.02) / 500)
        tables.append(study(copied, flat, flat, floor=floor, steps=steps, seed=seed))
    told = stopping(pl.concat(tables), runs(seeds=range(60)))
    assert told["alarm_step"].is_not_null().sum() <= 6


def test_an_excess_or_a_stricter_level_rings_no_earlier():
    results = study(copied=(0.0, 0.02, 0.03, 0.9))
    assert one(results)["alarm_step"] == 100
    assert one(results, excess=0.025)["alarm_step"] == 1000
    assert one(results, alarm=1e-6)["alarm_step"] == 10_000


@pytest.mark.parametrize("status", ["stopped", "failed", "unfinished"])
def test_what_needs_the_whole_run_is_null_without_it(status):
    row = one(study().filter(pl.col("step") <= 1000), status)
    assert (row["status"], row["alarm_step"], row["safe_step"]) == (status, 1000, 100)
    assert row["frechet_at_safe"] == 2.0
    for column in ("best_step", "best_frechet", "fidelity_cost", "fidelity_cost_high"):
        assert row[column] is None
    for column in ("validation_step", "copied_at_validation", "validation_minimum"):
        assert row[column] is None


def test_a_run_that_was_stopped_rang_where_it_ended():
    # Judged anew, with fewer looks than were planned, it would have rung one look earlier.
    results = study(copied=(0.0, 0.016, 0.016, 0.9)).filter(pl.col("step") <= 1000)
    assert one(results, "failed")["alarm_step"] == 100
    assert one(results, "stopped")["alarm_step"] == 1000


def test_units_of_steps_and_of_the_distance_do_not_matter():
    results = study()
    distance = pl.col("measure") == DISTANCE
    scaled = results.with_columns(
        step=7 * pl.col("step"),
        **{
            name: pl.when(distance).then(3 * pl.col(name)).otherwise(name)
            for name in ("value", "low", "high")
        },
    )
    row, other = one(results), one(scaled)
    assert other["safe_step"] == 7 * row["safe_step"]
    for column in ("fidelity_cost", "fidelity_cost_low", "fidelity_cost_high"):
        assert other[column] == pytest.approx(row[column])


def test_what_was_not_measured_is_null():
    row = one(study().filter(~pl.col("measure").is_in([VALIDATION, DISTANCE])))
    assert row["alarm_step"] == 1000
    assert row["validation_minimum"] is None
    assert row["best_frechet"] is None
    row = one(study().with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64)))
    assert (row["fidelity_cost"], row["fidelity_cost_low"]) == (2.0, None)
    assert stopping(study().filter(pl.col("measure") != FLOOR), runs()).is_empty()
    empty = stopping(study().clear(), runs())
    assert empty.columns == stopping(study(), runs()).columns


def test_tables_of_another_shape_are_refused():
    with pytest.raises(DataError, match="no column 'samples'"):
        stopping(study().drop("samples"), runs())
    with pytest.raises(DataError, match="not in the table of runs"):
        stopping(study(seed=1), runs())
    with pytest.raises(DataError, match="more than one row"):
        stopping(pl.concat([study(), study()]), runs())
