"""The multivariate normal under the exact populations, in the eigenbasis of its covariance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.core.seeds import generator, normal

__all__ = ["Normal", "random_frame", "spectrum_values"]

_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Normal:
    """N(mean, Σ) with Σ = U diag(variances) Uᵀ + floor (I − U Uᵀ).

    One form serves them all: without a basis Σ is diagonal; with d columns in U it is a full
    covariance and the floor has nothing to act on; with k < d it is low rank plus noise, and no
    d×d matrix is ever formed.

    Args:
        mean: of each coordinate.
        variances: along the columns of the basis (noise included), or along the coordinates.
        basis: U, orthonormal columns, or None for the coordinates.
        floor: variance orthogonal to the basis.

    >>> unit = Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> unit.posterior_mean(torch.tensor([[2.0, 4.0]], dtype=torch.float64), one)
    tensor([[1., 2.]], dtype=torch.float64)
    """

    mean: Float64[Tensor, " dimension"]
    variances: Float64[Tensor, " rank"]
    basis: Float64[Tensor, "dimension rank"] | None = None
    floor: float = 0.0

    @classmethod
    def from_covariance(cls, mean: Tensor, covariance: Any, *, name: str) -> Normal:
        """Build it from a covariance matrix, decomposed once.

        Raises:
            ConfigError: for a matrix of another shape than (d, d), or one that is not finite,
                symmetric and positive semi-definite; ``name`` says where it stands.
        """
        d = len(mean)
        try:
            matrix = torch.tensor(covariance, dtype=torch.float64)
        except ValueError as error:
            raise ConfigError(f"{name} has rows of different lengths") from error
        if matrix.shape != (d, d):
            raise ConfigError(f"{name} has shape {tuple(matrix.shape)}, not {(d, d)}")
        if not matrix.isfinite().all():
            raise ConfigError(f"{name} holds a value that is not finite")
        scale = float(matrix.abs().max())
        if float((matrix - matrix.T).abs().max()) > 1e-8 * scale:
            raise ConfigError(f"{name} is not symmetric", hint="give (C + C^T) / 2")
        variances, basis = torch.linalg.eigh((matrix + matrix.T) / 2)
        if float(variances[0]) < -1e-8 * scale or scale == 0:
            raise ConfigError(
                f"{name} is not a covariance: its smallest eigenvalue is {float(variances[0]):.3g} "
                f"and its largest {float(variances[-1]):.3g}",
                hint="give a matrix without negative eigenvalues, and with a positive one",
            )
        return cls(mean, variances.clamp(min=0), basis)

    def sample(self, seeds: Sequence[int]) -> Float64[Tensor, "batch dimension"]:
        """Draw one sample per seed."""
        wide = torch.float64
        z = normal(seeds, self.variances.shape, dtype=wide)
        x = z * (self.variances - (0.0 if self.basis is None else self.floor)).sqrt()
        if self.basis is not None:
            x = _times(x, self.basis.T)
        if self.basis is not None and self.floor > 0:
            x = x + math.sqrt(self.floor) * normal(seeds, self.mean.shape, index=1, dtype=wide)
        return self.mean + x

    def stream(self, n: int, stream: np.random.Generator) -> Float64[Tensor, "n dimension"]:
        """Draw n samples from one stream, one after the other; see :meth:`sample` for seeds."""
        d, rank = len(self.mean), len(self.variances)
        noisy = self.basis is not None and self.floor > 0
        z = torch.from_numpy(stream.standard_normal((n, rank + d * noisy)))
        x = z[:, :rank] * (self.variances - (0.0 if self.basis is None else self.floor)).sqrt()
        if self.basis is not None:
            x = _times(x, self.basis.T)
        if noisy:
            x = x + math.sqrt(self.floor) * z[:, rank:]
        return x.add_(self.mean)

    @property
    def total_variance(self) -> float:
        """The trace of the covariance."""
        beyond = len(self.mean) - len(self.variances)
        return float(self.variances.sum()) + beyond * self.floor

    @property
    def log_determinant(self) -> float:
        """Logarithm of det Σ, −infinity where Σ has no full rank."""
        beyond = len(self.mean) - len(self.variances)
        if beyond and self.floor == 0:
            return -math.inf
        return float(self.variances.log().sum()) + (beyond and beyond * math.log(self.floor))

    def covariance(self) -> Float64[Tensor, "dimension dimension"]:
        """Return Σ itself."""
        if self.basis is None:
            return self.variances.diag()
        matrix = (self.basis * (self.variances - self.floor)) @ self.basis.T
        matrix.diagonal().add_(self.floor)
        return matrix

    def log_density(
        self, x: Float64[Tensor, "batch dimension"], sigma: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, " batch"]:
        """Return log N(x; mean, Σ + σ² I), in nats."""
        along, rest = self._parts(x)
        noise = sigma.square()[:, None]
        variances = self.variances.to(x.device) + noise
        total = (variances.log() + along.square() / variances).sum(1)
        beyond = x.shape[1] - len(self.variances)
        if beyond:
            floor = self.floor + noise[:, 0]
            total = total + beyond * floor.log() + rest.square().sum(1) / floor
        return -0.5 * (total + x.shape[1] * math.log(2 * math.pi))

    def posterior_mean(
        self, x: Float64[Tensor, "batch dimension"], sigma: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, "batch dimension"]:
        """Return mean + Σ (Σ + σ² I)⁻¹ (x − mean), the Wiener filter in the eigenbasis."""
        along, rest = self._parts(x)
        noise = sigma.square()[:, None]
        kept = along * _share(self.variances.to(x.device), noise)
        if self.basis is not None:
            kept = kept @ self.basis.to(x.device).T
        if self.floor > 0:
            kept = kept + rest * _share(torch.full_like(noise, self.floor), noise)
        return self.mean.to(x.device) + kept

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x − mean in coordinates along the basis, and what lies beyond the basis."""
        centred = x - self.mean.to(x.device)
        if self.basis is None:
            return centred, torch.zeros_like(centred)
        basis = self.basis.to(x.device)
        along = centred @ basis
        # Subtracting the projection keeps digits that |x|² − |Uᵀx|² would cancel.
        return along, centred - along @ basis.T


def _share(variance: Tensor, noise: Tensor) -> Tensor:
    """Return variance / (variance + noise); 1 where both are 0: without noise x is kept."""
    total = variance + noise
    return torch.where(total > 0, variance / total.where(total > 0, 1), 1.0)


def _times(rows: Tensor, matrix: Tensor) -> Tensor:
    # A product's last digit may depend on how many rows it has; blocks of one size keep sample i
    # the same however many samples follow it.
    padded = torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % _BLOCK))
    return torch.cat([block @ matrix for block in padded.split(_BLOCK)])[: len(rows)]


def random_frame(rows: int, columns: int, seed: int) -> Float64[Tensor, "rows columns"]:
    """Return uniformly (Haar) random orthonormal columns.

    QR of a normal matrix with R's diagonal made positive (Mezzadri 2007).

    >>> frame = random_frame(5, 2, seed=0)
    >>> torch.allclose(frame.T @ frame, torch.eye(2, dtype=torch.float64))
    True
    """
    draws = generator(seed, "random frame").standard_normal((rows, columns))
    q, r = np.linalg.qr(draws)
    return torch.from_numpy(q * np.sign(np.diag(r)))


def spectrum_values(
    spectrum: float | list[float] | None, dimension: int, *, name: str
) -> Float64[Tensor, " dimension"]:
    """Return eigenvalues: all 1, the power law λ_k = k^−a (k = 1 … d), or those given.

    Raises:
        ConfigError: for an exponent below 0, eigenvalues that are negative, not finite or all 0.

    >>> spectrum_values(1.0, 4, name="gaussian")
    tensor([1.0000, 0.5000, 0.3333, 0.2500], dtype=torch.float64)
    """
    if spectrum is None:
        return torch.ones(dimension, dtype=torch.float64)
    if isinstance(spectrum, list):
        values = torch.tensor(spectrum, dtype=torch.float64)
        if not values.isfinite().all() or float(values.min()) < 0 or float(values.max()) == 0:
            raise ConfigError(
                f"{name}: spectrum = {spectrum} are not eigenvalues of a covariance",
                hint="give finite values of 0 or more, at least one above 0",
            )
        return values
    if not 0 <= spectrum < math.inf:
        raise ConfigError(
            f"{name}: spectrum = {spectrum} is not the exponent a of eigenvalues k^-a",
            hint="give a number of 0 or more, or a list of eigenvalues",
        )
    return torch.arange(1, dimension + 1, dtype=torch.float64) ** -spectrum
