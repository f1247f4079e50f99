"""The measure: its distances are the coordinates', its intervals and its null are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ecotone.core.seeds import generator
from ecotone.measures.coordinates import distances
from ecotone.measures.onset import onset_readings


def gaussian(n: int, d: int, seed: int, std: float = 0.5) -> Tensor:
    draws = std * generator(seed, "gaussian").standard_normal((n, d))
    return torch.from_numpy(draws).float()


def test_it_gives_the_coordinates_distances() -> None:
    g, t, o = (gaussian(n, 6, seed).reshape(n, 1, 2, 3) for seed, n in enumerate((70, 30, 90)))
    found = onset_readings(generated=g, training=t, original=o, seed=0)
    expected = distances(generated=g, training=t, original=o)
    assert found["e_training_generated"].value == pytest.approx(expected.training, rel=1e-12)
    assert found["e_original_generated"].value == pytest.approx(expected.original, rel=1e-12)
    assert found["delta"].value == pytest.approx(expected.delta, rel=1e-11)
    assert found["delta"].how["training_images"] == 30
    assert found["delta"].how["coordinates"] == 6


def test_intervals_are_as_wide_as_other_generated_images_say() -> None:
    t, o = gaussian(40, 8, 100), gaussian(200, 8, 101)
    widths, values = {}, {}
    for seed in range(60):
        found = onset_readings(
            generated=gaussian(120, 8, seed, std=0.7), training=t, original=o, seed=0
        )
        for name in ("e_training_generated", "e_original_generated", "delta"):
            reading = found[name]
            assert reading.low is not None
            assert reading.high is not None
            widths.setdefault(name, []).append(reading.high - reading.low)
            values.setdefault(name, []).append(reading.value)
    for name in values:
        # t(19) at 95 % is 2.09 standard errors to each side.
        spread = 2 * 2.09 * float(np.std(values[name], ddof=1))
        assert 0.75 < float(np.mean(widths[name])) / spread < 1.35, name


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_the_null_is_what_an_ideal_sampler_gives_on_average(kind: str) -> None:
    def draw(n: int, seed: int) -> Tensor:
        if kind == "gaussian":
            return gaussian(n, 40, seed)
        return torch.from_numpy(generator(seed, "uniform").random((n, 40))).float()

    deltas, nulls = [], []
    for seed in range(40):
        found = onset_readings(
            generated=draw(80, 3 * seed),
            training=draw(40, 3 * seed + 1),
            original=draw(300, 3 * seed + 2),
            seed=seed,
        )
        deltas.append(found["delta"].value)
        nulls.append(found["delta_null"].value)
    # ∫p² is 1/(2√π s) for a Gaussian, and 1 for the uniform.
    square = 1 / (2 * math.sqrt(math.pi) * 0.5) if kind == "gaussian" else 1.0
    expected = -(1 / 40 - 1 / 300) * square
    assert np.mean(nulls) == pytest.approx(expected, rel=0.02)
    error = np.std(deltas, ddof=1) / math.sqrt(len(deltas))
    assert abs(np.mean(deltas) - np.mean(nulls)) < 4 * error
    assert error < 0.5 * abs(expected)


def test_the_null_s_interval_is_as_wide_as_other_originals_say() -> None:
    t, values, widths = gaussian(20, 4, 500), [], []
    for seed in range(60):
        reading = onset_readings(generated=t, training=t, original=gaussian(100, 4, seed), seed=0)[
            "delta_null"
        ]
        assert reading.low is not None
        assert reading.high is not None
        widths.append(reading.high - reading.low)
        values.append(reading.value)
    spread = 2 * 2.09 * float(np.std(values, ddof=1))
    assert 0.7 < float(np.mean(widths)) / spread < 1.5


def test_copies_lie_far_below_the_null_and_ideal_samples_near_it() -> None:
    t, o = gaussian(50, 64, 0), gaussian(1000, 64, 1)
    copies = onset_readings(generated=t[torch.arange(200) % 50], training=t, original=o, seed=0)
    null = copies["delta_null"].value
    assert copies["delta"].value < 10 * null
    ideal = onset_readings(generated=gaussian(200, 64, 2), training=t, original=o, seed=0)
    assert ideal["delta"].value > copies["delta"].value / 10


def test_data_of_few_levels_have_no_null() -> None:
    g, t, o = ((4 * gaussian(n, 3, n)).round() for n in (30, 40, 50))
    found = onset_readings(generated=g, training=t, original=o, seed=0)
    assert set(found) == {"e_training_generated", "e_original_generated", "delta"}


def test_two_generated_images_have_values_without_intervals() -> None:
    found = onset_readings(
        generated=gaussian(2, 3, 0), training=gaussian(5, 3, 1), original=gaussian(6, 3, 2), seed=0
    )
    assert found["delta"].low is None
    assert found["delta_null"].low is not None


def test_originals_that_do_not_vary_give_nothing() -> None:
    t = gaussian(5, 3, 1)
    assert onset_readings(generated=t, training=t, original=torch.zeros(4, 3), seed=0) == {}
