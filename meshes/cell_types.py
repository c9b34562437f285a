"""The kinds of cells: dimension, vertices, facets. Node orders are meshio's, which are VTK's for these types."""

from __future__ import annotations

from dataclasses import dataclass

from meshes.errors import MeshError

__all__ = ["CELL_TYPES", "CellType", "cell_type"]


@dataclass(frozen=True)
class CellType:
    """One kind of cell.

    Attributes
    ----------
    name
        meshio's name, such as "triangle".
    dimension
        0 for vertices to 3 for solids.
    nodes
        Nodes of a cell; the vertices come first.
    vertices
        Number of vertices.
    facets
        For every facet its type and the local numbers of its nodes, ordered so that its normal points outward.
    linear
        The type with the same vertices and no other nodes.
    """

    name: str
    dimension: int
    nodes: int
    vertices: int
    facets: tuple[tuple[str, tuple[int, ...]], ...]
    linear: str


def _table() -> dict[str, CellType]:
    line2, line3 = "line", "line3"
    tetra_faces = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))
    # Mid-edge nodes of the quadratic tetrahedron: 4 = 01, 5 = 12, 6 = 02, 7 = 03, 8 = 13, 9 = 23.
    tetra10_faces = ((0, 2, 1, 6, 5, 4), (0, 1, 3, 4, 8, 7), (1, 2, 3, 5, 9, 8), (0, 3, 2, 7, 9, 6))
    hexahedron_faces = ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
    # Mid-edge nodes: 8–11 below, 12–15 above, 16–19 upright.
    hexahedron20_faces = (
        (0, 3, 2, 1, 11, 10, 9, 8),
        (4, 5, 6, 7, 12, 13, 14, 15),
        (0, 1, 5, 4, 8, 17, 12, 16),
        (1, 2, 6, 5, 9, 18, 13, 17),
        (2, 3, 7, 6, 10, 19, 14, 18),
        (3, 0, 4, 7, 11, 16, 15, 19),
    )
    # Face centres of the 27-node hexahedron in VTK's order: 20 (x = 0), 21 (x = 1), 22 (y = 0), 23 (y = 1), 24, 25 (z).
    centres = (24, 25, 22, 21, 23, 20)
    hexahedron27_faces = tuple((*face, centre) for face, centre in zip(hexahedron20_faces, centres, strict=True))
    types = [
        CellType("vertex", 0, 1, 1, (), "vertex"),
        CellType("line", 1, 2, 2, (("vertex", (0,)), ("vertex", (1,))), "line"),
        CellType("line3", 1, 3, 2, (("vertex", (0,)), ("vertex", (1,))), "line"),
        CellType("triangle", 2, 3, 3, tuple((line2, e) for e in ((0, 1), (1, 2), (2, 0))), "triangle"),
        CellType("triangle6", 2, 6, 3, tuple((line3, e) for e in ((0, 1, 3), (1, 2, 4), (2, 0, 5))), "triangle"),
        CellType("quad", 2, 4, 4, tuple((line2, e) for e in ((0, 1), (1, 2), (2, 3), (3, 0))), "quad"),
        CellType("quad8", 2, 8, 4, tuple((line3, e) for e in ((0, 1, 4), (1, 2, 5), (2, 3, 6), (3, 0, 7))), "quad"),
        CellType("quad9", 2, 9, 4, tuple((line3, e) for e in ((0, 1, 4), (1, 2, 5), (2, 3, 6), (3, 0, 7))), "quad"),
        CellType("tetra", 3, 4, 4, tuple(("triangle", f) for f in tetra_faces), "tetra"),
        CellType("tetra10", 3, 10, 4, tuple(("triangle6", f) for f in tetra10_faces), "tetra"),
        CellType("hexahedron", 3, 8, 8, tuple(("quad", f) for f in hexahedron_faces), "hexahedron"),
        CellType("hexahedron20", 3, 20, 8, tuple(("quad8", f) for f in hexahedron20_faces), "hexahedron"),
        CellType("hexahedron27", 3, 27, 8, tuple(("quad9", f) for f in hexahedron27_faces), "hexahedron"),
        CellType(
            "wedge",
            3,
            6,
            6,
            (
                ("triangle", (0, 2, 1)),
                ("triangle", (3, 4, 5)),
                ("quad", (0, 1, 4, 3)),
                ("quad", (1, 2, 5, 4)),
                ("quad", (2, 0, 3, 5)),
            ),
            "wedge",
        ),
        CellType(
            "pyramid",
            3,
            5,
            5,
            (("quad", (0, 3, 2, 1)), *(("triangle", f) for f in ((0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)))),
            "pyramid",
        ),
    ]
    return {kind.name: kind for kind in types}


CELL_TYPES = _table()


def cell_type(name: str) -> CellType:
    """The cell type of this name.

    Raises
    ------
    MeshError
        If it is not one of `CELL_TYPES`.

    Examples
    --------
    >>> cell_type("tetra").facets[0]
    ('triangle', (0, 2, 1))
    """
    if name not in CELL_TYPES:
        raise MeshError(f"cell type {name!r}: not supported; expected one of {', '.join(CELL_TYPES)}.")
    return CELL_TYPES[name]
