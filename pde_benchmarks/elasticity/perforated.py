"""Elastic plates with a round hole, of varying shape and load: parts that are no discs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from meshes.generate import circle
from pde_benchmarks.elasticity.load_path import LoadPath
from pde_benchmarks.elasticity.plasticity import ElastoPlastic
from pde_benchmarks.elasticity.plate_mesh import CORNERS, perforated_plate
from pde_benchmarks.elasticity.pulled_plate import PlateSolution, Recovery, check_plate, pull, stress_and_strain_units
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars

__all__ = ["PerforatedPlate"]

Array = NDArray[Any]


@dataclass(frozen=True)
class PerforatedPlate(MeshProblem):
    """A square plate with a round hole, linear elastic in plane strain, pulled at its top.

    The plate [−1, 1]² mm stands on its bottom (v = 0; u = 0 at the left corner); the traction at the top is P. Its
    hole has the radius r and its centre at (xc, yc). Triangles of degree 2. A shape with a hole cannot be mapped onto
    a disc: it is morphed onto a reference with a hole (`meshes.boundary_targets`).

    Parameters
    ----------
    size
        Usual edge length at the hole in mm.
    poisson
        ν.
    recovery
        As in `NotchedPlate`.

    Raises
    ------
    ProblemError
        A parameter is out of range.

    Examples
    --------
    >>> problem = PerforatedPlate(size=0.1)
    >>> (design,) = problem.designs(1, seed=0)
    >>> solved = problem.solve(problem.part(design, seed=0))
    >>> 2.5 < float(solved.global_data["max_vM"] / solved.global_data["P"]) < 5  # 3 in a large plate
    True
    """

    size: float = 0.026
    poisson: float = 0.3
    recovery: Recovery = "followed"
    name: ClassVar[str] = "plate-hole"
    dimension: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_plate(self.name, self.size, self.poisson, self.recovery)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Hole r, xc, yc (mm); traction P, Young's modulus E (MPa)."""
        return (
            Parameter("r", 0.2, 0.5, "mm", is_given=False),
            Parameter("xc", -0.25, 0.25, "mm", is_given=False),
            Parameter("yc", -0.25, 0.25, "mm", is_given=False),
            Parameter("P", 40.0, 50.0, "MPa"),
            Parameter("E", 5e4, 1e5, "MPa"),
        )

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Displacements and stresses; the largest vM, and the largest v and s22 at the top."""
        on_nodes = Meshes(2)
        return (
            *(FieldSpec(name, 1, on_nodes, "mm") for name in ("u", "v")),
            *(FieldSpec(name, 1, on_nodes, "MPa") for name in ("s11", "s22", "s12", "vM")),
            FieldSpec("max_vM", 1, Scalars(), "MPa"),
            FieldSpec("max_v", 1, Scalars(), "mm"),
            FieldSpec("max_s22", 1, Scalars(), "MPa"),
        )

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The corners, counterclockwise from the bottom left."""
        return tuple(CORNERS)

    @property
    def scales(self) -> dict[str, str]:
        """The equation is linear in the traction."""
        return stress_and_strain_units(self.fields + self.scalars, "P", "P/E")

    def part(self, design: Array, seed: int) -> Mesh:
        """The mesh of one design, with the facet and node set "hole"; density, nodes and numbers by the seed."""
        r, x, y, load, young = map(float, design)
        mesh = perforated_plate(circle([x, y], r, "hole"), self.size, seed)
        return replace(mesh, global_data={"P": np.array(load), "E": np.array(young)})

    def solution(self, mesh: Mesh) -> PlateSolution:
        """The equilibrium of a mesh with the scalars P and E, with everything that the solver knows of it."""
        given = self.given_scalars(mesh)
        return pull(mesh, ElastoPlastic(given["E"], self.poisson), given["P"], LoadPath((1.0,)), self.recovery)

    def solve(self, mesh: Mesh) -> Mesh:
        """The mesh with its fields and scalars; raises `ProblemError` if a scalar is missing."""
        return self.solution(mesh).on_mesh(self.fields, self.scalars)
