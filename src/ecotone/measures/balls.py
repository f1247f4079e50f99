"""Balls around images that reach to their k-th nearest other, and how many images each holds."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from ecotone.measures.products import FloatingPoint, squared_distances
from ecotone.measures.search import TopK, nearest
from ecotone.measures.tiles import largest_of

__all__ = ["Balls"]

_TILE = 1024
_KEPT_SETS = 4
_KEPT: OrderedDict[tuple[object, ...], TopK] = OrderedDict()
"""Nearest images within each of the last few sets, by content: those within a holdout are asked for
again and again while a model trains."""


class Balls(NamedTuple):
    """How many balls hold each image of another set, and how many of these each ball holds.

    Image i belongs to group i mod g of its set. Where a group of centres is left out, the balls of
    the rest grow to their k-th nearest among the rest.
    """

    held: Int64[Tensor, "others ways"]
    """Balls that hold each other image, without each group of centres; last, with all."""
    holding: Int64[Tensor, "centres ways"]
    """Others that each ball holds, without each group of centres (0 in its own); last, with all."""
    parts: Int64[Tensor, "centres parts"]
    """Others that each ball holds, with all centres, by the group of these others."""

    @classmethod
    def around(
        cls,
        centres: Float64[Tensor, "centres d"],
        others: Float64[Tensor, "others d"],
        k: int,
        *,
        groups: int,
        parts: int,
    ) -> Balls:
        """Count pairs of a centre and an image in its ball, which is closed, tile by tile.

        Args:
            centres: more than k rows.
            others: rows that balls may hold.
            k: which nearest other centre a ball reaches to; an image is no other to itself.
            groups: of centres. None is left out where the rest would be k or fewer.
            parts: groups of others.

        >>> line = torch.arange(4.0, dtype=torch.float64)[:, None]
        >>> balls = Balls.around(line, line[:2] + 0.5, 1, groups=2, parts=2)
        >>> balls.held.tolist()
        [[1, 2, 2], [2, 2, 2]]
        >>> balls.holding.tolist()
        [[0, 2, 1], [2, 0, 2], [0, 2, 1], [1, 0, 0]]
        >>> balls.parts.tolist()
        [[1, 0], [1, 1], [0, 1], [0, 0]]
        """
        groups = min(groups, len(centres))
        if groups and len(centres) - math.ceil(len(centres) / groups) <= k:
            groups = 0
        radii = _radii(centres, k, groups)
        group, part = _members(len(centres), groups), _members(len(others), parts)
        held = torch.zeros(len(others), groups + 1, dtype=torch.float64)
        holding = torch.zeros(len(centres), groups + 1, dtype=torch.float64)
        by_part = torch.zeros(len(centres), parts, dtype=torch.float64)
        # Balls only grow where a group is left out, so what one surely holds it holds whenever it
        # is there itself.
        there = torch.cat([1 - group, torch.ones(len(centres), 1, dtype=torch.float64)], dim=1)
        for rows, columns, surely, (row, column, distance) in _tiles(centres, others, radii):
            held[columns] += surely.T @ there[rows]
            holding[rows] += surely.sum(dim=1, keepdim=True) * there[rows]
            by_part[rows] += surely @ part[columns]
            inside = (distance[:, None] <= radii[row]).double()
            held.index_add_(0, column, inside)
            holding.index_add_(0, row, inside)
            by_part.index_add_(0, row, part[column] * inside[:, -1:])
        return cls(held.long(), holding.long(), by_part.long())


def _members(n: int, groups: int) -> Float64[Tensor, "n groups"]:
    """Return 1 where image i belongs to group j, and 0 elsewhere."""
    return (torch.arange(n)[:, None] % max(groups, 1) == torch.arange(groups)).double()


def _radii(centres: Float64[Tensor, "n d"], k: int, groups: int) -> Float64[Tensor, "n ways"]:
    """Return the radii without each group of centres, and last with all.

    It is −1, which holds nothing, for those of the group that is left out. An image is at 0 from
    itself, so its k-th nearest other is the one after the k nearest.
    """
    listed = _listed(centres, min(len(centres), 2 * (k + 1) + 4))
    group = torch.arange(len(centres)) % max(groups, 1)
    radii = listed.distances[:, k : k + 1].repeat(1, groups + 1)
    for left_out in range(groups):
        count = (group[listed.indices] != left_out).cumsum(dim=1)
        place = (count == k + 1).int().argmax(dim=1, keepdim=True)
        radii[:, left_out] = listed.distances.gather(1, place)[:, 0]
        # Too many of those listed were of the group.
        rest = ((count[:, -1] <= k) & (group != left_out)).nonzero()[:, 0]
        if len(rest):
            passed = torch.full_like(rest, left_out)
            found = nearest(centres[rest], centres, k + 1, passing_over=(passed, group))
            radii[rest, left_out] = found.distances[:, k]
        radii[group == left_out, left_out] = -1.0
    return radii


def _listed(images: Float64[Tensor, "n d"], count: int) -> TopK:
    """Return the nearest images of each, itself among them, from memory where they are there."""
    content = hashlib.blake2b(images.contiguous().numpy().data, digest_size=16).digest()
    key = (content, tuple(images.shape), count)
    found = _KEPT.pop(key, None)
    if found is None:
        found = nearest(images, images, count)
    _KEPT[key] = found
    while len(_KEPT) > _KEPT_SETS:
        _KEPT.popitem(last=False)
    return found


_Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"], Float64[Tensor, " pairs"]]


def _tiles(
    centres: Float64[Tensor, "centres d"],
    others: Float64[Tensor, "others d"],
    radii: Float64[Tensor, "centres ways"],
) -> Iterator[tuple[slice, slice, Float64[Tensor, "rows columns"], _Pairs]]:
    """Yield tiles: 1 for pairs that are surely within the radius, and pairs that are in doubt.

    The latter come with their distances by float64 differences. A product decides all others, as
    its error is bounded (:mod:`ecotone.measures.products`).
    """
    d = centres.shape[1]
    arithmetic, slack = FloatingPoint(torch.float64, d), 1 + 4e-16 * (d + 8)
    least, most = radii[:, -1:].square() / slack, radii.amax(dim=1, keepdim=True).square() * slack
    room = torch.empty(_TILE * min(_TILE, len(others)), dtype=torch.float64)
    for start in range(0, len(others), _TILE):
        columns = slice(start, min(start + _TILE, len(others)))
        tile = arithmetic.operand(others[columns])
        for top in range(0, len(centres), _TILE):
            rows = slice(top, min(top + _TILE, len(centres)))
            left = arithmetic.operand(centres[rows])
            scores = arithmetic.scores(left, tile, room)
            lower, upper = arithmetic.bounds(scores, left, largest_of(tile, None))
            surely = upper < least[rows]
            # Written so that NaN, from sums that overflow, counts as in doubt.
            row, column = (~surely & ~(lower > most[rows])).nonzero(as_tuple=True)
            row, column = row + top, column + start
            distance = squared_distances(centres, others, row, column).sqrt()
            yield rows, columns, surely.double(), (row, column, distance)
