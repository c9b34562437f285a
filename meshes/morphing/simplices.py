"""P1 elements for morphing: cells cut into simplices, gradients of their shape functions, element matrices."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MeshError
from meshes.mesh import Mesh

__all__ = ["Simplices", "elastic_matrices", "laplace_matrices", "shape_gradients", "simplices", "triplets"]

Array = NDArray[Any]

# Both ways to cut a quadrilateral, and a hexahedron into five tetrahedra, count half: on a face between two hexahedra
# both diagonals then stand on either side, and linear functions stay exact.
_FIVE = ((0, 1, 3, 4), (1, 2, 3, 6), (1, 4, 5, 6), (3, 4, 6, 7), (1, 3, 4, 6))
_OTHER_FIVE = ((0, 1, 2, 5), (0, 2, 3, 7), (0, 5, 7, 4), (2, 5, 6, 7), (0, 2, 7, 5))
_CUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "triangle": ((0, 1, 2),),
    "tetra": ((0, 1, 2, 3),),
    "quad": ((0, 1, 2), (0, 2, 3), (0, 1, 3), (1, 2, 3)),
    "hexahedron": (*_FIVE, *_OTHER_FIVE),
}
_SHARES = {"triangle": 1.0, "tetra": 1.0, "quad": 0.5, "hexahedron": 0.5}


@dataclass(frozen=True)
class Simplices:
    """Triangles or tetrahedra ``(k, dim + 1)`` and the share ``(k,)`` with which each counts."""

    nodes: Tensor
    share: Tensor


def simplices(mesh: Mesh) -> Simplices:
    """Cut the cells of a mesh that fills its space.

    Raises
    ------
    MeshError
        Cells of another kind (quadratic ones, wedges), or the mesh is a surface in space.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> simplices(square).nodes.shape, simplices(square).share.sum()
    (torch.Size([4, 3]), tensor(2., dtype=torch.float64))
    """
    blocks = mesh.blocks()
    foreign = [kind for kind in blocks if kind not in _CUTS]
    if foreign or not blocks or mesh.dimension != mesh.space_dimension:
        raise MeshError(
            f"the mesh has {', '.join(blocks) or 'no'} cells in {mesh.space_dimension}-D space: expected "
            "triangles or quadrilaterals in the plane, tetrahedra or hexahedra in space; RadialBasisMorphing takes any."
        )
    nodes = np.concatenate([cells[:, list(cut)] for kind, cells in blocks.items() for cut in _CUTS[kind]])
    share = np.concatenate([np.full(len(cells) * len(_CUTS[kind]), _SHARES[kind]) for kind, cells in blocks.items()])
    return Simplices(torch.from_numpy(nodes), torch.from_numpy(share))


def shape_gradients(points: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Signed volumes ``(*batch, k)`` and gradients ``(*batch, k, dim + 1, dim)`` of the P1 functions of simplices."""
    corners = points[..., nodes, :]
    edges = corners[..., 1:, :] - corners[..., :1, :]
    others = torch.linalg.inv(edges).mT
    gradients = torch.cat([-others.sum(dim=-2, keepdim=True), others], dim=-2)
    return torch.linalg.det(edges) / factorial(points.shape[-1]), gradients


def laplace_matrices(points: Tensor, cells: Simplices) -> Tensor:
    """∫ ∇φ_i · ∇φ_j over every simplex, ``(*batch, k, dim + 1, dim + 1)``."""
    volume, g = shape_gradients(points, cells.nodes)
    return (cells.share * volume.abs())[..., None, None] * (g @ g.mT)


def elastic_matrices(points: Tensor, cells: Simplices, poisson: float) -> Tensor:
    """Element matrices of linear elasticity with Young's modulus 1 / volume, ``(*batch, k, (dim+1) dim, (dim+1) dim)``.

    λ (∇·u)(∇·v) + 2 μ ε(u) : ε(v), plane strain in 2-D; the volume of the cell cancels. Unknowns of a node stand
    together.
    """
    _, g = shape_gradients(points, cells.nodes)
    lame = poisson / ((1 + poisson) * (1 - 2 * poisson))
    shear = 1 / (2 * (1 + poisson))
    outer = torch.einsum("...ia,...jb->...iajb", g, g)
    identity = torch.eye(points.shape[-1], dtype=points.dtype)
    K = lame * outer + shear * outer.transpose(-1, -3) + shear * torch.einsum("...ij,ab->...iajb", g @ g.mT, identity)
    size = g.shape[-1] * g.shape[-2]
    return cells.share[:, None, None] * K.reshape(*K.shape[:-4], size, size)


def triplets(matrices: Tensor, unknowns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of element matrices ``(*batch, k, a, a)`` with the unknowns ``(k, a)``."""
    width = unknowns.shape[1]
    row = unknowns[:, :, None].expand(-1, -1, width).reshape(-1)
    column = unknowns[:, None, :].expand(-1, width, -1).reshape(-1)
    return row, column, matrices.reshape(*matrices.shape[:-3], -1)
