"""Meshes: in memory, in files, generated, checked, morphed, interpolated, and with finite elements on top."""

from meshes.cell_types import CELL_TYPES, CellType, cell_type
from meshes.containers import MeshSet, MeshSetWriter, mesh_set_writer, open_meshes, write_meshes
from meshes.cross_sections import cross_sections, smallest_section_share
from meshes.errors import MeshError, MeshFileError, MorphingError
from meshes.files import MeshFileWarning, read_mesh, write_mesh
from meshes.generate import structured_grid, to_simplices, triangulate
from meshes.geometry import cell_centroids, cell_volumes, facet_normals
from meshes.interpolation import CellLocator, interpolation_operator, l2_projection
from meshes.mesh import Mesh
from meshes.morphing import (
    DiscEmbedding,
    ElasticMorphing,
    HarmonicMorphing,
    RadialBasisMorphing,
    boundary_targets,
    fold_report,
)
from meshes.quality import MeshReport, check_mesh, repair_mesh, scaled_jacobians
from meshes.topology import boundary, boundary_facets, facets, subset

__all__ = [
    "CELL_TYPES",
    "CellLocator",
    "CellType",
    "DiscEmbedding",
    "ElasticMorphing",
    "HarmonicMorphing",
    "Mesh",
    "MeshError",
    "MeshFileError",
    "MeshFileWarning",
    "MeshReport",
    "MeshSet",
    "MeshSetWriter",
    "MorphingError",
    "RadialBasisMorphing",
    "boundary",
    "boundary_facets",
    "boundary_targets",
    "cell_centroids",
    "cell_type",
    "cell_volumes",
    "check_mesh",
    "cross_sections",
    "facet_normals",
    "facets",
    "fold_report",
    "interpolation_operator",
    "l2_projection",
    "mesh_set_writer",
    "open_meshes",
    "read_mesh",
    "repair_mesh",
    "scaled_jacobians",
    "smallest_section_share",
    "structured_grid",
    "subset",
    "to_simplices",
    "triangulate",
    "write_mesh",
    "write_meshes",
]
