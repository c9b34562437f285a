"""Four-digit aerofoils of varying shape in potential flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from meshes.generate import aerofoil_exterior, naca4, with_boundary_sets
from meshes.renumbering import renumbered
from pde_benchmarks.aerofoil.potential_flow import PotentialFlow
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars

__all__ = ["PotentialAerofoil"]

Array = NDArray[Any]


@dataclass(frozen=True)
class PotentialAerofoil(MeshProblem):
    """A NACA four-digit aerofoil of chord 1 in an inviscid, incompressible flow of unit speed.

    The stream function is harmonic and vanishes on the aerofoil; the Kutta condition at the trailing edge chooses the
    circulation Γ. Fields at nodes are the velocity u, v and the pressure coefficient Cp = 1 − u² − v²; the lift
    coefficient is Cl = 2 Γ (Kutta and Joukowski). The flow comes from the left at an angle of attack `alpha`, the
    aerofoil is not turned.

    Each mesh has its own sizes and its nodes are numbered at random. Facet and node sets are "wall" (the aerofoil) and
    "far" (the outer circle, of "inlet" and "outlet"); landmarks the trailing and the leading edge, and the lowest and
    the highest node of the circle.

    Parameters
    ----------
    size, edge_size
        Edge lengths along the aerofoil, and at its leading and trailing edge, in chords.
    growth
        Increase of the edge length for every unit of distance.
    spread
        Factors between which the three are drawn for each mesh.
    radius
        Of the outer circle, in chords.

    Examples
    --------
    >>> problem = PotentialAerofoil()
    >>> mesh = problem.solve(problem.part(np.array([0.02, 0.4, 0.12, 0.0]), seed=0))  # NACA 2412
    >>> round(float(mesh.global_data["Cl"]), 2)
    0.26
    """

    name: ClassVar[str] = "aerofoil"
    dimension: ClassVar[int] = 2
    usual_samples: ClassVar[tuple[int, int]] = (200, 100)

    size: float = 0.02
    edge_size: float = 0.002
    growth: float = 0.22
    spread: tuple[float, float] = (0.85, 1.2)
    radius: float = 10.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("camber", 0.0, 0.06, is_given=False),
            Parameter("position", 0.3, 0.6, is_given=False),
            Parameter("thickness", 0.08, 0.18, is_given=False),
            Parameter("alpha", -4.0, 10.0, "deg"),
        )

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Velocity and pressure coefficient at nodes; lift coefficient."""
        fields = (FieldSpec(name, 1, Meshes(2)) for name in ("u", "v", "Cp"))
        return (*fields, FieldSpec("Cl", 1, Scalars()))

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Trailing and leading edge, then the lowest and the highest node of the circle."""
        return ("trailing_edge", "leading_edge", "far_bottom", "far_top")

    def part(self, design: Array, seed: int) -> Mesh:
        camber, position, thickness, alpha = np.asarray(design, dtype=float).tolist()
        generator = np.random.default_rng(seed)
        factor = generator.uniform(*self.spread)
        mesh = aerofoil_exterior(
            naca4(camber, position, thickness),
            factor * self.size,
            factor * self.edge_size,
            self.radius,
            factor * self.growth,
            int(generator.integers(2**31)),
        )
        halves = [mesh.facet_set(name)["line"] for name in ("inlet", "outlet")]
        mesh = with_boundary_sets(mesh, {"far": {"line": np.concatenate(halves)}})
        mesh = replace(
            mesh, global_data={"alpha": np.array(alpha)}, node_sets={**mesh.node_sets, **self._landmark_sets(mesh)}
        )
        return renumbered(mesh, generator.permutation(len(mesh.points)))

    def solve(self, mesh: Mesh) -> Mesh:
        """Velocity, pressure and lift.

        Raises
        ------
        ProblemError
            The mesh has no angle of attack.
        """
        alpha = self.given_scalars(mesh)["alpha"]
        flow = PotentialFlow(mesh)
        edge = int(mesh.node_set("trailing_edge")[0])
        psi = flow.with_smooth_edge(flow.uniform(float(np.deg2rad(alpha))), edge)
        u, v = flow.velocity(psi).T.numpy()
        lift = 2 * float(flow.circulation(psi))
        return replace(
            mesh,
            point_data={**mesh.point_data, "u": u, "v": v, "Cp": 1 - u**2 - v**2},
            global_data={**mesh.global_data, "Cl": np.array(lift)},
        )

    def _landmark_sets(self, mesh: Mesh) -> dict[str, Array]:
        """Node sets of one node each."""
        wall, far = mesh.node_set("wall"), np.intersect1d(mesh.node_set("inlet"), mesh.node_set("outlet"))
        distance = np.linalg.norm(mesh.points[wall] - [1.0, 0.0], axis=1)
        low, high = far[np.argsort(mesh.points[far, 1])]
        nodes = (wall[distance.argmin()], wall[distance.argmax()], low, high)
        return {name: np.array([node]) for name, node in zip(self.landmarks, nodes, strict=True)}
