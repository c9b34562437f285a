"""Read the data files that people already have; the format is recognised by the file's content, not by its name.

==================  ======================================================================================
FNO ``.mat``        ``coeff`` → ``sol``; ``a`` → ``u``, of a trajectory with times ``t`` the last frame
neuraloperator      ``.pt`` dictionary of tensors, ``x`` → ``y``; loaded without running anything in it
PDEBench            ``nu`` → ``tensor``; of a trajectory the first frame → the last
The Well            all moving fields at the first frame → at the last; steady: scalar fields → vector fields
NumPy               ``.npz``, or ``NAME_x.npy`` with ``NAME_y.npy`` (either file or their directory)
sciml               what `write_dataset` wrote
==================  ======================================================================================

Arrays under other names are read when they are named.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pde_benchmarks.datasets.alignment import alignment_of_coordinates, alignment_of_sides, boundary_of
from pde_benchmarks.datasets.container import FORMAT, read_dataset_file
from pde_benchmarks.datasets.dataset import Dataset, require_finite
from pde_benchmarks.datasets.formats.hdf5 import opened, record_plain
from pde_benchmarks.datasets.formats.matlab import record_matlab_5, record_matlab_73
from pde_benchmarks.datasets.formats.numpy_files import record_directory, record_npy, record_npz
from pde_benchmarks.datasets.formats.pdebench import is_pdebench, record_pdebench
from pde_benchmarks.datasets.formats.the_well import is_the_well, record_the_well
from pde_benchmarks.datasets.formats.torch_file import record_torch
from pde_benchmarks.datasets.recording import Recording, fields_of
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import (
    Batch,
    FieldSpec,
    Grid,
    Kind,
    Phases,
    Positive,
    Problem,
    Real,
    RecordedProblem,
    Scalars,
)

if TYPE_CHECKING:
    import h5py

__all__ = ["read_dataset", "read_inputs"]

MOST_PHASES = 8
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_dataset(
    path: Path | str,
    *,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
    alignment: str | None = None,
    expected: Problem | None = None,
) -> Dataset:
    """Read input and output fields from a file (or a directory with a pair of ``.npy`` files).

    Parameters
    ----------
    path
        The file.
    inputs, outputs
        Names of the arrays, where the file's layout and the usual names do not tell.
    alignment
        Where the grid points lie, if it is known; else the coordinates in the file or the fields' values next to the
        boundary tell, or it stays ``unknown``.
    expected
        The problem that the fields should be of: where nothing is named, its names are looked for first.

    Returns
    -------
    Dataset
        Its problem is the one that generated the file, or else a `RecordedProblem` whose specification says what was
        found: the grid, and whether an input takes a few values only (`Phases`) or is positive. Floats keep their
        precision, whole numbers and booleans become float32.

    Raises
    ------
    DatasetError
        If the file is missing, of an unknown format, truncated or damaged; holds anything but numbers; its arrays do
        not belong together, are ambiguous (the message lists them), or hold NaN or infinity.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/waves.npz", x=np.ones((3, 16)), y=np.ones((3, 16)))
    ...     read_dataset(f"{folder}/waves.npz").describe()[0].shape
    (3, 1, 16)
    """
    path = Path(path)
    with ExitStack() as stack:
        recording = _recording(path, stack)
        if recording is None:
            dataset = read_dataset_file(path)
            _require_named(path, dataset.inputs, _names(inputs))
            _require_named(path, dataset.outputs, _names(outputs))
            return dataset
        specs = (expected.inputs, expected.outputs) if expected is not None else ((), ())
        input_names, output_names = recording.choose(
            _names(inputs) or recording.has(specs[0]), _names(outputs) or recording.has(specs[1])
        )
        fields = fields_of(recording, [*input_names, *output_names])
    given, wanted = fields[: len(input_names)], fields[len(input_names) :]
    grid = _grid(recording, wanted[0][1], alignment)
    problem = RecordedProblem(
        path.name,
        tuple(_spec(name, array, grid, _kind(array)) for name, array in given),
        tuple(_spec(name, array, grid, Real()) for name, array in wanted),
    )
    dataset = Dataset(problem, Batch(dict(given)), Batch(dict(wanted)), path.stem)
    dataset.check(str(path))
    return dataset


def read_inputs(
    path: Path | str, *, inputs: str | Sequence[str] | None = None, expected: Problem | None = None
) -> Batch:
    """Read only the input fields, from a file that may hold nothing else; names and errors as in `read_dataset`."""
    path = Path(path)
    with ExitStack() as stack:
        recording = _recording(path, stack)
        if recording is None:
            batch = read_dataset_file(path).inputs
            _require_named(path, batch, _names(inputs))
            return batch
        names = _names(inputs) or (recording.has(expected.inputs) if expected is not None else None)
        chosen = recording.choose_inputs(names)
        if names is None and expected is not None and not recording.inputs:
            _require_no_outputs(recording, chosen, expected)
        batch = Batch(dict(fields_of(recording, chosen)))
    require_finite(str(path), batch)
    return batch


def _names(names: str | Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else list(names) if names else None


def _require_named(path: Path, batch: Batch, names: list[str] | None) -> None:
    """A data set of the package knows its own fields: names can confirm them, not choose others."""
    if names is not None and names != list(batch):
        raise DatasetError(f"{path}: {', '.join(names)} asked for, but this sciml file holds {', '.join(batch)} there.")


def _require_no_outputs(recording: Recording, chosen: Sequence[str], expected: Problem) -> None:
    """The only array of a file may be the input under any name, but not under that of an output."""
    outputs = {spec.name for spec in expected.outputs}
    for name in chosen:
        if name in outputs:
            wanted = ", ".join(spec.name for spec in expected.inputs)
            raise DatasetError(
                f"{recording.path}: {name!r} is an output of {expected.name}; the array {wanted} is expected. If it "
                "is the input all the same, name it with --input-name."
            )


def _recording(path: Path, stack: ExitStack) -> Recording | None:
    """Recognise the format and list the arrays; None for the package's own files. ``stack`` keeps HDF5 files open."""
    if path.is_dir():
        return record_directory(path)
    head = _head(path)
    if head.startswith(b"MATLAB 5.0"):
        return record_matlab_5(path)
    if head.startswith(b"MATLAB 7.3"):
        return record_matlab_73(path, stack.enter_context(opened(path)))
    if any(head[start:].startswith(HDF5_SIGNATURE) for start in (0, 512, 1024, 2048)):
        return _recording_of_hdf5(path, stack.enter_context(opened(path)))
    if head.startswith(b"\x93NUMPY"):
        return record_npy(path)
    if head.startswith(b"PK\x03\x04"):
        return record_npz(path) if _is_npz(path) else record_torch(path)
    if head.startswith(b"\x80") or path.suffix in (".pt", ".pth"):
        return record_torch(path)
    raise DatasetError(
        f"{path}: unknown format (begins with {head[:8]!r}): expected MATLAB .mat, PyTorch .pt, HDF5 (sciml, PDEBench, "
        "The Well), NumPy .npz or .npy."
    )


def _recording_of_hdf5(path: Path, file: h5py.File) -> Recording | None:
    if file.attrs.get("format") == FORMAT:
        return None
    if is_the_well(file):
        return record_the_well(path, file)
    if is_pdebench(file):
        return record_pdebench(path, file)
    return record_plain(path, file)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file.") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}).") from error


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except zipfile.BadZipFile:
        if path.suffix == ".npz":
            raise DatasetError(f"{path}: the archive ends early or is damaged: fetch it again.") from None
        return False


def _grid(recording: Recording, output: Tensor, alignment: str | None) -> Grid:
    if output.ndim < 3:
        return Grid((), "unknown")
    if alignment is None:
        axes = recording.coordinates if len(recording.coordinates) == output.ndim - 2 else ()
        alignment = (alignment_of_coordinates(*axes) if axes else None) or alignment_of_sides(output)[0] or "unknown"
    return Grid(tuple(output.shape[2:]), alignment, recording.boundary or boundary_of(output))


def _spec(name: str, array: Tensor, grid: Grid, kind: Kind) -> FieldSpec:
    if array.ndim < 3:
        return FieldSpec(name, array.shape[1], Scalars(), kind=kind)
    boundary = grid.boundary if grid.dim == array.ndim - 2 else ("unknown",) * (array.ndim - 2)
    support = Grid(tuple(array.shape[2:]), grid.alignment, boundary)
    return FieldSpec(name, array.shape[1], support, kind=kind)


def _kind(array: Tensor) -> Kind:
    values = _few_values(array)
    if values is not None:
        return Phases(values)
    return Positive() if array.numel() and bool(array.min() > 0) else Real()


def _few_values(array: Tensor) -> tuple[float, ...] | None:
    """The distinct values if there are 2 to 8; stops at the first samples of a field that varies smoothly."""
    found = torch.unique(array[:4])
    if len(found) > MOST_PHASES:
        return None
    rest = array[~torch.isin(array, found)]
    found = torch.unique(torch.cat([found, rest]))
    return tuple(found.tolist()) if 2 <= len(found) <= MOST_PHASES else None
