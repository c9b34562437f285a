"""What was found in a file, and how it becomes a data set: which arrays, which axes, which kind of field."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import FieldSpec

__all__ = ["Recording", "StoredArray", "as_tensor", "fields_of"]

# Names under which people store inputs and outputs, in the order they are tried.
PAIRS = (
    ("coeff", "sol"),
    ("a", "u"),
    ("x", "y"),
    ("nu", "tensor"),
    ("input", "output"),
    ("inputs", "outputs"),
)
MOST_CHANNELS = 16


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, not read yet; its first axis counts the samples.

    ``channels`` says whether axis 1 holds channels; None where the layout leaves that open.
    """

    shape: tuple[int, ...]
    load: Callable[[], Tensor]
    channels: bool | None = None


@dataclass(frozen=True)
class Recording:
    """The arrays of one file.

    Parameters
    ----------
    path, layout
        Where they were found, and what kind of file that is.
    arrays
        By name.
    inputs, outputs
        Names of the arrays that the layout itself declares as such, if it does.
    coordinates
        The grid's coordinates along every axis, if the file has them.
    boundary
        The boundary condition of every axis, if the file states it.
    """

    path: Path
    layout: str
    arrays: dict[str, StoredArray]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    coordinates: tuple[np.ndarray, ...] = ()
    boundary: tuple[str, ...] | None = None

    def choose(self, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Names of the input and output arrays: as asked for, as the layout says, or as people usually call them.

        Raises
        ------
        DatasetError
            If a name is unknown, or nothing tells which arrays are meant; the message lists what there is.
        """
        self._require_known(*(inputs or ()), *(outputs or ()))
        if inputs and outputs:
            return list(inputs), list(outputs)
        usual_inputs, usual_outputs = self._usual_pair()
        return list(inputs or usual_inputs), list(outputs or usual_outputs)

    def choose_inputs(self, inputs: Sequence[str] | None) -> list[str]:
        """Names of the input arrays of a file that need not hold any outputs; raises as `choose` does."""
        self._require_known(*(inputs or ()))
        if inputs or self.inputs:
            return list(inputs or self.inputs)
        fields = self._fields()
        candidates = [fields[name] for name, _ in PAIRS if name in fields] or list(fields.values())
        if len(candidates) != 1:
            raise DatasetError(
                f"{self.path}: which array is the input? This {self.layout} file holds {self.contents()}: "
                "name it with --input-name."
            )
        return candidates

    def has(self, specs: Sequence[FieldSpec]) -> list[str] | None:
        """The names of ``specs``, if all of them are here."""
        names = [spec.name for spec in specs]
        return names if names and all(name in self.arrays for name in names) else None

    def contents(self) -> str:
        """Names and shapes of all arrays."""
        return ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items()) or "no array of numbers"

    def _usual_pair(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self.inputs and self.outputs:
            return self.inputs, self.outputs
        fields = self._fields()
        pairs = [(fields[a], fields[b]) for a, b in PAIRS if a in fields and b in fields]
        if len(pairs) != 1:
            raise DatasetError(
                f"{self.path}: which arrays are inputs and outputs? This {self.layout} file holds {self.contents()}: "
                "name them with --input-name and --output-name."
            )
        ((first, second),) = pairs
        return (first,), (second,)

    def _require_known(self, *names: str) -> None:
        for name in names:
            if name not in self.arrays:
                raise DatasetError(f"{self.path}: no array {name!r}; this {self.layout} file holds {self.contents()}.")

    def _fields(self) -> dict[str, str]:
        """Arrays that may be fields, by lower-case name: a vector (a coordinate, a list of times) is none."""
        return {name.lower(): name for name, array in self.arrays.items() if len(array.shape) > 1}


def fields_of(recording: Recording, names: Sequence[str]) -> list[tuple[str, Tensor]]:
    """Read arrays and bring them to ``(samples, channels, *grid)``, on one grid if any reading of their axes allows it.

    Raises
    ------
    DatasetError
        If they differ in their number of samples or have too many axes.
    """
    counts = {name: recording.arrays[name].shape[0] for name in names}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DatasetError(f"{recording.path}: arrays with different numbers of samples ({found}).")
    options = [_readings(recording, name) for name in names]
    same_grid = [
        c
        for c in itertools.product(*options)
        if len({_grid(recording, n, k) for n, k in zip(names, c, strict=True)}) == 1
    ]
    chosen = same_grid[0] if same_grid else tuple(option[0] for option in options)
    return [
        (name, _arranged(recording.arrays[name].load(), channel_axis))
        for name, channel_axis in zip(names, chosen, strict=True)
    ]


def as_tensor(array: np.ndarray) -> Tensor:
    """Numbers as a tensor: floats keep their precision, whole numbers and booleans become float32.

    Raises
    ------
    DatasetError
        If they are complex or no numbers.
    """
    if array.dtype.kind in "biu":
        array = array.astype(np.float32)
    if array.dtype.kind != "f":
        raise DatasetError(
            f"values of type {array.dtype} cannot be a field: store real numbers (complex ones as two channels)."
        )
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _readings(recording: Recording, name: str) -> list[int | None]:
    """Which axis may hold the channels (None: there is no such axis), the likeliest first."""
    array = recording.arrays[name]
    axes = len(array.shape)
    if axes == 1:
        return [None]
    if array.channels is not None:
        readings: list[int | None] = [1 if array.channels else None]
    elif axes == 2:
        readings = [None]
    else:
        likely = [axis for axis in (1, axes - 1) if _looks_like_channels(array.shape, axis)]
        readings = [*likely, None, *(axis for axis in (1, axes - 1) if axis not in likely)]
    possible = [axis for axis in readings if axes - (1 if axis is None else 2) <= 3]
    if not possible:
        raise DatasetError(
            f"{recording.path}: {name} {array.shape} has too many axes: fields have up to 3, and channels."
        )
    return possible


def _looks_like_channels(shape: tuple[int, ...], axis: int) -> bool:
    others = [n for i, n in enumerate(shape) if i not in (0, axis)]
    return shape[axis] <= MOST_CHANNELS and 2 * shape[axis] <= min(others)


def _grid(recording: Recording, name: str, channel_axis: int | None) -> tuple[int, ...]:
    shape = recording.arrays[name].shape
    return tuple(n for i, n in enumerate(shape) if i not in (0, channel_axis))


def _arranged(array: Tensor, channel_axis: int | None) -> Tensor:
    if channel_axis is None:
        return array.unsqueeze(1)
    return array.movedim(channel_axis, 1).contiguous() if channel_axis != 1 else array
