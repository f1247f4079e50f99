"""Predictions that take long are made several at a time, and are the same then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from ecotone.report import onset_predictions
from ecotone.theory import probability_positive


@dataclass(frozen=True)
class Law:
    measure: str
    predict: Callable[[float], float | None]


def left_out(n: float) -> float | None:
    """A predicted probability that is neither 0 nor 1 at the sizes asked for."""
    return probability_positive(
        n,
        originals=300,
        variances=np.ones(20),
        model="one_step",
        noise=1.0,
        variant="as_published",
        fits=12,
    )


def limits() -> list[tuple[str, int]]:
    """Return the threads that each numeric library may use."""
    return sorted((one["filepath"], one["num_threads"]) for one in threadpool_info())


def test_threads_do_not_change_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = (10.0, 40.0, 12.0, 14.0, 20.0, 60.0)
    asked = [
        (law, n)
        for n in sizes
        for law in (Law("p_delta_positive", left_out), Law("affinity", lambda n: n / 100))
    ]
    before = limits()
    monkeypatch.setattr(onset_predictions, "THREADS", 1)
    alone = list(onset_predictions._values(asked))
    monkeypatch.setattr(onset_predictions, "THREADS", 3)
    for _ in range(3):
        assert list(onset_predictions._values(asked)) == alone
    assert alone[::2] == [left_out(n) for n in sizes]
    assert alone[1::2] == [n / 100 for n in sizes]
    assert len(set(alone[::2])) > 2
    assert limits() == before


def test_costly_predictions_are_made_at_the_same_time() -> None:
    met = threading.Barrier(onset_predictions.THREADS, timeout=30)

    def predict(n: float) -> float:
        met.wait()  # Broken unless as many are made at a time.
        return n

    law = Law("p_delta_positive_density", predict)
    asked = [(law, float(n)) for n in range(2 * onset_predictions.THREADS)]
    assert list(onset_predictions._values(asked)) == [n for _, n in asked]


@pytest.mark.parametrize("measure", ["p_delta_positive", "affinity"])
def test_what_is_not_finite_is_no_prediction(measure: str) -> None:
    law = Law(measure, lambda n: {1.0: None, 2.0: float("inf")}.get(n, n))
    asked = [(law, n) for n in (1.0, 2.0, 3.0)]
    assert list(onset_predictions._values(asked)) == [None, None, 3.0]
