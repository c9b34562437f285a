"""Write the formats of meshio, and read back what was written: the difference is what the format does not hold."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.comparison import losses
from meshes.files.formats import MeshFormat
from meshes.files.msh_writing import write_msh
from meshes.files.opening import MeshFileWarning, reading
from meshes.files.reading import read_as
from meshes.files.tagging import facets_as_cells, families
from meshes.interchange.meshio_meshes import to_meshio
from meshes.mesh import Mesh

__all__ = ["write_by_meshio"]

Array = NDArray[Any]

#: What meshio's writers take: format in its table, and arguments.
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    "stl": ("stl", {"binary": True}),
    "ply": ("ply", {"binary": True}),
}


def write_by_meshio(folder: Path, name: str, mesh: Mesh, form: MeshFormat) -> tuple[Path, tuple[str, ...]]:
    """Write the mesh as far as the format goes; returns where, and in words what the format does not hold.

    Every attempt has a folder of its own in `folder`, where some formats put more than one file. Errors do not name
    the file. Where a writer fails over fields, or writes what its reader does not understand, the fields are left out.
    """
    _require_cells(mesh, form)
    failure: MeshFileError | None = None
    for attempt, candidate in enumerate(_poorer(_plain(mesh, form))):
        path = folder / str(attempt) / name
        path.parent.mkdir()
        try:
            _write(path, candidate, form)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MeshFileWarning)
                with reading(path):
                    return path, losses(mesh, read_as(path, form.name))
        except MeshFileError as error:
            failure = failure or MeshFileError(str(error).removeprefix(f"{path}: ").rstrip("."))
    raise MeshFileError(f"the format {form.name} cannot hold this mesh ({failure}): write .vtu instead.") from failure


def _poorer(mesh: Mesh) -> Iterator[Mesh]:
    """The mesh, then with less and less, as formats and their writers can take it."""
    for cells in (mesh, _without_vertices(mesh)) if "vertex" in mesh.cells else (mesh,):
        numbers, bare = _with_plain_fields(cells), replace(cells, cell_data={}, point_data={}, global_data={})
        for fields in (cells, numbers, replace(numbers, cell_data={}), bare):
            yield fields
            if mesh.space_dimension < 3:
                yield fields.with_points(np.pad(mesh.points, ((0, 0), (0, 3 - mesh.space_dimension))))


def _with_plain_fields(mesh: Mesh) -> Mesh:
    """With the fields of single and double precision and of whole numbers."""

    def plain(values: Array) -> bool:
        return values.dtype.kind in "iu" or values.dtype in (np.float32, np.float64)

    return replace(
        mesh,
        point_data={name: values for name, values in mesh.point_data.items() if plain(values)},
        cell_data={name: b for name, b in mesh.cell_data.items() if all(plain(values) for values in b.values())},
        global_data={},
    )


def _without_vertices(mesh: Mesh) -> Mesh:
    """Without the cells that are single points, which mark nodes in some formats."""

    def rest(blocks: Mapping[str, Array]) -> dict[str, Array]:
        return {kind: values for kind, values in blocks.items() if kind != "vertex"}

    return replace(
        mesh,
        cells=rest(mesh.cells),
        cell_data={name: rest(blocks) for name, blocks in mesh.cell_data.items()},
        cell_sets={name: rest(blocks) for name, blocks in mesh.cell_sets.items()},
    )


def _write(path: Path, mesh: Mesh, form: MeshFormat) -> None:
    if form.name == "gmsh":
        write_msh(path, mesh)
        return
    import meshio

    source = _PREPARED.get(form.sets, _without_sets)(mesh)
    name, arguments = _WRITERS.get(form.name, (form.name, {}))
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), np.errstate(all="ignore"):
            meshio.write(path, source, file_format=name, **arguments)
    except OSError:
        raise
    # meshio's writers fail over meshes that they cannot hold with whatever the first wrong line raises.
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__} {error} {said.getvalue()}".split())[:200]
        raise MeshFileError(f"{path}: {reason}") from error
    if form.name == "abaqus":
        _append_sets(path, facets_as_cells(mesh))


def _require_cells(mesh: Mesh, form: MeshFormat) -> None:
    if not form.cells:
        return
    if mesh.dimension == 3:
        raise MeshFileError(
            f"{form.name} holds surfaces only, the mesh has solid cells: write its surface, `boundary(mesh)[0]`."
        )
    if not any(len(mesh.cells.get(kind, ())) for kind in form.cells):
        held = ", ".join(mesh.blocks()) or "no cells"
        raise MeshFileError(f"{form.name} holds {' and '.join(form.cells)} cells, the mesh has {held}.")


def _plain(mesh: Mesh, form: MeshFormat) -> Mesh:
    """Without empty blocks, over which several writers stumble, and without types that the format does not have."""
    cells = {k: nodes for k, nodes in mesh.cells.items() if len(nodes) and (not form.cells or k in form.cells)}
    data = {name: {k: v for k, v in parts.items() if k in cells} for name, parts in mesh.cell_data.items()}
    sets = {name: {k: v for k, v in parts.items() if k in cells} for name, parts in mesh.cell_sets.items()}
    return replace(mesh, cells=cells, cell_data={k: v for k, v in data.items() if v}, cell_sets=sets)


def _without_sets(mesh: Mesh) -> Any:
    return to_meshio(replace(mesh, node_sets={}, cell_sets={}, facet_sets={}))


def _elements(mesh: Mesh) -> Any:
    return to_meshio(replace(facets_as_cells(mesh), node_sets={}, cell_sets={}))


def _append_sets(path: Path, mesh: Mesh) -> None:
    """Abaqus' sets behind its elements; meshio writes them block by block, and its reader keeps the last block."""
    starts = dict(zip(mesh.cells, np.cumsum([1, *(len(v) for v in mesh.cells.values())]), strict=False))
    elements = {
        name: np.concatenate([starts[kind] + ids for kind, ids in parts.items()])
        for name, parts in mesh.cell_sets.items()
        if parts
    }
    nodes = {name: ids + 1 for name, ids in mesh.node_sets.items()}
    with path.open("a", encoding="utf-8") as file:
        for title, sets in (("*NSET, NSET", nodes), ("*ELSET, ELSET", elements)):
            for name, ids in sets.items():
                rows = [",".join(map(str, ids[i : i + 8].tolist())) for i in range(0, len(ids), 8)]
                file.write("\n".join([f"{title}={name}", *rows]) + "\n")


def _families(mesh: Mesh) -> Any:
    whole = facets_as_cells(mesh)
    source = to_meshio(replace(whole, cell_sets={}, node_sets={}, global_data={}))
    counts = {kind: len(nodes) for kind, nodes in whole.cells.items()}
    nodal, source.point_tags = families({"": len(mesh.points)}, {n: {"": ids} for n, ids in mesh.node_sets.items()}, 1)
    numbers, source.cell_tags = families(counts, whole.cell_sets, -1)
    if source.point_tags:
        source.point_data["point_tags"] = nodal[""]
    if source.cell_tags:
        source.cell_data["cell_tags"] = [numbers[block.type] for block in source.cells]
    return source


_PREPARED = {"native": _elements, "families": _families}
