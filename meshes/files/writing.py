"""Write a mesh to a file of any known format, whole or not at all, and say what the format does not hold."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

from meshes.errors import MeshFileError
from meshes.files.formats import MeshFormat, format_of
from meshes.files.opening import MeshFileWarning
from meshes.mesh import Mesh
from solvers.files.atomic import replacing

__all__ = ["write_mesh"]


def write_mesh(path: Path | str, mesh: Mesh) -> None:
    """Write a mesh; the ending of the name chooses the format. An old file is replaced once the new one is complete.

    ``.vtu`` and ``.vtk`` hold everything, in arrays that VTK and ParaView show as field data. Files of all other
    formats are read back before they take their place, and whatever does not come back as it was (fields, sets,
    digits, cells) is told in one `MeshFileWarning`. With ``warnings.simplefilter("error", MeshFileWarning)`` nothing
    is written then. XDMF comes as two files side by side, the arrays in ``.h5``.

    Parameters
    ----------
    path
        The file, in a folder that exists.
    mesh
        The mesh.

    Raises
    ------
    MeshFileError
        An unknown ending, a format that cannot hold the cells (solids in ``.stl``, ``.ply``, ``.obj``), or a place
        that cannot be written.

    Warns
    -----
    MeshFileWarning
        What the format does not hold.

    Examples
    --------
    >>> from meshes import Mesh, read_mesh
    >>> write_mesh("square.inp", Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}, node_sets={"a": [0]}))
    >>> read_mesh("square.inp").node_sets["a"]
    array([0])
    """
    path = Path(path)
    form = format_of(path)
    if not form.writes:
        raise MeshFileError(f"{path}: {form.name} files are read, not written: use .vtu, .msh or .med.")
    if not path.parent.is_dir():
        raise MeshFileError(f"{path}: the folder {path.parent} does not exist: create it first.")
    with replacing(path, MeshFileError) as temporary:
        if form.name in ("vtu", "vtk"):
            try:
                lost = _write_own(temporary, mesh, form.name)
            except MeshFileError as error:
                raise MeshFileError(f"{path}: {error}") from error
            _warn(path, form, lost)
        else:
            _write_checked(path, temporary, mesh, form)


def _write_own(temporary: Path, mesh: Mesh, name: str) -> tuple[str, ...]:
    from meshes.files.vtk_writing import write_vtk
    from meshes.files.vtu_writing import write_vtu

    return write_vtu(temporary, mesh) if name == "vtu" else write_vtk(temporary, mesh)


def _write_checked(path: Path, temporary: Path, mesh: Mesh, form: MeshFormat) -> None:
    """Write under the final name in a folder beside it, for formats of several files, read back, and move."""
    from meshes.files.meshio_writing import write_by_meshio

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        try:
            written, lost = write_by_meshio(Path(folder), path.name, mesh, form)
        except MeshFileError as error:
            raise MeshFileError(f"{path}: {error}") from error
        _warn(path, form, lost)
        for other in sorted(written.parent.iterdir()):
            if other != written:
                os.replace(other, path.with_name(other.name))
        os.replace(written, temporary)


def _warn(path: Path, form: MeshFormat, lost: tuple[str, ...]) -> None:
    if lost:
        remedy = "" if form.name in ("vtu", "vtk") else " A .vtu file holds all but complex numbers, flags and text."
        warnings.warn(
            f"{path}: {form.name} does not hold everything: {'; '.join(lost)}.{remedy}",
            MeshFileWarning,
            stacklevel=4,
        )
