"""P2–P1 elements (Taylor & Hood 1973) for Stokes' equations on triangles of any shape of domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from meshes import Mesh
from meshes.finite_elements import FunctionSpace, diffusion, dofs_on, quadrature_gradients, quadrature_values
from meshes.generate import GradedSize, circle, plate
from pde_benchmarks.domains import Box
from pde_benchmarks.pipe.flow import DIRECT
from solvers import CSROperator, linear_solve

__all__ = ["TriangularFlow", "channel_mesh", "held_dofs"]

# Of edges at the disc, in units of those far from it.
FINER = 0.4


@dataclass(frozen=True, eq=False)
class TriangularFlow:
    """−μ Δu + ∇p = f, ∇·u = 0: quadratic velocities and linear pressures on the triangles of one mesh.

    Where a velocity is not held, μ ∂u/∂n − p n is given by the load (zero by default), as ∫ μ ∇u:∇v tells.

    Parameters
    ----------
    mesh
        Triangles.
    held
        Degrees of freedom of the velocity (`velocity`) that are given.
    viscosity
        μ.
    """

    mesh: Mesh
    held: np.ndarray[Any, Any]
    viscosity: float

    @cached_property
    def velocity(self) -> FunctionSpace:
        """Of both components, side by side."""
        return FunctionSpace(self.mesh, degree=2, components=2)

    @cached_property
    def pressure(self) -> FunctionSpace:
        """On the points of the mesh."""
        return FunctionSpace(self.mesh, quadrature_degree=self.velocity.quadrature_order)

    def solve(self, given: Tensor, load: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Velocities ``(batch, velocity.size)`` and pressures ``(batch, points)``.

        Parameters
        ----------
        given
            Velocities, float64, of which the held entries count: ``(batch, velocity.size)``.
        load
            ∫ f·φ and ∫ (traction)·φ, ``(batch, velocity.size)``; none by default.
        """
        matrix = self._matrix
        count = self.velocity.size
        free = np.setdiff1d(np.arange(matrix.shape[0]), self.held)
        known = torch.zeros(len(given), matrix.shape[0], dtype=torch.float64)
        known[:, self.held] = given[:, self.held]
        right = -CSROperator.from_scipy(matrix) @ known
        if load is not None:
            right[:, :count] += load
        A = CSROperator.from_scipy(matrix[free][:, free])
        known[:, free] = linear_solve(A, right[:, free], DIRECT).value
        return known[:, :count], known[:, count:]

    @cached_property
    def _matrix(self) -> scipy.sparse.csr_array:
        """∫ μ ∇u:∇v − p ∇·v − q ∇·u of velocities and pressures."""
        viscous = diffusion(self.velocity)(self.viscosity).to_scipy()
        gradients = quadrature_gradients(self.velocity).to_scipy()
        divergence = gradients[0::4] + gradients[3::4]  # ∂u/∂x + ∂v/∂y of xx, xy, yx, yy
        weights = scipy.sparse.diags_array(self.pressure.tabulation.weights.ravel())
        coupling = -quadrature_values(self.pressure).to_scipy().T @ weights @ divergence
        return scipy.sparse.csr_array(scipy.sparse.block_array([[viscous, coupling.T], [coupling, None]], format="csr"))


@lru_cache(maxsize=4)
def channel_mesh(box: Box, size: float) -> Mesh:
    """Triangles of edge length ``size`` in a box without one disc, finer there; its sides and ``cylinder`` are named.

    The sides are called left, right, bottom and top.
    """
    (disc,) = box.discs
    low, high = np.array(box.low), np.array(box.high)
    middle = (low + high) / 2
    hole = circle(np.array(disc.centre) - middle, disc.radius, "cylinder")
    graded = GradedSize(hole.points, FINER * size, size)
    width, height = (high - low).tolist()
    mesh = plate(width, height, graded, [hole])
    return mesh.with_points(mesh.points + middle)


def held_dofs(mesh: Mesh) -> np.ndarray[Any, Any]:
    """Both velocities on the inlet (left), the walls and the cylinder; the vertical one on the outlet (right)."""
    space = FunctionSpace(mesh, degree=2, components=2)
    still = dofs_on(space, "left", "bottom", "top", "cylinder")
    return np.union1d(still, dofs_on(space, "right", component=1))
