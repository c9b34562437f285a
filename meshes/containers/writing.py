"""Write a set of meshes, one after the other, into one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.containers.manifest import manifest_of
from meshes.containers.sink import Sink
from meshes.containers.stored_arrays import store_array
from meshes.errors import MeshError, MeshFileError
from meshes.mesh import Mesh
from solvers.files.atomic import replacing

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT", "SCHEMA", "MeshSetWriter", "mesh_set_writer", "write_meshes"]

FORMAT, SCHEMA = b"sciml meshes", 1
#: The file format since HDF5 1.10 has checksums in its headers; over damaged ones of older formats the library may
#: never come back.
_CHECKED = ("v110", "v110")


def write_meshes(
    path: Path | str,
    meshes: Iterable[Mesh],
    units: Mapping[str, str] | None = None,
    compression: str | None = "lzf",
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write meshes to one file; parameters and errors as in `mesh_set_writer`.

    Examples
    --------
    >>> from meshes import Mesh, open_meshes
    >>> segment = Mesh([[0.0], [1.0]], {"line": [[0, 1]]})
    >>> write_meshes("set.h5", (segment.with_points(k * segment.points) for k in (1.0, 2.0)), units={"u": "m"})
    >>> open_meshes("set.h5")[1].points[:, 0]
    array([0., 2.])
    """
    if isinstance(meshes, Mesh):
        raise MeshError("a single mesh: expected several, or a list of one, [mesh].")
    with mesh_set_writer(path, units, compression, notes) as writer:
        for mesh in meshes:
            writer.append(mesh)


@contextmanager
def mesh_set_writer(
    path: Path | str,
    units: Mapping[str, str] | None = None,
    compression: str | None = "lzf",
    notes: Mapping[str, str] | None = None,
) -> Iterator[MeshSetWriter]:
    """A file of meshes under construction: ``append`` to it, one mesh in memory at a time.

    The file appears when the block ends well, and replaces an old one then; a block that ends early leaves what stood
    there. Arrays that are equal in several meshes, such as the cells of a set on one mesh, are stored once. Values may
    be NaN or infinite.

    Parameters
    ----------
    path
        The file, in a folder that exists.
    units
        Name of a field or scalar to its unit.
    compression
        ``lzf`` (fast), ``gzip`` (smaller) or None.
    notes
        Name to text: where the meshes come from.

    Raises
    ------
    MeshError
        An unknown compression.
    MeshFileError
        The disk is full, or the place cannot be written.
    """
    import h5py

    if compression not in ("lzf", "gzip", None):
        raise MeshError(f"compression {compression!r}: expected 'lzf', 'gzip' or None.")
    path = Path(path)
    with replacing(path, MeshFileError) as temporary, Sink(temporary) as sink:
        with sink.watched(), h5py.File(sink, "w", libver=_CHECKED) as file:
            writer = MeshSetWriter(file, sink, compression)
            yield writer
            writer.finish(dict(units or {}), dict(notes or {}))
        sink.flush()


class MeshSetWriter:
    """Meshes on their way into an open file; made by `mesh_set_writer`."""

    def __init__(self, file: h5py.File, sink: Sink, compression: str | None) -> None:
        self._file, self._sink, self._compression = file, sink, compression
        self._arrays = file.create_group("arrays")
        self._manifests: list[bytes] = []
        self._scalars: list[dict[str, float]] = []

    def __len__(self) -> int:
        return len(self._manifests)

    def append(self, mesh: Mesh) -> None:
        """Add a mesh. Those of its global data that are single numbers become a row of the table of scalars.

        Raises
        ------
        MeshError
            It is none, or holds something else than numbers.
        """
        if not isinstance(mesh, Mesh):
            raise MeshError(f"number {len(self)} is a {type(mesh).__name__}: expected a Mesh.")
        places = manifest_of(mesh, lambda values: store_array(self._arrays, values, self._compression))
        self._manifests.append(json.dumps(places, separators=(",", ":")).encode())
        self._scalars.append({name: float(v.flat[0]) for name, v in mesh.global_data.items() if _is_scalar(v)})
        self._sink.check()

    def finish(self, units: dict[str, str], notes: dict[str, str]) -> None:
        """Write what says where everything is."""
        names = list(dict.fromkeys(name for row in self._scalars for name in row))
        table = np.full((len(self), len(names)), np.nan)
        for i, row in enumerate(self._scalars):
            table[i, [names.index(name) for name in row]] = list(row.values())
        header = {"count": len(self), "scalars": names, "units": units, "notes": notes, "version": _version()}
        index: dict[str, NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
            "manifests": np.frombuffer(b"".join(self._manifests), dtype=np.uint8),
            "ends": np.cumsum([len(text) for text in self._manifests], dtype=np.int64),
            "scalars": table,
        }
        sums = {name: _store(self._file, name, array) for name, array in index.items()}
        self._file.attrs.update({"format": np.bytes_(FORMAT), "schema": SCHEMA, **sums})


def _store(file: h5py.File, name: str, array: NDArray[Any]) -> np.bytes_:
    from meshes.containers.stored_arrays import checksum

    settings = {"chunks": True, "compression": "gzip", "fletcher32": True} if array.size else {}
    file.create_dataset(name, data=array, **settings)
    return np.bytes_(checksum(array))


def _is_scalar(values: NDArray[Any]) -> bool:
    return values.size == 1 and values.ndim <= 1 and values.dtype.kind in "biuf"


def _version() -> str:
    try:
        return version("sciml-pde")
    except PackageNotFoundError:
        return "unknown"
