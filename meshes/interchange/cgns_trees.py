"""From CGNS trees in memory: nested lists ``[name, value, children, label]``, as pyCGNS and PLAID hand them out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.interchange.cell_fields import planar
from meshes.mesh import Mesh

__all__ = ["from_cgns_tree"]

Array = NDArray[Any]
Node = list[Any]

#: The standard's numbers of element types whose nodes stand in our order, but for the twenty-node brick.
_KINDS = {
    2: "vertex",
    3: "line",
    4: "line3",
    5: "triangle",
    6: "triangle6",
    7: "quad",
    8: "quad8",
    9: "quad9",
    10: "tetra",
    11: "tetra10",
    12: "pyramid",
    14: "wedge",
    17: "hexahedron",
    18: "hexahedron20",
}
#: CGNS lists the upright edges of a brick before those on top.
_BRICK = [*range(12), *range(16, 20), *range(12, 16)]


def from_cgns_tree(tree: Node, base: str | None = None) -> Mesh:
    """The unstructured zone of a CGNS tree, with its fields at vertices and in cells.

    Boundary conditions that list vertices become node sets; those that list faces are passed over, and so are fields
    at integration points. Plane meshes come back in the plane.

    Parameters
    ----------
    tree
        The root, in the layout of the standard's mapping to Python (SIDS-to-Python).
    base
        Name of the base that is read; by default the one whose cells have the largest dimension.

    Raises
    ------
    MeshError
        No base of this name, no zone or several, a structured zone, or elements of a type that is not known.

    Examples
    --------
    >>> import numpy as np
    >>> xy = [[f"Coordinate{a}", np.array(v), [], "DataArray_t"] for a, v in (("X", [0.0, 1, 0]), ("Y", [0.0, 0, 1]))]
    >>> nodes = [["ElementRange", np.array([1, 1]), [], "IndexRange_t"],
    ...          ["ElementConnectivity", np.array([1, 2, 3]), [], "DataArray_t"]]
    >>> zone = ["Zone", np.array([[3, 1, 0]]), [["Grid", None, xy, "GridCoordinates_t"],
    ...         ["Triangles", np.array([5, 0]), nodes, "Elements_t"]], "Zone_t"]
    >>> from_cgns_tree(["Tree", None, [["Base", np.array([2, 2]), [zone], "CGNSBase_t"]], "CGNSTree_t"])
    Mesh: 3 points in 2-D, 1 triangle
    """
    zone = _zone(tree, base)
    points = _points(zone)
    cells, numbers = _cells(zone)
    dimension = max((cell_type(kind).dimension for kind in cells), default=0)
    point_data, cell_data = _fields(zone, len(points), _largest_first(cells, numbers, dimension))
    sets = {name: ids - 1 for name, ids in _vertex_lists(zone)}
    return Mesh(planar(points, dimension), cells, point_data, cell_data, node_sets=sets)


def _zone(tree: Node, name: str | None) -> Node:
    bases = {node[0]: node for node in _labelled(tree, "CGNSBase_t") if any(_labelled(node, "Zone_t"))}
    if not bases or (name is not None and name not in bases):
        wanted = "a base with a zone" if name is None else f"a base {name!r} with a zone"
        raise MeshError(f"CGNS tree: expected {wanted}, found {', '.join(map(repr, bases)) or 'none'}.")
    if name is None:
        largest = max(int(np.ravel(node[1])[0]) for node in bases.values())
        chosen = [key for key, node in bases.items() if int(np.ravel(node[1])[0]) == largest]
        if len(chosen) > 1:
            raise MeshError(f"CGNS tree: {len(chosen)} bases of dimension {largest} ({', '.join(chosen)}): name one.")
        name = chosen[0]
    zones = list(_labelled(bases[name], "Zone_t"))
    if len(zones) > 1:
        names = ", ".join(zone[0] for zone in zones)
        raise MeshError(f"CGNS base {name!r}: {len(zones)} zones ({names}), expected one: merge them.")
    kind = next((_text(node[1]) for node in _labelled(zones[0], "ZoneType_t")), "Unstructured")
    if kind != "Unstructured":
        raise MeshError(f"CGNS zone {zones[0][0]!r} is {kind.lower()}: write it as unstructured elements.")
    return zones[0]


def _points(zone: Node) -> Array:
    grids = list(_labelled(zone, "GridCoordinates_t"))
    found = {node[0]: np.ravel(node[1]) for grid in grids[:1] for node in _labelled(grid, "DataArray_t")}
    axes = [found[f"Coordinate{axis}"] for axis in "XYZ" if f"Coordinate{axis}" in found]
    count = int(np.ravel(zone[1])[0])
    if not axes or any(len(axis) != count for axis in axes):
        sizes = ", ".join(f"{name} ({len(values)})" for name, values in found.items()) or "nothing"
        raise MeshError(f"CGNS zone {zone[0]!r}: coordinates {sizes}, expected CoordinateX, … of {count} values.")
    return np.stack(axes, axis=1)


def _cells(zone: Node) -> tuple[dict[str, Array], dict[str, Array]]:
    """Node numbers of the cells of each type, and the zone's number of each cell."""
    cells: dict[str, list[Array]] = {}
    numbers: dict[str, list[Array]] = {}
    for section in _labelled(zone, "Elements_t"):
        code = int(np.ravel(section[1])[0])
        if code not in _KINDS:
            known = ", ".join(_KINDS.values())
            raise MeshError(
                f"CGNS elements {section[0]!r} of type number {code}: not supported; write one section for each type "
                f"of {known}."
            )
        kind, held = _KINDS[code], {node[0]: node[1] for node in section[2]}
        first, last = (int(i) for i in np.ravel(held["ElementRange"])[:2])
        nodes = np.ravel(held["ElementConnectivity"]).astype(np.int64) - 1
        if nodes.size != (last - first + 1) * cell_type(kind).nodes:
            raise MeshError(
                f"CGNS elements {section[0]!r}: {nodes.size} nodes for elements {first} to {last} ({kind})."
            )
        nodes = nodes.reshape(-1, cell_type(kind).nodes)
        cells.setdefault(kind, []).append(nodes[:, _BRICK] if kind == "hexahedron20" else nodes)
        numbers.setdefault(kind, []).append(np.arange(first, last + 1))
    return (
        {kind: np.concatenate(parts) for kind, parts in cells.items()},
        {kind: np.concatenate(parts) for kind, parts in numbers.items()},
    )


def _largest_first(cells: dict[str, Array], numbers: dict[str, Array], dimension: int) -> dict[str, Array]:
    """Where the cells of the largest dimension stand in a cell field: in the order of their numbers."""
    kinds = [kind for kind in cells if cell_type(kind).dimension == dimension]
    if not kinds:
        return {}
    order = np.sort(np.concatenate([numbers[kind] for kind in kinds]))
    return {kind: np.searchsorted(order, numbers[kind]) for kind in kinds}


def _fields(zone: Node, count: int, places: dict[str, Array]) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
    at_points: dict[str, Array] = {}
    in_cells: dict[str, dict[str, Array]] = {}
    cell_count = sum(len(ids) for ids in places.values())
    for solution in _labelled(zone, "FlowSolution_t"):
        location = next((_text(node[1]) for node in _labelled(solution, "GridLocation_t")), "Vertex")
        for node in _labelled(solution, "DataArray_t"):
            values = np.ravel(node[1]) if node[1] is not None else np.zeros(0)
            expected = {"Vertex": count, "CellCenter": cell_count}.get(location)
            if expected is not None and len(values) != expected:
                raise MeshError(f"CGNS field {node[0]!r} at {location}: {len(values)} values, expected {expected}.")
            if location == "Vertex":
                at_points[node[0]] = values
            elif location == "CellCenter":
                in_cells[node[0]] = {kind: values[ids] for kind, ids in places.items()}
    return at_points, in_cells


def _vertex_lists(zone: Node) -> Iterator[tuple[str, Array]]:
    """Names and numbers, from 1, of the boundary conditions at vertices."""
    for group in _labelled(zone, "ZoneBC_t"):
        for condition in _labelled(group, "BC_t"):
            location = next((_text(node[1]) for node in _labelled(condition, "GridLocation_t")), "Vertex")
            held = {node[0]: node[1] for node in condition[2]}
            if location == "Vertex" and held.get("PointList") is not None:
                yield condition[0], np.ravel(held["PointList"]).astype(np.int64)
            elif location == "Vertex" and held.get("PointRange") is not None:
                first, last = (int(i) for i in np.ravel(held["PointRange"])[:2])
                yield condition[0], np.arange(first, last + 1)


def _labelled(node: Node, label: str) -> Iterator[Node]:
    return (child for child in node[2] or () if child[3] == label)


def _text(value: Array) -> str:
    return np.asarray(value).tobytes().decode("ascii", "replace").strip("\x00 ")
