"""Fields to learn, one number a point, out of what a mesh file holds: vectors, tensors, fields on cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from meshes.averaging import cell_field_at_points
from pde_benchmarks.errors import DatasetError

__all__ = ["FieldChoice", "choose_fields"]

Array = NDArray[Any]

#: Components by their number: vectors, plane tensors row by row, VTK's symmetric tensors, tensors row by row.
_SUFFIXES = {
    2: ("x", "y"),
    3: ("x", "y", "z"),
    4: ("xx", "xy", "yx", "yy"),
    6: ("xx", "yy", "zz", "xy", "yz", "xz"),
    9: ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"),
}


@dataclass(frozen=True)
class FieldChoice:
    """One number a point: a field of a mesh, or a component of one.

    Attributes
    ----------
    name
        Under which it is handed out.
    stored
        Its name in the file.
    shape
        Of the stored field at one point; () for a scalar field.
    component
        Which of its numbers, counted row by row.
    on_cells
        It is stored on cells and averaged to the points.
    """

    name: str
    stored: str
    shape: tuple[int, ...] = ()
    component: int = 0
    on_cells: bool = False

    def values(self, mesh: Mesh) -> Array:
        """The field at the points of a mesh, ``(n,)`` float64.

        Raises
        ------
        DatasetError
            The mesh does not have it, or in another shape, or with values that are not finite; the message does not
            name the mesh.
        """
        held = mesh.cell_data if self.on_cells else mesh.point_data
        if self.stored not in held:
            raise DatasetError(f"no {_place(self.on_cells)} field {self.stored!r}; {_inventory(mesh)}.")
        stored = cell_field_at_points(mesh, self.stored) if self.on_cells else mesh.point_data[self.stored]
        if stored.shape[1:] != self.shape or stored.dtype.kind == "c":
            raise DatasetError(
                f"field {self.stored!r} has the shape {stored.shape} and the dtype {stored.dtype}, expected "
                f"{('n', *self.shape)} real numbers as in the first sample.".replace("'n'", "n")
            )
        values = stored.reshape(len(stored), -1)[:, self.component].astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            # A point without cells, too, has no average.
            raise DatasetError(
                f"field {self.stored!r}: {bad.size} of {values.size} values are NaN or infinite, the first at point "
                f"{bad[0]}: mend the sample or leave it out."
            )
        return values


def choose_fields(mesh: Mesh, fields: Sequence[str] | None, cell_fields: Sequence[str] = ()) -> tuple[FieldChoice, ...]:
    """What of a mesh is meant by names of fields.

    The name of a vector or tensor stands for all its components, ``velocity`` for ``velocity_x``, ``velocity_y``, …;
    each may be asked for alone.

    Parameters
    ----------
    mesh
        A sample.
    fields
        Names; None: all real fields at points, without the third component of vectors of a plane mesh if it is zero.
    cell_fields
        Names of fields on cells, to be averaged to the points.

    Raises
    ------
    DatasetError
        A name that the mesh does not have (the message says what it has), or one that is given twice.

    Examples
    --------
    >>> segment = Mesh([[0.0], [1.0]], {"line": [[0, 1]]}, {"u": [[1.0, 2.0], [3.0, 4.0]]})
    >>> [choice.name for choice in choose_fields(segment, None)]
    ['u_x', 'u_y']
    >>> choose_fields(segment, ["u_y"])[0].values(segment)
    array([2., 4.])
    """
    if fields is None:
        real = [name for name, values in mesh.point_data.items() if values.dtype.kind != "c"]
        chosen = [choice for name in real for choice in _components(mesh, name, False) if not _is_flat(mesh, choice)]
    else:
        chosen = [choice for name in fields for choice in _named(mesh, name, False)]
    chosen += [choice for name in cell_fields for choice in _named(mesh, name, True)]
    names = [choice.name for choice in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"the field {', '.join(map(repr, twice))} is asked for twice: name each field once.")
    return tuple(chosen)


def _named(mesh: Mesh, name: str, on_cells: bool) -> list[FieldChoice]:
    held = mesh.cell_data if on_cells else mesh.point_data
    if name in held:
        return _components(mesh, name, on_cells)
    single = [c for stored in held for c in _components(mesh, stored, on_cells) if c.name == name]
    if single:
        return single[:1]
    hint = ""
    if not on_cells and name in mesh.cell_data:
        hint = "; on cells there is: name it among the cell fields to have it averaged to the points"
    raise DatasetError(f"no {_place(on_cells)} field {name!r}{hint}; {_inventory(mesh)}.")


def _components(mesh: Mesh, stored: str, on_cells: bool) -> list[FieldChoice]:
    values = next(iter(mesh.cell_data[stored].values())) if on_cells else mesh.point_data[stored]
    shape = values.shape[1:]
    count = int(np.prod(shape))
    if count == 1:
        return [FieldChoice(stored, stored, shape, 0, on_cells)]
    suffixes = _SUFFIXES.get(count, tuple(map(str, range(count))))
    return [FieldChoice(f"{stored}_{suffix}", stored, shape, i, on_cells) for i, suffix in enumerate(suffixes)]


def _is_flat(mesh: Mesh, choice: FieldChoice) -> bool:
    """Whether it is the third component, zero throughout, that a file format adds to a vector in the plane."""
    third = choice.shape == (3,) and choice.component == 2
    return third and mesh.space_dimension == 2 and not mesh.point_data[choice.stored][:, 2].any()


def _place(on_cells: bool) -> str:
    return "cell" if on_cells else "point"


def _inventory(mesh: Mesh) -> str:
    at_points, in_cells = (", ".join(map(repr, names)) or "none" for names in (mesh.point_data, mesh.cell_data))
    return f"at points it has {at_points}; on cells {in_cells}"
