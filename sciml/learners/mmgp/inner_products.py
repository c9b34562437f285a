"""Inner products of fields on the common mesh: mass matrices of piecewise linear functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.finite_elements import FunctionSpace, mass
from meshes.geometry import signed_volumes
from meshes.mesh import Mesh
from solvers import CSROperator

__all__ = ["InnerProduct", "euclidean", "mass_product"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class InnerProduct:
    """⟨u, v⟩ = uᵀ M v, block by block for fields of several components one after the other.

    Parameters
    ----------
    operator
        M ``(N, N)``, symmetric positive definite.
    """

    operator: CSROperator

    def apply(self, fields: Tensor) -> Tensor:
        """M u for fields ``(*batch, c N)``."""
        return self.operator.mv(fields.unflatten(-1, (-1, self.operator.shape[0])).contiguous()).flatten(-2)

    def squared_norm(self, fields: Tensor) -> Tensor:
        """⟨u, u⟩ of fields ``(*batch, c N)``."""
        return (fields * self.apply(fields)).sum(dim=-1)

    @property
    def total(self) -> float:
        """⟨1, 1⟩ of a single component: the measure of the domain."""
        return float(self.operator.values.sum())


def euclidean(size: int) -> InnerProduct:
    """Every node counts the same: Σ u_i v_i / N.

    Examples
    --------
    >>> float(euclidean(4).squared_norm(torch.ones(4, dtype=torch.float64)))
    1.0
    """
    index = torch.arange(size)
    values = torch.full((size,), 1.0 / size, dtype=torch.float64)
    return InnerProduct(CSROperator.from_coo(index, index, values, (size, size), {"spd"}))


def mass_product(mesh: Mesh) -> InnerProduct:
    """∫ u v over a mesh, for fields that are linear on its cells (bilinear on quadrilaterals and hexahedra).

    Triangles and tetrahedra may lie in a space of more dimensions, and count with the absolute value of their volume.

    Raises
    ------
    MeshError
        Quadrilaterals or hexahedra that `FunctionSpace` refuses, or cells without any volume.

    Examples
    --------
    >>> mesh = Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]})
    >>> float(mass_product(mesh).squared_norm(torch.ones(3, dtype=torch.float64)))  # the area
    1.0
    """
    blocks = mesh.blocks()
    simple = all(cell_type(kind).nodes == cell_type(kind).dimension + 1 for kind in blocks)
    if not simple:
        return InnerProduct(mass(FunctionSpace(mesh))(1.0))
    parts = [_triplets(mesh.points, kind, nodes) for kind, nodes in blocks.items()]
    row, column, values = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
    n = len(mesh.points)
    return InnerProduct(CSROperator.from_coo(row, column, values, (n, n), {"spd"}))


def _triplets(points: Array, kind: str, nodes: Array) -> tuple[Array, Array, Array]:
    """Element matrices V (1 + δ_ij) / ((d + 1)(d + 2))."""
    corners = nodes.shape[1]
    volume = np.abs(signed_volumes(points, kind, nodes))
    if not (volume > 0).all():
        collapsed = int((volume <= 0).sum())
        raise MeshError(f"{collapsed} of {len(nodes)} {kind} cells have no volume: no inner product on such a mesh.")
    local = (1 + np.eye(corners)) / (corners * (corners + 1))
    row = np.repeat(nodes, corners, axis=1)
    column = np.tile(nodes, (1, corners))
    return row.ravel(), column.ravel(), (volume[:, None, None] * local).ravel()
