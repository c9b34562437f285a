"""Gaussian random fields given by their spectrum, as functions: one seed is one function at every resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Grid

__all__ = ["GaussianField"]


@dataclass(frozen=True)
class GaussianField:
    """Centred Gaussian field with covariance τ^(2α-d) (−Δ + τ²)^(−α) on the unit cube, its mean mode left out.

    Written in the eigenfunctions φ_k of the Laplacian, g = Σ_k ξ_k s_k φ_k with independent ξ_k ~ N(0, 1) and
    s_k = τ^(α-d/2) (λ_k + τ²)^(-α/2). The ξ_k are drawn once for all `modes` per axis, then the *same* sum is
    evaluated at the points of any grid by one small matrix product per axis (a discrete cosine or Fourier
    transform that is free to choose its points).

    Parameters
    ----------
    smoothness
        α; sample paths have α - d/2 derivatives.
    inverse_length
        τ, the inverse of the correlation length.
    boundary
        Boundary condition of the Laplacian on every axis: ``neumann`` (cosines), ``dirichlet`` (sines) or ``periodic``.
    modes
        Modes per axis that are summed.

    Examples
    --------
    >>> field = GaussianField(smoothness=2.0, inverse_length=3.0)
    >>> field.sample(2, Grid((16, 16)), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 16, 16])
    """

    smoothness: float = 2.0
    inverse_length: float = 3.0
    boundary: str = "neumann"
    modes: int = 128

    def __post_init__(self) -> None:
        if self.boundary not in _BASES:
            raise ProblemError(f"boundary {self.boundary!r} is unknown: use one of {', '.join(_BASES)}.")
        if not (self.smoothness > 0 and self.inverse_length > 0 and self.modes > 1):
            raise ProblemError(f"{self}: smoothness and inverse_length must be positive, modes at least 2.")

    @classmethod
    def matern(cls, regularity: float, length: float, dim: int, boundary: str = "neumann", modes: int = 128) -> Self:
        """Matérn field of regularity ν and correlation length ℓ: α = ν + d/2, τ = √(2ν)/ℓ (Lindgren et al. 2011)."""
        return cls(regularity + dim / 2, math.sqrt(2 * regularity) / length, boundary, modes)

    def sample(self, count: int, grid: Grid, generator: Generator) -> Tensor:
        """Draw ``count`` functions and evaluate them on ``grid``: float64, shape ``(count, *grid.shape)``."""
        noise = torch.randn(
            (count, *[self.modes] * grid.dim), generator=generator, dtype=torch.float64, device=generator.device
        )
        return self.evaluate(noise, grid)

    def evaluate(self, noise: Tensor, grid: Grid) -> Tensor:
        """Sum the series with the given ξ, shape ``(count, *(modes,) * dim)``, on the points of ``grid``."""
        field = noise * self.amplitudes(grid.dim).to(noise.device)
        for axis in range(grid.dim):
            functions = _BASES[self.boundary](grid.points(axis), self.modes).to(noise.device)
            field = torch.movedim(torch.tensordot(field, functions, dims=([axis + 1], [1])), -1, axis + 1)
        return field

    def amplitudes(self, dim: int) -> Tensor:
        """The factors s_k, shape ``(modes,) * dim``; zero for the constant mode."""
        squares = _wave_numbers(self.boundary, self.modes) ** 2
        eigenvalues = torch.zeros((), dtype=torch.float64)
        for _ in range(dim):
            eigenvalues = eigenvalues[..., None] + squares
        tau = self.inverse_length
        amplitude = tau ** (self.smoothness - dim / 2) * (eigenvalues + tau**2) ** (-self.smoothness / 2)
        return torch.where(eigenvalues > 0, amplitude, 0.0)


def _wave_numbers(boundary: str, modes: int) -> Tensor:
    index = torch.arange(modes, dtype=torch.float64)
    match boundary:
        case "neumann":
            return math.pi * index
        case "dirichlet":
            return math.pi * (index + 1)
        case _:
            return 2 * math.pi * torch.div(index + 1, 2, rounding_mode="floor")


def _cosines(points: Tensor, modes: int) -> Tensor:
    waves = torch.cos(points[:, None] * _wave_numbers("neumann", modes))
    return torch.where(torch.arange(modes) == 0, waves, math.sqrt(2) * waves)


def _sines(points: Tensor, modes: int) -> Tensor:
    return math.sqrt(2) * torch.sin(points[:, None] * _wave_numbers("dirichlet", modes))


def _fourier(points: Tensor, modes: int) -> Tensor:
    """Real Fourier basis in the order 1, cos 2πx, sin 2πx, cos 4πx, …"""
    phase = points[:, None] * _wave_numbers("periodic", modes)
    index = torch.arange(modes)
    waves = torch.where(index % 2 == 1, torch.cos(phase), torch.sin(phase))
    return torch.where(index == 0, 1.0, math.sqrt(2) * waves)


_BASES = {"neumann": _cosines, "dirichlet": _sines, "periodic": _fourier}
