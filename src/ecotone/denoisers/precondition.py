"""EDM preconditioning: the network sees and predicts numbers of unit variance at every level."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecotone.core.errors import ConfigError
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs, expand_like
from ecotone.noise import Prediction

__all__ = ["Coefficients", "Preconditioned", "coefficients"]


class Coefficients(NamedTuple):
    """What stands around the network F in D = skip·x + out·F(input·x, noise)."""

    skip: Float[Tensor, "*shape"]
    out: Float[Tensor, "*shape"]
    input: Float[Tensor, "*shape"]
    noise: Float[Tensor, "*shape"]


def coefficients(sigma: Float[Tensor, "*shape"], sigma_data: float) -> Coefficients:
    """Return EDM's coefficients at each noise level (Karras et al. 2022, Table 1).

    c_skip = σ_d²/(σ² + σ_d²),  c_out = σ σ_d/√(σ² + σ_d²),  c_in = 1/√(σ² + σ_d²),
    c_noise = ¼ ln σ, with σ_d the standard deviation of the data.

    For data of mean 0 and variance σ_d² they make the variance 1 of both the network's input
    c_in x and its target (x0 − c_skip x)/c_out.

    >>> given = coefficients(torch.tensor(3.0), sigma_data=4.0)
    >>> [round(value.item(), 4) for value in given]
    [0.64, 2.4, 0.2, 0.2747]
    """
    root = torch.hypot(sigma, torch.full_like(sigma, sigma_data))
    return Coefficients(
        skip=(sigma_data / root) ** 2,
        out=sigma * (sigma_data / root),
        input=1 / root,
        noise=sigma.log() / 4,
    )


class Preconditioned(nn.Module):
    """A denoiser made of a network: D(x; σ) = c_skip x + c_out F(c_in x; c_noise).

    See :func:`coefficients`. As σ → 0 it returns x, whatever the network. The network runs in the
    dtype of its own parameters (or of autocast); the rest in that of ``x``.

    Args:
        network: a module called as ``network(x, c_noise)``, x (batch, *shape) and c_noise
            (batch,), that returns (batch, *shape).
        sigma_data: standard deviation of the training data over all samples and coordinates.

    Raises:
        ConfigError: for a ``sigma_data`` that is not positive.
    """

    prediction: Prediction = "edm"

    def __init__(self, network: nn.Module, *, sigma_data: float) -> None:
        super().__init__()
        if not 0 < sigma_data < math.inf:
            raise ConfigError(
                f"sigma_data = {sigma_data} is no standard deviation",
                hint="give that of the training data, which must not be constant",
            )
        self.network = network
        self.sigma_data = float(sigma_data)

    def forward(self, x: Batch, sigma: Levels) -> Batch:
        """Return the denoised batch, in x's shape and dtype.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma)
        # In the levels' own dtype first: float64 levels keep their precision.
        skip, out, scale, noise = coefficients(sigma, self.sigma_data)
        dtype = next(self.network.parameters()).dtype
        predicted = self.network((expand_like(scale, x) * x).to(dtype), noise.to(dtype))
        return expand_like(skip, x) * x + expand_like(out, x) * predicted.to(x.dtype)
