"""Fields in steps, of time or of load, on meshes: one point field a step, "u@0.5", which every file format holds.

A mesh with the fields "u@0.5" and "u@1" is one sample of the series u at the steps 0.5 and 1; scalars likewise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes import Mesh
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import FieldSpec, Times

__all__ = ["at_step", "in_steps", "join_steps", "series_of", "split_step", "step_values", "with_step_values"]

Array = NDArray[Any]


def at_step(name: str, step: float) -> str:
    """The name of a field or scalar at one step.

    Examples
    --------
    >>> at_step("u", 0.5), at_step("u", 1.0)
    ('u@0.5', 'u@1')
    """
    return f"{name}@{step:.12g}"


def split_step(name: str) -> tuple[str, float] | None:
    """What `at_step` put together; None for the name of a field without steps.

    Examples
    --------
    >>> split_step("u@0.5"), split_step("u"), split_step("u@home")
    (('u', 0.5), None, None)
    """
    head, mark, tail = name.rpartition("@")
    try:
        step = float(tail)
    except ValueError:
        return None
    return (head, step) if mark and head and math.isfinite(step) else None


def series_of(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names of fields by the series that they belong to, in the order of the steps; a field without steps is its own.

    Raises
    ------
    DatasetError
        A field and a series of one name.

    Examples
    --------
    >>> series_of(["u@1", "T", "u@0.5"])
    {'u': ('u@0.5', 'u@1'), 'T': ('T',)}
    """
    found: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        head, step = split_step(name) or (name, math.nan)
        found.setdefault(head, []).append((step, name))
    for head, members in found.items():
        if len(members) > 1 and any(name == head for _, name in members):
            other = next(name for _, name in members if name != head)
            raise DatasetError(f"{head!r} is a field and, with {other!r}, a series: give the field a name of its own.")
    return {head: tuple(name for _, name in sorted(members)) for head, members in found.items()}


def in_steps(spec: FieldSpec) -> tuple[FieldSpec, ...]:
    """A field on `Times` as one field a step, as meshes hold it; another field as it is.

    Examples
    --------
    >>> from pde_benchmarks.problem import Meshes
    >>> [one.name for one in in_steps(FieldSpec("u", 1, Times((0.5, 1.0), Meshes(2)), "mm"))]
    ['u@0.5', 'u@1']
    """
    if not isinstance(spec.support, Times):
        return (spec,)
    return tuple(replace(spec, name=at_step(spec.name, t), support=spec.support.support) for t in spec.support.grid)


def step_values(mesh: Mesh, name: str) -> tuple[Array, Array]:
    """The steps ``(s,)`` of a point field, rising, and its values ``(n, s)``.

    Raises
    ------
    DatasetError
        The mesh has no such series.

    Examples
    --------
    >>> rod = with_step_values(Mesh([[0.0], [1.0]], {"line": [[0, 1]]}), "u", [0.5, 1.0], [[0, 0], [3, 4]])
    >>> sorted(rod.point_data), step_values(rod, "u")[1].tolist()
    (['u@0.5', 'u@1'], [[0.0, 0.0], [3.0, 4.0]])
    """
    steps = sorted((found[1], key) for key in mesh.point_data if (found := split_step(key)) and found[0] == name)
    if not steps:
        known = ", ".join(mesh.point_data) or "none"
        raise DatasetError(f"the mesh has no steps of {name!r}, such as {at_step(name, 1)!r} (its fields: {known}).")
    return np.array([step for step, _ in steps]), np.stack([mesh.point_data[key] for _, key in steps], axis=1)


def with_step_values(mesh: Mesh, name: str, steps: Sequence[float], values: ArrayLike) -> Mesh:
    """The mesh with a field ``(n, s)`` as one point field a step; a field of that name without steps is taken away.

    Raises
    ------
    DatasetError
        Another shape, or steps that come twice.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (len(mesh.points), len(steps)) or len({at_step(name, step) for step in steps}) < len(steps):
        raise DatasetError(
            f"{name!r}: values {table.shape} at the steps {', '.join(f'{step:g}' for step in steps)}: expected "
            f"({len(mesh.points)}, number of steps), a row a point, and steps that differ."
        )
    others = {key: held for key, held in mesh.point_data.items() if key != name}
    named = {at_step(name, step): column for step, column in zip(steps, table.T, strict=True)}
    return replace(mesh, point_data={**others, **named})


def join_steps(meshes: Mapping[float, Mesh], fields: Sequence[str] | None = None) -> Mesh:
    """One sample of the meshes that a solver wrote, one a step: their fields side by side on the mesh of the last step.

    Scalars in the global data that change from step to step are joined like fields, the others are kept.

    Parameters
    ----------
    meshes
        Step (a time, a share of the load) to the mesh with the fields there.
    fields
        Point fields that are kept; None: all.

    Raises
    ------
    DatasetError
        No meshes, points or cells that differ, or a field that is missing at some step.

    Examples
    --------
    >>> rod = Mesh([[0.0], [1.0]], {"line": [[0, 1]]})
    >>> solved = {t: replace(rod, point_data={"u": t * rod.points[:, 0]}) for t in (0.5, 1.0)}
    >>> {name: values.tolist() for name, values in join_steps(solved).point_data.items()}
    {'u@0.5': [0.0, 0.5], 'u@1': [0.0, 1.0]}
    """
    if not meshes:
        raise DatasetError("a series of no meshes: expected one for each step.")
    steps = sorted(meshes)
    last = meshes[steps[-1]]
    wanted = tuple(last.point_data) if fields is None else tuple(fields)
    points: dict[str, Array] = {}
    for step in steps:
        mesh = meshes[step]
        if not np.array_equal(mesh.points, last.points) or not _same_cells(mesh, last):
            raise DatasetError(
                f"step {step:g}: points or cells differ from those of step {steps[-1]:g}: expected one mesh for all "
                "steps, undeformed."
            )
        missing = [name for name in wanted if name not in mesh.point_data]
        if missing:
            raise DatasetError(
                f"step {step:g}: no point field {', '.join(missing)} (there are {', '.join(mesh.point_data) or 'none'})"
                ": expected it at every step."
            )
        points |= {at_step(name, step): mesh.point_data[name] for name in wanted}
    return replace(last, point_data=points, global_data=_joined_scalars(meshes, steps))


def _same_cells(mesh: Mesh, other: Mesh) -> bool:
    ours, theirs = mesh.blocks(), other.blocks()
    return ours.keys() == theirs.keys() and all(np.array_equal(nodes, theirs[kind]) for kind, nodes in ours.items())


def _joined_scalars(meshes: Mapping[float, Mesh], steps: Sequence[float]) -> dict[str, Array]:
    last = meshes[steps[-1]].global_data
    found: dict[str, Array] = {}
    for name, value in last.items():
        held = [meshes[step].global_data.get(name) for step in steps]
        if all(one is not None and np.array_equal(one, value) for one in held):
            found[name] = value
        else:
            found |= {at_step(name, step): one for step, one in zip(steps, held, strict=True) if one is not None}
    return found
