"""The published diffusion–sorption data of PDEBench, as whole trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pde_benchmarks.datasets.alignment import alignment_of_coordinates
from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.datasets.formats.hdf5 import opened
from pde_benchmarks.datasets.recording import as_tensor
from pde_benchmarks.diffusion_sorption.scalar import DiffusionSorption
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch

if TYPE_CHECKING:
    import h5py

__all__ = ["read_diffusion_sorption"]

LAYOUT = "groups 0000, 0001, … with data (frames, cells, 1), grid/x and grid/t"


def read_diffusion_sorption(path: Path | str, count: int | None = None) -> Dataset:
    """Read ``1D_diff-sorp_NA_NA.h5`` of PDEBench (Takamoto et al. 2022), where somebody has fetched it.

    `read_dataset` maps the first frame of such a file to the last; this is the map to all frames, of the problem whose
    residual and correction are known. The public file holds 10 000 samples of 101 frames × 1024 cells.

    Parameters
    ----------
    path
        The file.
    count
        Read so many samples, the first ones; None for all.

    Returns
    -------
    Dataset
        Of a `DiffusionSorption` on the file's grid: ``initial`` (the first frame, repeated without a copy) and
        ``solution``, each ``(samples, 1, frames, cells)``, in the file's dtype.

    Raises
    ------
    DatasetError
        If the file is missing, truncated, damaged or of another layout; its grids differ, are not uniform or do not
        begin at t = 0; fewer samples than asked for are there; or a value is not finite.

    Examples
    --------
    >>> import tempfile, h5py
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/small.h5", "w") as file:
    ...         file["0000/data"] = np.full((3, 8, 1), 0.1, dtype=np.float32)
    ...         file["0000/grid/x"], file["0000/grid/t"] = (np.arange(8) + 0.5) / 8, [0.0, 250.0, 500.0]
    ...     read_diffusion_sorption(f"{folder}/small.h5").outputs
    Batch(solution: (1, 1, 3, 8) torch.float32)
    """
    path = Path(path)
    with opened(path) as file:
        names = sorted(name for name in file if name.isdigit())
        if not names:
            raise DatasetError(f"{path}: no samples of diffusion and sorption: expected {LAYOUT}.")
        if count is not None and not 1 <= count <= len(names):
            raise DatasetError(f"{path}: {count} samples asked for, the file holds {len(names)}.")
        names = names[:count]
        problem = _problem(path, file, names[0])
        shape = (problem.frames, problem.resolution, 1)
        for name in names:
            if "data" not in file[name] or file[name]["data"].shape != shape:
                raise DatasetError(f"{path}: sample {name} has no data of shape {shape}, as the first one has.")
        solution = torch.stack([as_tensor(file[name]["data"][..., 0]) for name in names])[:, None]
    initial = solution[:, :, :1].expand_as(solution)
    dataset = Dataset(problem, Batch({"initial": initial}), Batch({"solution": solution}), path.stem)
    dataset.check(str(path))
    return dataset


def _problem(path: Path, file: h5py.File, name: str) -> DiffusionSorption:
    """The problem on the grid of sample ``name``."""
    sample = file[name]
    if "data" not in sample or "grid" not in sample or not {"x", "t"} <= set(sample["grid"]):
        raise DatasetError(f"{path}: sample {name} holds {', '.join(sample) or 'nothing'}: expected {LAYOUT}.")
    x, t = (np.asarray(sample["grid"][axis], dtype=np.float64).ravel() for axis in ("x", "t"))
    if sample["data"].shape != (len(t), len(x), 1) or len(t) < 2 or len(x) < 8:
        raise DatasetError(
            f"{path}: sample {name} has data of shape {sample['data'].shape} on {len(t)} frames and {len(x)} cells: "
            f"expected {LAYOUT}, with at least 2 frames and 8 cells."
        )
    if alignment_of_coordinates(x) != "cell" or not np.allclose(t, np.linspace(0, t[-1], len(t)), atol=1e-5 * t[-1]):
        raise DatasetError(
            f"{path}: x from {x[0]:.4g} to {x[-1]:.4g} and t from {t[0]:.4g} to {t[-1]:.4g}: expected the centres of "
            "equal cells of [0, 1], and equal steps from 0."
        )
    return DiffusionSorption(resolution=len(x), frames=len(t), duration=float(t[-1]))
