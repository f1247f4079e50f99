from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.core.errors import DataError
from ecotone.laws import frontier

quick = settings(max_examples=40, deadline=None, derandomize=True)


def study(novelty, distance, *, error=None, n=64, seed=0) -> pl.DataFrame:
    rows = []
    for step, pair in enumerate(zip(novelty, distance, strict=True), start=1):
        for measure, value in zip(("novelty", "frechet_holdout"), pair, strict=True):
            ends = (None, None) if error is None else (value - error, value + error)
            rows.append((n, seed, step, measure, float(value), *ends, 500))
    schema = ["n", "seed", "step", "measure", "value", "low", "high", "samples"]
    types = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, schema_overrides=types, orient="row")


def steps(table, flag="on_frontier") -> list[int]:
    return table.filter(pl.col(flag))["step"].to_list()


def test_the_frontier_is_sorted_and_complete():
    table = frontier(study([0.9, 0.5, 0.2, 0.4], [3.0, 2.0, 1.0, 2.5]))
    assert steps(table) == [3, 2, 1]
    assert table["step"].to_list() == [3, 4, 2, 1]
    assert steps(table, "clearly_dominated") == [4]  # without intervals, what is seen is clear


def test_novelty_above_one_is_no_better_than_one():
    table = frontier(study([1.5, 1.0, 1.2], [3.0, 2.0, 2.0]))
    assert sorted(steps(table)) == [2, 3]
    assert table["novelty"].max() == 1.5


points = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.25]), st.integers(1, 6)),
    min_size=1,
    max_size=12,
)


@quick
@given(points)
def test_it_is_paretos(chosen):
    table = frontier(study(*zip(*chosen, strict=True), error=0.3))

    def beats(one, other):
        better = (min(one[0], 1), -one[1]), (min(other[0], 1), -other[1])
        return all(a >= b for a, b in zip(*better, strict=True)) and better[0] != better[1]

    free = {i + 1 for i, one in enumerate(chosen) if not any(beats(two, one) for two in chosen)}
    assert set(steps(table)) == free
    assert free
    # What is clearly dominated is dominated, and along the frontier the two trade off.
    assert not set(steps(table, "clearly_dominated")) & free
    front = table.filter("on_frontier")
    assert front["distance"].to_list() == sorted(front["distance"].to_list())


def test_clearly_needs_the_corners_apart():
    close = frontier(study([0.5, 0.52], [2.0, 1.9], error=0.1))
    assert steps(close) == [2]
    assert steps(close, "clearly_dominated") == []
    apart = frontier(study([0.5, 0.8], [2.0, 1.0], error=0.1))
    assert steps(apart, "clearly_dominated") == [1]


@pytest.mark.parametrize("error", [0.02, 0.1])
def test_members_of_the_true_frontier_are_seldom_clearly_dominated(error):
    random = np.random.default_rng(0)
    novelty = np.linspace(0.1, 0.9, 8)
    repeats, wrong = 60, 0
    for _ in range(repeats):
        noise = error / 1.96 * random.standard_normal((2, 8))
        table = frontier(study(novelty + noise[0], 1 + novelty + noise[1], error=error))
        wrong += len(steps(table, "clearly_dominated"))
    assert wrong / (8 * repeats) < 0.05


def test_conditions_are_apart_and_replicates_together():
    results = pl.concat(
        [
            study([0.9], [3.0]),
            study([0.95], [2.0], seed=1),
            study([0.5], [2.5], seed=2),
            study([0.1], [9.0], n=16),
        ]
    )
    table = frontier(results)
    assert table.select("n", "seed", "on_frontier").rows() == [
        (16, 0, True),
        (64, 2, False),
        (64, 0, False),
        (64, 1, True),
    ]
    assert frontier(results, by=[])["on_frontier"].sum() == 1
    with pytest.raises(DataError, match="no factor 'width'"):
        frontier(results, by=["width"])


def test_a_snapshot_needs_both_measures_once():
    results = study([0.9, 0.5], [3.0, 2.0])
    gone = results.filter((pl.col("step") == 1) | (pl.col("measure") == "novelty"))
    assert frontier(gone)["step"].to_list() == [1]
    empty = frontier(results.filter(measure="novelty"))
    assert empty.is_empty()
    assert empty.columns == frontier(results).columns
    with pytest.raises(DataError, match="more than one row"):
        frontier(pl.concat([results, results]))
