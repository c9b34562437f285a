"""From one mesh to another: point location, interpolation operators, L2 projection."""

from meshes.interpolation.cell_locator import CellLocator, Location
from meshes.interpolation.interpolation_operator import interpolate_fields, interpolation_operator
from meshes.interpolation.intersection import intersection_projection
from meshes.interpolation.outside import Blank, Extrapolate, Nearest, Outside, Refuse
from meshes.interpolation.projection import L2Projection, conservative_projection, l2_projection

__all__ = [
    "Blank",
    "CellLocator",
    "Extrapolate",
    "L2Projection",
    "Location",
    "Nearest",
    "Outside",
    "Refuse",
    "conservative_projection",
    "interpolate_fields",
    "interpolation_operator",
    "intersection_projection",
    "l2_projection",
]
