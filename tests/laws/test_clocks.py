from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws import clocks

# In steps: log tau = a + GAMMA_N · log n + gamma_B · log batch.
SIZES, BATCHES, SEEDS = (64, 256, 1024), (8, 32, 128), 3


def study(random, *, in_batch, in_n, scatter=0.1, bound=np.inf, sizes=SIZES, seeds=SEEDS, rate=0.0):
    points = [
        (n, batch, lr, seed)
        for n in sizes
        for batch in BATCHES
        for lr in ((1e-3, 1e-2) if rate else (1e-3,))
        for seed in range(seeds)
    ]
    rows, runs = [], []
    for n, batch, lr, seed in points:
        tau = 100 * n**in_n * batch**in_batch * lr**rate
        tau *= float(np.exp(scatter * random.standard_normal()))
        late = tau > bound
        told = ("tau_mem", "right_censored" if late else "observed")
        lead = (n, batch, lr, seed)
        rows.append((*lead, *told, None if late else tau, None, None, bound if late else None))
        runs.append((*lead, "finished", batch))
    lead = ["n", "training.batch_size", "training.learning_rate", "seed"]
    schema = [*lead, "onset", "status", "value", "low", "high", "bound"]
    types: dict[str, type[pl.DataType]] = dict.fromkeys(schema[-4:], pl.Float64)
    return (
        pl.DataFrame(rows, schema=schema, schema_overrides=types, orient="row"),
        pl.DataFrame(runs, schema=[*lead, "status", "batch_size"], orient="row"),
    )


@pytest.mark.parametrize(
    ("in_batch", "in_n", "preferred"),
    [
        (0.0, 1.0, "steps"),
        (-1.0, 1.0, "epochs"),
        (-1.0, 0.0, "images"),
        (-1.0, 0.5, "epochs or images"),
        (-0.5, 1.0, "none"),
    ],
)
def test_the_clock_that_made_the_onsets_is_found(in_batch, in_n, preferred):
    table, runs = study(np.random.default_rng(1), in_batch=in_batch, in_n=in_n)
    found = clocks(table, runs)
    assert found.preferred == preferred
    assert found.taken_out == ("n",)
    assert found.reason is None
    steps, epochs, images = found.fits
    for fit, batch, n in ((steps, 0, 0), (epochs, 1, -1), (images, 1, 0)):
        assert fit.batch is not None
        assert fit.n is not None
        assert fit.batch.value == pytest.approx(in_batch + batch, abs=0.1)
        assert fit.n.value == pytest.approx(in_n + n, abs=0.1)


def test_clocks_are_shifts_of_one_another_censored_or_not():
    for bound in (np.inf, 2e4):
        table, runs = study(np.random.default_rng(2), in_batch=-0.7, in_n=1.0, bound=bound)
        found = clocks(table, runs)
        assert (found.observed < found.runs) == (bound < np.inf)
        steps, epochs, images = (fit.batch for fit in found.fits)
        assert steps is not None
        assert epochs is not None
        assert images is not None
        assert images.value == pytest.approx(steps.value + 1)
        assert epochs.low == pytest.approx((steps.low or 0) + 1)


def test_the_interval_holds_the_truth_and_the_right_clock_is_seldom_denied():
    random = np.random.default_rng(3)
    repeats, kept = 60, 0
    for _ in range(repeats):
        table, runs = study(random, in_batch=-1.0, in_n=1.0, scatter=0.3, seeds=2)
        kept += clocks(table, runs).preferred == "epochs"
    assert kept / repeats >= 0.85  # two intervals of 95 % have to hold 0


def test_few_and_noisy_runs_cannot_tell():
    table, runs = study(np.random.default_rng(4), in_batch=-0.5, in_n=1.0, scatter=3.0, seeds=1)
    assert clocks(table, runs).preferred == "too few to tell"
    few = clocks(table.head(2), runs)
    assert few.preferred == "too few to tell"
    assert few.reason is not None
    assert "too few runs" in few.reason
    one = clocks(table.filter(pl.col("training.batch_size") == 8), runs)
    assert one.preferred == "too few to tell"
    assert one.reason == "batch size: the runs that turned have one value of it"
    assert clocks(table.clear(), runs).preferred == "too few to tell"
    assert clocks(table, runs, onset="tau_gen").runs == 0


def test_other_factors_are_taken_out():
    table, runs = study(np.random.default_rng(5), in_batch=-1.0, in_n=1.0, rate=-1.0)
    found = clocks(table, runs)
    assert found.taken_out == ("n", "training.learning_rate")
    assert found.preferred == "epochs"
    left_in = clocks(table, runs, take_out=["n"])
    taken, left = found.fits[0].batch, left_in.fits[0].batch
    assert taken is not None
    assert taken.low is not None
    assert left is not None
    assert left.low is not None
    assert taken.value - taken.low < (left.value - left.low) / 3


def test_one_size_cannot_tell_epochs_from_images():
    table, runs = study(np.random.default_rng(6), in_batch=-1.0, in_n=1.0, sizes=(64,))
    found = clocks(table, runs)
    assert found.preferred == "epochs or images"
    assert all(fit.n is None for fit in found.fits)


def test_runs_that_a_policy_stopped_are_left_out():
    table, runs = study(np.random.default_rng(7), in_batch=-1.0, in_n=1.0)
    first = pl.col("seed") == 0
    stopped = runs.with_columns(
        status=pl.when(first).then(pl.lit("stopped")).otherwise(pl.lit("finished"))
    )
    assert clocks(table, stopped).runs == table.filter(~first).height
    with pytest.raises(DataError, match="no column 'batch_size'"):
        clocks(table, runs.drop("batch_size"))
