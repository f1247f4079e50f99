"""Samplers: from pure noise to samples, through any denoiser, one seed per sample.

All walk down Karras et al. 2022's noise levels (:func:`ecotone.noise.karras_levels`). The
deterministic three solve the probability-flow equation dx/dσ = (x − D(x; σ))/σ; the stochastic one
also adds fresh noise and takes it off again.

The default numbers of steps keep the standard deviation of a Gaussian population of 0.5 to about
1 % (Heun, Multistep, Stochastic) and 3 % (Euler). EDM's own 18 steps of Heun make it 5 % too wide,
which a distance between distributions would put down to the denoiser.
"""

from ecotone.core.registry import Registry
from ecotone.samplers.base import Sampler
from ecotone.samplers.drawing import sample, sample_batches
from ecotone.samplers.solvers import Euler, Heun, Multistep
from ecotone.samplers.stochastic import Stochastic

__all__ = [
    "SAMPLERS",
    "Euler",
    "Heun",
    "Multistep",
    "Sampler",
    "Stochastic",
    "sample",
    "sample_batches",
]

SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    {
        "euler": "ecotone.samplers.solvers:Euler",
        "heun": "ecotone.samplers.solvers:Heun",
        "multistep": "ecotone.samplers.solvers:Multistep",
        "stochastic": "ecotone.samplers.stochastic:Stochastic",
    },
)
"""Samplers by name, built from a user's options: ``SAMPLERS.create("heun", {"steps": 18})``."""
