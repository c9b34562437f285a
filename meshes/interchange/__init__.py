"""Meshes of other packages: meshio, PyVista, scikit-fem."""

from meshes.interchange.meshio_meshes import from_meshio, to_meshio
from meshes.interchange.pyvista_meshes import from_pyvista, to_pyvista
from meshes.interchange.scikit_fem_meshes import from_scikit_fem, to_scikit_fem

__all__ = ["from_meshio", "from_pyvista", "from_scikit_fem", "to_meshio", "to_pyvista", "to_scikit_fem"]
