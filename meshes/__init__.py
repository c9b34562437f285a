"""Meshes: in memory, in files, generated, checked, morphed, interpolated, and with finite elements on top."""

from meshes.cell_types import CELL_TYPES, CellType, cell_type
from meshes.errors import MeshError, MeshFileError, MorphingError
from meshes.geometry import cell_centroids, cell_volumes, facet_normals
from meshes.mesh import Mesh
from meshes.quality import MeshReport, check_mesh, repair_mesh, scaled_jacobians
from meshes.topology import boundary, boundary_facets, facets, subset

__all__ = [
    "CELL_TYPES",
    "CellType",
    "Mesh",
    "MeshError",
    "MeshFileError",
    "MeshReport",
    "MorphingError",
    "boundary",
    "boundary_facets",
    "cell_centroids",
    "cell_type",
    "cell_volumes",
    "check_mesh",
    "facet_normals",
    "facets",
    "repair_mesh",
    "scaled_jacobians",
    "subset",
]
