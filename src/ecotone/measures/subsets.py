"""Random orders and subsets of images that do not depend on the order they came in."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ecotone.core.seeds import derive

__all__ = ["shuffled"]


def shuffled(images: Shaped[Tensor, " n *shape"], seed: int, *names: str) -> Int64[Tensor, " n"]:
    """Return the indices of images in a random order that their contents and the seed decide.

    Images are ranked by a keyed hash (BLAKE2b). So the first k are a random subset, the same in
    whatever order the images are given, and those of a part of the images that lie among the first
    of the whole are among the first of the part. Equal images stand together.

    Args:
        images: of any shape and type.
        seed: root seed.
        names: what the order is for.

    >>> images = torch.arange(5.0)[:, None]
    >>> order = shuffled(images, 0, "subset")
    >>> torch.equal(images[order], images.flip(0)[shuffled(images.flip(0), 0, "subset")])
    True
    """
    key = derive(seed, "shuffled", *names).to_bytes(8)
    rows = images.detach().reshape(len(images), -1).contiguous().cpu().view(torch.uint8).numpy()
    digests = [hashlib.blake2b(row.data, digest_size=16, key=key).digest() for row in rows]
    return torch.tensor(sorted(range(len(digests)), key=digests.__getitem__), dtype=torch.int64)
