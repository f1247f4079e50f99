"""Laws fitted to tables of records: when a model turns, and how that grows with n.

An :class:`Onset` is the training step at which one run begins to copy (``tau_mem``) or has learned
to generalize (``tau_gen``). A law says how an onset grows with the size of the training set, with
batch size and with the network's (:func:`fit_powers`, :func:`effects`), on which clock
(:func:`clocks`), and what stopping before it would have cost (:func:`stopping`). A run that was
stopped before its onset is censored: it says "later than this", and every fit here uses that
instead of dropping the run.

The room sees only tables (polars frames shaped like a study's results.parquet), whoever made them.
"""

from ecotone.laws.clocks import ClockFit, Clocks, clocks
from ecotone.laws.collapse import collapse
from ecotone.laws.comparison import effects
from ecotone.laws.effective import EffectiveMemorization, effective_memorization
from ecotone.laws.frontier import frontier
from ecotone.laws.onset import Onset, tau_gen, tau_mem
from ecotone.laws.power import PowerLaw, fit_power
from ecotone.laws.powers import PowerLaws, fit_powers
from ecotone.laws.saturating import SaturatingLaw, fit_saturating
from ecotone.laws.scaling import ScalingLaw, fit_law, prefer
from ecotone.laws.stopping import stopping
from ecotone.laws.tables import onsets
from ecotone.laws.windows import windows

__all__ = [
    "ClockFit",
    "Clocks",
    "EffectiveMemorization",
    "Onset",
    "PowerLaw",
    "PowerLaws",
    "SaturatingLaw",
    "ScalingLaw",
    "clocks",
    "collapse",
    "effective_memorization",
    "effects",
    "fit_law",
    "fit_power",
    "fit_powers",
    "fit_saturating",
    "frontier",
    "onsets",
    "prefer",
    "stopping",
    "tau_gen",
    "tau_mem",
    "windows",
]
