from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom

from ecotone.core.alarm import copying_alarm, copying_p_value

quick = settings(max_examples=60, deadline=None, derandomize=True)

LOOKS = 20


@st.composite
def counts(draw):
    n, m = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    few = draw(st.booleans())
    return (
        draw(st.integers(0, min(n, 12) if few else n)),
        n,
        draw(st.integers(0, min(m, 12) if few else m)),
        m,
    )


@quick
@given(counts())
def test_it_is_fishers_one_sided_test(given):
    copied, n, floor_copied, m = given
    p_value = copying_p_value(copied, n, floor_copied, m)
    other = float(hypergeom.sf(copied - 1, n + m, copied + floor_copied, n))
    assert p_value == pytest.approx(other, rel=1e-6, abs=1e-12)
    table = [[copied, n - copied], [floor_copied, m - floor_copied]]
    assert p_value == pytest.approx(fisher_exact(table, "greater")[1], rel=1e-6, abs=1e-12)


@quick
@given(counts())
def test_more_copies_never_silence_it(given):
    copied, n, floor_copied, m = given
    p_value = copying_p_value(copied, n, floor_copied, m)
    assert 0 <= p_value <= 1
    if copied < n:
        assert copying_p_value(copied + 1, n, floor_copied, m) <= p_value + 1e-12
    if floor_copied < m:
        assert copying_p_value(copied, n, floor_copied + 1, m) >= p_value - 1e-12


@pytest.mark.parametrize("floor", [0.0, 0.01, 0.1, 0.5])
def test_false_alarms_in_a_run_are_rarer_than_the_level(floor):
    random = np.random.default_rng(0)
    repeats, n, m, alarms = 200, 200, 100, 0
    for _ in range(repeats):
        # The looks of one run share their held-out images.
        held_out = int(random.binomial(m, floor))
        copied = random.binomial(n, floor, size=LOOKS)
        alarms += any(copying_alarm(int(k), n, held_out, m, looks=LOOKS) for k in copied)
    assert alarms / repeats <= 0.05


def test_without_the_correction_there_would_be_too_many():
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        copied = random.binomial(200, 0.1, size=LOOKS)
        held_out = int(random.binomial(2000, 0.1))
        alarms += any(copying_alarm(int(k), 200, held_out, 2000, looks=1) for k in copied)
    assert alarms / 300 > 0.2


def test_it_hears_five_percent_of_copies():
    random = np.random.default_rng(1)
    heard = [
        copying_alarm(int(random.binomial(500, 0.05)), 500, 0, 500, looks=LOOKS) for _ in range(300)
    ]
    assert np.mean(heard) > 0.99


def test_an_excess_makes_it_ring_later_and_never_earlier():
    rings = {
        excess: [
            copying_alarm(copied, 500, 5, 500, looks=LOOKS, excess=excess)
            for copied in range(0, 501, 5)
        ]
        for excess in (0.0, 0.05, 0.3)
    }
    first = [rung.index(True) for rung in rings.values()]
    assert first == sorted(first)
    assert len(set(first)) == 3
    assert 5 * first[-1] / 500 - 5 / 500 == pytest.approx(0.3, abs=0.01)
    assert all(rung == sorted(rung) for rung in rings.values())


def test_extremes():
    assert not copying_alarm(0, 500, 0, 500, looks=1)
    assert copying_alarm(10_000, 10_000, 0, 10_000, looks=1000)
    assert copying_p_value(500, 500, 500, 500) == 1
    assert not copying_alarm(1, 1, 0, 1, looks=1)  # too few to tell


@pytest.mark.parametrize(
    "wrong",
    [
        {"copied": -1},
        {"copied": 11},
        {"floor_copied": 11},
        {"n": 0, "copied": 0},
        {"m": 0, "floor_copied": 0},
        {"looks": 0},
        {"level": 0.0},
        {"level": 1.0},
        {"excess": 1.0},
        {"excess": -0.1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    right = {"copied": 1, "n": 10, "floor_copied": 1, "m": 10, "looks": 1, "level": 0.05}
    with pytest.raises(ValueError):
        copying_alarm(**(right | {"excess": 0.0} | wrong))


def test_it_imports_neither_torch_nor_scipy():
    code = "import sys, ecotone.core.alarm; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
