"""Solids from plane meshes: extrusion along z."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.generate.boundary_sets import with_boundary_sets
from meshes.mesh import Mesh

__all__ = ["extrude"]

Array = NDArray[Any]

_SOLID = {"triangle": "wedge", "quad": "hexahedron"}


def extrude(mesh: Mesh, levels: ArrayLike, ends: tuple[str, str] = ("back", "front")) -> Mesh:
    """Wedges over triangles, hexahedra over quadrilaterals, in layers between rising heights.

    `to_simplices` makes tetrahedra of them; bend, twist and taper with `Mesh.with_points`.

    Parameters
    ----------
    mesh
        Positively oriented cells in the plane. Point and cell fields are repeated on every level and layer.
    levels
        Rising heights z ``(k,)``.
    ends
        Names of the facet and node sets at the first and the last level; the sides keep their names.

    Raises
    ------
    MeshError
        Levels that do not rise, other cells than triangles and quadrilaterals in the plane, a name taken already.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> extrude(square, [0.0, 1.0, 3.0])
    Mesh: 12 points in 3-D, 2 hexahedrons
      node sets: back (4), front (4)
      facet sets: back (1), front (1)
    """
    z = np.asarray(levels, dtype=np.float64)
    blocks = mesh.blocks()
    if z.ndim != 1 or len(z) < 2 or not (np.diff(z) > 0).all():
        raise MeshError(f"levels of shape {z.shape}: expected at least two rising heights.")
    if mesh.space_dimension != 2 or not blocks or not set(blocks) <= set(_SOLID):
        raise MeshError(f"extrude takes triangles and quads in the plane; the mesh has {', '.join(blocks) or 'none'}.")
    taken = set(ends) & set(mesh.facet_sets)
    if taken or ends[0] == ends[1]:
        raise MeshError(f"ends {ends}: a name is taken already; the mesh has {', '.join(mesh.facet_sets)}.")
    n, layers = len(mesh.points), len(z) - 1
    points = np.column_stack([np.tile(mesh.points, (len(z), 1)), np.repeat(z, n)])
    cells = {_SOLID[kind]: _layers(np.hstack([nodes, nodes + n]), n, layers) for kind, nodes in blocks.items()}
    sides = {
        name: {"quad": _layers(np.column_stack([line, line[:, ::-1] + n]), n, layers)}
        for name, parts in mesh.facet_sets.items()
        for line in [parts["line"]]
    }
    caps = {
        ends[0]: {kind: nodes[:, ::-1] for kind, nodes in blocks.items()},
        ends[1]: {kind: nodes + layers * n for kind, nodes in blocks.items()},
    }
    solid = Mesh(
        points,
        cells,
        {name: np.concatenate([v] * len(z)) for name, v in mesh.point_data.items()},
        {
            name: {_SOLID[k]: np.concatenate([v] * layers) for k, v in parts.items() if k in blocks}
            for name, parts in mesh.cell_data.items()
        },
        mesh.global_data,
        {name: (ids + n * np.arange(len(z))[:, None]).ravel() for name, ids in mesh.node_sets.items()},
    )
    return with_boundary_sets(solid, {**sides, **caps})


def _layers(nodes: Array, step: int, count: int) -> Array:
    """The node tuples ``(k, w)`` of the first layer, repeated for every layer."""
    return (nodes + step * np.arange(count)[:, None, None]).reshape(-1, nodes.shape[1])
