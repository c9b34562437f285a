"""Formats that meshio reads: its readers in text and NumPy in this process, guarded; the others in one of their own."""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshes.errors import MeshFileError
from meshes.files.isolation import isolated
from meshes.files.opening import EndingFile, EndingText, MeshFileWarning
from meshes.files.tagging import facets_of_cells, members_of_families
from meshes.files.xml_head import parse_xml
from meshes.interchange.meshio_meshes import from_meshio
from meshes.mesh import Mesh

if TYPE_CHECKING:
    import meshio

__all__ = ["read_by_meshio"]


def read_by_meshio(path: Path, name: str) -> Mesh:
    """The mesh of a file in one of meshio's formats; errors do not name the file."""
    _check_head(path, name)
    source = _GUARDED[name](path) if name in _GUARDED else _isolated(path, name)
    if name == "med":
        return facets_of_cells(_with_families(source))
    return from_meshio(source, flatten=True)


def _in_binary(reader: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        with EndingFile(io.FileIO(path)) as file:
            return _told(path, reader, file)

    return read


def _in_text(reader: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        with EndingText(io.BufferedReader(io.FileIO(path)), encoding="utf-8", errors="replace") as file:
            return _told(path, reader, file)

    return read


#: Readers that take an open file and allocate no more than the checked counts and the bytes of the file.
_GUARDED = {
    "ply": _in_binary("ply.read"),
    "obj": _in_text("obj.read"),
}


def _told(path: Path, reader: str, file: Any) -> Any:
    """Call a reader of meshio; what it prints becomes a warning that names the file."""
    from importlib import import_module

    module, _, function = reader.rpartition(".")
    package = import_module(f"meshio.{module}._{module}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), np.errstate(all="ignore"):
            return getattr(package, function)(file)
    except SystemExit as error:  # meshio's way out
        raise MeshFileError(f"not a file of this format, or damaged ({error}).") from error
    finally:
        _repeat(path, said.getvalue())


def _repeat(path: Path, said: str) -> None:
    text = " ".join(said.split())[:300]
    if text:
        warnings.warn(f"{path}: {text}", MeshFileWarning, stacklevel=7)


def _isolated(path: Path, name: str) -> meshio.Mesh:
    with isolated(path, name, ".npz") as (result, said):
        _repeat(path, said)
        with np.load(result, allow_pickle=False) as archive:
            return _meshio_mesh({key: archive[key] for key in archive.files})


def _meshio_mesh(arrays: dict[str, Any]) -> meshio.Mesh:
    import meshio

    places = json.loads(str(arrays["places"]))

    def array(i: int | None) -> Any:
        return None if i is None else arrays.get(f"a{i}")

    def fields(which: str) -> dict[str, Any]:
        found = {key: array(i) for key, i in places[which].items()}
        return {key: values for key, values in found.items() if values is not None}

    mesh = meshio.Mesh(
        array(0),
        [(kind, array(i)) for kind, i in places["cells"]],
        fields("point_data"),
        {key: [array(i) for i in parts] for key, parts in places["cell_data"].items()},
        fields("field_data"),
        fields("point_sets"),
        {key: [array(i) for i in parts] for key, parts in places["cell_sets"].items()},
    )
    mesh.point_tags = {int(key): names for key, names in places["point_tags"].items()}
    mesh.cell_tags = {int(key): names for key, names in places["cell_tags"].items()}
    return mesh


def _with_families(source: Any) -> Mesh:
    """MED's families as named sets."""
    from dataclasses import replace

    mesh = from_meshio(source, flatten=True)
    data, cell_data = dict(mesh.point_data), dict(mesh.cell_data)
    nodes, cells = data.pop("point_tags", None), cell_data.pop("cell_tags", {})
    nodal = members_of_families({"": nodes}, source.point_tags) if nodes is not None else {}
    return replace(
        mesh,
        point_data=data,
        cell_data=cell_data,
        global_data={key: v for key, v in mesh.global_data.items() if key != "med:nom"},
        node_sets={name: parts.get("", np.zeros(0, dtype=np.int64)) for name, parts in nodal.items()},
        cell_sets=members_of_families(cells, source.cell_tags),
    )


def _check_head(path: Path, name: str) -> None:
    """Compare what the head of a file announces with its size, and refuse XML that can grow."""
    size = path.stat().st_size
    if name in ("xdmf", "dolfin-xml"):
        _check_xml(path)
    elif name == "ply":
        with path.open("rb") as file:
            head = file.read(2**16).partition(b"end_header")[0]
        if not head.startswith(b"ply"):
            raise MeshFileError(f"it begins with {head[:16]!r}, expected 'ply'.")
        _require_room(re.findall(rb"element\s+\S+\s+(-?\d+)", head), size)


def _require_room(counts: list[bytes], size: int) -> None:
    for count in counts:
        word = count.decode("latin-1")
        if not word.isdigit() or len(word) > 18 or int(word) > size:
            raise MeshFileError(f"a count of {word[:24]!r} in a file of {size} bytes: damaged.")


def _check_xml(path: Path) -> None:
    root = parse_xml(path.read_bytes())
    for item in root.iter("DataItem"):
        target = (item.text or "").strip().partition(":")[0]
        if item.get("Format", "XML").upper() in ("HDF", "BINARY") and (Path(target).is_absolute() or ".." in target):
            raise MeshFileError(
                f"it refers to {target[:80]!r} outside its folder: refused. Put the files side by side."
            )
        for word in (item.get("Dimensions") or "").split():
            if not word.isdigit() or len(word) > 12:
                raise MeshFileError(f"a data item of dimensions {word[:24]!r}: expected whole numbers.")
