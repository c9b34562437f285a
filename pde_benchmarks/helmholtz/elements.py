"""Bilinear elements on the unit square: stiffness, weighted mass, and the modes that diagonalise both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from meshes.finite_elements import AssemblyMap, FunctionSpace, diffusion, mass, per_node
from meshes.generate import structured_grid
from solvers import CSROperator

__all__ = ["SquareElements", "hat_integrals", "square_elements"]


@dataclass(frozen=True, eq=False)
class SquareElements:
    """Q1 elements on n × n nodes; functions are flat vectors ``(*batch, n²)``, the second axis fastest.

    Attributes
    ----------
    stiffness
        K = ∫ ∇u·∇v, natural boundary conditions.
    mass
        ρ ↦ ∫ ρ u v for a bilinear ρ given at the nodes, integrated exactly, on the entries of K.
    modes
        V ``(n, n)``, column i the i-th discrete cosine, with Vᵀ M₁ V = 1 for the mass matrix M₁ of one axis.
    eigenvalues
        λ ``(n,)`` of K₁ v = λ M₁ v, rising from 0: those of K u = λ M u are λᵢ + λⱼ.
    """

    stiffness: CSROperator
    mass: AssemblyMap
    modes: Tensor
    eigenvalues: Tensor

    @property
    def sums(self) -> Tensor:
        """λᵢ + λⱼ, shape ``(n, n)``."""
        return self.eigenvalues[:, None] + self.eigenvalues

    def analysed(self, functionals: Tensor) -> Tensor:
        """Vᵀ R V: coefficients ``(*batch, n, n)`` of flat right-hand sides in the modes."""
        V = self.modes.to(functionals.dtype)
        return V.mT @ functionals.unflatten(-1, (len(V), len(V))) @ V

    def synthesised(self, coefficients: Tensor) -> Tensor:
        """V Z Vᵀ: the function ``(*batch, n²)`` with these coefficients in the modes."""
        V = self.modes.to(coefficients.dtype)
        return (V @ coefficients @ V.mT).flatten(-2)


@lru_cache(maxsize=8)
def square_elements(n: int, dtype: torch.dtype, device: torch.device) -> SquareElements:
    """The elements on n × n nodes, real numbers of this dtype; made in float64 and kept."""
    axis = torch.linspace(0, 1, n, dtype=torch.float64).numpy()
    # The first axis of a structured grid runs fastest, the last one of a field: the mesh has the axes swapped.
    square = FunctionSpace(structured_grid(axis, axis), quadrature_degree=3)
    line = FunctionSpace(structured_grid(axis))
    K, M = diffusion(line)(1.0).to_dense(), mass(line)(1.0).to_dense()
    # K v = λ M v becomes symmetric with M = L Lᵀ and v = L⁻ᵀ w.
    L = torch.linalg.cholesky(M)
    reduced = torch.linalg.solve_triangular(L, torch.linalg.solve_triangular(L, K, upper=False).mT, upper=False)
    eigenvalues, w = torch.linalg.eigh((reduced + reduced.mT) / 2)
    modes = torch.linalg.solve_triangular(L.mT, w, upper=True)
    stiffness = diffusion(square)(1.0).to(dtype).to(device)
    weighted = mass(square, per_node).to(dtype).to(device)
    return SquareElements(stiffness, weighted, modes.to(device, dtype), eigenvalues.clamp(min=0).to(device, dtype))


def hat_integrals(n: int, low: float, high: float) -> Tensor:
    """∫ of every hat function of n nodes on [0, 1] over [low, high], float64, shape ``(n,)``."""
    nodes = torch.arange(n, dtype=torch.float64)

    def below(t: float) -> Tensor:
        s = (t * (n - 1) - nodes).clamp(-1, 1)
        return torch.where(s < 0, (1 + s) ** 2 / 2, 1 - (1 - s) ** 2 / 2) - torch.where(nodes == 0, 0.5, 0.0)

    return (below(high) - below(low)) / (n - 1)
