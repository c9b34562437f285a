"""A look at every training sample: what cannot be used is refused by number, what looks like a mistake is warned of."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from sciml.errors import LearnerError
from sciml.learners.mmgp.faults import MMGPWarning, in_sample, listed
from sciml.learners.mmgp.parts import PartFamily, field_values, scalar_values

__all__ = ["TrainingTable", "training_table"]

Array = NDArray[Any]

#: A box or a field this many times larger than usual looks like another unit.
_JUMP = 100.0
#: Values of a field that are kept of each sample.
_SAMPLED = 100


@dataclass(frozen=True)
class TrainingTable:
    """Scalars of all samples, float64.

    Attributes
    ----------
    inputs, outputs
        Given ones ``(n, p)`` and those to predict ``(n, q)``.
    values
        Name of a field to some of its values in all samples.
    tails
        Name of a field to its largest value in some sample over the median of the samples' largest ones.
    """

    inputs: Tensor
    outputs: Tensor
    values: dict[str, Tensor]
    tails: dict[str, float]


def training_table(
    meshes: Sequence[Mesh],
    family: PartFamily,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingTable:
    """Look at every sample once, refuse what cannot be used, warn of what looks like a mistake, collect the scalars.

    Raises
    ------
    LearnerError
        Fewer than three samples, or fields and scalars that are missing, not finite or of another shape in some of
        them; the samples are named.

    Warns
    -----
    MMGPWarning
        Equal samples, or sizes and fields 100 times those of the others (another unit?).
    """
    if len(meshes) < 3:
        raise LearnerError(f"{len(meshes)} training samples: expected at least 3, as a rule some hundred.")
    faults: dict[str, list[int]] = {}
    inputs: list[list[float]] = []
    outputs: list[list[float]] = []
    sizes: list[list[float]] = []
    seen: dict[tuple[bytes, tuple[float, ...]], list[int]] = {}
    some: dict[str, list[Tensor]] = {name: [] for name in family.fields}
    for number, mesh in enumerate(meshes):
        with in_sample(number):
            largest = [_diagonal(mesh)]
        for rows, names in ((inputs, family.input_scalars), (outputs, family.output_scalars)):
            rows.append([_read(faults, number, scalar_values, mesh, name, math.nan) for name in names])
        for name in family.fields:
            values = _read(faults, number, field_values, mesh, name, np.full(1, math.nan))
            largest.append(float(np.abs(values).max()))
            some[name].append(torch.from_numpy(values[:: max(1, len(values) // _SAMPLED)].copy()))
        sizes.append(largest)
        seen.setdefault((mesh.points.tobytes(), tuple(inputs[-1])), []).append(number)
        if progress is not None:
            progress(number + 1, len(meshes))
    if faults:
        told = [f"{fault} in sample{'s' if len(who) > 1 else ''} {listed(who)}" for fault, who in faults.items()]
        raise LearnerError(f"{len(meshes)} training samples: {'; '.join(told)}: mend or leave out these samples.")
    _warn_of_jumps(np.array(sizes), ("size of the part", *(f"field {name!r}" for name in family.fields)))
    twins = [who for who in seen.values() if len(who) > 1]
    if twins:
        words = ", ".join("–".join(map(str, who[:3])) for who in twins[:4])
        warnings.warn(f"samples {words} have equal meshes and scalars: leave copies out.", MMGPWarning, stacklevel=3)
    return TrainingTable(
        _table(inputs, len(family.input_scalars)),
        _table(outputs, len(family.output_scalars)),
        {name: torch.cat(parts) for name, parts in some.items()},
        {name: _tail(column) for name, column in zip(family.fields, np.array(sizes).T[1:], strict=True)},
    )


def _read(
    faults: dict[str, list[int]], number: int, read: Callable[[Mesh, str], Any], mesh: Mesh, name: str, otherwise: Any
) -> Any:
    """What is read; or something else, with the fault noted under its words."""
    try:
        return read(mesh, name)
    except LearnerError as error:
        faults.setdefault(str(error), []).append(number)
        return otherwise


def _tail(largest: Array) -> float:
    usual = float(np.median(largest))
    return float(largest.max()) / usual if usual > 0 else math.inf if largest.max() > 0 else 1.0


def _warn_of_jumps(sizes: Array, names: Sequence[str]) -> None:
    for column, name in zip(sizes.T, names, strict=True):
        usual = float(np.median(column))
        odd = np.flatnonzero((column > _JUMP * usual) | ((column * _JUMP < usual) & (name == names[0])))
        if usual > 0 and len(odd):
            warnings.warn(
                f"{name}: sample {listed(odd.tolist())} has {column[odd[0]]:.3g}, the median is {usual:.3g}: is it in "
                "another unit?",
                MMGPWarning,
                stacklevel=4,
            )


def _diagonal(mesh: Mesh) -> float:
    if not np.isfinite(mesh.points).all():
        raise MorphingError(f"{int((~np.isfinite(mesh.points)).any(axis=1).sum())} points are not finite.")
    return float(np.linalg.norm(np.ptp(mesh.points.astype(np.float64), axis=0)))


def _table(rows: list[list[float]], width: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), width)
