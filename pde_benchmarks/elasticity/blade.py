"""Twisted turbine blades that turn under gas pressure: linear elasticity on tetrahedra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh, to_simplices
from meshes.generate import blade, blade_points
from meshes.renumbering import renumbered
from pde_benchmarks.elasticity.solid import ElasticSolid
from pde_benchmarks.elasticity.solid_samples import SOLID_FIELDS, common_nodes, with_solution
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Positive, Scalars

__all__ = ["TwistedBlade", "TwistedBladeAll"]

Array = NDArray[Any]

#: Name of the point field of places in the box [0, 1] × [−½, ½]² of which a blade is the image.
BOX = "box"
_ENDS, _EDGES, _SIDES = ("root", "tip"), ("leading", "trailing"), ("suction", "pressure")


@dataclass(frozen=True)
class TwistedBlade(MeshProblem):
    """A twisted, tapered blade, clamped at its root, that turns about a shaft while gas presses on one side.

    Units are N, mm, MPa, t and s. The blade lies along x, its root `hub_radius` away from the shaft, and turns in the
    plane x, y. The centrifugal force ρ ω² (x + r) e_x acts in its volume, the pressure on its pressure side. Linear
    elasticity, quadratic tetrahedra.

    Each mesh is an image of a box (`meshes.generate.blade_points`) cut into tetrahedra, with its own numbers of
    divisions, its nodes moved at random in the box (those of a side within the side) and numbered at random. The point
    field "box" holds the places in the box: the exact morphing onto it, for comparison. Node and facet sets name the
    six sides; node sets the twelve edges ("root leading") and the eight corners ("root leading suction").

    Parameters
    ----------
    coarsest, finest
        Divisions along, across and through the blade: each is drawn between these bounds, inclusive.
    jitter
        How far nodes move in the box along each axis, in units of the spacing, below 0.3. Little through the thickness:
        bending stress is like |Z| there, and two layers of cells show its kink only with nodes on it.
    poisson, density, hub_radius
        ν, ρ in t/mm³ and r in mm.

    Examples
    --------
    >>> problem = TwistedBlade(coarsest=(4, 4, 1), finest=(5, 5, 1))
    >>> blade = problem.solve(problem.part(problem.designs(1, seed=0)[0], seed=0))
    >>> sorted(blade.point_data), sorted(set(problem.scalars) & set(blade.global_data))
    (['box', 'u', 'v', 'vM', 'w'], ['max_vM', 'tip_displacement'])
    """

    name: ClassVar[str] = "blade"
    dimension: ClassVar[int] = 3
    usual_samples: ClassVar[tuple[int, int]] = (200, 60)

    coarsest: tuple[int, int, int] = (20, 14, 2)
    finest: tuple[int, int, int] = (28, 18, 2)
    jitter: tuple[float, float, float] = (0.15, 0.15, 0.03)
    poisson: float = 0.3
    density: float = 8.2e-9
    hub_radius: float = 100.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One kind of blade about its working point: pressure bends it more than its turning straightens it."""
        return (
            *_shape((90.0, 110.0), (35.0, 45.0), (4.0, 5.5), (10.0, 45.0), bend=5.0),
            Parameter("speed", 800.0, 1000.0, "rad/s"),
            Parameter("pressure", 0.2, 0.3, "MPa"),
            Parameter("young", 1.6e5, 2.2e5, "MPa"),
        )

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Displacements and von Mises' stress at nodes; its largest value, and the largest displacement of the tip."""
        return (
            *SOLID_FIELDS,
            FieldSpec("max_vM", 1, Scalars(), "MPa", Positive()),
            FieldSpec("tip_displacement", 1, Scalars(), "mm", Positive()),
        )

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The eight corners."""
        return tuple(" ".join(corner) for corner in product(_ENDS, _EDGES, _SIDES))

    @property
    def ratios(self) -> tuple[str, ...]:
        return ("pressure/speed/speed",)

    @property
    def scales(self) -> dict[str, str]:
        """The equation is linear in its loads, of which the centrifugal one is never zero."""
        displacements = dict.fromkeys(("u", "v", "w", "tip_displacement"), "speed*speed/young")
        return {**displacements, **dict.fromkeys(("vM", "max_vM"), "speed*speed")}

    def part(self, design: Array, seed: int) -> Mesh:
        values = dict(zip((p.name for p in self.parameters), np.asarray(design, dtype=float).tolist(), strict=True))
        generator = np.random.default_rng(seed)
        divisions = generator.integers(self.coarsest, self.finest, endpoint=True)
        # The image of the box under no deformation at all: its nodes are moved before it is bent.
        box = to_simplices(blade(divisions=tuple(divisions.tolist())))
        at = _moved(_box(divisions), np.array(self.jitter) / divisions, generator)
        points = blade_points(
            at,
            length=values["length"],
            chord=values["chord"],
            thickness=values["thickness"],
            twist=np.deg2rad(values["twist"]),
            taper=values["taper"],
            bend=(values["bend_y"], values["bend_z"]),
        )
        mesh = replace(
            box,
            points=points,
            point_data={BOX: at},
            global_data={p.name: np.array(values[p.name]) for p in self.parameters if p.is_given},
            node_sets={**box.node_sets, **_edges_and_corners(box)},
        )
        return renumbered(mesh, generator.permutation(len(points)))

    def solve(self, mesh: Mesh) -> Mesh:
        """Displacements and stresses.

        Raises
        ------
        ProblemError
            Load or material is missing in the mesh's global data.
        """
        load = self.given_scalars(mesh)
        solid = ElasticSolid(mesh, load["young"], self.poisson, clamped="root")
        turning = self.centrifugal_force(solid.space.nodes, load["speed"])
        force = solid.body_force(turning) + solid.pressure("pressure", load["pressure"])
        displacement = solid.displacement(force)
        tip = displacement.view(-1, 3)[mesh.node_set("tip").copy()].norm(dim=1).max()
        return with_solution(mesh, solid, displacement, {"tip_displacement": float(tip)})

    def centrifugal_force(self, points: Array, speed: float) -> Array:
        """Force per volume ``(n, 3)`` in N/mm³ at points ``(n, 3)``, for an angular speed in rad/s."""
        radial = self.density * speed**2 * (points[:, 0] + self.hub_radius)
        return np.column_stack([radial, np.zeros((len(points), 2))])


@dataclass(frozen=True)
class TwistedBladeAll(TwistedBlade):
    """Blades of all sizes, at speeds and pressures from little to much more than `TwistedBlade` has: a hard family.

    The largest displacements differ by a factor of a thousand between samples; those by pressure and by turning nearly
    cancel in some, which makes errors relative to the sample's own displacement large.
    """

    name: ClassVar[str] = "blade-all"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            *_shape((80.0, 120.0), (30.0, 50.0), (3.0, 6.0), (0.0, 45.0), bend=10.0),
            Parameter("speed", 500.0, 1500.0, "rad/s"),
            Parameter("pressure", 0.0, 0.5, "MPa"),
            Parameter("young", 1e5, 2.2e5, "MPa"),
        )


def _shape(
    length: tuple[float, float],
    chord: tuple[float, float],
    thickness: tuple[float, float],
    twist: tuple[float, float],
    bend: float,
) -> tuple[Parameter, ...]:
    """Dimensions between bounds, which a learner sees in the mesh."""
    return (
        Parameter("length", *length, "mm", is_given=False),
        Parameter("chord", *chord, "mm", is_given=False),
        Parameter("taper", 0.0, 0.4, is_given=False),
        Parameter("thickness", *thickness, "mm", is_given=False),
        Parameter("twist", *twist, "deg", is_given=False),
        Parameter("bend_y", -bend, bend, "mm", is_given=False),
        Parameter("bend_z", -bend, bend, "mm", is_given=False),
    )


def _box(divisions: Array) -> Array:
    """The nodes of a regular grid of the box, the first axis running fastest, as in `meshes.structured_grid`."""
    i, j, k = (np.arange(n + 1) / n for n in divisions)
    Z, Y, X = np.meshgrid(k - 0.5, j - 0.5, i, indexing="ij")
    return np.column_stack([X.ravel(), Y.ravel(), Z.ravel()])


def _moved(box: Array, step: Array, generator: np.random.Generator) -> Array:
    """Coordinates moved at random by at most a step along each axis; those on a side stay on it."""
    low, high = box.min(axis=0), box.max(axis=0)
    inner = (box > low) & (box < high)
    return box + inner * generator.uniform(-1, 1, box.shape) * step


def _edges_and_corners(mesh: Mesh) -> dict[str, Array]:
    """Node sets where two and where three of the six sides meet, in the order end, edge, side of their names."""
    groups = ((_ENDS, _EDGES), (_ENDS, _SIDES), (_EDGES, _SIDES), (_ENDS, _EDGES, _SIDES))
    return {" ".join(names): common_nodes(mesh, names) for group in groups for names in product(*group)}
