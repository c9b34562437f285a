"""Gmsh's numbers for the cell types, and its node orders where they differ."""

from __future__ import annotations

__all__ = ["GMSH_ORDER", "GMSH_TYPES"]

#: Our cell types to Gmsh's numbers.
GMSH_TYPES = {
    "line": 1,
    "triangle": 2,
    "quad": 3,
    "tetra": 4,
    "hexahedron": 5,
    "wedge": 6,
    "pyramid": 7,
    "line3": 8,
    "triangle6": 9,
    "quad9": 10,
    "tetra10": 11,
    "hexahedron27": 12,
    "vertex": 15,
    "quad8": 16,
    "hexahedron20": 17,
}

_EDGES = (8, 11, 13, 9, 16, 18, 19, 17, 10, 12, 14, 15)

#: For every node of ours its place in Gmsh's cell; other types have the same order.
GMSH_ORDER = {
    "tetra10": (*range(8), 9, 8),
    "hexahedron20": (*range(8), *_EDGES),
    "hexahedron27": (*range(8), *_EDGES, 22, 23, 21, 24, 20, 25, 26),
}
