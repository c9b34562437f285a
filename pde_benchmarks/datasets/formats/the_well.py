"""The Well: scalar, vector and tensor fields of many trajectories, of which the first frame is mapped to the last.

Quantities that change in time are the channels of ``state_first`` → ``state_last``; what is constant in time but
differs between trajectories (a speed of sound) is a further input. A steady file maps its scalar fields to its vector
fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.recording import Recording, StoredArray, as_tensor

if TYPE_CHECKING:
    import h5py

__all__ = ["is_the_well", "record_the_well"]

GROUPS = ("t0_fields", "t1_fields", "t2_fields")


@dataclass(frozen=True)
class _Quantity:
    """One field of the file, with the axes that it lacks (those it does not vary along) known."""

    array: h5py.Dataset
    order: int
    samples: int
    grid: tuple[int, ...]

    @property
    def moving(self) -> bool:
        return bool(self.array.attrs.get("time_varying", True))

    @property
    def channels(self) -> int:
        return math.prod(self.array.shape[self.array.ndim - self.order :]) if self.order else 1

    def frame(self, index: int) -> Tensor:
        """The field at one instant, ``(samples, channels, *grid)``."""
        varies = bool(self.array.attrs.get("sample_varying", True))
        steps = self.array.shape[1 if varies else 0] if self.moving else 1
        rows = (slice(None),) if varies else ()
        values = as_tensor(self.array[(*rows, index % steps)] if self.moving else self.array[()])
        values = values if varies else values[None]
        along = np.asarray(self.array.attrs.get("dim_varying", [True] * len(self.grid)), dtype=bool)
        for axis, present in enumerate(along):
            values = values if present else values.unsqueeze(axis + 1)
        shape = (values.shape[0], *values.shape[1 : 1 + len(self.grid)], self.channels)
        values = values.reshape(shape).expand(self.samples, *self.grid, self.channels)
        return values.movedim(-1, 1).contiguous()


def is_the_well(file: h5py.File) -> bool:
    """Whether the groups of the file are The Well's."""
    return "t0_fields" in file and "dimensions" in file


def record_the_well(path: Path, file: h5py.File) -> Recording:
    """Frames and constant fields as arrays, and which of them a learner maps to which."""
    axes = _axes(file)
    coordinates = tuple(np.asarray(file["dimensions"][axis]) for axis in axes)
    quantities = _quantities(file, tuple(len(x) for x in coordinates))
    moving = {name: q for name, q in quantities.items() if q.moving}
    still = {name: q for name, q in quantities.items() if not q.moving}
    arrays = {name: _stored([q], 0) for name, q in still.items()}
    for end, index in (("first", 0), ("last", -1)):
        arrays |= {f"{name}_{end}": _stored([q], index) for name, q in moving.items()}
    inputs, outputs = tuple(still), tuple[str, ...]()
    if moving:
        arrays["state_first"] = _stored(list(moving.values()), 0)
        arrays["state_last"] = _stored(list(moving.values()), -1)
        inputs, outputs = ("state_first", *still), ("state_last",)
    elif any(q.order == 1 for q in still.values()):
        inputs = tuple(name for name, q in still.items() if q.order == 0)
        outputs = tuple(name for name, q in still.items() if q.order == 1)
    return Recording(path, "The Well", arrays, inputs, outputs, coordinates, _boundary(file, axes))


def _axes(file: h5py.File) -> list[str]:
    names = file["dimensions"].attrs.get("spatial_dims")
    if names is None:
        names = [name for name in file["dimensions"] if name != "time"]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _quantities(file: h5py.File, grid: tuple[int, ...]) -> dict[str, _Quantity]:
    found = [
        (name, array, order)
        for order, group in enumerate(GROUPS)
        for name, array in file.get(group, {}).items()
        if array.ndim
    ]
    counts = [array.shape[0] for _, array, _ in found if array.attrs.get("sample_varying", True)]
    samples = int(file.attrs.get("n_trajectories", counts[0] if counts else 1))
    return {name: _Quantity(array, order, samples, grid) for name, array, order in found}


def _stored(quantities: list[_Quantity], index: int) -> StoredArray:
    first = quantities[0]
    load: Callable[[], Tensor] = lambda: torch.cat([q.frame(index) for q in quantities], dim=1)  # noqa: E731
    return StoredArray((first.samples, sum(q.channels for q in quantities), *first.grid), load, channels=True)


def _boundary(file: h5py.File, axes: list[str]) -> tuple[str, ...] | None:
    """Periodic axes as the file states them; walls and open sides stay unknown, they differ from field to field."""
    conditions = dict.fromkeys(axes, "unknown")
    for group in file.get("boundary_conditions", {}).values():
        kind = str(group.attrs.get("bc_type", "")).upper()
        for axis in group.attrs.get("associated_dims", []):
            name = axis.decode() if isinstance(axis, bytes) else str(axis)
            if name in conditions and "PERIODIC" in kind:
                conditions[name] = "periodic"
    return tuple(conditions.values()) if "periodic" in conditions.values() else None
