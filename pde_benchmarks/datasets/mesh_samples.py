"""Meshes in files as samples of one kind: the fields and scalars that were asked for, one mesh in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from meshes import Mesh, MeshSet
from pde_benchmarks.datasets.mesh_fields import FieldChoice, choose_fields
from pde_benchmarks.datasets.scalar_table import ScalarTable
from pde_benchmarks.errors import DatasetError
from solvers.errors import ScimlError

__all__ = ["MeshFolder", "Wanted", "mesh_samples", "wanted_of"]

#: Faulty samples that a message names.
_NAMED = 8


@dataclass(frozen=True)
class Wanted:
    """What a learner wants of samples.

    Attributes
    ----------
    fields
        Names of point fields; None: all that the first sample has.
    cell_fields
        Names of fields on cells, to be averaged to the points.
    inputs, outputs
        Names of scalars; inputs None: all columns of the table that are no outputs.
    """

    fields: tuple[str, ...] | None
    cell_fields: tuple[str, ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...]


def wanted_of(
    fields: Sequence[str] | None, cell_fields: Sequence[str], inputs: Sequence[str] | None, outputs: Sequence[str]
) -> Wanted:
    """What is wanted, from what a caller gave; a `DatasetError` for a text in the place of a list of names."""
    given = {"fields": fields, "cell_fields": cell_fields, "inputs": inputs, "outputs": outputs}
    single = [f"{key}={value!r}" for key, value in given.items() if isinstance(value, str)]
    if single:
        raise DatasetError(f"{single[0]}: one text, expected a list of names.")
    return Wanted(
        None if fields is None else tuple(fields),
        tuple(cell_fields),
        None if inputs is None else tuple(inputs),
        tuple(outputs),
    )


def mesh_samples(
    path: Path, meshes: Sequence[Mesh], names: Sequence[str], wanted: Wanted, table: ScalarTable | None
) -> MeshFolder:
    """Samples out of any lazy sequence of meshes; the first is read, and the table's numbers are checked.

    Parameters
    ----------
    path
        For messages.
    meshes, names
        One name a mesh.
    wanted
        Fields and scalars.
    table
        Its rows have the samples' names.

    Raises
    ------
    DatasetError
        No samples, a scalar with two roles, or a first sample without one of the fields or scalars.
    """
    if not len(meshes):
        raise DatasetError(f"{path}: no samples in it.")
    columns = table.columns if table is not None else ()
    inputs = tuple(c for c in columns if c not in wanted.outputs) if wanted.inputs is None else wanted.inputs
    roles = inputs + wanted.outputs
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: the scalar {twice[0]!r} is named twice: it is an input or an output, once.")
    if table is not None:
        for name in names:
            for column in (c for c in roles if c in columns):
                table.value(name, column)
    try:
        choices = choose_fields(meshes[0], wanted.fields, wanted.cell_fields)
    except DatasetError as error:
        raise DatasetError(f"{path}, sample {names[0]!r}: {error}") from error
    fields = tuple(choice.name for choice in choices)
    units = dict(meshes.units) if isinstance(meshes, MeshSet) else {}
    numbers = tuple(range(len(meshes)))
    folder = MeshFolder(path, tuple(names), fields, inputs, wanted.outputs, units, meshes, choices, table, numbers)
    folder[0]
    return folder


@dataclass(frozen=True)
class MeshFolder(Sequence[Mesh]):
    """Samples on meshes of their own, read when they are asked for: ``len(folder)``, ``folder[i]``, ``folder[:100]``.

    A sample is a `meshes.Mesh` with float64 coordinates; its point data are the chosen fields ``(n,)`` float64, its
    global data the chosen scalars, its sets those of the file. It holds no open file.

    Attributes
    ----------
    path
        The folder or file.
    names
        Of the samples: those of their files without the ending.
    fields
        Names of the point fields.
    input_scalars, output_scalars
        Names of the scalars that a learner is given, and of those that it predicts.
    units
        Name of a field or scalar to its unit, where the file says so; mesh formats do not.
    """

    path: Path
    names: tuple[str, ...] = field(repr=False)
    fields: tuple[str, ...]
    input_scalars: tuple[str, ...]
    output_scalars: tuple[str, ...]
    units: dict[str, str]
    _meshes: Sequence[Mesh] = field(repr=False)
    _choices: tuple[FieldChoice, ...] = field(repr=False)
    _table: ScalarTable | None = field(repr=False)
    _numbers: tuple[int, ...] = field(repr=False)

    @property
    def point_fields(self) -> tuple[str, ...]:
        """Those of the fields that the files hold at points."""
        return tuple(choice.name for choice in self._choices if not choice.on_cells)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> MeshFolder: ...

    def __getitem__(self, index: int | slice) -> Mesh | MeshFolder:
        """One sample, or those of a slice, still unread.

        Raises
        ------
        DatasetError
            The sample lacks a field or a scalar, or holds values that are not finite.
        MeshFileError
            Its file is damaged.
        """
        if isinstance(index, slice):
            return self.subset(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)} ({self.path}).")
        mesh, name = self._meshes[self._numbers[index]], self.names[index]
        try:
            return replace(
                mesh,
                points=mesh.points.astype(np.float64),
                point_data={choice.name: choice.values(mesh) for choice in self._choices},
                cell_data={},
                global_data={key: np.array(self._scalar(mesh, name, key)) for key in self._scalars()},
            )
        except ScimlError as error:
            raise DatasetError(f"{self.path}, sample {name!r}: {error}") from error

    def subset(self, numbers: Sequence[int]) -> MeshFolder:
        """Some of the samples, in the given order.

        Raises
        ------
        DatasetError
            A number that is none of a sample, or that stands there twice.
        """
        bad = [i for i in numbers if not 0 <= i < len(self)]
        if bad or len(set(numbers)) < len(numbers):
            found = f"no sample {bad[0]}" if bad else "a sample twice"
            raise DatasetError(f"{self.path}: {found} among {len(self)} samples: give different numbers from 0 on.")
        names = tuple(self.names[i] for i in numbers)
        return replace(self, names=names, _numbers=tuple(self._numbers[i] for i in numbers))

    def check(self) -> None:
        """Read every sample once and name all those that cannot be used.

        Raises
        ------
        DatasetError
            With the faults, one after the other.
        """
        faults = []
        for i in range(len(self)):
            try:
                self[i]
            except ScimlError as error:
                faults.append(str(error).removeprefix(f"{self.path}, "))
        if faults:
            more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
            raise DatasetError(
                f"{self.path}: {len(faults)} of {len(self)} samples cannot be used: {'; '.join(faults[:_NAMED])}{more}"
            )

    def _scalars(self) -> tuple[str, ...]:
        return self.input_scalars + self.output_scalars

    def _scalar(self, mesh: Mesh, name: str, key: str) -> float:
        """From the table if it has the column, else from the mesh itself."""
        if self._table is not None and key in self._table.columns:
            return self._table.value(name, key)
        found: Any = mesh.global_data.get(key)
        if found is None:
            table = f", nor a column of {self._table.path}" if self._table is not None else ""
            known = ", ".join(map(repr, mesh.global_data)) or "none"
            raise DatasetError(f"no scalar {key!r} in the mesh, which has {known}{table}.")
        if found.size != 1 or found.dtype.kind not in "biuf" or not np.isfinite(found).all():
            raise DatasetError(f"scalar {key!r} is {found!r}: expected one finite number.")
        return float(found.flat[0])
