"""Features kept by what an image holds, so that no image is encoded twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError, RecordError
from ecotone.core.records import canonical_json
from ecotone.features.base import FeatureSpace
from ecotone.features.cache_folder import CacheFolder

__all__ = ["Cached", "cached"]

_GIBIBYTE = 2**30
# A dictionary entry, its key and a tensor's own bookkeeping.
_OVERHEAD = 300
# Features computed in another batch, by another version of a library: more is another encoder.
_SAME = 1e-2


class Cached:
    """A fitted feature space that computes the features of an image once.

    Each row is kept under a keyed hash (BLAKE2b) of its image's bytes, shape and type; the key is
    a hash of what the space is: its :meth:`describe`, and what it was fitted to. So the same image
    is found again in whatever order or subset it comes. Features are kept as they came, in float32
    where that loses nothing.

    Args:
        space: a fitted feature space.
        folder: where features are kept from one process to the next, None for memory alone. Any
            number of spaces and processes may share one. The first row that is found in it is
            computed again, and has to agree.
        limit: bytes of memory to keep features in; those used longest ago give way.

    Raises:
        ConfigError: for a limit below 0.

    >>> from ecotone.features.pixels import Pixels
    >>> space, images = Cached(Pixels()), torch.eye(3)
    >>> torch.equal(space(images).flip(0), space(images.flip(0))), space.computed
    (True, 3)
    """

    costly = True

    def __init__(
        self, space: FeatureSpace, folder: Path | None = None, *, limit: int = _GIBIBYTE
    ) -> None:
        if limit < 0:
            raise ConfigError(f"limit = {limit} is negative", hint="give bytes, 0 or more")
        self.space = space
        self.folder = folder
        self.limit = limit
        self.computed = 0
        """How many rows were asked of the space."""
        self._rows: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0
        self._key: bytes | None = None
        self._kept: CacheFolder | None = None
        self._trusted = False

    def fit(self, images: Float[Tensor, " n *shape"]) -> Cached:
        """Return this space fitted to images: itself, or a new one where the space is a new one."""
        fitted = self.space.fit(images)
        if fitted is self.space and self._key in (None, _identity(fitted)):
            return self
        return Cached(fitted, self.folder, limit=self.limit)

    def __call__(self, images: Float[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return one row of features an image, in float64, where the images are.

        Raises:
            RecordError: for a folder whose features are not those of the space, or that cannot be
                written to.
            DataError: as the space does.
        """
        if images.ndim < 2 or not images.numel():
            return self.space(images)  # which says what is wrong with them
        names = self._names(images)
        found = self._find(names, images)
        # Each new image once, at its first place.
        places = {name: i for i, name in reversed([*enumerate(names)]) if name not in found}
        new = dict(sorted(places.items(), key=lambda item: item[1]))
        if new:
            rows = self._compute(images, list(new.values()))
            fresh = dict(zip(new, rows, strict=True))
            if self._kept is not None:
                self._kept.write(fresh)
            found |= fresh
        features = torch.stack([found[name] for name in names]).double()
        self._remember(found)
        return features.to(images.device)

    def describe(self) -> dict[str, Any]:
        """Return what the space does; that its features are kept changes none of them."""
        return self.space.describe()

    def _compute(self, images: Tensor, places: list[int]) -> Tensor:
        """Return the features of some of the images, as they are kept."""
        chosen = images[torch.tensor(places, device=images.device)]
        try:
            rows = self.space(chosen)
        except DataError:
            # An error names an image by its place among those given: give all.
            self.space(images)
            raise
        self.computed += len(places)
        rows = rows.detach().cpu()
        narrow = rows.float()
        return narrow if torch.equal(narrow.double(), rows) else rows

    def _find(self, names: list[bytes], images: Tensor) -> dict[bytes, Tensor]:
        """Return the rows that are kept, in memory or in the folder."""
        found: dict[bytes, Tensor] = {}
        for name in names:
            if name in self._rows:
                self._rows.move_to_end(name)
                found[name] = self._rows[name]
        if self._kept is None:
            return found
        stored = self._kept.read({name for name in names if name not in found})
        if stored and not self._trusted:
            place = next(i for i, name in enumerate(names) if name in stored)
            again = self._compute(images, [place])[0].double()
            kept = stored[names[place]].double()
            if again.shape != kept.shape or float((again - kept).abs().max()) > _SAME * float(
                again.abs().max()
            ):
                raise RecordError(
                    f"{self._kept.folder} holds other features of an image than are computed now",
                    hint="the encoder has changed in what its description does not tell of: delete "
                    "the folder",
                )
            self._trusted = True
        return found | stored

    def _remember(self, rows: Mapping[bytes, Tensor]) -> None:
        for name, row in rows.items():
            if name not in self._rows:
                # A copy, as a row of a batch would keep the whole batch in memory.
                self._rows[name] = row.clone()
                self._bytes += row.nbytes + _OVERHEAD
        while self._bytes > self.limit:
            _, row = self._rows.popitem(last=False)
            self._bytes -= row.nbytes + _OVERHEAD

    def _names(self, images: Tensor) -> list[bytes]:
        if self._key is None:
            self._key = _identity(self.space)
            if self.folder is not None:
                about = {"space": self.space.describe()}
                self._kept = CacheFolder(Path(self.folder) / self._key.hex(), about)
        form = f"{images.dtype}{tuple(images.shape[1:])}".encode()
        key = hashlib.blake2b(form, digest_size=32, key=self._key).digest()
        rows = images.detach().reshape(len(images), -1).contiguous().cpu().view(torch.uint8).numpy()
        return [hashlib.blake2b(row.data, digest_size=16, key=key).digest() for row in rows]


def cached(space: FeatureSpace, folder: Path | None = None) -> FeatureSpace:
    """Return a space that keeps its features, where computing them is dearer than keeping them.

    A space says so by an attribute ``costly`` that is true, as every encoder's is.

    >>> from ecotone.features.pixels import Pixels
    >>> type(cached(Pixels())).__name__
    'Pixels'
    """
    if isinstance(space, Cached) or not getattr(space, "costly", False):
        return space
    return Cached(space, folder)


def _identity(space: FeatureSpace) -> bytes:
    """Return 16 bytes that tell spaces apart by class, description, and the numbers they hold.

    An encoder's description has hashes of its weights. That of principal components does not tell
    what they are, but they are tensors of the space's own.
    """
    kind = type(space)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{kind.__module__}:{kind.__qualname__}".encode())
    digest.update(canonical_json(space.describe()).encode())
    for name, value in _numbers(getattr(space, "__dict__", {})):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.digest()


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in sorted(values.items()):
        if isinstance(value, Tensor):
            data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            yield f"{name} {value.dtype} {tuple(value.shape)}", data.numpy()
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            yield name, value
