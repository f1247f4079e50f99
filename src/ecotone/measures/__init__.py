"""Measures: how near generated images are to the training set, and what that means.

Each registered measure is a function from :class:`Evidence` to readings by name; a reading that
cannot be had is left out. Beneath them are plain functions of sets of images, whose sets are given
by name, as a distance with its arguments swapped is a wrong distance that looks right.
"""

from __future__ import annotations

from ecotone.core.readings import Reading
from ecotone.core.registry import Registry
from ecotone.measures.distinct import Proximity
from ecotone.measures.evidence import Evidence
from ecotone.measures.neighbours import Neighbours, Reference, neighbours
from ecotone.measures.search import TopK, nearest

__all__ = [
    "MEASURES",
    "Evidence",
    "Neighbours",
    "Proximity",
    "Reference",
    "TopK",
    "nearest",
    "neighbours",
]

MEASURES: Registry[dict[str, Reading]] = Registry(
    "measure",
    {
        "copying": "ecotone.measures.copying:copying",
        "closeness": "ecotone.measures.closeness:closeness",
        "fidelity": "ecotone.measures.fidelity:fidelity",
        "support": "ecotone.measures.support:support",
        "novelty": "ecotone.measures.novelty:novelty",
        "denoising": "ecotone.measures.denoising:denoising",
        "memorizer": "ecotone.measures.memorizer:memorizer",
        "onset": "ecotone.measures.onset:onset",
        "calibrated": "ecotone.measures.calibrated:calibrated",
        "authenticity": "ecotone.measures.authenticity:authenticity",
        "kinds": "ecotone.measures.kinds:kinds",
        "data_copying": "ecotone.measures.data_copying:data_copying",
        "closest_record": "ecotone.measures.closest_record:closest_record",
        "membership": "ecotone.measures.membership:membership",
        "diversity": "ecotone.measures.diversity:diversity",
        "penalized": "ecotone.measures.penalized:penalized",
        "likelihood": "ecotone.measures.likelihood:likelihood",
    },
)
