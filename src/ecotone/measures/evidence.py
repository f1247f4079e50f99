"""What a measure is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ecotone.denoisers import Denoiser
from ecotone.features import FeatureSpace
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.probe import Answers, Probe, levels

__all__ = ["Evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that measures look at, gathered once.

    Args:
        generated: generated images, in the units of the data.
        training: the training set.
        holdout: images of the same population that were never trained on; or None, and what needs
            them is absent.
        neighbours: what the generated images are near to, see
            :meth:`ecotone.measures.Reference.neighbours`.
        features: fitted feature space for distances between distributions.
        denoiser: the model the images came from; or None, and what needs it is absent.
        sigma_data: standard deviation of the data, above 0.
        seed: for subsets and noise.
        device: where the denoiser takes its input; None for where the images are.
        probe: noisy images to ask the denoiser about; those of the seed where None.
    """

    generated: Float[Tensor, " samples *shape"]
    training: Float[Tensor, " n *shape"]
    holdout: Float[Tensor, " m *shape"] | None
    neighbours: Neighbours
    features: FeatureSpace
    denoiser: Denoiser | None
    sigma_data: float
    seed: int
    device: torch.device | str | None = None
    probe: Probe | None = None

    @cached_property
    def asked(self) -> tuple[Probe, Answers] | None:
        """The probe and the denoiser's answers, had once for all measures that look at them.

        None without a denoiser or a holdout.
        """
        if self.denoiser is None or self.holdout is None:
            return None
        probe = self.probe or Probe(
            training=self.training,
            holdout=self.holdout,
            sigmas=levels(self.sigma_data),
            seed=self.seed,
        )
        return probe, probe.ask(self.denoiser, device=self.device)
