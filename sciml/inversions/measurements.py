"""Measured values in a file: a table of text (CSV), or arrays in HDF5 or NPZ.

::

    CSV           a first line x,y,value,std (as many of x, y, z as the problem has axes), then one sensor a line
    HDF5, NPZ     points (n, dim), values (n,), noise_std (n,) or one number

Points are in the units of the problem's domain; ``std`` and ``noise_std`` are standard deviations of the noise, in the
unit of the values.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.datasets.formats.hdf5 import opened
from pde_benchmarks.domains import Box
from sciml.errors import ObservationError, about
from sciml.files import read_text

__all__ = ["Measurements", "read_measurements"]

AXES = ("x", "y", "z")
ARRAYS = ("points", "values", "noise_std")
LISTED = 8


@dataclass(frozen=True)
class Measurements:
    """Values at n sensors.

    Parameters
    ----------
    points
        ``(n, dim)``, float64.
    values, std
        ``(n,)`` each, float64.
    """

    points: Tensor
    values: Tensor
    std: Tensor


def read_measurements(path: Path | str, dim: int) -> Measurements:
    r"""Read measurements in ``dim`` dimensions; the format is told by the file's content.

    Raises
    ------
    ObservationError
        If a column or an array is missing, of another dimension or length; a value is not a finite number, or a
        standard deviation not positive (lines and columns, or indices, are listed).
    ProblemError
        If sensors lie outside of the unit cube; their indices (from 0) are listed.
    DatasetError, RunError
        If the file is truncated or damaged, or no text.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(f"{folder}/wells.csv").write_text("x,y,value,std\n0.5,0.25,1.5,0.1\n")
    ...     read_measurements(f"{folder}/wells.csv", dim=2).points
    tensor([[0.5000, 0.2500]], dtype=torch.float64)
    """
    path = Path(path)
    with about(path):
        match _head(path):
            case b"\x89HDF":
                found = _checked(_hdf5(path), dim)
            case b"PK\x03\x04":
                found = _checked(_npz(path), dim)
            case _:
                found = _table(read_text(path), dim)
        Box((0.0,) * dim, (1.0,) * dim).require_inside(found.points, "sensors")
    return found


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise ObservationError(f"{path}: cannot be read ({error.strerror}): check the name.") from None


# Text


def _table(text: str, dim: int) -> Measurements:
    """Every column by its name; messages name the line and the column."""
    try:
        lines = list(csv.reader(text.removeprefix("\ufeff").splitlines()))
    except csv.Error as error:
        raise ObservationError(f"not a table of comma-separated values ({error}).") from None
    rows = [(number, cells) for number, cells in enumerate(lines, 1) if any(cell.strip() for cell in cells)]
    if not rows:
        raise ObservationError(f"the file is empty; its first line must name the columns: {_columns(dim)}.")
    (_, names), *rows = rows
    chosen = _chosen([name.strip().lower() for name in names], dim)
    if not rows:
        raise ObservationError("only the names of the columns; at least one line of numbers is expected.")
    table = []
    for number, cells in rows:
        if len(cells) != len(names):
            raise ObservationError(f"line {number} has {len(cells)} cells, the first line {len(names)}.")
        table.append([_number(cells[index], number, name) for name, index in chosen.items()])
    numbers = torch.tensor(table, dtype=torch.float64)
    *axes, values, std = numbers.unbind(1)
    bad = [rows[i][0] for i in (~(std > 0)).nonzero().flatten().tolist()]
    if bad:
        raise ObservationError(
            f"column 'std' must be positive, but is not on lines {_listed(bad)}: give the noise its true size."
        )
    return Measurements(torch.stack(axes, 1), values, std)


def _chosen(names: Sequence[str], dim: int) -> dict[str, int]:
    """Where the wanted columns stand."""
    wanted = [*AXES[:dim], "value", "std"]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ObservationError(
            f"no column {', '.join(missing)}: the first line names {', '.join(names)}; {_columns(dim)} are expected."
        )
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ObservationError(f"the column {twice[0]} comes twice: which one is meant?")
    foreign = [name for name in AXES[dim:] if name in names]
    if foreign:
        raise ObservationError(f"a column {foreign[0]}, but the problem has {dim} axes: {_columns(dim)} are expected.")
    return {name: names.index(name) for name in wanted}


def _number(cell: str, line: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not -float("inf") < value < float("inf"):
        raise ObservationError(
            f"line {line}, column {column!r}: {cell.strip()!r} is not a finite number: correct it, or remove the line."
        )
    return value


def _columns(dim: int) -> str:
    return ",".join([*AXES[:dim], "value", "std"])


# Arrays


def _hdf5(path: Path) -> dict[str, Tensor]:
    import h5py
    import numpy as np

    with opened(path) as file:
        arrays = {name: node for name, node in file.items() if isinstance(node, h5py.Dataset)}
        numbers = {name: node for name, node in arrays.items() if node.dtype.kind in "fiu"}
        return {name: torch.from_numpy(np.asarray(node[()], dtype=np.float64)) for name, node in numbers.items()}


def _npz(path: Path) -> dict[str, Tensor]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ObservationError(f"not an NPZ file of plain arrays, or it ends early ({reason}).") from None
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}
    return {name: torch.from_numpy(np.asarray(array, dtype=np.float64)) for name, array in numbers.items()}


def _checked(arrays: Mapping[str, Tensor], dim: int) -> Measurements:
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise ObservationError(
            f"no array {', '.join(missing)}: the file holds {', '.join(arrays) or 'none'}, and {', '.join(ARRAYS)} are "
            "expected."
        )
    points, values, std = (arrays[name].double() for name in ARRAYS)
    if points.ndim != 2 or points.shape[1] != dim or not len(points):
        raise ObservationError(f"points of shape {tuple(points.shape)}: (n, {dim}) is expected for this problem.")
    if values.shape != points.shape[:1]:
        raise ObservationError(f"values of shape {tuple(values.shape)}: ({len(points)},) is expected, one a point.")
    if std.shape not in ((), (1,), values.shape):
        raise ObservationError(f"noise_std of shape {tuple(std.shape)}: one number, or ({len(points)},), is expected.")
    std = std.expand(values.shape).clone()
    for name, array in {"points": points, "values": values, "noise_std": std}.items():
        rows = (~array.isfinite()).reshape(len(array), -1).any(1).nonzero().flatten().tolist()
        if rows:
            raise ObservationError(f"{name}: not finite at rows {_listed(rows)}: correct or remove them.")
    rows = (~(std > 0)).nonzero().flatten().tolist()
    if rows:
        raise ObservationError(
            f"noise_std must be positive, but is not at rows {_listed(rows)}: give the noise its true size."
        )
    return Measurements(points, values, std)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:LISTED])) + (", …" if len(numbers) > LISTED else "")
