"""Whole sets of meshes with their fields in one HDF5 file.

Layout, schema 1: the group ``arrays`` holds every different array once, under the SHA-256 of its contents; the JSON
texts in ``manifests``, cut at ``ends``, say which arrays make up each mesh; ``scalars`` is the table of the numbers
that belong to whole meshes; ``header`` (JSON) has the count, the names of the scalars, units, notes and the version of
the package. The root's attributes are ``format``, ``schema`` and the checksums of these four.
"""

from meshes.containers.reading import MeshSet, open_meshes
from meshes.containers.writing import MeshSetWriter, mesh_set_writer, write_meshes

__all__ = ["MeshSet", "MeshSetWriter", "mesh_set_writer", "open_meshes", "write_meshes"]
