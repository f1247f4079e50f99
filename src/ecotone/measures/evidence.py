"""What a measure is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped
from torch import Tensor

from ecotone.denoisers import Denoiser
from ecotone.features import FeatureSpace
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.probe import Answers, Probe, levels
from ecotone.measures.search import Search, TopK, nearest

if TYPE_CHECKING:
    from ecotone.measures.likelihood import GapTest
    from ecotone.measures.scores import Scores

__all__ = ["Evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that measures look at, gathered once.

    Args:
        generated: generated images, in the units of the data; floating point, or uint8 where all
            are.
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
        search: how nearest images are found, the one that ``neighbours`` were found by.
    """

    generated: Shaped[Tensor, " samples *shape"]
    training: Shaped[Tensor, " n *shape"]
    holdout: Shaped[Tensor, " m *shape"] | None
    neighbours: Neighbours
    features: FeatureSpace
    denoiser: Denoiser | None
    sigma_data: float
    seed: int
    device: torch.device | str | None = None
    probe: Probe | None = None
    search: Search = nearest

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

    @cached_property
    def scores(self) -> Mapping[str, Scores]:
        """Scores of generated and held-out images by name, had once for all that ask for them."""
        # Imported here, as measures that make scores are given evidence themselves.
        from ecotone.measures.scores import copy_scores

        return copy_scores(self.neighbours)

    @cached_property
    def likelihood(self) -> GapTest | None:
        """How likely either set is around generated images, had once; None without a holdout."""
        from ecotone.measures.likelihood import likelihood_test

        return likelihood_test(self)

    @cached_property
    def to_generated(self) -> tuple[TopK, TopK | None]:
        """Nearest generated image of each training image and of each held-out one, had once.

        On the CPU; None for the latter without a holdout.
        """

        def found(name: str, images: Tensor) -> TopK:
            listed = self.search(images, self.generated, 1, names=(name, "generated images"))
            return TopK(listed.distances.cpu(), listed.indices.cpu())

        training = found("training images", self.training)
        held = None if self.holdout is None else found("holdout images", self.holdout)
        return training, held
