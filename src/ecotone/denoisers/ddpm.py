"""DDPM's parametrizations: the network sees x_t of variance 1 and predicts noise, v or x0."""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs, expand_like
from ecotone.denoisers.precondition import Preconditioned
from ecotone.noise import Prediction, ddpm_levels, index_from_sigma

__all__ = ["STEPS_PER_UNIT", "Ddpm", "predicting"]

STEPS_PER_UNIT = 256.0
"""Time steps in one unit of a network's noise input, which so runs from 0 to 3.9, as c_noise runs
over 2.6. A power of two, by which a network can multiply to have whole steps back exactly."""

# A level in float32 is an index to within 2e−5; one that is as near as this to a whole index means
# that index, and the network sees the numbers it was trained on.
_WHOLE = 1e-4


class Ddpm(nn.Module):
    """A denoiser made of a network F(x_t; t) on DDPM's levels (Ho et al. 2020).

    With α = 1/√(1 + σ²) and s = σα, x_t = αx has the variance 1 where the data have, and

    - ``epsilon``: D(x; σ) = x − σF, F the noise (Ho et al. 2020, eq. 9 and 15);
    - ``v``: D = αx_t − sF, F of αz − s x0 (Salimans and Ho 2022, app. D);
    - ``x0``: D = F.

    t is the index of σ among the levels (:func:`ecotone.noise.index_from_sigma`), which need not be
    whole, and stays at the first or last beyond them. Data are taken to lie in [−1, 1], as DDPM's
    do. As σ → 0 the first two return x, whatever the network; the last does not. The network runs
    in the dtype of its own parameters (or of autocast); the rest in that of ``x``.

    Args:
        network: a module called as ``network(x_t, t / STEPS_PER_UNIT)``, x_t (batch, *shape) and t
            (batch,), that returns (batch, *shape).
        prediction: what the network predicts.
        levels: the σ of each t, two or more, rising; DDPM's 1,000 where None.

    Raises:
        ConfigError: for another prediction, or levels that do not rise from above 0.

    >>> denoiser = Ddpm(nn.Identity(), prediction="v")
    >>> denoiser.prediction, len(denoiser.levels)
    ('v', 1000)
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        prediction: Prediction,
        levels: Float64[Tensor, " steps"] | None = None,
    ) -> None:
        super().__init__()
        if prediction not in get_args(Prediction) or prediction == "edm":
            raise ConfigError(
                f"prediction = {prediction!r} is none of DDPM's",
                hint="give epsilon, v or x0; edm is that of Preconditioned",
            )
        if levels is None:
            levels = ddpm_levels()
        elif not (len(levels) > 1 and _rise(levels)):
            raise ConfigError(
                "the levels of a DDPM denoiser do not rise from above 0",
                hint="give two or more, all finite, such as ecotone.noise.ddpm_levels()",
            )
        self.network = network
        self.prediction: Prediction = prediction
        # As bits: a module that is moved to another dtype takes its floating-point buffers along.
        self.register_buffer("_bits", levels.view(torch.int64), persistent=False)
        self._bits: Tensor

    @property
    def levels(self) -> Float64[Tensor, " steps"]:
        """The σ of each time step, rising, on the module's device."""
        return self._bits.view(torch.float64)

    def index(self, sigma: Levels) -> Float64[Tensor, " batch"]:
        """Return t at each level, the whole index where the level is that of one."""
        index = index_from_sigma(sigma, self.levels)
        whole = index.round()
        return torch.where((index - whole).abs() < _WHOLE, whole, index)

    def forward(self, x: Batch, sigma: Levels) -> Batch:
        """Return the denoised batch, in x's shape and dtype.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma)
        # In the levels' own dtype first: float64 levels keep their precision.
        scale = 1 / torch.hypot(sigma, torch.ones_like(sigma))
        noise = self.index(sigma) / STEPS_PER_UNIT
        dtype = next(self.network.parameters()).dtype
        noised = expand_like(scale, x) * x
        predicted = self.network(noised.to(dtype), noise.to(dtype)).to(x.dtype)
        if self.prediction == "epsilon":
            return x - expand_like(sigma, x) * predicted
        if self.prediction == "v":
            return expand_like(scale, x) * noised - expand_like(sigma * scale, x) * predicted
        return predicted


def _rise(levels: Tensor) -> bool:
    """Tell whether levels are positive and finite, each above the one before it."""
    return bool((levels > 0).all() & levels.isfinite().all() & (levels.diff() > 0).all())


def predicting(
    network: nn.Module, prediction: Prediction, *, sigma_data: float
) -> Preconditioned | Ddpm:
    """Make a denoiser of a network by what it predicts.

    Args:
        network: as :class:`~ecotone.denoisers.precondition.Preconditioned` and :class:`Ddpm` take.
        prediction: ``edm`` for the first, ``epsilon``, ``v`` or ``x0`` for the second.
        sigma_data: standard deviation of the training data, which only ``edm`` uses.
    """
    if prediction == "edm":
        return Preconditioned(network, sigma_data=sigma_data)
    return Ddpm(network, prediction=prediction)
