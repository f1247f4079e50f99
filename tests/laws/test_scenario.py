from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecotone.core.errors import DataError
from ecotone.laws.scenario import Slope, paired, scenario

SIZES = (10, 20, 40, 80, 160, 320)


def known(slope: Slope | None) -> tuple[float, float, float]:
    """Return a slope with its interval, which must be there."""
    assert slope is not None
    assert slope.low is not None
    assert slope.high is not None
    return slope.value, slope.low, slope.high


def samples(
    training: float,
    original: float,
    *,
    replicates: int = 40,
    noise: float = 0.05,
    own: float = 0.0,
    middle: float = 60.0,
    singular_below: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Return replicates whose ln E have known slopes; ``noise`` is shared by both, ``own`` not."""
    random = np.random.default_rng(seed)
    rows = []
    for n in SIZES:
        chance = 1 / (1 + math.exp(-5 * math.log(n / middle)))
        for index in range(replicates):
            shared = noise * random.standard_normal()
            t, o = (
                slope * math.log(n) + shared + own * random.standard_normal()
                for slope in (training, original)
            )
            finite = n > singular_below
            rows.append(
                (
                    n,
                    index,
                    float(random.random() < chance),
                    t if finite else None,
                    o if finite else None,
                )
            )
    names = ["n", "replicate", "positive", "training", "original"]
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


@pytest.mark.parametrize(
    ("training", "original", "verdict"),
    [
        (0.5, -0.5, "memorization degrades, generalization improves"),
        (0.5, 0.0, "memorization degrades, generalization does not improve"),
        (0.9, 0.4, "memorization degrades, generalization does not improve"),
        (-0.4, -1.0, "both fall, E_OG faster"),
        (-1.0, -0.4, "both fall, E_TG faster"),
        (-1.0, -1.0, "both fall alike"),
        (1.0, 1.0, "both rise alike"),
        (0.0, 0.0, "both change alike"),
        (0.0, -1.0, "none of these"),
    ],
)
def test_known_slopes_are_told_apart(training, original, verdict):
    found = scenario(samples(training, original))
    assert found.verdict == verdict, found
    assert known(found.training)[0] == pytest.approx(training, abs=0.05)
    assert known(found.original)[0] == pytest.approx(original, abs=0.05)
    assert known(found.difference)[0] == pytest.approx(training - original, abs=1e-9)


def test_the_difference_is_judged_from_pairs():
    # Shared noise hides each slope, but cancels in the difference, however small that is.
    found = scenario(samples(-1.0, -1.0 - 1e-3, noise=0.3, own=1e-3, replicates=400))
    assert found.verdict == "both fall alike"
    _, low, high = known(found.difference)
    assert 0 < low < high < 2e-3
    _, low, high = known(found.training)
    assert high - low > 1e-2


def test_shared_noise_hides_the_way_but_not_that_both_go_it():
    found = scenario(samples(0.3, 0.31, noise=2.0, own=1e-3, replicates=12))
    assert found.training is not None
    assert found.training.direction() == "open"
    assert found.verdict == "both change alike"


def test_wide_intervals_leave_it_open():
    found = scenario(samples(0.02, -0.02, noise=0.5, own=0.5, replicates=12))
    assert found.verdict == "cannot tell"
    assert "leaves it open" in found.reason


def test_flat_needs_an_interval_within_the_margin():
    flat = samples(0.6, 0.0, noise=0.0, own=0.02, replicates=200)
    assert scenario(flat).verdict == "memorization degrades, generalization does not improve"
    assert scenario(flat, margin=1e-4).verdict == "cannot tell"


@pytest.mark.parametrize(("middle", "side"), [(1e-6, "above"), (1e6, "below")])
def test_without_a_crossing_slopes_are_of_all_sizes(middle, side):
    found = scenario(samples(-0.4, -1.0, middle=middle))
    assert found.verdict == "no crossing"
    assert side in found.reason
    assert found.window == SIZES
    assert known(found.original)[0] == pytest.approx(-1.0, abs=0.05)


def test_the_window_lies_around_the_crossing():
    found = scenario(samples(0.5, -0.5, middle=45.0, replicates=400))
    assert found.window == (20.0, 40.0, 80.0)
    assert 35 < (found.crossing.value or 0) < 60


def test_sizes_without_finite_distances_are_left_out():
    found = scenario(samples(0.5, -0.5, singular_below=50))
    assert found.window == (80.0, 160.0, 320.0)
    few = scenario(samples(0.5, -0.5, singular_below=100))
    assert few.verdict == "cannot tell"
    assert few.training is None
    assert "2 sizes" in few.reason


def test_the_intervals_cover_the_slopes():
    held = [
        low <= -1.0 <= high
        for _, low, high in (
            known(scenario(samples(-0.4, -1.0, own=0.3, replicates=10, seed=seed)).original)
            for seed in range(60)
        )
    ]
    assert sum(held) >= 52


def test_a_single_replicate_cannot_tell():
    one = scenario(samples(0.5, -0.5, replicates=1, noise=0.0))
    assert one.verdict in {"cannot tell", "no crossing"}
    assert one.training is None


def long_table(wide: pl.DataFrame) -> pl.DataFrame:
    return wide.unpivot(index=["n", "replicate"], variable_name="measure").drop_nulls("value")


def test_a_long_table_is_paired_whatever_its_order():
    wide = samples(0.5, -0.5, singular_below=15, replicates=5)
    signed = wide.with_columns(pl.col("positive") * 2 - 1)
    mixed = long_table(signed).sample(fraction=1.0, shuffle=True, seed=1)
    back = paired(mixed, sign="positive", training="training", original="original")
    assert_frame_equal(back, wide.sort("n", "replicate"))


def test_ties_count_one_half():
    rows = pl.DataFrame({"n": [4], "replicate": [0], "measure": ["s"], "value": [0.0]})
    assert paired(rows, sign="s", training="t", original="o")["positive"].to_list() == [0.5]


def test_what_cannot_be_judged_is_refused():
    wide = samples(0.5, -0.5, replicates=2)
    with pytest.raises(DataError, match="two rows"):
        paired(
            pl.concat([long_table(wide)] * 2), sign="positive", training="training", original="o"
        )
    with pytest.raises(DataError, match="no column 'original'"):
        scenario(wide.drop("original"))
    with pytest.raises(DataError, match="no sign"):
        scenario(wide.with_columns(positive=pl.lit(None, dtype=pl.Float64)))
    with pytest.raises(ValueError, match="window=2"):
        scenario(wide, window=2)
