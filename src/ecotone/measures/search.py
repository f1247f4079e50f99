"""Nearest references of many queries, and all within a radius: exact, in one tiled pass.

Products say which pairs may matter (:mod:`ecotone.measures.products`), float64 differences settle
them, and a certificate says where that was enough: a query whose k-th distance is not surely below
that of every reference left out is searched again with more precision. So the result is always that
of float64 differences with every reference, ties going to the lower index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.products import (
    Arithmetic,
    EightBit,
    FloatingPoint,
    eight_bit_products_are_exact,
)
from ecotone.measures.tiles import (
    ROUNDED_MARGIN,
    Labels,
    largest_of,
    pairs_within,
    search_tiles,
    settle,
)

__all__ = ["Labels", "Pairs", "Progress", "Search", "TopK", "nearest", "within"]

Progress = Callable[[int, int], None]
"""Called with the pairs of images done and to do."""

_QUERY_ROWS = 4096
_WORTH = 400
"""Rounding pays where it leaves at most one in so many references too near to call: settling one
costs some 150 float32 products."""
_TRIAL_WORK = 1 << 33
"""Searches of fewer multiplications than this do not try 8 bits first."""
_TRIAL_ROWS = (64, 4096)
"""Queries and references of the trial that says whether rounding to 8 bits pays."""


class TopK(NamedTuple):
    """The k nearest references of each query, nearest first."""

    distances: Float64[Tensor, "queries k"]
    """Euclidean, in the units of the data; infinite where fewer than k were left."""
    indices: Int64[Tensor, "queries k"]
    """Rows of the references; −1 where fewer than k were left."""


class Pairs(NamedTuple):
    """Queries and references that lie within a radius of each other."""

    rows: Int64[Tensor, " pairs"]
    columns: Int64[Tensor, " pairs"]
    distances: Float64[Tensor, " pairs"]


@runtime_checkable
class Search(Protocol):
    """Finds the nearest references of many queries; :func:`nearest` says what it is given."""

    def __call__(
        self,
        queries: Tensor,
        references: Tensor,
        k: int,
        *,
        passing_over: Labels | None = None,
        progress: Progress | None = None,
        names: tuple[str, str] = ...,
    ) -> TopK:
        """Return distances and indices, (queries, k), nearest first."""
        ...


def nearest(
    queries: Shaped[Tensor, "queries ..."],
    references: Shaped[Tensor, "references ..."],
    k: int,
    *,
    passing_over: Labels | None = None,
    progress: Progress | None = None,
    names: tuple[str, str] = ("queries", "references"),
) -> TopK:
    """Return the k nearest references of each query, exactly.

    Indices are those of float64 differences with every reference; equal distances go to the lower
    index, and the distance of exact copies is 0. Images in uint8 are measured in 8-bit units.

    Args:
        queries: any shape past the first axis; floating point, or uint8 where references are.
        references: of the queries' shape and on their device.
        k: how many, 1 to the number of references.
        passing_over: labels of queries and references; a reference with the query's label is
            passed over, so that others than oneself or one's near duplicates can be asked for.
        progress: called with the pairs done and to do, after each tile.
        names: what errors call the two sets.

    Returns:
        Distances in float64 and indices in int64, both (queries, k), on the queries' device.

    Raises:
        DataError: for empty sets, shapes or types that do not fit, values that are not finite (the
            first such row is named), and k out of range.

    >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    >>> nearest(points[1:2], points, 3)
    TopK(distances=tensor([[0., 0., 5.]], dtype=torch.float64), indices=tensor([[1, 2, 0]]))
    """
    queries, references = _checked(queries, references, names)
    count, total, done = len(references), len(queries) * len(references), 0
    if not 1 <= k <= count:
        raise DataError(
            f"the {k} nearest of {count} {names[1]} cannot be had", hint=f"give k of 1 to {count}"
        )

    def advance(pairs: int) -> None:
        nonlocal done
        done = min(total, done + pairs)
        if progress is not None:
            progress(done, total)

    squared = queries.new_full((len(queries), k), torch.inf, dtype=torch.float64)
    indices = queries.new_full((len(queries), k), -1, dtype=torch.int64)
    left = torch.arange(len(queries), device=queries.device)
    for arithmetic in _arithmetics(queries, references, k):
        uncertain = []
        for rows in left.split(_QUERY_ROWS):
            block = queries if len(rows) == len(queries) else queries[rows]
            labels = None if passing_over is None else (passing_over[0][rows], passing_over[1])
            squared[rows], indices[rows], certain = search_tiles(
                arithmetic, block, references, k, labels, advance
            )
            uncertain.append(rows[~certain])
        left = torch.cat(uncertain)
        if not len(left):
            break
    else:
        # The k-th distance found so far bounds the true one from above.
        labels = None if passing_over is None else (passing_over[0][left], passing_over[1])
        squared[left], indices[left] = settle(queries[left], references, squared[left], labels)
    return TopK(squared.sqrt_(), indices)


def within(
    queries: Shaped[Tensor, "queries ..."],
    references: Shaped[Tensor, "references ..."],
    radius: float,
) -> Iterator[Pairs]:
    """Yield all pairs of a query and a reference at a distance of ``radius`` or less, tile by tile.

    Distances are float64 differences, as in :func:`nearest`; each pair is yielded once.

    Raises:
        DataError: as :func:`nearest` does.

    >>> points = torch.tensor([[0.0], [1.0], [5.0]])
    >>> [(p.rows.tolist(), p.columns.tolist()) for p in within(points[:1], points, 1.0)]
    [([0, 0], [0, 1])]
    """
    queries, references = _checked(queries, references, ("queries", "references"))
    limits = queries.new_full((len(queries),), radius**2 * (1 + 1e-12), dtype=torch.float64)
    for rows, columns, squared in pairs_within(queries, references, limits, None):
        distances = squared.sqrt()
        kept = distances <= radius
        yield Pairs(rows[kept], columns[kept], distances[kept])


def _checked(queries: Tensor, references: Tensor, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Return both sets flattened, or say what is wrong with them."""
    for name, images in zip(names, (queries, references), strict=True):
        if images.ndim < 2 or not images.numel():
            raise DataError(
                f"the {name} are empty: their shape is {tuple(images.shape)}",
                hint="give at least one image of at least one value",
            )
        if not images.is_floating_point() and images.dtype != torch.uint8:
            raise DataError(
                f"the {name} hold {images.dtype}",
                hint="give floating point numbers, or torch.uint8 for 8-bit images",
            )
    if queries.shape[1:] != references.shape[1:]:
        raise DataError(
            f"the {names[0]} of shape {tuple(queries.shape[1:])} have no distance to the "
            f"{names[1]} of shape {tuple(references.shape[1:])}",
            hint="bring both sets to one shape",
        )
    if (queries.dtype == torch.uint8) != (references.dtype == torch.uint8):
        raise DataError(
            f"the {names[0]} in {queries.dtype} and the {names[1]} in {references.dtype} are on "
            "different scales",
            hint="bring both sets to one range of values and one type",
        )
    return _finite(names[0], queries), _finite(names[1], references)


def _finite(name: str, images: Tensor) -> Tensor:
    flat = images.detach().reshape(len(images), -1)
    if flat.dtype == torch.uint8:
        return flat.contiguous()
    low, high = torch.aminmax(flat)
    # Larger values have squares past float64's range; NaN compares false.
    if not (float(low) > -1e150 and float(high) < 1e150):
        wrong = torch.cat([~(part.abs() < 1e150).all(dim=1) for part in flat.split(4096)])
        index = int(wrong.int().argmax())
        raise DataError(
            f"row {index} of the {name} holds NaN, an infinity or a value past 1e150",
            hint="leave it out, or look at how it was made",
        )
    return flat.contiguous()


def _arithmetics(queries: Tensor, references: Tensor, k: int) -> Iterator[Arithmetic]:
    """Yield the arithmetics to search with, each for the queries that those before left open."""
    d = queries.shape[1]
    eight_bit = eight_bit_products_are_exact(d, queries.device)
    if eight_bit and queries.dtype == torch.uint8:
        yield EightBit()
        return
    if eight_bit and len(queries) * len(references) * d >= _TRIAL_WORK:
        rounded = EightBit.spanning(references)
        if _pays(rounded, queries, references, k):
            yield rounded
    # Users lower this to speed up training; the error bound holds for full precision alone.
    full = torch.get_float32_matmul_precision() == "highest"
    yield FloatingPoint(torch.float32 if full else torch.float64, d)


def _pays(arithmetic: Arithmetic, queries: Tensor, references: Tensor, k: int) -> bool:
    """Return whether few enough references are too near to call for this arithmetic."""
    some = references[:: max(1, len(references) // _TRIAL_ROWS[1])]
    left = arithmetic.operand(queries[:: max(1, len(queries) // _TRIAL_ROWS[0])])
    right = arithmetic.operand(some)
    room = torch.empty(len(left.values) * len(some), dtype=arithmetic.dtype, device=some.device)
    scores = arithmetic.scores(left, right, room)
    lower, upper = arithmetic.bounds(scores, left, largest_of(right, None))
    limit = upper.kthvalue(min(k, len(some)), dim=1, keepdim=True).values
    beyond = (lower <= limit).sum(dim=1) - k
    # The share that is too near hardly depends on how many there are.
    left_open = float(beyond.double().quantile(0.75)) * len(references) / len(some)
    return left_open <= min(ROUNDED_MARGIN // 2, len(references) / _WORTH)
