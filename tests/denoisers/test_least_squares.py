"""Least squares and singular vectors against numpy's, at every rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ecotone.core.seeds import torch_generator
from ecotone.denoisers import least_squares as module
from ecotone.denoisers.least_squares import least_squares, singular_vectors
from ecotone.populations.normal import random_frame


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    generator = torch_generator(seed, "least squares")
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("n", "rank"), [(30, 5), (30, 2), (6, 5), (5, 5), (4, 4), (4, 1)])
def test_the_map_is_that_of_the_pseudoinverse(n: int, rank: int) -> None:
    """Of inputs that span a plane, what they do not span is left alone."""
    frame = torch.eye(5).double() if rank == 5 else random_frame(5, rank, seed=0)
    x, y = matrix(n, rank) @ frame.T, matrix(n, 3, seed=1)
    left, right = least_squares(x, y)
    assert left.shape[1] == rank
    assert (right is None) == (rank == 5 and n > 5)
    B = left if right is None else left @ right.T
    expected = torch.from_numpy(np.linalg.pinv(x.numpy(), rcond=1e-10)) @ y
    torch.testing.assert_close(B.T, expected, rtol=1e-9, atol=1e-10)
    if right is not None:
        torch.testing.assert_close(right.T @ right, torch.eye(rank).double())


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("rank", [3, 2])
def test_singular_vectors_give_the_matrix_back(
    square: bool, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    M = matrix(3 if square else 6, rank) @ matrix(rank, 3, seed=1)
    values = torch.linalg.svdvals(M)[:rank]
    for well_above in (0.0 if rank == 3 else 1e-5, math.inf):  # By squares if it may, and by SVD.
        monkeypatch.setattr(module, "_WELL_ABOVE", well_above)
        left, scales, right = singular_vectors(M)
        torch.testing.assert_close(scales.sort(descending=True)[0], values)
        torch.testing.assert_close((left * scales) @ right.T, M)
        for vectors in (left, right):
            torch.testing.assert_close(vectors.T @ vectors, torch.eye(rank).double())


def test_small_values_keep_their_digits() -> None:
    frames = random_frame(4, 4, seed=0), random_frame(4, 4, seed=1)
    for smallest in (1e-2, 1e-4, 1e-7):
        values = torch.tensor([1.0, 0.5, 0.1, smallest], dtype=torch.float64)
        found = singular_vectors((frames[0] * values) @ frames[1].T)[1]
        # Those of the squares would be off by 1e-16/smallest, not 1e-16.
        assert float(found.min()) == pytest.approx(smallest, rel=0, abs=3e-14)
