"""Quadratic triangles in plane strain: from displacements to strains, from stresses to forces, and tangents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes import Mesh
from meshes.finite_elements import FunctionSpace
from meshes.finite_elements.shape_matrices import strain_matrix
from pde_benchmarks.errors import ProblemError
from solvers.operators import CSROperator

__all__ = ["PlaneStrain"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PlaneStrain:
    """A body of triangles with displacements of degree 2, three quadrature points a cell, unit thickness.

    Quantities at quadrature points are flat: ``(m, ...)`` with m = 3 · cells, the points of a cell side by side.

    Parameters
    ----------
    mesh
        Triangles in the plane.

    Raises
    ------
    ProblemError
        Cells of another type.

    Examples
    --------
    >>> mesh = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> body = PlaneStrain(mesh)
    >>> stretched = (body.space.nodes * [0.1, 0.0]).ravel()
    >>> body.strains(stretched)[0, :2].round(12).tolist()
    [0.1, 0.0]
    """

    mesh: Mesh

    def __post_init__(self) -> None:
        if list(self.mesh.blocks()) != ["triangle"]:
            found = ", ".join(self.mesh.blocks()) or "no cells"
            raise ProblemError(f"a body of {found}: expected triangles; meshes.generate.to_simplices makes them.")

    @cached_property
    def space(self) -> FunctionSpace:
        """The displacements: u and v of a node side by side."""
        return FunctionSpace(self.mesh, degree=2, components=2, quadrature_degree=2)

    @property
    def point_count(self) -> int:
        """Number of quadrature points."""
        return int(self.space.tabulation.weights.size)

    def strains(self, displacement: Array) -> Array:
        """ε_xx, ε_yy, γ_xy ``(m, 3)`` of displacements ``(size,)``."""
        local = displacement[self.space.cell_dofs][:, :, None]
        return np.matmul(self._strain_matrix, local).reshape(-1, 3)

    def forces(self, stress: Array) -> Array:
        """∫ ε(v):σ for every degree of freedom, ``(size,)``, of stresses ``(m, 4)``: xx, yy, zz, xy."""
        in_plane = stress[:, [0, 1, 3]] * self.space.tabulation.weights.reshape(-1, 1)
        local = np.matmul(self._strain_matrix.transpose(0, 2, 1), in_plane.reshape(self.space.cell_count, -1, 1))
        return np.bincount(self.space.cell_dofs.ravel(), local.ravel(), minlength=self.space.size)

    def stiffness(self, tangent: Array) -> CSROperator:
        """∫ ε(v):D ε(u) for tangents D ``(m, 3, 3)``, on the pattern of the space's other operators."""
        B = self._strain_matrix
        cells, _, local = B.shape
        weighted = tangent * self.space.tabulation.weights.reshape(-1, 1, 1)
        DB = np.matmul(weighted.reshape(cells, -1, 3, 3), B.reshape(cells, -1, 3, local)).reshape(B.shape)
        matrices = np.matmul(B.transpose(0, 2, 1), DB)
        places = self.space.entry_places
        values = np.bincount(places.places.ravel(), matrices.ravel(), minlength=places.pattern.col.numel())
        return CSROperator.from_pattern(places.pattern, torch.from_numpy(values), {"symmetric"})

    def vertex_means(self, values: Array) -> Array:
        """Values ``(m, k)`` at quadrature points, averaged over the cells around each vertex ``(points, k)``.

        Each cell counts by its area.
        """
        weights = self.space.tabulation.weights
        means = np.einsum("cq,cqk->ck", weights, values.reshape(*weights.shape, -1)) / self._areas[:, None]
        return self._averaged(np.repeat(means[:, None], 3, axis=1))

    def vertex_strains(self, displacement: Array) -> Array:
        """ε_xx, ε_yy, γ_xy ``(points, 3)`` of displacements ``(size,)`` at the vertices.

        Strains are linear in every cell; where they jump, each cell around a vertex counts by its area.
        """
        at_points = self.strains(displacement).reshape(self.space.cell_count, -1, 3)
        x, y = self.space.basis.X
        to_corners = np.linalg.inv(np.column_stack([1 - x - y, x, y]))
        return self._averaged(np.matmul(to_corners, at_points))

    def _averaged(self, at_corners: Array) -> Array:
        """Values ``(cells, 3, k)`` at the corners of the cells, averaged by area to ``(points, k)``."""
        nodes, count = self.space.cell_nodes[:, :3].ravel(), len(self.mesh.points)
        weights = np.repeat(self._areas, 3)
        area = np.bincount(nodes, weights, minlength=count)
        columns = at_corners.reshape(len(nodes), -1).T
        return np.stack([np.bincount(nodes, weights * c, minlength=count) / area for c in columns], axis=1)

    @cached_property
    def _areas(self) -> Array:
        return np.asarray(self.space.tabulation.weights.sum(axis=1))

    @cached_property
    def _strain_matrix(self) -> Array:
        """Displacements of a cell to the strains at its points, ``(cells, 9, 12)``."""
        matrix = strain_matrix(self.space.tabulation)
        return np.ascontiguousarray(matrix.reshape(len(matrix), -1, matrix.shape[-1]))
