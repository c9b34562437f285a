"""Meshes: in memory, in files, generated, checked, morphed, interpolated, and with finite elements on top."""

from meshes.cell_types import CELL_TYPES, CellType, cell_type
from meshes.errors import MeshError, MeshFileError, MorphingError
from meshes.mesh import Mesh

__all__ = ["CELL_TYPES", "CellType", "Mesh", "MeshError", "MeshFileError", "MorphingError", "cell_type"]
