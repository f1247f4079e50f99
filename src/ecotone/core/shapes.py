"""Names for the shapes of tensors that pass between the rooms."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

__all__ = ["Batch", "Levels", "Vectors"]

Batch = Float[Tensor, "batch *shape"]
"""A batch of samples of any shape: images are (batch, channels, height, width)."""

Levels = Float[Tensor, " batch"]
"""One noise level sigma per sample, in the units of the data."""

Vectors = Float[Tensor, "batch dimension"]
"""A batch of flat vectors."""
