from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecotone.core.seeds import derive, generator, normal, sample_seeds, torch_generator


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6), st.integers(0, 50))
def test_noise_of_a_sample_does_not_depend_on_its_batch(seeds: list[int], index: int) -> None:
    together = normal(seeds, (2, 3), index=index)
    alone = torch.cat([normal([seed], (2, 3), index=index) for seed in seeds])
    assert torch.equal(together, alone)


def test_streams_are_normal_and_independent() -> None:
    seeds = sample_seeds(4000, 0, "test")
    first, second = normal(seeds, (3,), index=0), normal(seeds, (3,), index=1)
    draws = torch.cat([first, second], dim=1).double().numpy()
    assert stats.kstest(draws.ravel(), "norm").pvalue > 1e-3
    # Across samples, coordinates and indices: correlations within four standard errors of none.
    correlation = np.corrcoef(draws.T) - np.eye(6)
    assert np.abs(correlation).max() < 4 / np.sqrt(4000)
    neighbours = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(4000)


def test_precision_does_not_change_what_is_drawn() -> None:
    single, double = (
        normal([5], (10,), dtype=torch.float32),
        normal([5], (10,), dtype=torch.float64),
    )
    assert torch.equal(single, double.float())


def test_names_cannot_run_into_one_another() -> None:
    names = [("a", "b"), ("ab",), ("a", "b", 0), ("a", "b", "0"), (), ("",), ("a\x1fstr:b",)]
    # The separator inside a name is the one way to fake a boundary; it is not used in names.
    assert len({derive(1, *name) for name in names[:-1]}) == len(names) - 1
    assert derive(1, "a") != derive(2, "a")


def test_generators_repeat() -> None:
    assert generator(3, "x").random() == generator(3, "x").random()
    draws = [torch.rand(2, generator=torch_generator(3, "x")) for _ in range(2)]
    assert torch.equal(*draws)
