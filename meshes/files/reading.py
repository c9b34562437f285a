"""Read a mesh from a file of any known format."""

from __future__ import annotations

import mmap
from pathlib import Path

from meshes.errors import MeshFileError
from meshes.files.formats import format_of
from meshes.files.opening import reading, require_file
from meshes.mesh import Mesh

__all__ = ["read_mesh"]


def read_mesh(path: Path | str, dimension: int | None = None) -> Mesh:
    """Read a mesh; the ending of the name chooses the format.

    ``.vtu``, ``.vtk``, ``.msh``, ``.inp`` and ``.stl`` have readers of our own, the others go through meshio: ``.ply``
    and ``.obj`` in this process, and every other format in a process of its own with bounds on memory and time, since
    the libraries behind some of them crash or hang over damaged files; there VTK reads its surfaces, images and
    structured grids, and the zones of ``.cgns`` as one mesh, without their boundary conditions. Physical groups,
    element sets and families become cell sets, or facet sets if they are of one dimension less than the mesh. Plane
    meshes come back in the plane. Values that are not finite are kept; `meshes.check_mesh` reports them.

    Parameters
    ----------
    path
        The file.
    dimension
        Dimension of the cells that the mesh must have, 1 to 3; any by default.

    Returns
    -------
    Mesh
        Points float32 or float64 as in the file, node numbers int64 within range.

    Raises
    ------
    MeshFileError
        The file is missing, empty, cut off, damaged, foreign, of an unknown ending, or has no cells of the dimension.

    Warns
    -----
    MeshFileWarning
        The reader passed something over.

    Examples
    --------
    >>> from meshes import Mesh, write_mesh
    >>> triangle = Mesh([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], {"triangle": [[0, 1, 2]]}, {"u": [0.0, 1.0, 2.0]})
    >>> write_mesh("triangle.vtu", triangle)
    >>> read_mesh("triangle.vtu") == triangle
    True
    """
    path = Path(path)
    form = format_of(path)
    require_file(path)
    with reading(path):
        mesh = read_as(path, form.name)
    if dimension is not None and not mesh.blocks(dimension):
        held = ", ".join(f"{len(nodes)} {kind}" for kind, nodes in mesh.cells.items()) or "no cells"
        raise MeshFileError(f"{path}: no cells of dimension {dimension}; it holds {held}.")
    return mesh


def read_as(path: Path, name: str) -> Mesh:
    """The mesh of a file in a format; errors do not name the file."""
    from meshes.files.inp_reading import read_inp
    from meshes.files.isolation import isolated
    from meshes.files.meshio_reading import read_by_meshio
    from meshes.files.msh_reading import read_msh
    from meshes.files.stl_reading import read_stl
    from meshes.files.vtk_reading import legacy_dataset, read_vtk
    from meshes.files.vtu_reading import read_vtu

    if name == "vtu":
        return read_vtu(path)
    if name == "stl":
        return read_stl(path)
    if name == "abaqus":
        return read_inp(path)
    if name == "gmsh":
        with path.open("rb") as file:
            fluent = file.read(1) == b"("
        return read_by_meshio(path, "ansys") if fluent else read_msh(path)
    structured = ("STRUCTURED_POINTS", "STRUCTURED_GRID", "RECTILINEAR_GRID")
    if name == "vtk" and legacy_dataset(path).upper() not in structured:
        return read_vtk(path)
    if name in ("vtk", "vtk-any"):
        with isolated(path, "vtk-any", ".vtu") as (result, _):
            return read_vtu(result)
    if name == "cgns" and not _by_meshio(path):
        with isolated(path, "vtk-cgns", ".vtu") as (result, _):
            return read_vtu(result)
    return read_by_meshio(path, name)


def _by_meshio(path: Path) -> bool:
    """Whether meshio wrote a CGNS file: it leaves out the labels of the nodes, by which every other reader goes."""
    # Both kinds of CGNS file, HDF5 and the older ADF, hold the labels as plain text.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"CGNSBase_t") < 0
