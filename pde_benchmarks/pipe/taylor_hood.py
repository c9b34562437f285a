"""Q2–Q1 elements (Taylor & Hood 1973) on bent structured grids: the geometry varies, the topology is shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from solvers import CSROperator
from solvers.operators import CSRPattern
from solvers.operators.csr_pattern import row_pointers

__all__ = ["CellIntegrals", "TaylorHood", "taylor_hood"]

GAUSS_POINTS = 3  # all integrals but those of convection are exact on parallelograms, that of the divergence always
LOCAL_VELOCITIES, LOCAL_PRESSURES = 9, 4
LOCAL = 2 * LOCAL_VELOCITIES + LOCAL_PRESSURES
U, V, P = slice(0, 9), slice(9, 18), slice(18, 22)


@dataclass(frozen=True, eq=False)
class CellIntegrals:
    """Matrices of all cells of a batch of geometries; shape functions φ of the velocity, ψ of the pressure.

    Attributes
    ----------
    values
        φ at the quadrature points, ``(q, 9)``.
    gradients
        ∇φ, ``(*batch, cells, q, 9, 2)``.
    weights
        ``(*batch, cells, q)`` with the Jacobian: they sum up to the area, and are not positive in an inverted cell.
    pressure_values
        ψ, ``(q, 4)``.
    """

    values: Tensor
    gradients: Tensor
    weights: Tensor
    pressure_values: Tensor

    def stokes(self, viscosity: float) -> Tensor:
        """∫ ν ∇u:∇v − p ∇·v − q ∇·u, ``(*batch, cells, 22, 22)``."""
        local = self.weights.new_zeros(*self.weights.shape[:-1], LOCAL, LOCAL)
        weighted = self.gradients * self.weights[..., None, None]
        local[..., U, U] = local[..., V, V] = viscosity * torch.einsum("...qid,...qjd->...ij", weighted, self.gradients)
        divergence = -torch.einsum("qi,...qjd->...dij", self.pressure_values, weighted)
        for component, block in enumerate((U, V)):
            local[..., P, block] = divergence[..., component, :, :]
            local[..., block, P] = divergence[..., component, :, :].mT
        return local

    def convection(self, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Newton's linearisation of ∫ (u·∇u)·v at a velocity ``(*batch, cells, 9, 2)``.

        Returns ∫ (w·∇u + u·∇w)·v, ``(*batch, cells, 22, 22)``, and ∫ (w·∇w)·v, ``(*batch, cells, 22)``.
        """
        local = self.weights.new_zeros(*self.weights.shape[:-1], LOCAL, LOCAL)
        load = self.weights.new_zeros(*self.weights.shape[:-1], LOCAL)
        w = torch.einsum("qi,...id->...qd", self.values, velocity)
        slope = torch.einsum("...qid,...ia->...qad", self.gradients, velocity)  # ∂w_a/∂x_d
        along = torch.einsum("...qd,...qjd->...qj", w, self.gradients)
        transport = torch.einsum("qi,...qj,...q->...ij", self.values, along, self.weights)
        for a, row in enumerate((U, V)):
            for d, column in enumerate((U, V)):
                local[..., row, column] = torch.einsum(
                    "qi,qj,...q->...ij", self.values, self.values, self.weights * slope[..., a, d]
                )
            local[..., row, row] += transport
            load[..., row] = torch.einsum("qi,...q->...i", self.values, self.weights * (slope[..., a, :] * w).sum(-1))
        return local, load


@dataclass(frozen=True, eq=False)
class TaylorHood:
    """Biquadratic velocities on n × n nodes (n odd), bilinear pressures on every second of them.

    Flat vectors hold u_x, u_y and p in this order. Velocities are held on the first row of axis 0 (the inlet) and on
    both ends of axis 1 (the walls).

    Parameters
    ----------
    n
        Nodes per axis.
    coupled
        Whether the two components of the velocity meet in the matrix, as convection makes them.
    """

    n: int
    coupled: bool

    @property
    def m(self) -> int:
        """Pressure nodes per axis."""
        return (self.n + 1) // 2

    @property
    def size(self) -> int:
        """Unknowns and held values together."""
        return 2 * self.n**2 + self.m**2

    @cached_property
    def cell_nodes(self) -> Tensor:
        """Nodes ``(cells, 9)``, the second axis fastest."""
        first = torch.arange(0, self.n - 2, 2)
        corner = (first[:, None] * self.n + first).flatten()
        local = torch.arange(3)
        return corner[:, None] + (local[:, None] * self.n + local).flatten()

    @cached_property
    def dofs(self) -> Tensor:
        """``(cells, 22)``: nine u_x, nine u_y, four p."""
        first = torch.arange(self.m - 1)
        corner = (first[:, None] * self.m + first).flatten()
        local = torch.arange(2)
        pressures = corner[:, None] + (local[:, None] * self.m + local).flatten()
        return torch.cat([self.cell_nodes, self.cell_nodes + self.n**2, pressures + 2 * self.n**2], 1)

    @cached_property
    def free(self) -> Tensor:
        """The unknowns, rising."""
        held = torch.zeros(2, self.n, self.n, dtype=torch.bool)
        held[:, 0, :] = held[:, :, 0] = held[:, :, -1] = True
        return (~torch.cat([held.flatten(), torch.zeros(self.m**2, dtype=torch.bool)])).nonzero().squeeze(1)

    def integrals(self, coordinates: Tensor) -> CellIntegrals:
        """What is to be assembled on grids ``(*batch, 2, n, n)``; cells are isoparametric."""
        values, slopes, pressure_values, weights = _reference()
        nodes = coordinates.flatten(-2)[..., self.cell_nodes].movedim(-3, -1)  # (*batch, cells, 9, 2)
        jacobian = torch.einsum("...ia,qid->...qad", nodes, slopes)  # ∂x_a/∂ξ_d
        gradients = torch.einsum("qid,...qda->...qia", slopes, torch.linalg.inv(jacobian))
        return CellIntegrals(values, gradients, weights * torch.linalg.det(jacobian), pressure_values)

    def system(self, local: Tensor, load: Tensor, held: Tensor) -> tuple[CSROperator, Tensor]:
        """The equations of the unknowns from cell matrices ``(*batch, cells, 22, 22)``.

        Parameters
        ----------
        load
            Right-hand sides ``(*batch, size)``.
        held
            Prescribed values ``(*batch, size)``, zero in the unknowns: they go to the right.
        """
        pattern, places = self._pattern
        entries = local[..., self._couplings].flatten(-2)
        values = local.new_zeros(*local.shape[:-3], pattern.col.numel() + 1).index_add(-1, places, entries)[..., :-1]
        known = torch.einsum("...cij,...cj->...ci", local, held[..., self.dofs])
        return CSROperator.from_pattern(pattern, values), (load - self.collected(known))[..., self.free]

    def collected(self, local: Tensor) -> Tensor:
        """The vectors ``(*batch, size)`` that cell vectors ``(*batch, cells, 22)`` sum up to."""
        return local.new_zeros(*local.shape[:-2], self.size).index_add(-1, self.dofs.flatten(), local.flatten(-2))

    @cached_property
    def _couplings(self) -> Tensor:
        """Which of the 22 × 22 entries of a cell may differ from zero."""
        block = torch.tensor([[1, self.coupled, 1], [self.coupled, 1, 1], [1, 1, 0]], dtype=torch.bool)
        kind = torch.tensor([0] * LOCAL_VELOCITIES + [1] * LOCAL_VELOCITIES + [2] * LOCAL_PRESSURES)
        return block[kind[:, None], kind]

    @cached_property
    def _pattern(self) -> tuple[CSRPattern, Tensor]:
        """The pattern of the unknowns, and for every entry of a cell its place there; entries of held ones: the end."""
        number = torch.full((self.size,), -1)
        number[self.free] = torch.arange(len(self.free))
        local = number[self.dofs]
        count = len(self.free)
        rows = local[:, :, None].expand(-1, -1, LOCAL)[:, self._couplings].flatten()
        columns = local[:, None, :].expand(-1, LOCAL, -1)[:, self._couplings].flatten()
        inside = (rows >= 0) & (columns >= 0)
        keys, inverse = torch.unique(rows[inside] * count + columns[inside], return_inverse=True)
        places = torch.full_like(rows, len(keys))
        places[inside] = inverse
        crow = row_pointers(torch.bincount(keys // count, minlength=count))
        return CSRPattern(crow, keys % count, (count, count)), places


@lru_cache(maxsize=8)
def taylor_hood(n: int, coupled: bool) -> TaylorHood:
    """The elements on n × n nodes, kept with their patterns."""
    return TaylorHood(n, coupled)


@lru_cache(maxsize=1)
def _reference() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On the cell [−1, 1]²: φ ``(q, 9)``, ∂φ/∂ξ ``(q, 9, 2)``, ψ ``(q, 4)`` and weights ``(q,)`` at Gauss' points."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(GAUSS_POINTS))
    quadratic = torch.stack((x * (x - 1) / 2, 1 - x**2, x * (x + 1) / 2), 1)
    slope = torch.stack((x - 0.5, -2 * x, x + 0.5), 1)
    linear = torch.stack(((1 - x) / 2, (1 + x) / 2), 1)
    gradients = torch.stack((torch.kron(slope, quadratic), torch.kron(quadratic, slope)), -1)
    return torch.kron(quadratic, quadratic), gradients, torch.kron(linear, linear), torch.kron(w, w)
