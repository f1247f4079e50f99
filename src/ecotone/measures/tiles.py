"""One pass over the references of a search, tile by tile, with a certificate for each query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from ecotone.measures.products import (
    Arithmetic,
    EightBit,
    FloatingPoint,
    Operand,
    squared_distances,
)

__all__ = [
    "MARGIN",
    "ROUNDED_MARGIN",
    "Labels",
    "largest_of",
    "pairs_within",
    "search_tiles",
    "settle",
]

Labels = tuple[Int64[Tensor, " queries"], Int64[Tensor, " references"]]
"""A label for each query and each reference: references with a query's label are passed over."""

MARGIN = 14
"""Candidates beyond k, of each tile and of all. Where more are too near to call, a query is
searched again."""

ROUNDED_MARGIN = 126
"""The same of all tiles together after rounding to 8 bits, which tells less of them apart."""

_TILE_BYTES = 32 << 20
"""Of one tile of scores; all else that is held at a time is of the same order."""

_GROUP = 32
"""References are ranked by groups of so many first: one pass over a tile at memory's speed."""


def search_tiles(
    arithmetic: Arithmetic,
    queries: Tensor,
    references: Tensor,
    k: int,
    labels: Labels | None,
    advance: Callable[[int], None],
) -> tuple[Float64[Tensor, "queries k"], Int64[Tensor, "queries k"], Bool[Tensor, " queries"]]:
    """Return the k least squared distances, their references, and where both are certain."""
    b, count, m = len(queries), len(references), k + MARGIN
    rounded = isinstance(arithmetic, EightBit) and not arithmetic.exact
    most = k + (ROUNDED_MARGIN if rounded else MARGIN)
    left = arithmetic.operand(queries)
    width = _TILE_BYTES // (4 * max(b, queries.shape[1]))
    width = min(count, max(width // _GROUP, 8) * _GROUP)
    room = torch.empty(b * width, dtype=arithmetic.dtype, device=queries.device)
    integer = not arithmetic.dtype.is_floating_point
    lowest = torch.iinfo(arithmetic.dtype).min if integer else -torch.inf
    # The highest score that was left out of any tile's candidates.
    cut = torch.full((b, 1), lowest, dtype=arithmetic.dtype, device=queries.device)
    values, columns, largest, complete = [], [], None, True
    for start in range(0, count, width):
        tile = arithmetic.operand(references[start : start + width])
        largest = largest_of(tile, largest)
        scores = arithmetic.scores(left, tile, room)
        if labels is not None:
            ours = labels[1][start : start + width]
            scores.masked_fill_(labels[0][:, None] == ours, lowest)
        value, column = _highest(scores, m)
        if len(tile.values) > m:
            cut, complete = cut.maximum(value[:, -1:]), False
        values.append(value)
        columns.append(column.add_(start))
        advance(b * len(tile.values))
    assert largest is not None  # There is at least one tile.
    scores, column = torch.cat(values, dim=1), torch.cat(columns, dim=1)
    if len(values) > 1:
        scores, place = scores.topk(min(most, scores.shape[1]), dim=1)
        column = column.gather(1, place)
        if len(place[0]) == most:
            cut, complete = cut.maximum(scores[:, -1:]), False

    lower, upper = arithmetic.bounds(torch.cat([scores, cut], dim=1), left, largest)
    # Of those left out, none is nearer than this.
    outside = torch.full_like(lower[:, 0], torch.inf) if complete else lower[:, -1].clone()
    lower, upper = lower[:, :-1], upper[:, :-1]
    absent = torch.zeros_like(scores, dtype=torch.bool)
    if labels is not None:
        absent = labels[0][:, None] == labels[1][column]
        # Unless bounds overflow, all that was left out was to be passed over.
        outside[(cut[:, 0] == lowest) & (upper[:, 0] < torch.inf)] = torch.inf
        lower = lower.masked_fill(absent, torch.inf)
        upper = upper.masked_fill(absent, torch.inf)
    slack = 1 + 4e-16 * (queries.shape[1] + 8)
    squared = lower
    if not arithmetic.exact:
        # Written so that NaN, from sums that overflow, counts as near.
        near = ~(lower > upper[:, k - 1 : k] * slack) & ~absent
        rows, places = near.nonzero(as_tuple=True)
        squared = torch.full_like(lower, torch.inf)
        squared[rows, places] = squared_distances(queries, references, rows, column[rows, places])
    column, order = column.sort(dim=1)
    squared, order = squared.gather(1, order).sort(dim=1, stable=True)
    column = column.gather(1, order)[:, :k]
    squared = squared[:, :k]
    certain = (squared[:, -1] * slack < outside) | (outside == torch.inf)
    return squared, column.masked_fill(squared == torch.inf, -1), certain


def largest_of(tile: Operand, so_far: Operand | None) -> Operand:
    """Return one row with the largest squares and doubt of the rows so far."""
    squares, doubt = tile.squares.amax(0, keepdim=True), tile.doubt.amax(0, keepdim=True)
    if so_far is not None:
        squares = squares.maximum(so_far.squares)
        doubt = doubt.maximum(so_far.doubt)
    return Operand(tile.values[:1], squares, doubt)


def _highest(scores: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Return the m highest of each row (all, where there are fewer) and their columns.

    The m groups with the highest maxima hold the m highest scores, so only these groups are sorted.
    """
    b, width = scores.shape
    groups = width // _GROUP
    if groups < 4 * m:
        return scores.topk(min(m, width), dim=1)
    body = scores[:, : groups * _GROUP].unflatten(1, (_GROUP, groups))
    chosen = body.amax(dim=1).topk(m, dim=1, sorted=False).indices
    members = body.gather(2, chosen[:, None].expand(b, _GROUP, m)).flatten(1)
    tail = scores[:, groups * _GROUP :]
    values, place = torch.cat([members, tail], dim=1).topk(m, dim=1)
    within_groups = place.div(m, rounding_mode="floor") * groups + chosen.gather(1, place % m)
    in_tail = place - _GROUP * m + groups * _GROUP
    return values, torch.where(place < _GROUP * m, within_groups, in_tail)


def pairs_within(
    queries: Tensor, references: Tensor, limits: Float64[Tensor, " queries"], labels: Labels | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield rows, columns and squared distances of all pairs up to each query's squared limit."""
    d = queries.shape[1]
    arithmetic = FloatingPoint(torch.float64, d)
    height = min(len(queries), 1024)
    width = max(1, min(len(references), _TILE_BYTES // (32 * max(height, d))))
    room = torch.empty(height * width, dtype=torch.float64, device=queries.device)
    for top in range(0, len(queries), height):
        rows = slice(top, top + height)
        left, limit = arithmetic.operand(queries[rows]), limits[rows, None]
        for start in range(0, len(references), width):
            tile = arithmetic.operand(references[start : start + width])
            scores = arithmetic.scores(left, tile, room)
            lower, _ = arithmetic.bounds(scores, left, largest_of(tile, None))
            near = ~(lower > limit * (1 + 4e-16 * (d + 8)))
            if labels is not None:
                near &= labels[0][rows, None] != labels[1][start : start + width]
            row, column = near.nonzero(as_tuple=True)
            row, column = row + top, column + start
            squared = squared_distances(queries, references, row, column)
            kept = squared <= limits[row]
            yield row[kept], column[kept], squared[kept]


def settle(
    queries: Tensor,
    references: Tensor,
    found: Float64[Tensor, "queries k"],
    labels: Labels | None,
) -> tuple[Float64[Tensor, "queries k"], Int64[Tensor, "queries k"]]:
    """Return the k least squared distances of all up to the greatest that was found."""
    k = found.shape[1]
    best = torch.full_like(found, torch.inf)
    indices = torch.full_like(found, -1, dtype=torch.int64)
    for row, column, squared in pairs_within(queries, references, found[:, -1], labels):
        old_row, old_place = (indices >= 0).nonzero(as_tuple=True)
        row = torch.cat([old_row, row])
        column = torch.cat([indices[old_row, old_place], column])
        squared = torch.cat([best[old_row, old_place], squared])
        order = column.argsort()
        for key in (squared, row):
            order = order[key[order].argsort(stable=True)]
        row, column, squared = row[order], column[order], squared[order]
        counts = torch.bincount(row, minlength=len(queries))
        place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        kept = place < k
        best[row[kept], place[kept]] = squared[kept]
        indices[row[kept], place[kept]] = column[kept]
    return best, indices
