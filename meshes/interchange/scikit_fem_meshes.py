"""To and from scikit-fem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.mesh import Mesh
from meshes.topology import facets, match_rows

if TYPE_CHECKING:
    import skfem

__all__ = ["from_scikit_fem", "to_scikit_fem"]

Array = NDArray[Any]

_CLASSES = {
    "line": "MeshLine1",
    "triangle": "MeshTri1",
    "quad": "MeshQuad1",
    "tetra": "MeshTet1",
    "hexahedron": "MeshHex1",
}

# Place in scikit-fem's hexahedron of every node of ours: its corners are numbered by their sums of coordinates.
_HEXAHEDRON = np.array([0, 3, 6, 2, 1, 5, 7, 4])


def to_scikit_fem(mesh: Mesh) -> skfem.Mesh:
    """The mesh as a scikit-fem mesh of straight-sided cells, with cell sets as subdomains, facet sets as boundaries.

    Nodes and cells keep their numbers, and cells their orientation. Fields and node sets stay behind: scikit-fem's
    meshes have no place for them.

    Raises
    ------
    MeshError
        Cells of several types or of a type without counterpart (wedges, pyramids, quadratic cells: use
        `meshes.generate.to_simplices` first), or a facet set with facets that are not in the mesh.
    """
    import skfem

    blocks = mesh.blocks()
    if len(blocks) != 1 or next(iter(blocks)) not in _CLASSES:
        raise MeshError(f"scikit-fem takes one cell type of {', '.join(_CLASSES)}; the mesh has {', '.join(blocks)}.")
    ((kind, nodes),) = blocks.items()
    if mesh.space_dimension != cell_type(kind).dimension:
        raise MeshError(f"{kind} cells in {mesh.space_dimension}-D space: scikit-fem meshes fill their space.")
    t = nodes.T if kind != "hexahedron" else nodes.T[np.argsort(_HEXAHEDRON)]
    arguments = {"sort_t": False} if kind in ("triangle", "tetra") else {}
    points, cells = np.ascontiguousarray(mesh.points.T, dtype=np.float64), np.ascontiguousarray(t)
    result = getattr(skfem, _CLASSES[kind])(points, cells, **arguments)
    subdomains = {name: parts[kind] for name, parts in mesh.cell_sets.items() if kind in parts}
    boundaries = {name: _facet_numbers(result, name, parts) for name, parts in mesh.facet_sets.items()}
    if subdomains:
        result = result.with_subdomains(subdomains)
    return result.with_boundaries(boundaries) if boundaries else result


def from_scikit_fem(source: skfem.Mesh) -> Mesh:
    """A scikit-fem mesh as a `Mesh`; quadratic meshes lose their mid-nodes.

    Raises
    ------
    MeshError
        A class without counterpart.
    """
    names = {name: kind for kind, name in _CLASSES.items()}
    kind = names.get(type(source).__name__.replace("2", "1"))
    if kind is None:
        raise MeshError(f"{type(source).__name__}: not supported; expected one of {', '.join(_CLASSES.values())}.")
    vertices = cell_type(kind).vertices
    nodes = source.t[:vertices].T if kind != "hexahedron" else source.t[:vertices].T[:, _HEXAHEDRON]
    facet = cell_type(kind).facets[0][0]
    bare = Mesh(
        source.p[:, : source.nvertices].T,
        {kind: nodes},
        cell_sets={name: {kind: np.asarray(ids)} for name, ids in (source.subdomains or {}).items()},
    )
    named = {name: source.facets[:, np.asarray(ids)].T for name, ids in (source.boundaries or {}).items()}
    return replace(bare, facet_sets={name: {facet: _oriented(bare, kind, ids)} for name, ids in named.items()})


def _facet_numbers(source: skfem.Mesh, name: str, parts: dict[str, Array]) -> Array:
    """Numbers of facets given by their nodes."""
    known = np.sort(source.facets, axis=0).T
    wanted = np.concatenate([np.sort(nodes[:, : known.shape[1]], axis=1) for nodes in parts.values()])
    found = match_rows(known, wanted)
    if (found < 0).any():
        missing = wanted[found < 0][0].tolist()
        raise MeshError(f"facet set {name!r}: no cell has a facet with the nodes {missing}.")
    return found


def _oriented(mesh: Mesh, kind: str, nodes: Array) -> Array:
    """Facets in the node order of the first cell that has them; scikit-fem keeps their nodes sorted."""
    (group,) = facets(mesh).values()
    found = match_rows(group.vertices, np.sort(nodes, axis=1))
    member = np.searchsorted(group.group, found)
    local = np.array([order for _, order in cell_type(kind).facets])[group.local[member]]
    return np.take_along_axis(mesh.cells[kind][group.cell[member]], local, axis=1)
