"""To and from PyVista (VTK)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.interchange.cell_fields import dense_blocks, planar, sparse_blocks
from meshes.mesh import Mesh

if TYPE_CHECKING:
    import pyvista

__all__ = ["VTK_TYPES", "from_pyvista", "to_pyvista"]

Array = NDArray[Any]

VTK_TYPES = {
    "vertex": 1,
    "line": 3,
    "triangle": 5,
    "quad": 9,
    "tetra": 10,
    "hexahedron": 12,
    "wedge": 13,
    "pyramid": 14,
    "line3": 21,
    "triangle6": 22,
    "quad8": 23,
    "tetra10": 24,
    "hexahedron20": 25,
    "quad9": 28,
    "hexahedron27": 29,
}

# VTK has no named sets and no plane points: both travel as field data under these names.
_OWN = "sciml:"
_DIMENSION = _OWN + "space_dimension"
_SETS = {"node_sets": _OWN + "node_set:", "cell_sets": _OWN + "cell_set:", "facet_sets": _OWN + "facet_set:"}


def to_pyvista(mesh: Mesh) -> pyvista.UnstructuredGrid:
    """The mesh as a `pyvista.UnstructuredGrid`; `from_pyvista` gives back an equal one, but for what VTK cannot hold.

    There fields of tensors are flattened to rows, single numbers become arrays of one, and a field that is given on
    some types of cells is float64 on all, NaN on the others. Sets, global data and the space dimension travel as field
    data.
    """
    import pyvista

    points = np.zeros((len(mesh.points), 3), dtype=mesh.points.dtype)
    points[:, : mesh.space_dimension] = mesh.points
    cells = [np.insert(nodes, 0, nodes.shape[1], axis=1).ravel() for nodes in mesh.cells.values()]
    kinds = [np.full(len(nodes), VTK_TYPES[kind], dtype=np.uint8) for kind, nodes in mesh.cells.items()]
    empty = np.zeros(0, dtype=np.int64)
    grid = pyvista.UnstructuredGrid(
        np.concatenate([empty, *cells]), np.concatenate([empty.astype(np.uint8), *kinds]), points
    )
    counts = {kind: len(nodes) for kind, nodes in mesh.cells.items()}
    for name, values in mesh.point_data.items():
        grid.point_data.set_array(np.array(values), name)
    for name, field in mesh.cell_data.items():
        grid.cell_data.set_array(np.concatenate(dense_blocks(field, counts)), name)
    for name, values in mesh.global_data.items():
        grid.field_data.set_array(np.atleast_1d(values), name)
    grid.field_data.set_array(np.array([mesh.space_dimension]), _DIMENSION)
    for name, ids in mesh.node_sets.items():
        grid.field_data.set_array(np.array(ids), _SETS["node_sets"] + name)
    for sets in ("cell_sets", "facet_sets"):
        for name, parts in getattr(mesh, sets).items():
            for kind, members in parts.items():
                grid.field_data.set_array(np.array(members), f"{_SETS[sets]}{kind}:{name}")
    return grid


def from_pyvista(source: pyvista.DataSet) -> Mesh:
    """A PyVista data set as a `Mesh`. Cells are grouped by type; plane meshes without a mark come back in the plane.

    Raises
    ------
    MeshError
        A cell type that is not known (polygons, polyhedra, voxels: triangulate first).
    """
    grid = source.cast_to_unstructured_grid()
    names = {number: kind for kind, number in VTK_TYPES.items()}
    kinds = np.asarray(grid.celltypes)
    unknown = sorted({int(k) for k in kinds} - names.keys())
    if unknown:
        raise MeshError(f"VTK cells of type {unknown}: not supported; triangulate the data set (.triangulate()) first.")
    order = [int(kinds[i]) for i in sorted(np.unique(kinds, return_index=True)[1])] if len(kinds) else []
    where = {names[number]: np.flatnonzero(kinds == number) for number in order}
    cells = {kind: np.asarray(grid.cells_dict[np.uint8(VTK_TYPES[kind])], dtype=np.int64) for kind in where}
    cell_data = {}
    for name, values in grid.cell_data.items():
        cell_data[name] = sparse_blocks({kind: np.asarray(values)[ids] for kind, ids in where.items()})
    bare = Mesh(np.array(grid.points), cells)
    mark = np.asarray(grid.field_data[_DIMENSION]) if _DIMENSION in grid.field_data else None
    points = planar(bare.points, bare.dimension) if mark is None else bare.points[:, : int(mark[0])]
    return Mesh(
        points,
        cells,
        {name: np.asarray(values) for name, values in grid.point_data.items()},
        cell_data,
        {name: np.asarray(values) for name, values in grid.field_data.items() if not name.startswith(_OWN)},
        {
            name.removeprefix(_SETS["node_sets"]): np.asarray(values)
            for name, values in grid.field_data.items()
            if name.startswith(_SETS["node_sets"])
        },
        _sets(grid, "cell_sets"),
        _sets(grid, "facet_sets"),
    )


def _sets(grid: Any, which: str) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for name, values in grid.field_data.items():
        if name.startswith(_SETS[which]):
            kind, _, own = name.removeprefix(_SETS[which]).partition(":")
            found.setdefault(own, {})[kind] = np.asarray(values)
    return found
