"""Meshes in files: one function reads every known format, one writes them and says what a format cannot hold."""

from meshes.files.formats import FORMATS, MeshFormat
from meshes.files.opening import MeshFileWarning
from meshes.files.reading import read_mesh
from meshes.files.writing import write_mesh

__all__ = ["FORMATS", "MeshFileWarning", "MeshFormat", "read_mesh", "write_mesh"]
