"""Bounds on the sum of 2^−|u − v|² over all pairs of points, by 8-bit products.

Everything between the points and the sum is an integer: one 8-bit product gives −|u − v|²/2 for a
tile of pairs, and shifting it into the exponent of a float32 gives the power of two to within 6 %
(Schraudolph 1999), at half the cost of float32 products and powers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int8
from torch import Tensor

from ecotone.measures.products import EightBit, eight_bit_products_are_exact

__all__ = ["PowerSum", "TileSums", "eight_bit_sum", "upper_tiles"]

_int_mm: Any = getattr(torch, "_int_mm", None)
"""Private to torch; called only where ``eight_bit_products_are_exact``."""

_ONE = 1 << 23
"""One power of 2 in the bits of a float32."""

_ABOVE, _BELOW = 100, 126
"""Powers of 2 over and under the largest term that a float32 sum holds, denormals left out."""

_NEAR = 128 * _ONE
"""Shifts of exponents below this, in bits, keep every step within an int32."""

_TELLS = 2.0**-60
"""Shares of a sum below this may be made of terms that were raised."""

_CHORD = 1 - 1 / math.log(2) - math.log2(math.log(2))
"""By how much 1 + f exceeds 2^f at most for f in 0 … 1, in base-2 logarithms: 0.086."""


class PowerSum(NamedTuple):
    """Σ_{i≠j} 2^−m_ij, with m what an arithmetic makes of a squared distance |u − v|²."""

    log2: float
    error: float
    """By how much each m, and the log of the sum, may be wrong, in base-2 logarithms."""
    doubt: float
    """By how much each distance |u − v| may be wrong besides."""

    def bounds(self, pairs: float) -> tuple[float, float]:
        """Return bounds on the base-2 logarithm of the true sum.

        A pair that looks at most D apart is wrong by at most 2Dδ + δ² in its exponent, δ being the
        doubt. Those that look farther weigh at most their number times 2^−D², and truly at most
        2^−(D − δ)². Every D ≥ δ gives a bound, so the best of many is taken.

        Args:
            pairs: base-2 logarithm of the number of pairs.
        """
        log2, error, doubt = self
        if doubt == 0:
            return log2 - error, log2 + error
        least = math.sqrt(max(pairs - log2, 0.0) + 1)
        far = torch.linspace(least, 3 * least + 20, 400, dtype=torch.float64) + doubt
        beyond = pairs - (far - doubt).square()
        high = torch.logaddexp2(log2 + error + 2 * far * doubt, beyond + error).min()
        lost = torch.exp2(pairs - far.square() - log2 + 2 * error)
        near = torch.log2(1 - lost.clamp_max(1))
        low = (log2 - error + near - 2 * far * doubt - doubt * doubt).max()
        return float(low), float(high)


class TileSums(NamedTuple):
    """Σ 2^−m_ij of each tile of pairs by itself."""

    whole: PowerSum
    """Of all tiles."""
    shares: Float64[Tensor, " tiles"]
    """Of each tile in the sum, in the order of :func:`upper_tiles`."""

    def bounds(self, among: Bool[Tensor, " tiles"], pairs: float) -> tuple[float, float]:
        """Return bounds on the base-2 logarithm of the true sum over some tiles.

        Args:
            among: which.
            pairs: base-2 logarithm of the number of pairs in all tiles, or in those.
        """
        share = float(self.shares[among].sum())
        if share == 0 and not bool(among.any()):
            return -math.inf, -math.inf
        log2 = self.whole.log2 + math.log2(max(share, _TELLS))
        low, high = self.whole._replace(log2=log2).bounds(pairs)
        return (low if share > _TELLS else -math.inf), high


def upper_tiles(n: int, rows: int, columns: int) -> Iterator[tuple[slice, Iterator[slice]]]:
    """Yield rows, and the columns from their first one on: their own, then wider pieces.

    >>> [(r.start, [(c.start, c.stop) for c in cs]) for r, cs in upper_tiles(5, 2, 3)]
    [(0, [(0, 2), (2, 5)]), (2, [(2, 4), (4, 5)]), (4, [(4, 5)])]
    """
    for start in range(0, n, rows):
        own = slice(start, min(start + rows, n))
        rest = range(own.stop, n, columns)
        yield own, iter([own, *(slice(at, min(at + columns, n)) for at in rest)])


def eight_bit_sum(
    take: Callable[[slice], Float64[Tensor, "rows d"]],
    *,
    n: int,
    d: int,
    span: tuple[float, float],
    tile: tuple[int, int],
) -> TileSums | None:
    """Return Σ_{i≠j} 2^−|u_i − u_j|² of points rounded to 8 bits, with what rounding took.

    It is had tile by tile of :func:`upper_tiles`.

    Args:
        take: gives the points u of a slice.
        n: how many there are.
        d: of how many dimensions.
        span: the least and greatest coordinate.
        tile: rows and columns of a product.

    Returns:
        The sums, or None where 8-bit products cannot be had for so many dimensions.
    """
    # The step between neighbouring integers, chosen so that step²·2^24 is a whole number.
    rate = max(1, math.ceil(((span[1] - span[0]) / 255) ** 2 * 2 * _ONE))
    step = math.sqrt(rate / (2 * _ONE))
    if rate > _ONE:  # So coarse that neighbouring integers halve a power or worse.
        return None
    arithmetic = EightBit(step, (span[0] + span[1]) / 2, exact=False)
    # Made beforehand: pieces kept between temporary ones would leave memory full of holes.
    values = torch.empty(n, d, dtype=torch.int8)
    squares, doubts = torch.empty(2, n, dtype=torch.float64)
    for start in range(0, n, tile[1]):
        piece = slice(start, start + tile[1])
        values[piece], squares[piece], doubts[piece] = arithmetic.operand(take(piece))
    digits, units, offset = _halves_of_squares(squares)
    k = len(units)
    wide = d + 2 * k + -(d + 2 * k) % 4  # Products of a multiple of 4 dimensions are faster.
    if not eight_bit_products_are_exact(wide, values.device):
        return None
    padding = values.new_zeros(n, wide - d - 2 * k)
    right_hand = torch.cat([values, units.expand(n, -1), digits, padding], dim=1)
    del values
    product = torch.empty(tile[0] * tile[1], dtype=torch.int32)
    bits = torch.empty_like(product)

    def halves(left: Tensor, right: Tensor) -> Tensor:
        """Return −|q − r|²/2 + offset for integers q and r."""
        out = product[: len(left) * len(right)].view(len(left), len(right))
        return _int_mm(left, right.T, out=out)

    def powers(left: Tensor, right: Tensor, diagonal: bool, least: int) -> float:
        """Return Σ 2^(exponent − that of ``least``), each power raised to 2^−126 at least."""
        found = halves(left, right)
        if abs(least) * rate >= _NEAR:
            found.sub_(least)
            least = 0
        found.clamp_(min=least - _BELOW * reach, max=least + _ABOVE * reach)
        out = bits[: found.numel()].view(found.shape)
        torch.add(one - least * rate, found, alpha=rate, out=out)
        terms = out.view(torch.float32)
        if diagonal:
            terms.fill_diagonal_(0)
        return float(terms.sum(dim=1).double().sum())

    one = torch.tensor(127 * _ONE, dtype=torch.int32)
    reach = _ONE // rate
    full = 2.0 ** (_ABOVE * reach * rate / _ONE) * (1 - 1e-6)
    top, logs = None, []
    for rows, across in upper_tiles(n, *tile):
        own = right_hand[rows]
        # Digits meet units, and units digits.
        parts = own[:, :d], own[:, d + k : d + 2 * k], own[:, d : d + k], padding[rows]
        left = torch.cat(parts, dim=1)
        for columns in across:
            right = right_hand[columns]
            diagonal = rows == columns
            if top is None or (added := powers(left, right, diagonal, top)) >= full:
                found = halves(left, right)
                if diagonal:
                    found.fill_diagonal_(torch.iinfo(torch.int32).min)
                top = int(found.max())
                added = powers(left, right, diagonal, top)
            # A last tile of one point has no pairs.
            log2 = math.log2(added) if added else -math.inf
            logs.append(log2 + (top - offset) * rate / _ONE + (0 if diagonal else 1))
    sums = torch.tensor(logs, dtype=torch.float64)
    shares = torch.exp2(sums - sums.max())
    log2 = float(sums.max()) + math.log2(float(shares.sum())) - _CHORD / 2
    # The chord; squares rounded up to even numbers; sums over columns in float32.
    error = _CHORD / 2 + rate / _ONE + tile[1] * 2.0**-23
    doubt = float(doubts.topk(2).values.sum())
    return TileSums(PowerSum(log2, error, doubt), shares / shares.sum())


def _halves_of_squares(
    squares: Float64[Tensor, " n"],
) -> tuple[Int8[Tensor, "n digits"], Int8[Tensor, " digits"], int]:
    """Return digits and their units, so that a product of them is −|q|²/2 + offset/2.

    Half a square, rounded up, is 128·a + b from their middle. The units are −128 and −1, and a is
    divided among as many digits as it takes.

    Returns:
        The digits, the units, and the offset: twice the middle.
    """
    halves = ((squares + 1) / 2).floor().long()
    middle = (int(halves.min()) + int(halves.max())) // 2
    many = (halves - middle + 64).div(128, rounding_mode="floor")
    rest = halves - middle - 128 * many
    k = max(1, math.ceil(int(many.abs().max()) / 127))
    parts = [(many + c).div(k, rounding_mode="floor") for c in range(k)]
    digits = torch.stack([*parts, rest], dim=1).to(torch.int8)
    return digits, torch.tensor([-128] * k + [-1], dtype=torch.int8), 2 * middle
