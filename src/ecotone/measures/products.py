"""The kernel: squared distances of many pairs by matrix products, with bounds on their error.

|q − r|² = |q|² + |r|² − 2 q·r turns the distances of all pairs into one matrix product, many times
faster than differences, but loses precision where q and r are close: just where copies are decided.
So a product here only says which pairs *may* matter. Each arithmetic comes with a rigorous bound on
its error, and :func:`squared_distances` settles the pairs that remain, in float64 differences.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Int64, Num
from torch import Tensor

__all__ = [
    "Arithmetic",
    "EightBit",
    "FloatingPoint",
    "Operand",
    "eight_bit_products_are_exact",
    "squared_distances",
]

_CHUNK_BYTES = 1 << 20
"""Elementwise work goes through pieces of this many float64 bytes, so that they stay in cache."""

_EIGHT_BIT_DIMENSIONS = 33_000
"""The most dimensions for which 255²·d, the largest squared distance, fits an int32."""

_int_mm = getattr(torch, "_int_mm", None)
"""Private to torch, so perhaps not there: see :func:`eight_bit_products_are_exact`."""


class Operand(NamedTuple):
    """Rows made ready for a product."""

    values: Tensor
    """(rows, dimension), as the product takes them."""
    squares: Float64[Tensor, " rows"]
    """|values|² of each row."""
    doubt: Float64[Tensor, " rows"]
    """Distance between each row and what ``values`` say of it."""


@runtime_checkable
class Arithmetic(Protocol):
    """A way to have squared distances from products, in units of its own."""

    exact: bool
    """Whether its squared distances carry no error at all."""

    def operand(self, rows: Num[Tensor, "rows dimension"]) -> Operand:
        """Make rows ready."""
        ...

    def scores(self, queries: Operand, references: Operand, out: Tensor) -> Tensor:
        """Return 2 q·r − |r|² for all pairs, (queries, references): the nearer, the higher.

        Args:
            queries: rows made ready.
            references: rows made ready.
            out: room for the result, flat, of at least as many elements and :attr:`dtype`.
        """
        ...

    def bounds(
        self, scores: Tensor, queries: Operand, largest: Operand
    ) -> tuple[Float64[Tensor, "queries some"], Float64[Tensor, "queries some"]]:
        """Return the least and greatest true squared distance that scores allow.

        Args:
            scores: some of each query's scores.
            queries: the queries they belong to.
            largest: one row, with the largest ``squares`` and ``doubt`` of all references.
        """
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of scores."""
        ...


class FloatingPoint:
    """Products in float32 or float64.

    The error of a dot product of d terms, summed in any order, is at most γ_d |q||r| with
    γ_d = d·u/(1 − d·u) and u the unit roundoff (Higham 2002, §3.1); rounding the inputs, |r|² and
    the difference adds a few u. Where squares could overflow the bound is infinite.

    Args:
        dtype: torch.float32 or torch.float64.
        dimension: of the rows.
    """

    exact = False

    def __init__(self, dtype: torch.dtype, dimension: int) -> None:
        self.dtype = dtype
        self._dimension = dimension

    def operand(self, rows: Num[Tensor, "rows dimension"]) -> Operand:
        """Convert rows to this precision; their squares are summed in float64."""
        squares = rows.new_empty(len(rows), dtype=torch.float64)
        for piece in _pieces(len(rows), rows.shape[1]):
            torch.sum(rows[piece].double().square(), dim=1, out=squares[piece])
        return Operand(rows.to(self.dtype), squares, torch.zeros_like(squares))

    def scores(self, queries: Operand, references: Operand, out: Tensor) -> Tensor:
        """Return 2 q·r − |r|², written into ``out``."""
        shape = (len(queries.values), len(references.values))
        scores = out[: math.prod(shape)].view(shape)
        torch.mm(queries.values, references.values.T, out=scores)
        return torch.add(-references.squares.to(self.dtype), scores, alpha=2, out=scores)

    def bounds(
        self, scores: Tensor, queries: Operand, largest: Operand
    ) -> tuple[Float64[Tensor, "queries some"], Float64[Tensor, "queries some"]]:
        """Return |q|² − score, less and more the error that rounding may have made."""
        d, limits = self._dimension, torch.finfo(self.dtype)
        sizes, roots = queries.squares + largest.squares, queries.squares.sqrt()
        dot = _gamma(d + 4, limits.eps / 2) * roots * largest.squares.sqrt()
        # The last terms are for products and conversions that underflow.
        lost = limits.tiny * (4 * d + 4 * math.sqrt(d) * (roots + largest.squares.sqrt()))
        sums = (4 * limits.eps / 2 + 2 * _gamma(d + 4, 2.0**-53)) * sizes
        error = 2 * dot + 2 * sums + lost
        error = error.where(sizes < limits.max / 16, torch.inf)[:, None]
        middle = queries.squares[:, None] - scores.double()
        return (middle - error).clamp_min(0), middle + error


class EightBit:
    """Exact integer products of rows rounded to 8 bits: value ≈ centre + scale · integer.

    The integers lie in −128 … 127 and their products are summed in int32 without error, about four
    times faster than float32 where the processor has 8-bit dot products. What rounding took from a
    row is known, so by the triangle inequality a distance is known to within the doubts of its two
    ends; those of 8-bit images are 0 or next to it.

    Args:
        scale: of one integer, above 0.
        centre: value of integer 0.
    """

    dtype = torch.int32

    def __init__(self, scale: float = 1.0, centre: float = 128.0, *, exact: bool = True) -> None:
        self.exact = exact
        self._scale, self._centre = scale, centre

    @classmethod
    def spanning(cls, rows: Num[Tensor, "rows dimension"]) -> EightBit:
        """Return the arithmetic whose 256 values span those of some rows."""
        low, high = (float(bound) for bound in torch.aminmax(rows))
        scale = max((high - low) / 255, torch.finfo(torch.float32).tiny)
        return cls(scale, low + 128 * scale, exact=False)

    def operand(self, rows: Num[Tensor, "rows dimension"]) -> Operand:
        """Round rows to 8 bits; images that are 8-bit already are only shifted."""
        n, d = rows.shape
        values = rows.new_empty((n, d), dtype=torch.int8)
        squares = rows.new_empty(n, dtype=torch.float64)
        doubt = torch.zeros_like(squares)
        for piece in _pieces(n, d):
            if rows.dtype == torch.uint8:
                shifted = rows[piece].bitwise_xor(128).view(torch.int8)
                whole = shifted.float()
            else:
                steps = (rows[piece].float() - self._centre).mul_(1 / self._scale)
                whole = steps.round().clamp_(-128, 127)
                shifted = whole.to(torch.int8)
                doubt[piece] = torch.linalg.vector_norm(steps.sub_(whole), dim=1)
            values[piece] = shifted
            # Root and square of a whole number below 2^31 come back whole from float64.
            norms = torch.linalg.vector_norm(whole, dim=1, dtype=torch.float64)
            squares[piece] = norms.square_().round_()
        if not self.exact:
            unit = torch.finfo(torch.float32).eps / 2
            reach = abs(self._centre) + self._scale * 128 + doubt * self._scale
            # Steps were had in float32, and their norm too.
            doubt = self._scale * doubt * (1 + _gamma(d + 4, unit))
            doubt = doubt + 8 * unit * math.sqrt(d) * reach
        return Operand(values, squares, doubt)

    def scores(self, queries: Operand, references: Operand, out: Tensor) -> Tensor:
        """Return 2 q·r − |r|², written into ``out``."""
        shape = (len(queries.values), len(references.values))
        scores = out[: math.prod(shape)].view(shape)
        assert _int_mm is not None  # Callers have asked.
        _int_mm(queries.values, references.values.T, out=scores)
        return torch.add(-references.squares.to(self.dtype), scores, alpha=2, out=scores)

    def bounds(
        self, scores: Tensor, queries: Operand, largest: Operand
    ) -> tuple[Float64[Tensor, "queries some"], Float64[Tensor, "queries some"]]:
        """Return the squares of the distance less and more the doubts of its two ends."""
        squared = queries.squares[:, None] - scores.double()
        if self.exact:
            return squared, squared
        middle = squared.clamp_min(0).sqrt() * self._scale
        doubt = (queries.doubt + largest.doubt)[:, None] + 1e-12 * middle
        return (middle - doubt).clamp_min(0).square(), (middle + doubt).square()


def eight_bit_products_are_exact(dimension: int, device: torch.device) -> bool:
    """Return whether 8-bit products may be used for rows of this dimension on this device.

    They come from a private function of torch, so their answer is checked against one that is known
    when a dimension is first met; where the function is missing or wrong, callers take floating
    point. (In torch 2.13 it is wrong for rows of one value.)
    """
    return device.type == "cpu" and dimension <= _EIGHT_BIT_DIMENSIONS and _int_mm_works(dimension)


@cache
def _int_mm_works(d: int) -> bool:
    if _int_mm is None:
        return False
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((1, 2), (37, 129)):
        a = torch.randint(-128, 128, (rows, d), generator=generator, dtype=torch.int8)
        b = torch.randint(-128, 128, (columns, d), generator=generator, dtype=torch.int8)
        # Pairs of extremes overflow the 16-bit sums that some processors' instructions make.
        a[0], b[0] = -128, -128
        known = (a.double() @ b.double().T).to(torch.int32)
        try:
            if not torch.equal(_int_mm(a, b.T, out=torch.empty_like(known)), known):
                return False
        except (NotImplementedError, RuntimeError, TypeError):
            return False
    return True


def squared_distances(
    queries: Num[Tensor, "queries dimension"],
    references: Num[Tensor, "references dimension"],
    rows: Int64[Tensor, " pairs"],
    columns: Int64[Tensor, " pairs"],
) -> Float64[Tensor, " pairs"]:
    """Return |queries[rows] − references[columns]|² by float64 differences.

    Each pair is summed in the same order whatever pairs are asked for with it, so equal pairs tie
    exactly and the distance of exact copies is 0.

    >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    >>> squared_distances(points, points, torch.tensor([0, 1]), torch.tensor([1, 1])).tolist()
    [25.0, 0.0]
    """
    result = torch.empty(len(rows), dtype=torch.float64, device=queries.device)
    for piece in _pieces(len(rows), queries.shape[1]):
        row, column = rows[piece], columns[piece]
        if alone := len(row) == 1:
            # A single long sum would be split between threads, and so be summed in another order.
            row, column = row.expand(2), column.expand(2)
        sums = (queries[row].double() - references[column]).square_().sum(dim=1)
        result[piece] = sums[:1] if alone else sums
    return result


def _gamma(terms: int, unit: float) -> float:
    """Return γ_n = n·u/(1 − n·u), infinite where it says nothing."""
    return terms * unit / (1 - terms * unit) if terms * unit < 1 else math.inf


def _pieces(rows: int, dimension: int) -> list[slice]:
    """Return slices of rows that hold about :data:`_CHUNK_BYTES` of float64 each."""
    step = max(8, _CHUNK_BYTES // (8 * max(dimension, 1)))
    return [slice(start, start + step) for start in range(0, rows, step)]
