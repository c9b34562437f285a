"""To and from meshio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import CELL_TYPES, cell_type
from meshes.errors import MeshError
from meshes.interchange.cell_fields import dense_blocks, planar, sparse_blocks
from meshes.mesh import Mesh

if TYPE_CHECKING:
    import meshio

__all__ = ["from_meshio", "to_meshio"]

Array = NDArray[Any]

# Facet sets travel as blocks of their own, marked by a cell set of this name.
_FACETS = "facets:"
_PHYSICAL = "gmsh:physical"


def to_meshio(mesh: Mesh) -> meshio.Mesh:
    """The mesh as a `meshio.Mesh`; `from_meshio` gives back an equal one.

    Node sets become point sets and cell sets cell sets; the facets of a facet set become cells of a lower dimension
    with the cell set ``facets:NAME``. Cell fields that are given on some types only are NaN on the others.
    """
    import meshio

    blocks = [(kind, nodes) for kind, nodes in mesh.cells.items()]
    own = len(blocks)
    facets = [(name, kind, nodes) for name, parts in mesh.facet_sets.items() for kind, nodes in parts.items()]
    blocks += [(kind, nodes) for _, kind, nodes in facets]
    counts = {kind: len(nodes) for kind, nodes in mesh.cells.items()}
    cell_data = {}
    for name, field in mesh.cell_data.items():
        given = dense_blocks(field, counts)
        trailing = given[0].shape[1:] if given else ()
        cell_data[name] = given + [np.full((len(nodes), *trailing), np.nan) for _, _, nodes in facets]
    nothing = np.zeros(0, dtype=np.int64)
    cell_sets = {
        name: [parts.get(kind, nothing) for kind in mesh.cells] + [nothing] * len(facets)
        for name, parts in mesh.cell_sets.items()
    }
    for name in mesh.facet_sets:
        cell_sets[_FACETS + name] = [nothing] * own + [
            np.arange(len(nodes)) if owner == name else nothing for owner, _, nodes in facets
        ]
    return meshio.Mesh(
        mesh.points,
        blocks,
        dict(mesh.point_data),
        cell_data,
        dict(mesh.global_data),
        dict(mesh.node_sets),
        cell_sets,
    )


def from_meshio(source: meshio.Mesh, flatten: bool = False) -> Mesh:
    """A `meshio.Mesh` as a `Mesh`. Blocks of one type are joined; Gmsh's physical groups become named sets.

    Parameters
    ----------
    source
        Any mesh whose cell types are among `CELL_TYPES`.
    flatten
        Drop trailing coordinates that are zero throughout, as formats have them that know points in space only.

    Raises
    ------
    MeshError
        A cell type that is not known, or fields that do not fit.
    """
    unknown = sorted({block.type for block in source.cells} - CELL_TYPES.keys())
    if unknown:
        raise MeshError(f"cells of type {', '.join(unknown)}: not supported; expected {', '.join(CELL_TYPES)}.")
    facet_names = {name: sets for name, sets in source.cell_sets.items() if name.startswith(_FACETS)}
    is_facets = [any(len(_ids(sets[i])) for sets in facet_names.values()) for i in range(len(source.cells))]
    kept = [i for i, facets in enumerate(is_facets) if not facets]
    cells = _joined({i: source.cells[i].data for i in kept}, source)
    dimension = max((cell_type(kind).dimension for kind, nodes in cells.items() if len(nodes)), default=0)
    points = np.asarray(source.points)
    mesh = Mesh(
        planar(points, dimension) if flatten else points,
        cells,
        {name: np.asarray(values) for name, values in source.point_data.items()},
        _cell_data(source, kept),
        {name: np.asarray(v) for name, v in source.field_data.items() if not _is_group(source, name)},
        {name: _ids(ids) for name, ids in source.point_sets.items()},
        _cell_sets(source, kept, facet_names),
        {name.removeprefix(_FACETS): _facets(source, sets) for name, sets in facet_names.items()},
    )
    return _with_groups(mesh, source, kept)


def _joined(blocks: dict[int, Array], source: meshio.Mesh) -> dict[str, Array]:
    """Arrays of blocks, joined by cell type in the order of first appearance."""
    parts: dict[str, list[Array]] = {}
    for index, values in blocks.items():
        parts.setdefault(source.cells[index].type, []).append(np.asarray(values))
    return {kind: found[0] if len(found) == 1 else np.concatenate(found) for kind, found in parts.items()}


def _cell_data(source: meshio.Mesh, kept: list[int]) -> dict[str, dict[str, Array]]:
    fields = {
        name: sparse_blocks(_joined({i: values[i] for i in kept}, source)) for name, values in source.cell_data.items()
    }
    return {name: blocks for name, blocks in fields.items() if blocks}


def _cell_sets(source: meshio.Mesh, kept: list[int], facet_names: dict[str, Any]) -> dict[str, dict[str, Array]]:
    sets = {}
    for name, members in source.cell_sets.items():
        if name in facet_names or name.startswith("gmsh:"):
            continue
        found: dict[int, Array] = {}
        starts: dict[str, int] = {}
        for i in kept:
            kind = source.cells[i].type
            found[i] = _ids(members[i]) + starts.get(kind, 0)
            starts[kind] = starts.get(kind, 0) + len(source.cells[i].data)
        sets[name] = {kind: ids for kind, ids in _joined(found, source).items() if len(ids)}
    return sets


def _facets(source: meshio.Mesh, members: list[Array]) -> dict[str, Array]:
    chosen = {i: source.cells[i].data[_ids(ids)] for i, ids in enumerate(members) if len(_ids(ids))}
    return _joined(chosen, source)


def _is_group(source: meshio.Mesh, name: str) -> bool:
    """Whether a field-data entry is the (tag, dimension) of a physical group."""
    value = np.asarray(source.field_data[name])
    return _PHYSICAL in source.cell_data and value.shape == (2,) and value.dtype.kind in "iu"


def _with_groups(mesh: Mesh, source: meshio.Mesh, kept: list[int]) -> Mesh:
    """Physical groups as sets: of cells, of facets (one dimension less than the mesh), of nodes (points)."""
    from dataclasses import replace

    groups = {name: np.asarray(v) for name, v in source.field_data.items() if _is_group(source, name)}
    if not groups:
        return mesh
    tags = _joined({i: source.cell_data[_PHYSICAL][i] for i in kept}, source)
    node_sets, cell_sets, facet_sets = dict(mesh.node_sets), dict(mesh.cell_sets), dict(mesh.facet_sets)
    for name, (tag, dimension) in groups.items():
        members = {
            kind: np.flatnonzero(values == tag)
            for kind, values in tags.items()
            if cell_type(kind).dimension == dimension and (values == tag).any()
        }
        if dimension == mesh.dimension:
            cell_sets[name] = members
        elif dimension == mesh.dimension - 1:
            facet_sets[name] = {kind: mesh.cells[kind][ids] for kind, ids in members.items()}
        else:
            nodes = [mesh.cells[kind][ids].ravel() for kind, ids in members.items()]
            node_sets[name] = np.unique(np.concatenate(nodes)) if nodes else np.zeros(0, dtype=np.int64)
    return replace(mesh, node_sets=node_sets, cell_sets=cell_sets, facet_sets=facet_sets)


def _ids(members: Any) -> Array:
    return np.zeros(0, dtype=np.int64) if members is None else np.asarray(members).astype(np.int64).ravel()
