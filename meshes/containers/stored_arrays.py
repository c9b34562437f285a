"""Arrays in an HDF5 file under the checksum of their contents: equal ones are stored once, damage is noticed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError

if TYPE_CHECKING:
    import h5py

__all__ = ["checksum", "read_array", "require_array", "store_array"]

Array = NDArray[Any]

_CHUNK_BYTES = 2**20
#: Arrays below this size are stored as they are: a chunk with its index would be larger.
_SMALL = 2**10
#: A chunk beyond this is none of ours; zlib shrinks to no less than 1/1032, lzf to no less than 1/200.
_LARGEST_CHUNK, _LARGEST_RATIO = 2**26, 1100


def checksum(array: Array) -> str:
    """SHA-256 over dtype, shape and bytes of a contiguous array."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def store_array(group: h5py.Group, values: Array, compression: str | None) -> str:
    """Store an array unless an equal one is there; returns its name in the group."""
    array = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).reshape(values.shape)
    name = checksum(array)
    if name in group:
        return name
    if array.nbytes <= _SMALL:
        group.create_dataset(name, data=array)
        return name
    rows = max(1, min(len(array), _CHUNK_BYTES // max(1, array.nbytes // len(array))))
    group.create_dataset(
        name,
        data=array,
        chunks=(rows, *array.shape[1:]),
        compression=compression,
        compression_opts=1 if compression == "gzip" else None,
        shuffle=compression is not None,
        fletcher32=True,
    )
    return name


def read_array(group: h5py.Group, name: str) -> Array:
    """The array under a checksum; `MeshFileError` if its contents have another one."""
    stored = require_array(group, name)
    values = np.asarray(stored[()])
    native: Array = values.astype(values.dtype.newbyteorder("="), copy=False)
    if checksum(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).reshape(values.shape)) != name:
        raise MeshFileError(f"the checksum of the array {name[:12]}… does not match: the file was changed or damaged.")
    return native


def require_array(group: h5py.Group, name: str) -> h5py.Dataset:
    """A data set of numbers in this file, no larger than what is stored of it can be."""
    import h5py

    if not isinstance(group.get(name, getlink=True) if name in group else None, h5py.HardLink):
        raise MeshFileError(f"no array {name[:20]!r} in the group {group.name}: the file was changed or damaged.")
    stored = group[name]
    if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "biufc" or stored.external or stored.is_virtual:
        raise MeshFileError(f"{group.name}/{name[:20]} is not an array of numbers in this file: damaged.")
    limit = _LARGEST_RATIO * stored.id.get_storage_size()
    chunk = int(np.prod(stored.chunks, dtype=np.float64) * stored.dtype.itemsize) if stored.chunks else 0
    if stored.size * stored.dtype.itemsize > limit or chunk > _LARGEST_CHUNK:
        raise MeshFileError(
            f"{group.name}/{name[:20]} announces {stored.shape} values in chunks of {chunk} bytes, of which "
            f"{stored.id.get_storage_size()} bytes are stored: damaged."
        )
    return stored
