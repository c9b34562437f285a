"""The fields of a flow in a file: HDF5 for programs, VTI for ParaView."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.smoke import Simulation
from sciml.errors import RunError
from sciml.files import write_arrays
from solvers.files.atomic import replacing

__all__ = ["write_fields"]


def write_fields(path: Path, simulation: Simulation) -> None:
    """Write velocity, density, temperature, pressure and cells; the ending, .h5 or .vti, says how.

    HDF5 holds the staggered arrays as they are, ``(batch, …)``, as `velocity_x` on the faces normal to x and so on. VTI
    holds the first sample at the cell centres, the velocity as the mean of both faces.

    Raises
    ------
    RunError
        The disk does not take the file.
    """
    if path.suffix == ".vti":
        _write_image(path, simulation)
        return
    staggered = {f"velocity_{axis}": u for axis, u in zip("xyz", simulation.state.velocity, strict=False)}
    clock = {
        "spacing": torch.tensor(simulation.flow.domain.grid.spacing, dtype=torch.float64),
        "time": torch.tensor(simulation.state.time, dtype=torch.float64),
    }
    write_arrays(path, staggered | _centred(simulation) | clock)


def _centred(simulation: Simulation) -> dict[str, Tensor]:
    state = simulation.state
    named = {"density": state.density, "temperature": state.temperature, "pressure": simulation.pressure}
    return {name: values for name, values in named.items() if values is not None} | {"cells": simulation.walls.cells}


def _write_image(path: Path, simulation: Simulation) -> None:
    import pyvista

    grid = simulation.flow.domain.grid
    shape = (*grid.shape, *(1,) * (3 - grid.dimension))
    image = pyvista.ImageData(dimensions=[n + 1 for n in shape], spacing=(grid.spacing,) * 3)
    for name, values in _centred(simulation).items():
        image.cell_data[name] = values[0].reshape(shape).numpy().ravel(order="F")
    means = [
        (u[0].narrow(a, 0, n) + u[0].narrow(a, 1, n)) / 2
        for a, (u, n) in enumerate(zip(simulation.state.velocity, grid.shape, strict=True))
    ]
    means += [torch.zeros_like(means[0])] * (3 - grid.dimension)
    flat = [u.reshape(shape).permute(2, 1, 0).reshape(-1) for u in means]
    image.cell_data["velocity"] = torch.stack(flat, -1).numpy()
    with replacing(path, RunError) as temporary:
        named = temporary.with_suffix(".vti")
        try:
            image.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
