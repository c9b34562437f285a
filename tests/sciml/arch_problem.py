"""The arches of `mmgp_parts` as a problem on meshes, importable by the workers of the generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from mmgp_parts import CORNERS, arch, fields

from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars


@dataclass(frozen=True)
class Arches(MeshProblem):
    """Arches of varying rise and lean under a load; the fields are closed formulas of all three."""

    cells: int = 6
    name: ClassVar[str] = "arches"
    dimension: ClassVar[int] = 2
    usual_samples: ClassVar[tuple[int, int]] = (20, 6)
    landmarks = CORNERS

    @property
    def parameters(self):
        shape = (Parameter("rise", 0.0, 0.5, is_given=False), Parameter("lean", -0.2, 0.2, is_given=False))
        return (*shape, Parameter("load", 1.0, 2.0, "N"))

    @property
    def outputs(self):
        return (*(FieldSpec(name, 1, Meshes(2), "mm") for name in ("w", "s")), FieldSpec("peak", 1, Scalars(), "MPa"))

    def part(self, design, seed):
        rise, lean, load = design.tolist()
        more = int(np.random.default_rng(seed).integers(3))
        mesh = arch(rise, lean, load, cells=(self.cells + 2 + more, self.cells), seed=seed)
        known = {"load": mesh.global_data["load"]}
        return replace(mesh, point_data={}, global_data=known, node_sets=dict(mesh.node_sets))

    def solve(self, mesh):
        """Find rise and lean again from the corners and the crown, and evaluate the formulas."""
        x, y = mesh.points.T
        left = mesh.points[mesh.node_sets["left"][0]]
        lean = left[0] / left[1]
        X = x - lean * y
        rise = y.max() - 1.0
        grid = np.stack([X, y / (1 + rise * np.sin(np.pi * X))], axis=1)
        w, s, peak = fields(grid, rise, lean, float(mesh.global_data["load"]))
        return replace(mesh, point_data={"w": w, "s": s}, global_data={**mesh.global_data, "peak": np.array(peak)})
