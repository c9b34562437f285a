"""L-shaped brackets with a fillet and a hole: linear elasticity on tetrahedra, in a shape that is no ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from meshes.generate import bracket
from meshes.renumbering import renumbered
from pde_benchmarks.elasticity.solid import ElasticSolid
from pde_benchmarks.elasticity.solid_samples import SOLID_FIELDS, common_nodes, with_solution
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Positive, Scalars

__all__ = ["Bracket"]

Array = NDArray[Any]

# The profile's corners by the sides that meet there, counterclockwise, on the back and on the front.
_CORNERS = ("rear base", "base end", "end inside", "inside top", "top rear")


@dataclass(frozen=True)
class Bracket(MeshProblem):
    """A bracket that hangs from the end of its vertical leg and carries a force at the end of its horizontal one.

    Units are N, mm and MPa. The bracket is clamped on "top"; the force acts evenly on "end", `direction` degrees from
    downward (−y) towards outward (+x). The hole makes it a solid of genus 1. Linear elasticity, quadratic tetrahedra;
    facet sets as in `meshes.generate.bracket`, node sets for the ten corners ("rear base back").

    Parameters
    ----------
    smallest, largest
        Edge length of a mesh in mm, drawn between these bounds.
    poisson
        ν.

    Examples
    --------
    >>> problem = Bracket(smallest=9.0, largest=10.0)
    >>> solved = problem.solve(problem.part(problem.designs(1, seed=0)[0], seed=0))
    >>> bool(solved.global_data["max_vM"] == solved.point_data["vM"].max())
    True
    """

    name: ClassVar[str] = "bracket"
    dimension: ClassVar[int] = 3
    usual_samples: ClassVar[tuple[int, int]] = (120, 40)

    smallest: float = 3.4
    largest: float = 4.4
    poisson: float = 0.33

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("leg_x", 50.0, 70.0, "mm", is_given=False),
            Parameter("leg_y", 45.0, 60.0, "mm", is_given=False),
            Parameter("thickness", 10.0, 14.0, "mm", is_given=False),
            Parameter("width", 16.0, 24.0, "mm", is_given=False),
            Parameter("fillet", 5.0, 11.0, "mm", is_given=False),
            Parameter("hole", 2.0, 4.0, "mm", is_given=False),
            Parameter("force", 500.0, 1500.0, "N"),
            Parameter("direction", 0.0, 60.0, "deg"),
            Parameter("young", 6.5e4, 7.5e4, "MPa"),
        )

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Displacements and von Mises' stress at nodes; its largest value, and the largest displacement."""
        return (
            *SOLID_FIELDS,
            FieldSpec("max_vM", 1, Scalars(), "MPa", Positive()),
            FieldSpec("max_displacement", 1, Scalars(), "mm", Positive()),
        )

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The ten corners."""
        return tuple(f"{corner} {end}" for end in ("back", "front") for corner in _CORNERS)

    def part(self, design: Array, seed: int) -> Mesh:
        values = dict(zip((p.name for p in self.parameters), np.asarray(design, dtype=float).tolist(), strict=True))
        generator = np.random.default_rng(seed)
        mesh = bracket(
            legs=(values["leg_x"], values["leg_y"]),
            thickness=values["thickness"],
            width=values["width"],
            fillet=values["fillet"],
            hole=values["hole"],
            size=generator.uniform(self.smallest, self.largest),
            seed=int(generator.integers(2**31)),
        )
        corners = {name: common_nodes(mesh, name.split()) for name in self.landmarks}
        mesh = replace(
            mesh,
            global_data={p.name: np.array(values[p.name]) for p in self.parameters if p.is_given},
            node_sets={**mesh.node_sets, **corners},
        )
        return renumbered(mesh, generator.permutation(len(mesh.points)))

    def solve(self, mesh: Mesh) -> Mesh:
        """Displacements and stresses.

        Raises
        ------
        ProblemError
            Load or material is missing in the mesh's global data.
        """
        load = self.given_scalars(mesh)
        angle = np.deg2rad(load["direction"])
        area = np.ptp(mesh.points[mesh.node_set("end"), 1:], axis=0).prod()
        solid = ElasticSolid(mesh, load["young"], self.poisson, clamped="top")
        pull = solid.traction("end", load["force"] / area * np.array([np.sin(angle), -np.cos(angle), 0.0]))
        displacement = solid.displacement(pull)
        largest = displacement.view(-1, 3)[: len(mesh.points)].norm(dim=1).max()
        return with_solution(mesh, solid, displacement, {"max_displacement": float(largest)})
