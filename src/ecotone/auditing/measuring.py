"""All that is measured of the three sets, in one space and with one pass over their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecotone.auditing.space import Space
from ecotone.core.readings import Reading
from ecotone.measures import MEASURES, Evidence, Reference
from ecotone.measures.calibrated import NEAREST
from ecotone.measures.subsets import shuffled

__all__ = ["MOST", "Gathered", "Told", "evidence_of", "limited", "measured"]

Told = Callable[[str, int, int], None]
"""Called with what is being done, and how much of it is done and to do."""

MOST = 10_000
"""Images of each set that distances between distributions are measured with, at most."""

NEAR = (
    "copying",
    "calibrated",
    "authenticity",
    "kinds",
    "closeness",
    "closest_record",
    "novelty",
    "data_copying",
    "membership",
)
"""Measures of distances to single images: of all images there are."""

FAR = ("fidelity", "support", "diversity", "penalized", "likelihood")
"""Measures of distances between distributions."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """Evidence, and the reference that it was had with."""

    evidence: Evidence
    reference: Reference


def evidence_of(
    *,
    generated: Tensor,
    training: Tensor,
    holdout: Tensor | None,
    space: Space,
    seed: int,
    told: Told,
    what: str,
) -> Gathered:
    """Return evidence of rows that distances are measured between.

    Args:
        generated: rows of the space.
        training: likewise.
        holdout: likewise, or None.
        space: of the audit.
        seed: of the audit.
        told: hears of progress.
        what: the pass is called in it.
    """

    def progress(name: str) -> Callable[[int, int], None]:
        return lambda done, total: told(f"{what}: {name}", done, total)

    reference = Reference(
        training=training,
        holdout=holdout,
        listed=NEAREST + 1,
        search=space.search,
        progress=progress("training set"),
    )
    neighbours = reference.neighbours(generated, progress=progress("generated images"))
    evidence = Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours,
        features=space.features,
        denoiser=None,
        sigma_data=1.0,
        seed=seed,
        search=space.search,
    )
    return Gathered(evidence, reference)


def measured(evidence: Evidence, some: Evidence, *, told: Told) -> dict[str, Reading]:
    """Return every reading that can be had.

    Args:
        evidence: of all images.
        some: of as many as distributions are compared by, see :func:`limited`.
        told: hears of progress.
    """
    readings: dict[str, Reading] = {}
    names = [*((name, evidence) for name in NEAR), *((name, some) for name in FAR)]
    for index, (name, given) in enumerate(names):
        told(f"measures: {name.replace('_', ' ')}", index, len(names))
        readings |= MEASURES.find(name)(given)
    told("measures", len(names), len(names))
    return readings


def limited(evidence: Evidence) -> Evidence:
    """Return evidence of 10,000 images of each set, chosen by content, where there are more."""
    sets: Mapping[str, Tensor | None] = {
        "generated": evidence.generated,
        "training": evidence.training,
        "holdout": evidence.holdout,
    }
    if all(images is None or len(images) <= MOST for images in sets.values()):
        return evidence
    some = {
        name: images
        if images is None or len(images) <= MOST
        else images[shuffled(images, evidence.seed, "limited", name)[:MOST].to(images.device)]
        for name, images in sets.items()
    }
    generated, training = some["generated"], some["training"]
    assert isinstance(generated, torch.Tensor)
    assert isinstance(training, torch.Tensor)
    return Evidence(
        generated=generated,
        training=training,
        holdout=some["holdout"],
        neighbours=evidence.neighbours,
        features=evidence.features,
        denoiser=None,
        sigma_data=evidence.sigma_data,
        seed=evidence.seed,
    )
