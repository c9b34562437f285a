"""Which ending names which format, and who reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meshes.errors import MeshFileError

__all__ = ["FORMATS", "MeshFormat", "format_of"]


@dataclass(frozen=True)
class MeshFormat:
    """A file format.

    Attributes
    ----------
    name
        meshio's name of it; ``vtu``, ``vtk`` and ``gmsh`` have readers and writers of our own, ``abaqus`` and
        ``stl`` a reader;
        ``vtk-any`` are the other data sets of VTK, which also reads ``cgns``.
    endings
        Of file names, in lower case.
    cells
        Types of cells it holds; empty for those that hold volumes too.
    sets
        How meshio is given named sets: ``native`` (behind the elements), ``families`` (one family for every
        combination of sets), or empty: not at all.
    writes
        Whether it can be written.
    """

    name: str
    endings: tuple[str, ...]
    cells: tuple[str, ...] = ()
    sets: str = ""
    writes: bool = True


_SURFACE = ("triangle", "quad")

FORMATS = (
    MeshFormat("vtu", (".vtu",)),
    MeshFormat("vtk", (".vtk",)),
    MeshFormat("vtk-any", (".vtp", ".vti", ".vtr", ".vts"), writes=False),
    MeshFormat("gmsh", (".msh",)),
    MeshFormat("abaqus", (".inp",), sets="native"),
    MeshFormat("med", (".med",), sets="families"),
    MeshFormat("xdmf", (".xdmf", ".xmf")),
    MeshFormat("stl", (".stl",), ("triangle",)),
    MeshFormat("ply", (".ply",), _SURFACE),
    MeshFormat("obj", (".obj",), _SURFACE),
    MeshFormat("off", (".off",), ("triangle",)),
    MeshFormat("nastran", (".bdf", ".fem", ".nas")),
    MeshFormat("su2", (".su2",)),
    MeshFormat("medit", (".mesh", ".meshb")),
    MeshFormat("netgen", (".vol", ".vol.gz")),
    MeshFormat("tecplot", (".tec", ".dat")),
    MeshFormat("avsucd", (".avs",)),
    MeshFormat("permas", (".post", ".post.gz", ".dato", ".dato.gz")),
    MeshFormat("flac3d", (".f3grid",)),
    MeshFormat("mdpa", (".mdpa",)),
    MeshFormat("ugrid", (".ugrid",)),
    MeshFormat("dolfin-xml", (".xml",)),
    MeshFormat("cgns", (".cgns",)),
    MeshFormat("h5m", (".h5m",)),
    MeshFormat("hmf", (".hmf",)),
    MeshFormat("exodus", (".e", ".exo", ".ex2"), writes=False),
    MeshFormat("tetgen", (".node", ".ele"), writes=False),
    MeshFormat("wkt", (".wkt",), ("triangle",)),
)


def format_of(path: Path) -> MeshFormat:
    """The format that the ending of a name stands for.

    Raises
    ------
    MeshFileError
        An unknown ending; the message lists the known ones.

    Examples
    --------
    >>> format_of(Path("bracket.MSH")).name
    'gmsh'
    """
    name = path.name.lower()
    for known in FORMATS:
        if name.endswith(known.endings):
            return known
    endings = ", ".join(ending for known in FORMATS for ending in known.endings)
    raise MeshFileError(f"{path}: the ending {path.suffix!r} names no known mesh format: use one of {endings}.")
