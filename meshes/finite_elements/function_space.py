"""Continuous piecewise polynomials on a mesh: their nodes, degrees of freedom and quadrature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.finite_elements.elements import LagrangeElement, Tabulation, lagrange_element
from meshes.finite_elements.sparsity import EntryPlaces, vector_places
from meshes.geometry import signed_volumes
from meshes.interchange import to_scikit_fem
from meshes.mesh import Mesh

__all__ = ["FunctionSpace"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """Lagrange elements of degree 1 or 2 on a mesh of one type of straight-sided cells.

    A function is a flat vector ``(*batch, size)``: its values at the nodes, the components of a node side by side
    (``u.unflatten(-1, (-1, components))`` is ``(*batch, nodes, components)``). The first nodes are the mesh's points in
    their order; degree 2 adds mid-edge nodes, and face and cell centres where the cells have them.

    Parameters
    ----------
    mesh
        One cell type of line, triangle, quad, tetra, hexahedron that fills its space. Cells of lower dimension beside
        them are ignored; triangles and quadrilaterals together are not served (`meshes.generate.to_simplices`).
    degree
        1 or 2.
    components
        1 for scalars such as temperature, the dimension of the mesh for displacements.
    quadrature_degree
        Polynomial degree integrated exactly; by default what the mass matrix of undistorted cells needs.

    Raises
    ------
    MeshError
        A mesh or degree that is not served, inverted or degenerate cells, or points that no cell uses.

    Examples
    --------
    >>> mesh = Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]})
    >>> FunctionSpace(mesh, degree=2)
    FunctionSpace: degree 2 on 1 triangle cells, 6 nodes × 1 = 6 degrees of freedom
    """

    mesh: Mesh
    degree: int = 1
    components: int = 1
    quadrature_degree: int | None = None

    def __post_init__(self) -> None:
        blocks = self.mesh.blocks()
        if len(blocks) != 1:
            raise MeshError(
                f"a function space needs cells of one type; the mesh has {', '.join(blocks) or 'none'}: cut all "
                "into simplices with meshes.generate.to_simplices, or take one part with meshes.subset."
            )
        lagrange_element(self.cell, self.degree)
        if self.mesh.space_dimension != self.dimension:
            raise MeshError(
                f"{self.cell} cells in {self.mesh.space_dimension}-D space: expected cells that fill their "
                f"space; if the last coordinate is constant, use mesh.with_points(mesh.points[:, :{self.dimension}])."
            )
        if self.components < 1:
            raise MeshError(f"components {self.components}: expected 1, or the dimension for a vector field.")
        if self.quadrature_degree is not None and self.quadrature_degree < 1:
            raise MeshError(f"quadrature degree {self.quadrature_degree}: expected at least 1.")
        used = np.zeros(len(self.mesh.points), dtype=bool)
        used[self.mesh.cells[self.cell]] = True
        if not used.all():
            orphans = np.flatnonzero(~used)
            raise MeshError(
                f"{len(orphans)} points that no cell uses, such as {orphans[0]}, would be nodes without an equation: "
                "remove them with meshes.repair_mesh."
            )
        self._require_positive_jacobians()

    def __repr__(self) -> str:
        return (
            f"FunctionSpace: degree {self.degree} on {self.cell_count} {self.cell} cells, "
            f"{self.node_count} nodes × {self.components} = {self.size} degrees of freedom"
        )

    @property
    def cell(self) -> str:
        """The type of the cells."""
        return next(iter(self.mesh.blocks()))

    @property
    def element(self) -> LagrangeElement:
        """The Lagrange element of these cells and this degree."""
        return lagrange_element(self.cell, self.degree)

    @property
    def quadrature_order(self) -> int:
        """Degree that the quadrature integrates exactly."""
        return self.element.quadrature_degree if self.quadrature_degree is None else self.quadrature_degree

    @property
    def dimension(self) -> int:
        """Dimension of the cells and of the space."""
        return cell_type(self.cell).dimension

    @property
    def cell_count(self) -> int:
        """Number of cells."""
        return len(self.mesh.cells[self.cell])

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return int(self.basis.N)

    @property
    def size(self) -> int:
        """Number of degrees of freedom: nodes times components."""
        return self.node_count * self.components

    @cached_property
    def nodes(self) -> Array:
        """Coordinates ``(nodes, dim)``, length."""
        return np.ascontiguousarray(self.basis.doflocs.T)

    @cached_property
    def cell_nodes(self) -> Array:
        """Node numbers ``(cells, local)`` of every cell, in the order of its shape functions."""
        return np.ascontiguousarray(self.basis.element_dofs.T, dtype=np.int64)

    @cached_property
    def cell_dofs(self) -> Array:
        """Degrees of freedom ``(cells, local · components)``, components fastest."""
        dofs = self.cell_nodes[:, :, None] * self.components + np.arange(self.components)
        return dofs.reshape(len(dofs), -1)

    @cached_property
    def tabulation(self) -> Tabulation:
        """The scalar shape functions at the quadrature points of the cells."""
        return Tabulation.from_basis(self.basis)

    @cached_property
    def quadrature_points(self) -> torch.Tensor:
        """Places ``(cells, q, dim)`` of the quadrature points, float64."""
        return torch.tensor(self.tabulation.points)

    @cached_property
    def entry_places(self) -> EntryPlaces:
        """Pattern of all operators on this space, and where the entries of the cells' matrices go in it."""
        return vector_places(self.cell_nodes, self.node_count, self.components)

    @cached_property
    def basis(self) -> Any:
        """The scikit-fem basis of one component."""
        import skfem

        mesh = to_scikit_fem(self.mesh)
        return skfem.CellBasis(mesh, getattr(skfem, self.element.scikit_fem)(), intorder=self.quadrature_order)

    def _require_positive_jacobians(self) -> None:
        volumes = signed_volumes(self.mesh.points, self.cell, self.mesh.cells[self.cell])
        jacobian = np.broadcast_to(self.basis.mapping.detDF(self.basis.X), self.basis.dx.shape)
        # scikit-fem's reference hexahedron is left-handed: within a cell the sign must stay, that of the volume counts.
        folded = (jacobian * jacobian[:, :1] <= 0).any(axis=1)
        bad = np.flatnonzero(~(volumes > 0) | folded)  # NaN counts as bad
        if len(bad):
            raise MeshError(
                f"{len(bad)} {self.cell} cells are inverted or degenerate, such as {bad[:5].tolist()}: "
                "look at meshes.check_mesh; meshes.repair_mesh turns inverted cells over."
            )
