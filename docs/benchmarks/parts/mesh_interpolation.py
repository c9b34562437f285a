"""Rows of the mesh benchmark on interpolation: exactness, time against SciPy and VTK, conservation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyvista
import torch
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from meshes import Mesh
from meshes.generate import structured_grid, to_simplices
from meshes.interchange.pyvista_meshes import to_pyvista
from meshes.interpolation import (
    CellLocator,
    conservative_projection,
    interpolation_operator,
    intersection_projection,
    l2_projection,
)
from parts.record import Record, at_most
from parts.timing import interleaved

__all__ = ["measure"]

Array = NDArray[Any]


def measure(record: Record, quick: bool) -> None:
    """Interpolation between two meshes of 100 k nodes, and what projections do to an integral."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        interpolation(record, quick)
        conservation(record, quick)
    finally:
        torch.set_num_threads(threads)


def interpolation(record: Record, quick: bool) -> None:
    """A linear field in 2D and 3D: error, and time including set-up against SciPy and VTK."""
    rows, errors = [], []
    for dim, n in ((2, 316), (3, 46)):
        n = n // 8 if quick else n
        source, target = _mesh(dim, n, seed=0), _mesh(dim, n, seed=1)
        jobs, exact = _jobs(source, target), _linear(target.points)
        answers = {name: np.asarray(job()) for name, job in jobs.items()}
        times = {name: min(s) for name, s in interleaved(jobs, 1 if quick or dim == 3 else 5).items()}
        for name, seconds in times.items():
            error = float(np.abs(answers[name] - exact).max())
            rows.append([f"{dim}-D", len(source.points), name, 1e3 * seconds, error])
        errors.append(float(np.abs(answers["ours, with set-up"] - exact).max()))
        ours, theirs = times["ours, with set-up"], times["SciPy LinearNDInterpolator, with set-up"]
        record.figure(
            "interpolation_over_scipy.time" + ("" if dim == 2 else ".3d"),
            ours / theirs,
            timed=True,
            unit="1",
            bar=at_most(0.2),
            note=f"{dim}-D, {len(source.points)} nodes to {len(target.points)}, {source.cell_count} cells: ours "
            f"{1e3 * ours:.3g} ms, SciPy {1e3 * theirs:.3g} ms, both with set-up; ours searches the mesh's own cells, "
            "SciPy triangulates the nodes anew",
        )
    record.figure(
        "interpolation_linear.max_error",
        max(errors),
        unit="1",
        bar=at_most(1e-10),
        note="a linear field of size 1 to 7 between two meshes of 100 k nodes, the larger of 2-D and 3-D",
    )
    columns = ["dimension", "nodes", "method", "ms", "largest error, linear field"]
    caption = "A linear field from one mesh to the nodes of another; one thread, least of interleaved rounds."
    record.table("interpolation", columns, rows, caption)


def _jobs(source: Mesh, target: Mesh) -> dict[str, Callable[[], Any]]:
    """Ways to the values of a linear field at the nodes of the target."""
    x, y, values = source.points, target.points, _linear(source.points)
    field, locator, hull = torch.from_numpy(values), CellLocator(source), Delaunay(x)
    operator = interpolation_operator(locator, target)
    grid = to_pyvista(Mesh(x, source.cells, {"f": values}))
    cloud = pyvista.PolyData(np.pad(y, ((0, 0), (0, 3 - y.shape[1]))))
    return {
        "ours, with set-up": lambda: interpolation_operator(source, target).mv(field),
        "ours, locator kept": lambda: interpolation_operator(locator, target).mv(field),
        "ours, operator kept": lambda: operator.mv(field),
        "SciPy LinearNDInterpolator, with set-up": lambda: LinearNDInterpolator(x, values)(y),
        "SciPy LinearNDInterpolator, triangulation kept": lambda: LinearNDInterpolator(hull, values)(y),
        "VTK probe (PyVista sample)": lambda: cloud.sample(grid).point_data["f"],
    }


def conservation(record: Record, quick: bool) -> None:
    """A rough field (random nodal values) from a fine to a coarse mesh: relative change of the integral."""
    fine, coarse = (16, 6) if quick else (100, 40)
    source, target = CellLocator(_mesh(2, fine, seed=0)), CellLocator(_mesh(2, coarse, seed=1))
    f = torch.from_numpy(np.random.default_rng(2).uniform(0.0, 1.0, len(source.points)))
    within = l2_projection(source, source).mass
    mass = l2_projection(target, target).mass
    integral, linear = float(within.mv(f).sum()), torch.from_numpy(_linear(source.points))
    exact = _linear(target.points)
    jobs: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "interpolation": interpolation_operator(source, target.mesh).mv,
        "L2 projection": l2_projection(source, target),
        "conservative projection": conservative_projection(source, target),
        "intersection projection": intersection_projection(source, target),
    }
    rows = []
    for name, job in jobs.items():
        change = abs(float(mass.mv(job(f)).sum()) - integral) / integral
        rows.append([name, change, float(np.abs(job(linear).numpy() - exact).max())])
        record.figure(f"{name.lower().replace(' ', '_')}.integral_change", change, unit="1")
    columns = ["method", "relative change of the integral, random field", "largest error, linear field"]
    caption = f"From {fine**2} nodes to {coarse**2} nodes of the unit square; quadrature of degree 4."
    record.table("conservation", columns, rows, caption)


def _mesh(dim: int, n: int, seed: int) -> Mesh:
    """The unit cube in simplices, nᵈ nodes, inner ones moved by up to a fifth of the spacing."""
    mesh = to_simplices(structured_grid(*[np.linspace(0.0, 1.0, n)] * dim))
    inner = ((mesh.points > 0) & (mesh.points < 1)).all(axis=1, keepdims=True)
    shift = np.random.default_rng(seed).uniform(-0.2, 0.2, mesh.points.shape) / (n - 1)
    return mesh.with_points(mesh.points + inner * shift)


def _linear(points: Array) -> Array:
    return 1.0 + points @ np.arange(1.0, points.shape[1] + 1)
