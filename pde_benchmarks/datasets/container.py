"""The package's own data file: HDF5 that says which problem, law and seed made it, and whether it is still whole.

Layout, schema 1: the groups ``inputs`` and ``outputs`` hold one array ``(samples, channels, *grid)`` a field, chunked
by samples, with the attributes ``unit`` and ``sha256``; the root's attributes are ``format``, ``schema``, ``name``,
``count``, ``seed``, ``law``, and as JSON ``problem`` (name and configuration), ``fields`` (the specification that stays
readable where the problem is not installed) and ``versions``.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.atomic import replacing
from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.datasets.formats.hdf5 import opened
from pde_benchmarks.errors import ConfigurationError, DatasetError, ProblemError
from pde_benchmarks.problem import Batch, FieldSpec, Problem, RecordedProblem, decode_spec, encode_spec
from pde_benchmarks.registry import describe_problem, rebuild_problem

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT", "SCHEMA", "package_version", "read_attributes", "read_dataset_file", "write_dataset"]

FORMAT = "sciml dataset"
SCHEMA = 1
CHUNK_BYTES = 2**20


def write_dataset(
    path: Path | str, dataset: Dataset, seed: int | None = None, compression: str | None = "gzip", **attributes: str
) -> None:
    """Write a data set; the same data gives the same bytes.

    Parameters
    ----------
    path
        Replaced if it exists, and only once the new file is complete.
    dataset
        What to write.
    seed
        The seed that made it, recorded in the file.
    compression
        ``gzip``, ``lzf`` or None.
    **attributes
        More text to record in the root's attributes.

    Raises
    ------
    DatasetError
        If the disk is full or the place cannot be written.
    """
    import h5py

    # Built in memory: the HDF5 library itself crashes when the disk fills up under it.
    image = BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs.update(_attributes(dataset, seed), **attributes)
        for side, batch, specs in _sides(dataset):
            group = file.create_group(side, track_order=True)
            units = {spec.name: spec.unit for spec in specs}
            for name, array in batch.items():
                stored = _write_array(group, name, array, compression)
                stored.attrs["unit"] = units.get(name, "1")
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(image.getbuffer())


def read_dataset_file(path: Path | str, rows: slice | None = None, problem: Problem | None = None) -> Dataset:
    """Read a data set that `write_dataset` wrote.

    Parameters
    ----------
    path
        The file.
    rows
        Which samples; all by default. Checksums of whole arrays can be compared only when all are read; damage in a
        chunk is noticed in any case.
    problem
        The problem, if the caller has it at hand. By default it is rebuilt from the file; if it is not installed, a
        `RecordedProblem` with the same fields takes its place and a warning says so.

    Raises
    ------
    DatasetError
        If the file is missing, foreign, truncated, damaged or of a newer schema.
    """
    path = Path(path)
    with opened(path) as file:
        header = _header(path, file)
        inputs, outputs = (_read_group(path, file, group, rows) for group in ("inputs", "outputs"))
        problem = problem if problem is not None else _problem(path, header)
        return Dataset(problem, inputs, outputs, str(header["name"]))


def read_attributes(path: Path | str) -> dict[str, Any]:
    """The root's attributes of a file that `write_dataset` wrote; raises `DatasetError` as `read_dataset_file` does."""
    path = Path(path)
    with opened(path) as file:
        return _header(path, file)


def package_version(distribution: str = "sciml-pde") -> str:
    """Installed version of a distribution, ``unknown`` where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _attributes(dataset: Dataset, seed: int | None) -> dict[str, Any]:
    fields = {group: encode_spec(specs) for group, _, specs in _sides(dataset)}
    names = ("sciml-pde", "torch", "numpy", "h5py")
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "name": dataset.name,
        "count": dataset.count,
        "seed": "none" if seed is None else str(seed),
        "law": str(getattr(dataset.problem, "law", "none")),
        "problem": json.dumps(describe_problem(dataset.problem)),
        "fields": json.dumps(fields),
        "versions": json.dumps({name: package_version(name) for name in names}),
    }


def _sides(dataset: Dataset) -> tuple[tuple[str, Batch, tuple[FieldSpec, ...]], ...]:
    problem = dataset.problem
    return (("inputs", dataset.inputs, problem.inputs), ("outputs", dataset.outputs, problem.outputs))


def _write_array(group: h5py.Group, name: str, tensor: Tensor, compression: str | None) -> h5py.Dataset:
    array = np.ascontiguousarray(tensor.detach().cpu().numpy())
    if not array.size:
        stored = group.create_dataset(name, data=array)
    else:
        rows = max(1, min(len(array), CHUNK_BYTES // max(1, array[0].nbytes)))
        stored = group.create_dataset(
            name,
            data=array,
            chunks=(rows, *array.shape[1:]),
            compression=compression,
            compression_opts=1 if compression == "gzip" else None,
            shuffle=compression is not None,
            fletcher32=True,
        )
    stored.attrs["sha256"] = _checksum(array)
    return stored


def _checksum(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _header(path: Path, file: h5py.File) -> dict[str, Any]:
    header = dict(file.attrs)
    if header.get("format") != FORMAT:
        raise DatasetError(f"{path}: an HDF5 file, but not one that sciml wrote: read it with `read_dataset`.")
    if int(header["schema"]) > SCHEMA:
        raise DatasetError(
            f"{path}: written with schema {header['schema']}, this version reads up to {SCHEMA}: update sciml-pde."
        )
    return header


def _read_group(path: Path, file: h5py.File, group: str, rows: slice | None) -> Batch:
    arrays = {}
    for name, stored in file[group].items():
        array = stored[rows] if rows is not None else stored[()]
        if rows is None and _checksum(array) != stored.attrs["sha256"]:
            raise DatasetError(
                f"{path}: the checksum of {group}/{name} does not match: the file was changed or damaged."
            )
        arrays[name] = torch.from_numpy(array)
    return Batch(arrays)


def _problem(path: Path, header: Mapping[str, Any]) -> Problem:
    description = json.loads(header["problem"])
    try:
        return rebuild_problem(description)
    except (ConfigurationError, ProblemError) as error:
        warnings.warn(f"{path}: {error} Its fields are used without their equation.", stacklevel=3)
        fields = json.loads(header["fields"])
        source = f"{description['name']} ({path.name})"
        return RecordedProblem(source, decode_spec(fields["inputs"]), decode_spec(fields["outputs"]))
