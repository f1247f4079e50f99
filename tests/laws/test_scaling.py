from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.laws import fit_law, fit_power, fit_saturating, prefer

SIZES = np.repeat(2.0 ** np.arange(4, 12), 2)


def table(tau, *, bound=np.inf, **more) -> pl.DataFrame:
    late = tau > bound
    columns = {
        "n": SIZES.astype(int),
        "seed": np.tile([0, 1], len(SIZES) // 2),
        "onset": ["tau_mem"] * len(SIZES),
        "status": np.where(late, "right_censored", "observed"),
        "value": [None if one > bound else one for one in tau],
        "bound": [bound if one > bound else None for one in tau],
    }
    frame = pl.DataFrame(columns)
    return frame.with_columns(**{name: pl.lit(value) for name, value in more.items()})


def noise(seed, scatter=0.1):
    return np.exp(scatter * np.random.default_rng(seed).standard_normal(len(SIZES)))


def test_the_law_the_runs_came_from_is_preferred():
    (power,) = fit_law(table(5 * SIZES**0.6 * noise(0)))
    (saturating,) = fit_law(table(noise(1) / (0.002 + 0.2 / SIZES)))
    assert power.preferred == "power"
    assert saturating.preferred == "saturating"


def test_proportional_growth_cannot_tell_the_laws_apart():
    (law,) = fit_law(table(5 * SIZES * noise(2)))
    assert law.preferred == "neither"


def test_criteria_are_absent_for_few_runs():
    few = ([16, 32, 64, 128], [90, 210, 380, 810], ["observed"] * 4)
    power, saturating = fit_power(*few), fit_saturating(*few)
    assert power.aicc is None
    assert saturating.aicc is None
    assert prefer(power, saturating) == "too few to tell"


def test_groups_are_fitted_apart_and_seeds_together():
    frame = pl.concat(
        [
            table(5 * SIZES * noise(3), bound=4000, model="unet", width=8),
            table(3 * SIZES**1.5 * noise(4), model="mlp", width=8),
        ]
    )
    laws = fit_law(frame)
    assert [law.group for law in laws] == [
        {"model": "mlp", "width": 8},
        {"model": "unet", "width": 8},
    ]
    assert all(law.power.runs == len(SIZES) for law in laws)
    assert laws[1].power.observed < len(SIZES)
    for law, exponent in zip(laws, (1.5, 1.0), strict=True):
        assert law.power.exponent is not None
        assert law.power.exponent.value == pytest.approx(exponent, abs=0.1)
    (pooled,) = fit_law(frame, by=())
    assert pooled.power.runs == 2 * len(SIZES)


def test_another_factor_can_be_the_axis():
    frame = table(5 * SIZES * noise(3)).rename({"n": "width"}).with_columns(n=pl.lit(64))
    (law,) = fit_law(frame, x="width")
    assert law.group == {"n": 64}
    assert law.power.exponent is not None


def test_missing_onsets_and_columns():
    frame = table(5 * SIZES * noise(3), model="unet")
    assert fit_law(frame, onset="tau_gen") == ()
    assert fit_law(frame.drop("model"), onset="tau_gen") == ()
    with pytest.raises(DataError, match="no factor 'size'"):
        fit_law(frame, x="size")
    with pytest.raises(DataError, match="not numbers"):
        fit_law(frame, x="model")
    with pytest.raises(DataError, match="no column 'bound'"):
        fit_law(frame.drop("bound"))


def test_importing_the_room_imports_neither_torch_nor_another_room():
    rooms = "('torch', 'ecotone.measures', 'ecotone.studies', 'ecotone.training')"
    code = f"import sys, ecotone.laws; assert not [m for m in {rooms} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)
