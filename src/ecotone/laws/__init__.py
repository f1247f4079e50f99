"""Laws fitted to tables of records: when a model turns, and how that grows with n.

An :class:`Onset` is the training step at which one run begins to copy (``tau_mem``) or has learned
to generalize (``tau_gen``). A law says how an onset grows with the size of the training set. A run
that was stopped before its onset is censored: it says "later than this", and every fit here uses
that instead of dropping the run.

The room sees only tables (polars frames shaped like a study's results.parquet), whoever made them.
"""

from ecotone.laws.onset import Onset, tau_gen, tau_mem
from ecotone.laws.power import PowerLaw, fit_power
from ecotone.laws.saturating import SaturatingLaw, fit_saturating
from ecotone.laws.scaling import ScalingLaw, fit_law, prefer
from ecotone.laws.tables import onsets

__all__ = [
    "Onset",
    "PowerLaw",
    "SaturatingLaw",
    "ScalingLaw",
    "fit_law",
    "fit_power",
    "fit_saturating",
    "onsets",
    "prefer",
    "tau_gen",
    "tau_mem",
]
