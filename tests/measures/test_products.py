from __future__ import annotations

import pytest
import torch

from ecotone.measures import products
from ecotone.measures.products import (
    EightBit,
    FloatingPoint,
    eight_bit_products_are_exact,
    squared_distances,
)


def _sets(scale: float, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(40, 300, generator=generator) * scale + offset
    references = torch.randn(90, 300, generator=generator) * scale + offset
    references[3] = queries[5]
    return queries, references


def _bounds(arithmetic, queries, references):
    left, right = arithmetic.operand(queries), arithmetic.operand(references)
    room = torch.empty(len(queries) * len(references), dtype=arithmetic.dtype)
    scores = arithmetic.scores(left, right, room)
    largest = right._replace(
        values=right.values[:1],
        squares=right.squares.amax(0, keepdim=True),
        doubt=right.doubt.amax(0, keepdim=True),
    )
    return arithmetic.bounds(scores, left, largest)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e15, 1e25])
@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("kind", ["float32", "float64", "8 bit"])
def test_the_true_distance_lies_within_the_bounds(kind: str, scale: float, offset: float) -> None:
    queries, references = _sets(scale, offset * scale)
    arithmetic = {
        "float32": FloatingPoint(torch.float32, 300),
        "float64": FloatingPoint(torch.float64, 300),
        "8 bit": EightBit.spanning(references),
    }[kind]
    lower, upper = _bounds(arithmetic, queries, references)
    truth = (queries.double()[:, None] - references.double()).square().sum(-1)
    assert not (truth < lower * (1 - 1e-12)).any()
    assert not (truth > upper * (1 + 1e-12)).any()
    if scale == 1.0 and offset == 0.0:
        # Bounds that are never narrow would be no use.
        assert (upper - lower).max() < {"float32": 1.0, "float64": 1e-8, "8 bit": 100.0}[kind]


def test_8_bit_images_as_floats_are_known_to_within_rounding() -> None:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (50, 192), generator=generator).float() / 127.5 - 1
    images[0, :2] = torch.tensor([-1.0, 1.0])
    assert EightBit.spanning(images).operand(images).doubt.max() < 1e-4


def test_8_bit_products_of_uint8_images_are_exact() -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (30, 5000), generator=generator, dtype=torch.uint8)
    images[0], images[1] = 0, 255
    lower, upper = _bounds(EightBit(), images, images)
    truth = (images.double()[:, None] - images.double()).square().sum(-1)
    assert torch.equal(lower, truth)
    assert torch.equal(upper, truth)


def test_operands_leave_their_rows_alone() -> None:
    for rows in (torch.randn(9, 7, dtype=torch.float64), torch.randn(9, 7)):
        before = rows.clone()
        for arithmetic in (
            FloatingPoint(torch.float64, 7),
            FloatingPoint(torch.float32, 7),
            EightBit.spanning(rows),
        ):
            arithmetic.operand(rows)
            assert torch.equal(rows, before)


@pytest.mark.parametrize("pairs", [1, 2, 3, 100])
def test_squared_distances_of_a_pair_do_not_depend_on_those_beside_it(pairs: int) -> None:
    generator = torch.Generator().manual_seed(4)
    queries, references = torch.randn(2, 100, 40_000, generator=generator)
    index = torch.arange(100)
    together = squared_distances(queries, references, index, index)
    assert torch.equal(
        squared_distances(queries, references, index[:pairs], index[:pairs]), together[:pairs]
    )


def _wrong(a, b, out):
    return out.copy_((a.int() @ b.int()).clamp_(-(2**15), 2**15 - 1))


def _missing_for_this_processor(a, b, out):
    raise RuntimeError("not implemented")


@pytest.mark.parametrize("function", [_wrong, _missing_for_this_processor, None])
def test_8_bit_products_that_are_wrong_or_missing_are_not_used(
    monkeypatch: pytest.MonkeyPatch, function
) -> None:
    monkeypatch.setattr(products, "_int_mm", function)
    products._int_mm_works.cache_clear()
    try:
        assert not eight_bit_products_are_exact(64, torch.device("cpu"))
    finally:
        products._int_mm_works.cache_clear()


def test_8_bit_products_are_not_used_where_they_would_overflow() -> None:
    assert not eight_bit_products_are_exact(40_000, torch.device("cpu"))
