"""Read a set of meshes from one HDF5 file, mesh by mesh and field by field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from meshes.containers.manifest import mesh_of_manifest
from meshes.containers.stored_arrays import checksum, read_array, require_array
from meshes.containers.writing import FORMAT, SCHEMA
from meshes.errors import MeshError, MeshFileError
from meshes.files.opening import reading, require_file
from meshes.mesh import Mesh

if TYPE_CHECKING:
    import h5py

__all__ = ["MeshSet", "open_meshes"]

Array = NDArray[Any]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def open_meshes(path: Path | str) -> MeshSet:
    """A set of meshes that `write_meshes` or `mesh_set_writer` wrote. Only its table of contents is read.

    Raises
    ------
    MeshFileError
        The file is missing, empty, cut off, damaged, foreign, or of a newer schema.
    """
    path = Path(path)
    with _opened(path) as file:
        header = json.loads(_indexed(file, "header").tobytes())
        count, names = int(header["count"]), [str(name) for name in header["scalars"]]
        table, ends = _indexed(file, "scalars"), _indexed(file, "ends")
        if table.shape != (count, len(names)) or ends.shape != (count,):
            raise MeshFileError(f"a table {table.shape} and {len(ends)} entries for {count} meshes: damaged.")
        texts = _indexed(file, "manifests").tobytes()
    starts = [0, *ends.tolist()]
    manifests = tuple(texts[a:b] for a, b in pairwise(starts))
    units = {str(name): str(unit) for name, unit in header["units"].items()}
    notes = {str(name): str(text) for name, text in header.get("notes", {}).items()}
    return MeshSet(path, {name: table[:, i] for i, name in enumerate(names)}, units, SCHEMA, manifests, notes)


@dataclass(frozen=True)
class MeshSet(Sequence[Mesh]):
    """Meshes in a file, read when they are asked for: ``meshes[i]``, ``len(meshes)``, ``for mesh in meshes``.

    It holds no open file: it may be pickled and shared with other processes.

    Attributes
    ----------
    path
        The file.
    scalars
        Name to values ``(count,)`` float64 of the global data that are single numbers; NaN where a mesh has none.
    units
        Name of a field or scalar to its unit.
    schema
        Version of the layout.
    notes
        Name to text: where the meshes come from.
    """

    path: Path
    scalars: dict[str, Array]
    units: dict[str, str]
    schema: int
    manifests: tuple[bytes, ...] = field(repr=False)
    notes: dict[str, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.manifests)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mesh]: ...

    def __getitem__(self, index: int | slice) -> Mesh | list[Mesh]:
        """The mesh with this number, or those of a slice; raises `IndexError`, and `MeshFileError` over damage."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        places = self._places(index)
        with _opened(self.path) as file:
            arrays = file["arrays"]
            return mesh_of_manifest(places, lambda name: read_array(arrays, name))

    def point_field(self, index: int, name: str) -> Array:
        """One point field of one mesh, without reading the rest.

        Raises
        ------
        MeshError
            The mesh has no such field.
        """
        fields = self._places(index)["point_data"]
        if name not in fields:
            raise MeshError(
                f"{self.path}, mesh {index}: no point field {name!r}; it has {', '.join(map(repr, fields)) or 'none'}."
            )
        with _opened(self.path) as file:
            return read_array(file["arrays"], fields[name])

    def checksum(self, index: int) -> str:
        """SHA-256 of everything that a mesh holds."""
        return hashlib.sha256(self._manifest(index)).hexdigest()

    def _places(self, index: int) -> dict[str, Any]:
        text = self._manifest(index)
        with reading(self.path):
            places: dict[str, Any] = json.loads(text)
        return places

    def _manifest(self, index: int) -> bytes:
        if not -len(self) <= index < len(self):
            raise IndexError(f"mesh {index} of a set of {len(self)} ({self.path}).")
        return self.manifests[index]


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    import h5py

    require_file(path)
    with reading(path):
        with path.open("rb") as head:
            start = head.read(9)
        if start[:8] != _SIGNATURE[: len(start)]:
            raise MeshFileError(
                f"it begins with {start[:8]!r}: not an HDF5 file; expected one that write_meshes wrote."
            )
        # Superblocks of versions 0 and 1 have no checksums; the library may hang over damaged files of that age.
        if len(start) < 9 or start[8] < 2:
            raise MeshFileError("an HDF5 file, but not one that write_meshes wrote, or cut off.")
        with h5py.File(path, "r") as file:
            _require_ours(file)
            yield file


def _require_ours(file: h5py.File) -> None:
    import h5py

    attributes = file.attrs
    found = attributes["format"] if "format" in attributes and attributes.get_id("format").dtype.kind == "S" else None
    if found != FORMAT:
        held = ", ".join(sorted(file)[:6]) or "nothing"
        raise MeshFileError(f"an HDF5 file, but not one that write_meshes wrote (it holds {held}).")
    schema = int(attributes["schema"])
    if not 1 <= schema <= SCHEMA:
        raise MeshFileError(f"schema {schema}, this version reads up to {SCHEMA}: update sciml-pde.")
    if not isinstance(file.get("arrays", getlink=True), h5py.HardLink) or not isinstance(file["arrays"], h5py.Group):
        raise MeshFileError("no group of arrays in it: damaged.")


def _indexed(file: h5py.File, name: str) -> Array:
    """One of the arrays that say where everything is, if its checksum is right."""
    values = np.asarray(require_array(file, name)[()])
    if checksum(values).encode() != file.attrs[name]:
        raise MeshFileError(f"the checksum of its {name} does not match: the file was changed or damaged.")
    return values
