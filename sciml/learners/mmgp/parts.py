"""What is known of a family of parts: names of its fields, scalars and landmarks, and how they are read of a mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from meshes.mesh import Mesh
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.mesh_steps import series_of
from sciml.errors import LearnerError

if TYPE_CHECKING:
    from pde_benchmarks.mesh_problem import MeshProblem

__all__ = ["PartFamily", "field_values", "scalar_values"]

Array = NDArray[Any]


@dataclass(frozen=True)
class PartFamily:
    """Names of what is given and of what is predicted.

    Parameters
    ----------
    fields
        Point fields that are predicted, one number a node each. Names with a step, "u@0.5" and "u@1", are one series.
    input_scalars, output_scalars
        Global data that are given and predicted.
    landmarks
        Node sets of one node each that all meshes have, in their order on the boundary.
    vectors
        Tuples of fields that are the components of a vector and turn with the part, such as (("u", "v"),).

    Raises
    ------
    LearnerError
        Nothing is predicted, a name comes twice, a field has the name of a series, or a vector of fields that are not
        predicted.
    """

    fields: tuple[str, ...] = ()
    input_scalars: tuple[str, ...] = ()
    output_scalars: tuple[str, ...] = ()
    landmarks: tuple[str, ...] = ()
    vectors: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, problem: MeshProblem) -> Self:
        """The family of a problem."""
        given = tuple(spec.name for spec in problem.inputs)
        return cls(problem.fields, given, problem.scalars, problem.landmarks)

    def __post_init__(self) -> None:
        if not (self.fields or self.output_scalars):
            raise LearnerError("neither fields nor output scalars are named: name at least one thing to predict.")
        for what, names in (("field", self.fields), ("scalar", self.input_scalars + self.output_scalars)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise LearnerError(f"{what} {', '.join(twice)} is named twice: name each once, as given or predicted.")
        both = [name for name in self.fields if name in self.output_scalars]
        if both:
            raise LearnerError(f"{', '.join(both)} names a field and a scalar that are predicted: give two names.")
        try:
            series_of(self.fields)
        except DatasetError as error:
            raise LearnerError(str(error)) from error
        members = [name for vector in self.vectors for name in vector]
        foreign = [name for name in members if name not in self.fields]
        if foreign or len(set(members)) < len(members):
            raise LearnerError(
                f"vectors {self.vectors}: expected predicted fields ({', '.join(self.fields)}), each once."
            )

    @property
    def series(self) -> dict[str, tuple[str, ...]]:
        """The fields by the series of steps that they belong to; a field without steps is its own."""
        return series_of(self.fields)

    def blocks(self, steps: str) -> dict[str, tuple[str, ...]]:
        """The fields that are reduced together, by the name of the block: a series, or each step ("separately")."""
        return self.series if steps == "together" else {name: (name,) for name in self.fields}


def scalar_values(mesh: Mesh, name: str) -> float:
    """A number of the global data.

    Raises
    ------
    LearnerError
        It is missing, no single number, or not finite.
    """
    if name not in mesh.global_data:
        known = ", ".join(map(repr, mesh.global_data)) or "none"
        raise LearnerError(f"scalar {name!r} is missing (there are {known})")
    values = mesh.global_data[name]
    if values.size != 1:
        raise LearnerError(f"scalar {name!r} has {values.size} values instead of one")
    value = float(values.reshape(-1)[0])
    if not math.isfinite(value):
        raise LearnerError(f"scalar {name!r} is {value}")
    return value


def field_values(mesh: Mesh, name: str) -> Array:
    """A point field as float64 ``(n,)``.

    Raises
    ------
    LearnerError
        It is missing, has several components, or values that are not finite.
    """
    if name not in mesh.point_data:
        if name in mesh.cell_data:
            raise LearnerError(f"field {name!r} is given on cells: average it to the nodes")
        known = ", ".join(map(repr, mesh.point_data)) or "none"
        raise LearnerError(f"field {name!r} is missing (there are {known})")
    values = np.asarray(mesh.point_data[name])
    if values.size != len(mesh.points) or values.dtype.kind not in "fiu":
        raise LearnerError(
            f"field {name!r} of shape {values.shape[1:]} and dtype {values.dtype} a node instead of one real number "
            "(give components as fields of their own, and steps by pde_benchmarks.mesh_steps.with_step_values)"
        )
    flat: Array = values.reshape(-1).astype(np.float64)
    if not np.isfinite(flat).all():
        raise LearnerError(f"field {name!r} is NaN or infinite at nodes")
    return flat
