from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from ecotone.core.errors import DataError
from ecotone.core.intervals import wilson
from ecotone.laws.detection import smallest_shares
from ecotone.laws.positive import passes_up

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)


def rows(
    power: dict[float, float],
    *,
    detector: str = "d",
    measure: str = "detected",
    generated: int = 500,
    samples: int = 100,
    **factors: Any,
) -> list[dict[str, Any]]:
    found = []
    for share, value in power.items():
        low, high = wilson(round(value * samples), samples)
        where = {"generated": generated, "transform": "exact", "share": share}
        where |= {"copies": round(share * generated), "detector": detector, "measure": measure}
        found.append(
            {**factors, **where, "value": value, "low": low, "high": high, "samples": samples}
        )
    return found


def smallest(*parts: list[dict[str, Any]], **options: Any) -> pl.DataFrame:
    return smallest_shares(pl.DataFrame([row for part in parts for row in part]), **options)


def rising(middle: float) -> dict[float, float]:
    return {p: float(1 / (1 + np.exp(-4 * np.log(p / middle)))) for p in SHARES}


def test_each_curve_has_its_own_row_and_is_read_as_a_passage() -> None:
    curves = [rows(rising(0.03), n=n, detector=d) for n in (100, 500) for d in ("a", "b")]
    found = smallest(*curves, rows(rising(0.08), n=100, measure="detected_calibrated"))
    assert found.columns[:5] == ["n", "generated", "transform", "detector", "measure"]
    assert found.height == 5
    assert found["status"].to_list() == ["observed"] * 5
    expected = passes_up(SHARES, list(rising(0.03).values()), [100] * 5, threshold=0.8)
    row = found.row(0, named=True)
    assert (row["value"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
    assert row["low"] < row["value"] < row["high"]
    # Where the logistic reaches 0.8: log p = log 0.03 + log(4)/4.
    assert row["value"] == pytest.approx(0.03 * 4**0.25, rel=0.1)


def test_the_share_is_that_of_the_copies_there_were() -> None:
    # 5 % of 30 images are 2 copies, which is more than 5 %.
    power = {0.05: 0.7999999, 0.5: 1.0}
    found = smallest(rows(power, generated=30))
    assert found["value"][0] == pytest.approx(2 / 30, rel=1e-3)


def test_what_is_seen_at_once_or_never_is_censored() -> None:
    at_once, never = dict.fromkeys(SHARES, 0.95), dict.fromkeys(SHARES, 0.1)
    found = smallest(rows(at_once, detector="a"), rows(never, detector="b"))
    assert found.select("status", "value", "low", "high").rows() == [
        ("left_censored", None, None, None),
        ("right_censored", None, None, None),
    ]
    assert found["bound"].to_list() == pytest.approx([0.01, 0.2])


def test_a_greater_power_takes_more_copies() -> None:
    curve = rows(rising(0.03))
    values = [smallest(curve, power=power)["value"][0] for power in (0.5, 0.8, 0.95)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.03, rel=0.1)


def test_intervals_cover_as_often_as_they_say() -> None:
    truth, random, held = 0.03 * 4**0.25, np.random.default_rng(0), 0
    for trial in range(60):
        counts = random.binomial(60, list(rising(0.03).values()))
        power = dict(zip(SHARES, (counts / 60).tolist(), strict=True))
        row = smallest(rows(power, samples=60), replicates=200, seed=trial).row(0, named=True)
        held += (row["low"] or 0.01) <= truth <= (row["high"] or 0.2)
    assert held >= 52


def test_nothing_planted_and_other_measures_are_no_powers() -> None:
    null = rows({0.0: 0.04}, measure="false_positive_rate")
    auc = rows(dict.fromkeys(SHARES, 0.9), measure="auc")
    assert smallest(null, auc).is_empty()
    assert smallest(null, rows(rising(0.03))).height == 1


def test_tables_that_do_not_serve_are_refused() -> None:
    table = pl.DataFrame(rows(rising(0.03)))
    with pytest.raises(DataError, match="no column 'copies'"):
        smallest_shares(table.drop("copies"))
    with pytest.raises(DataError, match="not positive and distinct"):
        smallest_shares(pl.concat([table, table]))
    for power in (0.0, 1.0):
        with pytest.raises(DataError, match=f"power = {power}"):
            smallest_shares(table, power=power)
