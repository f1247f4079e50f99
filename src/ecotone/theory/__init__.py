"""Predictions: what random-matrix theory says a linear model will generate, before it is fitted.

A :class:`~ecotone.theory.base.Law` predicts one measure for sizes n of the training set, and says
for which sizes it holds; outside them there is no prediction. :func:`predictions` lists all laws
that apply to a cell of a linear study, :func:`thresholds` the sizes at which something changes.

The room sees neither measures nor studies: a prediction cannot look at the answer.
"""

from ecotone.theory.base import Law, Threshold
from ecotone.theory.catalogue import predictions, thresholds
from ecotone.theory.coordinates import CoordinateTheory
from ecotone.theory.leave_one_out import probability_positive
from ecotone.theory.one_step import OneStepTheory
from ecotone.theory.wiener import SampledTheory, WienerTheory

__all__ = [
    "CoordinateTheory",
    "Law",
    "OneStepTheory",
    "SampledTheory",
    "Threshold",
    "WienerTheory",
    "predictions",
    "probability_positive",
    "thresholds",
]
