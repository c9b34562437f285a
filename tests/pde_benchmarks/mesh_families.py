"""A family of meshes that is made and solved at once, importable by the workers of the generator."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from meshes import Mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars

__all__ = ["Rods"]


@dataclass(frozen=True)
class Rods(MeshProblem):
    """Rods of varying length under a force: u = F x, its end value w = F L; the number of nodes comes from the seed.

    ``log`` is a folder that gets a file for every solve, ``trouble`` says what goes wrong: "long" rods have no
    solution, rods get "no field", the field "NaN", "two" landmarks, or the process "dies".
    """

    nodes: int = 8
    seconds: float = 0.0
    log: str = ""
    trouble: str = ""
    name: ClassVar[str] = "rods"
    dimension: ClassVar[int] = 1
    landmarks = ("foot",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("L", 1.0, 2.0, "m", is_given=False), Parameter("F", 3.0, 5.0, "N"))

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        return (FieldSpec("u", 1, Meshes(1), "mm"), FieldSpec("w", 1, Scalars(), "mm"))

    def is_admissible(self, designs):
        return designs.sum(axis=1) < 6.0

    def part(self, design, seed):
        count = self.nodes + int(np.random.default_rng(seed).integers(5))
        cells = np.column_stack([np.arange(count - 1), np.arange(1, count)])
        points = np.linspace(0, design[0], count)[:, None]
        foot = [0, 1] if self.trouble == "two" else [0]
        return Mesh(points, {"line": cells}, global_data={"F": np.array(design[1])}, node_sets={"foot": foot})

    def solve(self, mesh):
        time.sleep(self.seconds)
        x, force = mesh.points[:, 0], float(mesh.global_data["F"])
        if self.log:
            (Path(self.log) / f"{x[-1]:.12f}-{os.environ.get('OMP_NUM_THREADS')}").touch()
        if self.trouble == "long" and x[-1] > 1.5:
            raise ProblemError("it bends")
        if self.trouble == "dies":
            os._exit(1)
        u = x * np.nan if self.trouble == "NaN" else x * force
        fields = {} if self.trouble == "no field" else {"u": u}
        return replace(mesh, point_data=fields, global_data={**mesh.global_data, "w": np.array(force * x[-1])})
