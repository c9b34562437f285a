"""Linear elasticity of clamped solids by quadratic tetrahedra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from meshes import Mesh, facet_normals
from meshes.finite_elements import (
    CoefficientLayout,
    DirichletCondition,
    FunctionSpace,
    elasticity,
    lame,
    load,
    nodal_gradients,
    per_node,
    stress,
    traction,
    von_mises,
)
from meshes.finite_elements.elements import Tabulation
from pde_benchmarks.errors import ProblemError
from solvers import CSROperator, SuperLU, linear_solve

__all__ = ["ElasticSolid"]

Array = NDArray[Any]

# A thin blade's matrix is better factored than iterated on: CG with smoothed aggregation and rigid motions needs
# hundreds to thousands of steps for cells a hundred times longer than thick.
_DIRECT = SuperLU(rtol=1e-8)


@dataclass(frozen=True, eq=False)
class ElasticSolid:
    """−∇·σ(u) = f with Hooke's law in a solid of one material, u = 0 on one part of its boundary.

    Forces, lengths and stresses in any one system of units, such as N, mm and MPa. Load vectors and displacements are
    ``(nodes · 3,)`` in float64, components of a node side by side; the first nodes are the points of the mesh.

    Parameters
    ----------
    mesh
        Tetrahedra.
    young, poisson
        E and ν of the material.
    clamped
        Facet set on which u = 0.

    Examples
    --------
    >>> from meshes.generate import blade, to_simplices
    >>> beam = to_simplices(blade(twist=0.0, divisions=(4, 2, 1)))
    >>> solid = ElasticSolid(beam, young=2e5, poisson=0.3, clamped="root")
    >>> force = solid.pressure("pressure", 0.1)
    >>> u = solid.displacement(force)
    >>> total = force.view(-1, 3).sum(0)
    >>> bool((solid.reaction(u, force) + total).norm() < 1e-6 * total.norm())
    True
    """

    mesh: Mesh
    young: float
    poisson: float
    clamped: str

    def __post_init__(self) -> None:
        if list(self.mesh.blocks()) != ["tetra"]:
            raise ProblemError(f"{', '.join(self.mesh.blocks()) or 'no'} cells: expected tetrahedra; see to_simplices.")
        if not (self.young > 0 and -1 < self.poisson < 0.5):
            raise ProblemError(f"E = {self.young}, ν = {self.poisson}: expected E > 0 and −1 < ν < 1/2.")

    @cached_property
    def space(self) -> FunctionSpace:
        """Quadratic displacements; products of their gradients are integrated exactly."""
        return FunctionSpace(self.mesh, degree=2, components=3, quadrature_degree=2)

    @cached_property
    def stiffness(self) -> CSROperator:
        """The matrix ``(nodes · 3, nodes · 3)`` without clamps."""
        return elasticity(self.space, _one_material)(self._moduli[None])

    def body_force(self, force: ArrayLike) -> Tensor:
        """∫ f·v of a force per volume, given at the nodes ``(nodes, 3)`` and quadratic between them."""
        values = torch.as_tensor(np.asarray(force, dtype=np.float64))
        scalar = FunctionSpace(self.mesh, degree=2)
        return (load(scalar, per_node) @ values.T).T.flatten()

    def traction(self, where: str, force: ArrayLike) -> Tensor:
        """∫ t·v over a facet set, of a force per area ``(3,)``, or one a facet ``(m, 3)``."""
        operator = traction(self.space, where)
        values = np.broadcast_to(np.asarray(force, dtype=np.float64), (operator.shape[1] // 3, 3))
        return operator @ torch.tensor(values.ravel())

    def pressure(self, where: str, pressure: float) -> Tensor:
        """∫ −p n·v over a facet set of triangles: positive pressures push inward."""
        normals = facet_normals(self.mesh, self.mesh.facet_set(where))["triangle"]
        return self.traction(where, -pressure * normals)

    def displacement(self, force: Tensor) -> Tensor:
        """The u that balances load vectors ``(*batch, nodes · 3)``.

        Raises
        ------
        solvers.errors.SolveError
            The matrix is singular to working precision.
        """
        held = DirichletCondition.on(self.space, self.clamped)
        A, b = held.eliminate(self.stiffness, force)
        return held.extend(linear_solve(A, b, _DIRECT).value)

    def reaction(self, displacement: Tensor, force: Tensor) -> Tensor:
        """The force ``(*batch, 3)`` with which the clamp holds the solid; minus the sum of the loads."""
        rest = self.stiffness @ displacement - force
        return rest.unflatten(-1, (-1, 3)).sum(-2)

    def von_mises(self, displacement: Tensor) -> Tensor:
        """Equivalent stress at the points of the mesh ``(*batch, points)``.

        Stresses at a point are means over the cells around it, weighted by their volumes.
        """
        gradient = (self._gradients @ displacement).unflatten(-1, (-1, 3, 3))
        return von_mises(stress(gradient, self._moduli))

    @cached_property
    def _moduli(self) -> Tensor:
        return lame(self.young, self.poisson)

    @cached_property
    def _gradients(self) -> CSROperator:
        rows = nodal_gradients(self.space).to_scipy()[: 9 * len(self.mesh.points)]
        return CSROperator.from_scipy(rows)


def _one_material(space: FunctionSpace, points: Tabulation, cell_nodes: Array) -> CoefficientLayout:
    """One pair of moduli for all cells: the assembly map has two columns instead of two a cell."""
    cells, q = points.weights.shape
    return CoefficientLayout(np.zeros((cells, 1), dtype=np.int64), np.ones((1, 1, q)), 1, "solid")
