"""The checks that all denoisers share."""

from __future__ import annotations

import pytest
import torch

from ecotone.denoisers import check_inputs, expand_like


@pytest.mark.parametrize(
    ("x", "sigma", "shape", "told"),
    [
        (torch.zeros(3, 2), torch.ones(2), None, r"sigma must have shape \(3,\).*not \(2,\)"),
        (torch.zeros(3, 2), torch.tensor(1.0), None, r"not \(\)"),
        (torch.zeros(3, 2), torch.ones(3, 1), None, r"not \(3, 1\)"),
        (torch.zeros(3, 2), torch.ones(3), (3,), r"x must have shape \(batch, 3\), not \(3, 2\)"),
        (torch.tensor(1.0), torch.ones(1), None, r"x must have shape \(batch, \*shape\)"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.ones(3), None, "x must be floating point"),
        (torch.zeros(3, 2), torch.ones(3, dtype=torch.int64), None, "sigma must be floating"),
        (torch.zeros(3, 2), torch.ones(3, device="meta"), None, "sigma is on meta, but x is on"),
    ],
)
def test_inputs_that_do_not_fit_are_named(x, sigma, shape, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_inputs(x, sigma, shape)


def test_inputs_that_fit_pass() -> None:
    check_inputs(torch.zeros(0, 3, 8, 8), torch.ones(0), (3, 8, 8))
    check_inputs(torch.zeros(4), torch.ones(4, dtype=torch.float64), ())


def test_expanded_levels_multiply_each_sample_by_its_own() -> None:
    x = torch.ones(3, 2, 5, dtype=torch.float64)
    sigma = torch.tensor([1.0, 2.0, 3.0])
    product = expand_like(sigma, x) * x
    assert product.dtype == torch.float64
    assert product.sum(dim=(1, 2)).tolist() == [10.0, 20.0, 30.0]
