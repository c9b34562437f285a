"""Meshes of every cell type for the tests of interpolation: jittered grids of the unit cube."""

import numpy as np

from meshes import Mesh
from meshes.cell_types import cell_type
from meshes.generate import structured_grid, to_simplices
from meshes.interpolation.shape_functions import reference_nodes, shape_functions

LINEAR = ("line", "triangle", "quad", "tetra", "hexahedron", "wedge")
QUADRATIC = ("line3", "triangle6", "quad8", "quad9", "tetra10", "hexahedron20", "hexahedron27")


def unit_cube(kind: str, n: int = 4, seed: int = 0, jitter: float = 0.2) -> Mesh:
    """[0, 1]^d in cells of one type, inner grid nodes moved by up to jitter/n."""
    dim = cell_type(kind).dimension
    axis = np.linspace(0.0, 1.0, n + 1)
    grid = structured_grid(*[axis] * dim)
    inside = ((grid.points > 0) & (grid.points < 1)).all(axis=1, keepdims=True)
    shift = np.random.default_rng(seed).uniform(-jitter / n, jitter / n, grid.points.shape)
    linear = cell_type(kind).linear
    if linear == "wedge":
        shift[:] = 0.0  # two wedges of a bent hexahedron would disagree about its faces
    grid = grid.with_points(grid.points + inside * shift)
    if linear in ("triangle", "tetra"):
        grid = to_simplices(grid)
    if linear == "wedge":
        corners = grid.block("hexahedron")
        grid = Mesh(grid.points, {"wedge": corners[:, [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]]].reshape(-1, 6)})
    return grid if kind == linear else with_nodes_between(grid, kind)


def with_nodes_between(mesh: Mesh, kind: str) -> Mesh:
    """The quadratic mesh with the same straight-sided cells."""
    linear = cell_type(kind).linear
    weights = shape_functions(linear, reference_nodes(kind))
    places = np.einsum("nv,kvd->knd", weights, mesh.points[mesh.block(linear)]).reshape(-1, mesh.space_dimension)
    _, first, number = np.unique(places.round(9), axis=0, return_index=True, return_inverse=True)
    return Mesh(places[first], {kind: number.reshape(-1, cell_type(kind).nodes)})
