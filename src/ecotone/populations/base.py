"""What a population is, how it is split, and the kind that is held in memory.

A split's holdout depends on the seed and its own size alone, and the training sets of one seed are
nested: training on more data adds items and takes none away. So runs along an axis of n share
their holdout, and differ by the added items only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.records import content_hash
from ecotone.core.seeds import generator

__all__ = ["FiniteData", "Population", "Split", "centred", "check_counts"]


@dataclass(frozen=True, eq=False)
class Split:
    """Training and holdout items that share none.

    Args:
        training: items to train on, float32.
        holdout: items kept from training, float32, of the same shape.
        training_ids: one name per training item.
        holdout_ids: one name per holdout item.

    Raises:
        ValueError: where ids and items differ in number, an id is repeated, or stands on both
            sides.

    >>> Split(torch.zeros(2, 3), torch.ones(1, 3), ("a", "b"), ("c",)).n
    2
    """

    training: Float[Tensor, " n *shape"]
    holdout: Float[Tensor, " held *shape"]
    training_ids: tuple[str, ...]
    holdout_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        for side in ("training", "holdout"):
            items, ids = getattr(self, side), getattr(self, f"{side}_ids")
            if len(items) != len(ids):
                raise ValueError(f"{len(items)} {side} items but {len(ids)} {side}_ids")
            if len(set(ids)) != len(ids):
                raise ValueError(f"{side}_ids name an item twice")
        if shared := set(self.training_ids) & set(self.holdout_ids):
            raise ValueError(f"{min(shared)!r} is in both training and holdout")

    @property
    def n(self) -> int:
        """How many items there are to train on."""
        return len(self.training)


@runtime_checkable
class Population(Protocol):
    """Where data comes from: all that training and measuring need to know of it."""

    @property
    def name(self) -> str:
        """Name it is registered by."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item; an image's is (channels, height, width)."""
        ...

    @property
    def size(self) -> int | None:
        """How many items there are; None where there is no end of them."""
        ...

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Lowest and highest value an item can hold: (-1, 1) for images; None for no bounds."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the data, or of the parameters that they are drawn with."""
        ...

    def draw(self, n: int, seed: int) -> Float[Tensor, " n *shape"]:
        """Return n items, float32."""
        ...

    def split(self, n: int, holdout: int, seed: int) -> Split:
        """Return n items to train on and some held out."""
        ...


def check_counts(n: int, holdout: int) -> None:
    """Refuse a split with fewer than two items on a side."""
    for name, count in (("n", n), ("holdout", holdout)):
        if count < 2:
            raise ConfigError(
                f"{name} = {count} is too small: a split needs 2 items or more on each side",
                hint=f"set {name} to 2 or more",
            )


class FiniteData:
    """A data set held in memory, drawn from without replacement.

    Args:
        items: the data; cast to float32, checked to be finite.
        ids: one distinct name per item.
        name: of the population, for errors and records.
        value_range: lowest and highest value an item can hold, or None.
        groups: one label per item (patient, scene, source film) or None. Items of one group never
            stand on both sides of a split.
        options: what was chosen in making the items, plain values; part of the fingerprint.

    Raises:
        DataError: for fewer than four items (no split has fewer), or one that holds NaN or
            infinity, named by its id and index.
        ValueError: where ids or groups differ in number from the items, or ids repeat.

    >>> data = FiniteData(torch.arange(10.0)[:, None], [f"i{k}" for k in range(10)], name="ten")
    >>> small, large = data.split(3, 4, seed=0), data.split(6, 4, seed=0)
    >>> small.holdout_ids == large.holdout_ids, small.training_ids == large.training_ids[:3]
    (True, True)
    """

    def __init__(
        self,
        items: Float[Tensor, " size *shape"],
        ids: Sequence[str],
        *,
        name: str,
        value_range: tuple[float, float] | None = None,
        groups: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if len(ids) != len(items) or (groups is not None and len(groups) != len(items)):
            raise ValueError("give one id, and one group where there are any, for each item")
        if len(set(ids)) != len(ids):
            raise ValueError("two items have the same id")
        if len(items) < 4 or items.numel() == 0:
            raise DataError(
                f"{name}: {len(items)} items of shape {tuple(items.shape[1:])} cannot be split",
                hint="give 4 items or more: 2 to train on and 2 to hold out",
            )
        self.name = name
        self.items = items.to(torch.float32).contiguous()
        self.ids = tuple(ids)
        self.groups = None if groups is None else tuple(groups)
        self.options = dict(options or {})
        self.value_range = value_range
        self.shape = tuple(items.shape[1:])
        self.size = len(items)
        # numpy's test is many times faster than torch's on a CPU.
        finite = torch.from_numpy(np.isfinite(self.items.numpy()))
        if not finite.all():
            row, *place = (int(i) for i in (~finite).nonzero()[0])
            value = float(self.items[(row, *place)])
            raise DataError(
                f"{name}: item {row} ({self.ids[row]}) holds {value} at index {tuple(place)}",
                hint="remove it, or replace values that are not finite in float32",
            )

    @property
    def fingerprint(self) -> str:
        """Hash of the items' bytes, shape, groups and options; ids and paths are not in it."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        chosen = {
            "shape": [self.size, *self.shape],
            "value_range": self.value_range,
            "groups": self.groups,
            "options": self.options,
        }
        return content_hash(self.name, self.items.numpy().tobytes(), chosen)

    def draw(self, n: int, seed: int) -> Float[Tensor, " n *shape"]:
        """Return n different items in random order; the first k are the same whatever n is.

        Raises:
            ConfigError: for n below 1 or above the size.
        """
        if not 1 <= n <= self.size:
            raise ConfigError(
                f"cannot draw {n} different items of the {self.size} in {self.name}",
                hint=f"set n to between 1 and {self.size}",
            )
        order = generator(seed, "draw").permutation(self.size)
        return self.items[torch.from_numpy(order[:n])]

    def split(self, n: int, holdout: int, seed: int) -> Split:
        """Return n items to train on and ``holdout`` others, no group on both sides.

        Whole groups are set aside in a random order until they have ``holdout`` items; the holdout
        is drawn from them, and what it leaves over of them is not used. Training items are drawn
        from the other groups. Without groups each item is its own.

        Raises:
            ConfigError: for n or holdout below 2, a holdout that leaves fewer than 2 items to
                train on, or n above what it leaves.
        """
        check_counts(n, holdout)
        _, group = np.unique(
            np.arange(self.size) if self.groups is None else np.array(self.groups),
            return_inverse=True,
        )
        group_order = generator(seed, "holdout groups").permutation(int(group.max()) + 1)
        filled = np.bincount(group)[group_order].cumsum()
        needed = int(np.searchsorted(filled, holdout)) + 1
        left = self.size - int(filled[min(needed, len(filled)) - 1])
        if left < 2:
            possible = filled[filled <= self.size - 2]
            raise ConfigError(
                f"a holdout of {holdout} leaves {left} of the {self.size} items in {self.name} "
                f"for training{self._in_groups(len(filled))}: no n can be had (maximum n = {left})",
                hint=f"set holdout to {possible[-1]} or less"
                if len(possible) and possible[-1] >= 2
                else "no holdout can be had with these groups: set population.groups to another",
            )
        if n > left:
            raise ConfigError(
                f"n = {n} is larger than the data: {self.name} has {self.size} items, of which "
                f"a holdout of {holdout} leaves {left}{self._in_groups(len(filled))}",
                hint=f"set n to {left} or less (maximum n = {left})",
            )
        is_held = np.isin(group, group_order[:needed])
        order = generator(seed, "split").permutation(self.size)
        training, held = order[~is_held[order]][:n], order[is_held[order]][:holdout]
        return Split(
            training=self.items[torch.from_numpy(training)],
            holdout=self.items[torch.from_numpy(held)],
            training_ids=tuple(self.ids[i] for i in training),
            holdout_ids=tuple(self.ids[i] for i in held),
        )

    def _in_groups(self, count: int) -> str:
        return "" if self.groups is None else f" (its {count} groups are never divided)"


def centred(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 8-bit values v, held as float32, as v/127.5 − 1 in [-1, 1], rounded only once.

    >>> centred(np.array([0, 255], dtype=np.float32)).tolist()
    [-1.0, 1.0]
    """
    return (2 * pixels - 255) / np.float32(255)
