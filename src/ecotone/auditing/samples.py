"""Samples of a diffusers pipeline, for audits of a model that is at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from ecotone.auditing.measuring import Told
from ecotone.core.errors import ConfigError
from ecotone.core.seeds import sample_seeds
from ecotone.denoisers.pipelines import from_pipeline
from ecotone.populations.sources import Items, is_pipeline_folder
from ecotone.samplers import Heun, sample_batches

__all__ = ["Drawn", "drawn_samples"]

_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples of a pipeline.

    Args:
        images: with 8 bits a channel, as image files would hold them.
        name: of the pipeline.
    """

    images: UInt8[Tensor, " n channels height width"]
    name: str

    def named(self, items: Items) -> Items:
        """Return these images as opened, with ids that say which seed each was drawn with."""
        ids = tuple(f"sample {index}" for index in range(len(items.ids)))
        return replace(items, ids=ids, name=f"samples of the pipeline {self.name}")


def drawn_samples(
    source: Any, *, count: int, seed: int, download: bool, told: Told
) -> Drawn | None:
    """Return samples of a pipeline; None where the source is none.

    A pipeline is a diffusers pipeline, the folder of one, or its name on the hub (OWNER/NAME, where
    no such path exists). It is sampled by Heun's method with 18 steps; sample i has the seed of its
    number, so that more samples are these and others.

    Args:
        source: what was given as generated images.
        count: of samples.
        seed: of the audit.
        download: whether a pipeline may be fetched from the hub.
        told: hears of progress.

    Raises:
        ConfigError: for fewer than one sample, or a pipeline of another kind.
        DataError: for a pipeline that cannot be read.
    """
    if isinstance(source, str | Path):
        if not (is_pipeline_folder(source) or _on_hub(source)):
            return None
        name = str(source)
    elif hasattr(source, "components") and hasattr(source, "unet"):
        name = type(source).__name__
    else:
        return None
    if count < 1:
        raise ConfigError(f"samples = {count} is too few", hint="give 1 or more")
    denoiser = from_pipeline(source, download=download)
    device = next(denoiser.parameters()).device
    drawn: list[Tensor] = []
    for batch in sample_batches(
        denoiser,
        Heun(steps=18),
        seeds=sample_seeds(count, seed, "generated"),
        shape=denoiser.shape,
        batch_size=_TOGETHER,
        device=device,
        dtype=torch.float32,
    ):
        drawn.append(((batch.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu())
        told(f"sampling {name}", sum(map(len, drawn)), count)
    return Drawn(torch.cat(drawn), name)


def _on_hub(source: str | Path) -> bool:
    """Tell whether a name is one on the hub: OWNER/NAME, and nothing on this disk."""
    text = str(source)
    owner, slash, name = text.partition("/")
    # A path that is mistyped has a suffix, a leading dot, or more parts.
    named = bool(slash and owner.strip(".") and name) and "/" not in name and "\\" not in text
    return named and not Path(text).exists() and not Path(owner).exists()
