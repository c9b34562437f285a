"""Tetrahedra inside a closed surface, by the optional package netgen-mesher (LGPL-2.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.generate.boundary_sets import with_boundary_sets
from meshes.mesh import Mesh
from meshes.topology import boundary_facets
from solvers.errors import MissingPackageError

__all__ = ["fill_with_tetrahedra"]

Array = NDArray[Any]


def fill_with_tetrahedra(surface: Mesh, size: float) -> Mesh:
    """Tetrahedra in the volume inside a closed surface of triangles, whose nodes and triangles stay.

    Parameters
    ----------
    surface
        Triangles in space without rim; one facet set a name (`facet_sets` of triangles of the surface) is kept.
    size
        Largest wanted edge length inside.

    Returns
    -------
    Mesh
        Positively oriented; the surface's nodes come first. Facet and node sets: "surface", and the surface's own.

    Raises
    ------
    MissingPackageError
        netgen is not installed: ``pip install 'sciml-pde[mesh-generation]'``.
    MeshError
        The surface is open, flat or has other cells, or netgen finds no tetrahedra (a surface that crosses itself).
    """
    try:
        from netgen import meshing
    except ImportError as error:
        raise MissingPackageError(
            "fill_with_tetrahedra needs the package netgen-mesher: pip install 'sciml-pde[mesh-generation]'"
        ) from error
    triangles = _closed_triangles(surface)
    if not size > 0:
        raise MeshError(f"size {size}: expected a positive length.")
    work = meshing.Mesh(dim=3)
    work.AddPoints(np.ascontiguousarray(surface.points, dtype=np.float64))
    face = work.Add(meshing.FaceDescriptor(surfnr=1, domin=1, bc=1))
    work.AddElements(dim=2, index=face, data=np.ascontiguousarray(triangles, dtype=np.int32), base=0)
    try:
        work.GenerateVolumeMesh(meshing.MeshingParameters(maxh=float(size)))
    except Exception as error:
        raise MeshError(
            f"netgen found no tetrahedra inside the surface: {error}; look for crossing triangles."
        ) from error
    found = work.Elements3D().NumPy()
    points = np.asarray(work.Coordinates(), dtype=np.float64)
    cells = found["nodes"][:, :4].astype(np.int64) - 1
    if not len(cells):
        raise MeshError("netgen found no tetrahedra inside the surface; look for crossing triangles.")
    u, v, w = (points[cells[:, i]] - points[cells[:, 0]] for i in (1, 2, 3))
    wrong = np.einsum("md,md->m", u, np.cross(v, w)) < 0
    mesh = Mesh(points, {"tetra": np.where(wrong[:, None], cells[:, [0, 2, 1, 3]], cells)})
    return with_boundary_sets(mesh, {**surface.facet_sets, "surface": boundary_facets(mesh)})


def _closed_triangles(surface: Mesh) -> Array:
    blocks = surface.blocks()
    if list(blocks) != ["triangle"] or surface.space_dimension != 3:
        raise MeshError(f"the surface needs triangles in space; it has {', '.join(blocks) or 'no cells'}.")
    rim = sum(map(len, boundary_facets(surface).values()))
    if rim:
        raise MeshError(f"the surface is open: {rim} edges belong to one triangle only; close it first.")
    triangles = blocks["triangle"]
    corners = surface.points[triangles] - surface.points.mean(axis=0)
    inward = np.linalg.det(corners).sum() < 0
    return triangles[:, ::-1] if inward else triangles
