"""The sum of a Gaussian kernel over all pairs of points: ∫ p² of a kernel density estimate.

Most pairs of a large set weigh next to nothing, so the sum is had in up to three arithmetics, the
cheapest first, each with rigorous bounds on what it may be wrong by. Whoever asks goes on to the
next only where the bounds leave a question open. The second is first used only where the sum is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import repeat

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.measures.pair_bounds import PowerSum, TileSums, eight_bit_sum, upper_tiles
from ecotone.measures.products import FloatingPoint, Operand, eight_bit_products_are_exact

__all__ = ["PairSum"]

_ROWS, _COLUMNS = 512, 1024
"""Pairs of a tile: their exponents stay in a processor's cache."""

_TILE_BYTES = 16 << 20
"""Of the points of a tile; where the dimension is so high, tiles have fewer rows."""

_KEPT_BYTES = 64 << 20
"""Points in another arithmetic are kept if they take no more than this, else made tile by tile."""

_SMALL = 1 << 28
"""Products n²·d up to which float64 takes a few tens of milliseconds: no bounds are tried."""

_HOPELESS = 12.0
"""Bounds, in powers of 2 to either side, that are not worth their pass."""

_LEFT = (0.1, 0.01)
"""Shares of the sum that are left in 8 bits, one after the other, where most tiles can be left."""

_LEAST = {torch.float32: -120.0, torch.float64: -1000.0}
"""Powers of 2 below the largest are raised to this: denormals are slow, and weigh nothing."""


class PairSum:
    """log Σ_{i≠j} exp(−|x_i − x_j|²/(4 ε²)) over ordered pairs: bounds first, exact on demand.

    With p the mean of N(x_i, ε² I) over n points of d dimensions,
    ∫ p² = (4π ε²)^(−d/2) n^(−2) (n + the sum). Points are centred and measured in units of ε, so
    neither shift nor scale matters, and sums are kept relative to their largest terms, so they
    neither under- nor overflow. Pairs pass in tiles over i ≤ j; beside the points there are a few
    tens of MB, and for 8-bit bounds up to a quarter of what the points take. Large sets are taken
    from the centre outwards: pairs that lie close are mostly those of short vectors, so they come
    to stand in few tiles.

    - *8 bits*: integer products of rounded points. A distance is known to within the two residuals
      of rounding (triangle inequality). Only on CPUs whose 8-bit products are exact.
    - *float32*, of the tiles that hold the most, the others as before; then
    - *float32* of all: products, with the error bound of ``FloatingPoint`` in
      :mod:`ecotone.measures.products`.
    - *exact*: float64 products where their error bound is below 1e-10 · max(1, d/32) nats (they are
      wrong by far less), else float64 differences.

    Args:
        points: (n, d), finite, n of 2 or more.
        variance: ε² of each kernel, above 0.

    Raises:
        ConfigError: for a variance that is not finite and above 0.
        DataError: for fewer than two points, no dimensions, or a value that is not finite.

    >>> pair = PairSum(torch.tensor([[0.0], [2.0]], dtype=torch.float64), variance=1.0)
    >>> round(pair.log_value - (math.log(2) - 1), 12)
    0.0
    >>> pair.bounds() == (pair.log_value, pair.log_value)
    True
    """

    def __init__(self, points: Float64[Tensor, "n d"], variance: float) -> None:
        if not 0 < variance < math.inf:
            raise ConfigError(
                f"a kernel's variance = {variance} is not finite and above 0",
                hint="give the square of a bandwidth",
            )
        n, d = points.shape
        if n < 2 or d < 1:
            raise DataError(
                f"{n} points of {d} dimensions have no pairs",
                hint="give at least two points of at least one dimension",
            )
        self._points, self._n, self._d = points, n, d
        self._centre = points.mean(dim=0)
        # exp(−|x − y|²/(4ε²)) = 2^(−|u − v|²) in these units.
        self._unit = math.sqrt(math.log2(math.e) / 4 / variance)
        low, high = torch.aminmax(points, dim=0)
        span = (low - self._centre).min(), (high - self._centre).max()
        self._span = float(span[0]) * self._unit, float(span[1]) * self._unit
        if not d * max(abs(end) for end in self._span) ** 2 < math.inf:
            raise DataError(
                "points hold a value that is not finite, or is too far out for this bandwidth",
                hint="remove NaN and infinite values, or give a wider bandwidth",
            )
        self._pairs = math.log2(n) + math.log2(n - 1)
        fit = max(8, _TILE_BYTES // (8 * d))
        self._tile = min(_ROWS, fit), min(_COLUMNS, 2 * fit)
        self._bounds = (-math.inf, math.inf)
        self._order: Tensor | None = None
        if n * n * d > _SMALL:
            self._order = self._squares().argsort()
        self._tiles: TileSums | None = None
        self._ways = self._ladder()

    def bounds(self) -> tuple[float, float]:
        """Return (low, high) around the log of the sum, in nats: the closest had so far.

        The first call makes the cheapest pass that says anything.
        """
        while self._bounds == (-math.inf, math.inf):
            self.tighten()
        return self._bounds

    def tighten(self) -> bool:
        """Make the next dearer pass; return False, and make none, where the value is exact."""
        way = next(self._ways, None)
        if way is None:
            return False
        low, high = way()
        if low < high:
            low, high = max(low, self._bounds[0]), min(high, self._bounds[1])
        self._bounds = low, high
        return True

    @property
    def exact(self) -> bool:
        """Whether :attr:`log_value` is there without another pass."""
        return self._bounds[0] == self._bounds[1]

    @property
    def log_value(self) -> float:
        """The log of the sum, in nats, in float64."""
        if not self.exact:
            self._ways, self._bounds = iter(()), self._in_float64()
        return self._bounds[0]

    def _ladder(self) -> Iterator[Callable[[], tuple[float, float]]]:
        if self._order is not None:
            if eight_bit_products_are_exact(self._d, self._points.device):
                yield self._in_eight_bits
            if self._tiles is not None:
                yield from self._parts(self._tiles)
            yield self._in_float32
        yield self._in_float64

    def _in_eight_bits(self) -> tuple[float, float]:
        step = (self._span[1] - self._span[0]) / 255
        # Rounding leaves about so much of a pair's distance; pairs that count lie about so far.
        doubt, far = 2 * step * math.sqrt(self._d / 12), math.sqrt(self._pairs)
        if 2 * doubt * far + doubt * doubt > _HOPELESS:
            return -math.inf, math.inf
        found = eight_bit_sum(self._rows, n=self._n, d=self._d, span=self._span, tile=self._tile)
        if found is None:
            return -math.inf, math.inf
        self._tiles = found
        return _nats(*found.whole.bounds(self._pairs))

    def _parts(self, tiles: TileSums) -> Iterator[Callable[[], tuple[float, float]]]:
        """Yield passes over the tiles that hold the most, as long as they are a minority."""
        shares, order = tiles.shares.sort(descending=True)
        left = 1 - shares.cumsum(0)
        settled, done = -math.inf, 0
        for share in _LEFT:
            some = int((left > share).sum()) + 1
            if some <= done:
                continue
            if some > len(shares) // 2:
                return
            chosen, rest = torch.zeros(2, len(shares), dtype=torch.bool)
            chosen[order[done:some]] = True
            rest[order[some:]] = True
            added: list[float] = []
            yield partial(self._in_part, tiles, chosen, rest, settled, added)
            if not added:
                return
            settled, done = added[0], some

    def _in_part(
        self,
        tiles: TileSums,
        chosen: Bool[Tensor, " tiles"],
        rest: Bool[Tensor, " tiles"],
        settled: float,
        added: list[float],
    ) -> tuple[float, float]:
        """Return bounds from some tiles in float32, besides those settled, and the rest in 8 bits.

        What is settled then, as a base-2 logarithm, is put into ``added``.
        """
        arithmetic = FloatingPoint(torch.float32, self._d)
        error = self._float32_error(arithmetic)
        if error > _HOPELESS:
            return -math.inf, math.inf
        found = _log2_sum(settled, self._sum(arithmetic, chosen))
        added.append(found)
        low, high = tiles.bounds(rest, self._pairs)
        return _nats(_log2_sum(found - error, low), _log2_sum(found + error, high))

    def _in_float32(self) -> tuple[float, float]:
        arithmetic = FloatingPoint(torch.float32, self._d)
        error = self._float32_error(arithmetic)
        if error > _HOPELESS:
            return -math.inf, math.inf
        return _nats(*PowerSum(self._sum(arithmetic), error, 0.0).bounds(self._pairs))

    def _float32_error(self, arithmetic: FloatingPoint) -> float:
        """Return what the base-2 logarithm of a sum in float32 may be wrong by."""
        farthest = self._farthest
        # Of squared distances; of shifted exponents, of 2^x and of sums over columns.
        return _error(arithmetic, farthest) + 2.0**-24 * (16 * farthest + 2 * self._tile[1] + 16)

    def _in_float64(self) -> tuple[float, float]:
        arithmetic = FloatingPoint(torch.float64, self._d)
        close = _error(arithmetic, self._farthest) * math.log(2) < 1e-10 * max(1, self._d / 32)
        value = self._sum(arithmetic if close else None) * math.log(2)
        return value, value

    def _rows(self, piece: slice) -> Float64[Tensor, "rows d"]:
        """Return points as seen from their centre, in units in which exponents are −|u − v|²."""
        points = self._points[piece if self._order is None else self._order[piece]]
        return (points - self._centre).mul_(self._unit)

    def _slices(self) -> list[slice]:
        step = self._tile[1]
        return [slice(start, start + step) for start in range(0, self._n, step)]

    def _squares(self) -> Float64[Tensor, " n"]:
        """Return |u|² of all points."""
        return torch.cat([self._rows(piece).square_().sum(dim=1) for piece in self._slices()])

    @cached_property
    def _farthest(self) -> float:
        """The largest |u|² of all points."""
        return float(self._squares().max())

    def _sum(
        self, arithmetic: FloatingPoint | None, among: Bool[Tensor, " tiles"] | None = None
    ) -> float:
        """Return log2 of the sum, by products or (None) float64 differences.

        Over all pairs, or over those of some tiles.
        """
        dtype = torch.float64 if arithmetic is None else arithmetic.dtype

        def make(piece: slice) -> Operand:
            rows = self._rows(piece)
            nothing = rows.new_zeros(len(rows))
            return arithmetic.operand(rows) if arithmetic else Operand(rows, nothing, nothing)

        take = make
        if self._n * self._d * dtype.itemsize <= _KEPT_BYTES:
            parts = zip(*map(make, self._slices()), strict=True)
            whole = Operand(*map(torch.cat, parts))

            def take(piece: slice) -> Operand:
                return Operand(*(part[piece] for part in whole))

        room = self._points.new_empty(self._tile[0] * self._tile[1], dtype=dtype)

        def exponents(left: Operand, right: Operand, diagonal: bool, shift: float) -> Tensor:
            """Return −|u − v|² − shift, and −∞ for a point with itself."""
            if arithmetic is None:
                found = torch.cdist(left.values, right.values, compute_mode=_DIFFERENCES)
                found.square_().neg_().sub_(shift)
            else:
                found = arithmetic.scores(left, right, room)
                found.sub_((left.squares + shift).to(dtype)[:, None])
            return found.fill_diagonal_(-math.inf) if diagonal else found

        shift, total = -math.inf, 0.0
        wanted = repeat(True) if among is None else iter(among.tolist())
        for rows, across in upper_tiles(self._n, *self._tile):
            left = take(rows)
            for columns in across:
                if not next(wanted):
                    continue
                diagonal = rows == columns
                right = left if diagonal else take(columns)
                added = math.inf
                if shift > -math.inf:
                    added = _powers(exponents(left, right, diagonal, shift))
                if added == math.inf:  # The first tile, or one with far larger terms.
                    higher = float(exponents(left, right, diagonal, 0.0).max())
                    total *= 2.0 ** max(shift - higher, -1000.0)
                    shift = higher
                    added = _powers(exponents(left, right, diagonal, shift))
                total += added if diagonal else 2 * added
        return shift + math.log2(total)


_DIFFERENCES = "donot_use_mm_for_euclid_dist"


def _error(arithmetic: FloatingPoint, squares: float) -> float:
    """Return what |u − v|² may be wrong by where |u|² and |v|² do not exceed ``squares``."""
    top = torch.full((1,), squares, dtype=torch.float64)
    largest = Operand(top[:, None], top, torch.zeros_like(top))
    _, high = arithmetic.bounds(torch.zeros(1, 1, dtype=torch.float64), largest, largest)
    return float(high) - squares


def _nats(low: float, high: float) -> tuple[float, float]:
    return low * math.log(2), high * math.log(2)


def _log2_sum(first: float, second: float) -> float:
    """Return log2(2^a + 2^b)."""
    high, low = max(first, second), min(first, second)
    return high + math.log1p(2.0 ** (low - high)) / math.log(2) if low > -math.inf else high


def _powers(exponents: Tensor) -> float:
    """Return Σ 2^x, in place; infinite where it overflows."""
    least = _LEAST[exponents.dtype]
    return float(exponents.clamp_(min=least).exp2_().sum(dim=1).double().sum())
