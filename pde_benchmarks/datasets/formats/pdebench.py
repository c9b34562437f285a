"""PDEBench: steady pairs ``nu`` → ``tensor``, and trajectories, of which the first frame is mapped to the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.formats.hdf5 import stored
from pde_benchmarks.datasets.recording import Recording, StoredArray, as_tensor

if TYPE_CHECKING:
    import h5py

__all__ = ["is_pdebench", "record_pdebench"]

AXES = ("x-coordinate", "y-coordinate", "z-coordinate")
LAYOUT = "PDEBench"


def is_pdebench(file: h5py.File) -> bool:
    """Whether the names in the file are PDEBench's."""
    return "tensor" in file or AXES[0] in file or _seeds(file) != []


def record_pdebench(path: Path, file: h5py.File) -> Recording:
    """Darcy: ``nu`` → ``tensor``. Any trajectory: its first frame → its last.

    Several quantities become the channels of ``state``. Trajectories are one array ``tensor (n, t, *grid)``, one array
    a quantity (``density``, ``Vx``, …), or one group a sample with ``data (t, *grid, channels)``.
    """
    seeds = _seeds(file)
    if seeds:
        return _groups(path, file, seeds)
    coordinates = tuple(np.asarray(file[axis]) for axis in AXES if axis in file)
    if "nu" in file and "tensor" in file:
        nu, tensor = file["nu"], file["tensor"]
        arrays = {"nu": stored(nu, nu.ndim == tensor.ndim), "tensor": stored(tensor, channels=True)}
        return Recording(path, LAYOUT, arrays, ("nu",), ("tensor",), coordinates)
    names = [name for name, node in file.items() if getattr(node, "ndim", 0) >= 3]
    arrays = {}
    for end, frame in (("first", 0), ("last", -1)):
        for name in names:
            arrays[f"{name}_{end}"] = _frame([file[name]], frame)
    if len(names) == 1:
        return Recording(path, LAYOUT, arrays, (f"{names[0]}_first",), (f"{names[0]}_last",), coordinates)
    if not names or len({file[name].shape for name in names}) > 1:
        return Recording(path, LAYOUT, arrays, (), (), coordinates)
    for end, frame in (("first", 0), ("last", -1)):
        arrays[f"state_{end}"] = _frame([file[name] for name in names], frame)
    return Recording(path, LAYOUT, arrays, ("state_first",), ("state_last",), coordinates)


def _seeds(file: h5py.File) -> list[str]:
    """Names of the groups that hold one sample each."""
    names = sorted(file)
    return names if names and all(name.isdigit() and "data" in file[name] for name in names) else []


def _frame(arrays: list[h5py.Dataset], frame: int) -> StoredArray:
    """One instant of trajectories ``(n, t, *grid)``, a channel each."""

    def load() -> Tensor:
        index = frame % arrays[0].shape[1]
        return torch.stack([as_tensor(array[:, index]) for array in arrays], dim=1)

    shape = arrays[0].shape
    return StoredArray((shape[0], len(arrays), *shape[2:]), load, channels=True)


def _groups(path: Path, file: h5py.File, seeds: list[str]) -> Recording:
    shape = file[seeds[0]]["data"].shape

    def instant(frame: int) -> StoredArray:
        def load() -> Tensor:
            frames = [as_tensor(file[seed]["data"][frame % shape[0]]) for seed in seeds]
            return torch.stack(frames).movedim(-1, 1).contiguous()

        return StoredArray((len(seeds), shape[-1], *shape[1:-1]), load, channels=True)

    grid = file[seeds[0]].get("grid", {})
    coordinates = tuple(np.asarray(grid[axis]) for axis in ("x", "y", "z") if axis in grid)
    arrays = {"data_first": instant(0), "data_last": instant(-1)}
    return Recording(path, LAYOUT, arrays, ("data_first",), ("data_last",), coordinates)
