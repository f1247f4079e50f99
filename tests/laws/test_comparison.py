from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws import effects, fit_powers

LEAD = ["n", "training.batch_size", "model.width", "model.kind", "seed"]
NUMBERS = ("value", "low", "high", "bound")
KINDS = {"mlp": 1.0, "transformer": 0.25, "unet": 2.0}


def study(random, *, scatter=0.1, bound=np.inf, seeds=2, kinds=KINDS, widths=(16, 64), scale=1.0):
    """tau = 100 · n · batch^−½ · width^−0.8 · (factor of the kind)."""
    rows, runs = [], []
    for n in (64, 256):
        for batch in (8, 32):
            for width in widths:
                for kind, factor in kinds.items():
                    for seed in range(seeds):
                        tau = scale * 100 * n * batch**-0.5 * width**-0.8 * factor
                        tau *= math.exp(scatter * random.standard_normal())
                        late = tau > bound
                        lead = (n, batch, width, kind, seed)
                        told = ("tau_mem", "right_censored" if late else "observed")
                        ends = (None if late else tau, None, None, bound if late else None)
                        rows.append((*lead, *told, *ends))
                        runs.append((*lead, "finished", batch, 10 * width**2))
    return (
        pl.DataFrame(
            rows,
            schema=[*LEAD, "onset", "status", *NUMBERS],
            schema_overrides=dict.fromkeys(NUMBERS, pl.Float64),
            orient="row",
        ),
        pl.DataFrame(runs, schema=[*LEAD, "status", "batch_size", "parameters"], orient="row"),
    )


def row(table, factor, level=None, clock="steps") -> dict:
    own = pl.col("level").is_null() if level is None else pl.col("level") == level
    return table.row(
        by_predicate=(pl.col("factor") == factor) & own & (pl.col("clock") == clock), named=True
    )


TRUTH = {
    ("n", None): 4.0,
    ("training.batch_size", None): 0.5,
    ("model.width", None): 4**-0.8,
    ("model.kind", "transformer"): 0.25,
    ("model.kind", "unet"): 2.0,
}


def test_every_effect_is_found_beside_the_others():
    table = effects(*study(np.random.default_rng(0)))
    for (factor, level), moves in TRUTH.items():
        own = row(table, factor, level)
        assert own["moves"] == pytest.approx(moves, rel=0.15)
        assert own["moves_low"] < own["moves"] < own["moves_high"]
        assert own["reason"] is None
    width, kind = row(table, "model.width"), row(table, "model.kind", "unet")
    assert (width["lowest"], width["highest"]) == (16, 64)
    assert width["moves"] == pytest.approx(4 ** width["exponent"])
    assert (kind["reference"], kind["exponent"]) == ("mlp", None)
    # Counted in images, batch size has another effect, and nothing else has.
    batch, other = (row(table, "training.batch_size", clock=one) for one in ("steps", "images"))
    assert other["exponent"] == pytest.approx(batch["exponent"] + 1)
    assert row(table, "n", clock="images")["moves"] == pytest.approx(row(table, "n")["moves"])


@pytest.mark.parametrize("bound", [np.inf, 500.0])
def test_intervals_cover(bound):
    random = np.random.default_rng(1)
    repeats, covered = 60, dict.fromkeys(TRUTH, 0)
    for _ in range(repeats):
        table = effects(*study(random, scatter=0.4, bound=bound, seeds=1), clocks=["steps"])
        for key, truth in TRUTH.items():
            own = row(table, *key)
            assert (own["observed"] < own["runs"]) == (bound < np.inf)
            covered[key] += own["moves_low"] <= truth <= own["moves_high"]
    assert min(covered.values()) / repeats >= 0.85
    assert sum(covered.values()) / (repeats * len(TRUTH)) >= 0.91


def test_numbers_alone_are_the_joint_law():
    table, runs = study(np.random.default_rng(2), kinds={"mlp": 1.0}, bound=3000)
    law = fit_powers(table, factors=["n", "training.batch_size", "model.width"])
    found = effects(table, runs)
    for factor, exponent in law.exponents.items():
        assert row(found, factor)["exponent"] == pytest.approx(exponent.value)
        assert row(found, factor)["exponent_low"] == pytest.approx(exponent.low)


def test_the_largest_stand_first_and_units_do_not_matter():
    one = effects(*study(np.random.default_rng(3), bound=5000))
    other = effects(*study(np.random.default_rng(3), bound=35_000, scale=7))
    assert one["clock"].to_list() == ["steps"] * 5 + ["images"] * 5
    for part in one.partition_by("clock"):
        size = part["moves"].log().abs().to_list()
        assert size == sorted(size, reverse=True)
    for column in ("moves", "moves_low", "moves_high"):
        assert one[column].to_list() == pytest.approx(other[column].to_list(), rel=1e-6)


def test_studies_that_held_different_factors_constant_are_taken_together():
    random = np.random.default_rng(4)
    wide, wide_runs = study(random, kinds={"mlp": 1.0}, widths=(16, 32, 64))
    kinds, kinds_runs = study(random, widths=(20,), scale=5.0)  # of another size of image, say
    dropped = [
        pl.concat([one.drop("model.kind"), other.drop("model.width")], how="diagonal")
        for one, other in ((wide, kinds), (wide_runs, kinds_runs))
    ]
    table = effects(*dropped)
    alone = effects(wide.drop("model.kind"), wide_runs.drop("model.kind"))
    for (factor, level), moves in TRUTH.items():
        assert row(table, factor, level)["moves"] == pytest.approx(moves, rel=0.2)
    assert row(table, "model.width")["runs"] == wide.height + kinds.height
    assert row(table, "n")["moves_low"] > row(alone, "n")["moves_low"]


def test_the_networks_size_can_stand_for_its_width():
    table, runs = study(np.random.default_rng(5))
    factors = ["n", "training.batch_size", "model.kind", "parameters"]
    found = row(effects(table, runs, factors=factors), "parameters")
    assert found["exponent"] == pytest.approx(-0.4, abs=0.05)
    assert found["moves"] == pytest.approx(4**-0.8, rel=0.15)
    both = effects(table, runs, factors=[*factors, "model.width"])
    for factor in ("parameters", "model.width"):
        told = row(both, factor)
        assert told["reason"] == "it changes together with other factors"
        assert told["moves"] is None
    assert row(both, "n")["moves"] == pytest.approx(row(effects(table, runs), "n")["moves"])


def test_a_level_that_never_turned_is_not_taken_for_the_first():
    table, runs = study(np.random.default_rng(6))
    without = effects(table.filter(pl.col("model.kind") != "mlp"), runs)
    gone = pl.col("model.kind") == "mlp"
    late = table.with_columns(
        status=pl.when(gone).then(pl.lit("right_censored")).otherwise("status"),
        bound=pl.when(gone).then(1e5).otherwise("bound"),
        value=pl.when(gone).then(None).otherwise("value"),
    )
    found = effects(late, runs)
    assert row(found, "model.kind", "mlp")["reason"] == (
        "no run with it turned between two measured steps"
    )
    assert row(found, "model.kind", "unet")["reference"] == "transformer"
    assert row(found, "n")["moves"] == pytest.approx(row(without, "n")["moves"])
    assert found["factor"].to_list()[4] == "model.kind"  # what is unknown stands last


def test_seeds_are_replicates_and_truth_values_are_levels():
    table, runs = study(np.random.default_rng(7))
    flip = pl.col("seed") == 1
    found = effects(
        table.with_columns(mirrored=flip, decay=pl.col("seed") * 0.1),
        runs.with_columns(mirrored=flip, decay=pl.col("seed") * 0.1),
        factors=["n", "mirrored"],
    )
    assert row(found, "mirrored", "True")["reference"] == "False"
    both = effects(
        table.with_columns(decay=pl.col("seed") * 0.1),
        runs.with_columns(decay=pl.col("seed") * 0.1),
    )
    assert row(both, "decay", "0.1")["reference"] == "0.0"  # 0 has no logarithm


def test_too_few_runs_say_so():
    table, runs = study(np.random.default_rng(8))
    few = effects(table[[0, 2]], runs)
    assert not few.is_empty()
    assert all("too few" in reason for reason in few["reason"])
    assert few["moves"].is_null().all()
    assert effects(table.clear(), runs).is_empty()
    stopped = runs.with_columns(status=pl.lit("stopped"))
    assert effects(table, stopped).is_empty()
    with pytest.raises(DataError, match=r"did you mean 'model\.width'"):
        effects(table, runs, factors=["model.widht"])
    with pytest.raises(DataError, match="no column 'parameters'"):
        effects(table, runs.drop("parameters"), factors=["parameters"])
