"""Meshes from a few numbers: structured grids, plates, aerofoils, brackets and blades, by generators of our own."""

from meshes.generate.aerofoils import aerofoil_exterior, naca4
from meshes.generate.boundary_sets import with_boundary_sets
from meshes.generate.extrusion import extrude
from meshes.generate.outline import Loop, arc, circle, ellipse, polygon
from meshes.generate.plates import EllipticNotch, WedgeNotch, plate, plate_outline, rectangle
from meshes.generate.simplices import to_simplices
from meshes.generate.size import GradedSize
from meshes.generate.solids import blade, blade_points, bracket
from meshes.generate.structured import structured_grid
from meshes.generate.tetrahedralisation import fill_with_tetrahedra
from meshes.generate.triangulation import triangulate

__all__ = [
    "EllipticNotch",
    "GradedSize",
    "Loop",
    "WedgeNotch",
    "aerofoil_exterior",
    "arc",
    "blade",
    "blade_points",
    "bracket",
    "circle",
    "ellipse",
    "extrude",
    "fill_with_tetrahedra",
    "naca4",
    "plate",
    "plate_outline",
    "polygon",
    "rectangle",
    "structured_grid",
    "to_simplices",
    "triangulate",
    "with_boundary_sets",
]
