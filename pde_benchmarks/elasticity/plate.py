"""Elastoplastic plates with two notches, of varying shape, load and material."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from meshes.generate import EllipticNotch, WedgeNotch
from pde_benchmarks.elasticity.load_path import LoadPath
from pde_benchmarks.elasticity.plasticity import ElastoPlastic
from pde_benchmarks.elasticity.plate_mesh import CORNERS, NOTCH_ENDS, Notch, notched_plate
from pde_benchmarks.elasticity.pulled_plate import PlateSolution, Recovery, check_plate, pull, stress_and_strain_units
from pde_benchmarks.mesh_problem import MeshProblem, Parameter
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars

__all__ = ["ElasticNotchedPlate", "NotchedPlate", "NotchedPlateAll"]

Array = NDArray[Any]

_ON_NODES = Meshes(2)


@dataclass(frozen=True)
class NotchedPlate(MeshProblem):
    """A square plate with two elliptic notches, pulled beyond its elastic limit: fields and peaks of the solution.

    The plate [−1, 1]² mm has half-ellipses cut out of its left and right sides, centred at y = yc, a · r deep and 2 r
    wide. It stands on its bottom (v = 0; u = 0 at the left corner) and is pulled at the top by a traction P. Plane
    strain, von Mises plasticity with linear hardening, σ_Mises ≤ R0 + H p; triangles of degree 2, three load
    increments. After the data set Tensile2d of Casenave, Staber & Roynard (2023, "MMGP"), with a law that is simpler
    than theirs.

    The mean stress on the smallest cross-section stays below the yield stress, P/(1 − a r) ≤ R0, as it does in sound
    designs: three quarters of all. The largest plastic strain is then 5e-4 in the median and 1.4e-2 in the worst of 200
    designs, one in ten stays elastic. `NotchedPlateAll` drops that.

    Parameters
    ----------
    size
        Usual edge length at the notches in mm: 0.026 gives meshes of 600 to 1700 nodes, 0.0085 of 6 000 to 15 000.
    poisson
        ν.
    recovery
        How plastic strains and stresses come from the quadrature points to the nodes: "averages" over the cells
        around, or "followed" by the nodes as material points. The latter is 3 to 8 times closer to the solution on
        fine meshes, and differs as much less between two meshes of one shape.

    Raises
    ------
    ProblemError
        A parameter is out of range.

    Examples
    --------
    >>> problem = NotchedPlate(size=0.1)
    >>> (design,) = problem.designs(1, seed=0)
    >>> solved = problem.solve(problem.part(design, seed=0))
    >>> sorted(solved.point_data)
    ['p', 's11', 's12', 's22', 'u', 'v', 'vM']
    >>> 40 < float(solved.global_data["P"]) < 50 < float(solved.global_data["max_vM"])
    True
    """

    size: float = 0.026
    poisson: float = 0.3
    recovery: Recovery = "followed"
    name: ClassVar[str] = "plate"
    dimension: ClassVar[int] = 2
    foreign_kinds: ClassVar[tuple[str, ...]] = ("ellipsoid", "wedge")

    def __post_init__(self) -> None:
        check_plate(self.name, self.size, self.poisson, self.recovery)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Notches r, yc (mm), a; traction P, Young's modulus E, yield stress R0, hardening H (MPa)."""
        return (
            Parameter("r", 0.25, 0.55, "mm", is_given=False),
            Parameter("yc", -0.25, 0.25, "mm", is_given=False),
            Parameter("a", 0.6, 1.2, is_given=False),
            Parameter("P", 40.0, 50.0, "MPa"),
            Parameter("E", 5e4, 1e5, "MPa"),
            Parameter("R0", 60.0, 110.0, "MPa"),
            Parameter("H", 1000.0, 4000.0, "MPa"),
        )

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Displacements, cumulated plastic strain, stresses; their peaks, of v and s22 those at the top."""
        return (
            *(FieldSpec(name, 1, _ON_NODES, "mm") for name in ("u", "v")),
            FieldSpec("p", 1, _ON_NODES),
            *(FieldSpec(name, 1, _ON_NODES, "MPa") for name in ("s11", "s22", "s12", "vM")),
            FieldSpec("max_vM", 1, Scalars(), "MPa"),
            FieldSpec("max_p", 1, Scalars()),
            FieldSpec("max_v", 1, Scalars(), "mm"),
            FieldSpec("max_s22", 1, Scalars(), "MPa"),
        )

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The four corners and the four ends of the notches, counterclockwise from the bottom left."""
        left, right, top_right, top_left = CORNERS
        return (left, right, *list(NOTCH_ENDS)[:2], top_right, top_left, *list(NOTCH_ENDS)[2:])

    @property
    def ratios(self) -> tuple[str, ...]:
        """Load and hardening, and the mean stress in the smallest cross-section, which says how far collapse is."""
        return ("P/R0", "P/R0/net_section_y", "H/E")

    @property
    def scales(self) -> dict[str, str]:
        """Stresses in units of the yield stress, strains in those of the strain at yield."""
        return stress_and_strain_units(self.fields + self.scalars, "R0", "R0/E")

    def is_admissible(self, designs: Array) -> Array:
        """Whether the mean stress on the smallest cross-section is at most the yield stress."""
        r, _, a, load, _, yield_stress, _ = designs.T
        return load / (1 - a * r) <= yield_stress

    def part(self, design: Array, seed: int) -> Mesh:
        """The mesh of one design; its density, nodes and numbering are drawn with the seed."""
        r, yc, a = design[:3]
        notches = [EllipticNotch(side, at=yc, depth=a * r, half_width=r) for side in ("left", "right")]
        return self._with_scalars(notched_plate(notches, self.size, seed), design)

    def foreign(self, kind: str, seed: int) -> Mesh:
        """A part that is not of the family, with scalars in the middle of their ranges.

        "ellipsoid": slender notches, r = 0.2 and a = 2.6; "wedge": V-shaped notches, r = 0.4 and a = 0.9; yc = 0.
        """
        if kind not in self.foreign_kinds:
            return super().foreign(kind, seed)
        r, a = (0.2, 2.6) if kind == "ellipsoid" else (0.4, 0.9)
        shape = EllipticNotch if kind == "ellipsoid" else WedgeNotch
        notches: list[Notch] = [shape(side, at=0.0, depth=a * r, half_width=r) for side in ("left", "right")]
        middle = np.array([0.5 * (p.low + p.high) for p in self.parameters])
        return self._with_scalars(notched_plate(notches, self.size, seed), middle)

    def solution(self, mesh: Mesh) -> PlateSolution:
        """The equilibrium of a mesh with the scalars P, E, R0 and H, with everything that the solver knows of it."""
        given = self.given_scalars(mesh)
        material = ElastoPlastic(given["E"], self.poisson, given["R0"], given["H"])
        return pull(mesh, material, given["P"], LoadPath(), self.recovery)

    def solve(self, mesh: Mesh) -> Mesh:
        """The mesh with the fields u, v, p, s11, s22, s12, vM and the scalars max_vM, max_p, max_v, max_s22.

        Raises
        ------
        ProblemError
            A scalar is missing, or the solver does not reach the full load.
        """
        return self.solution(mesh).on_mesh(self.fields, self.scalars)

    def _with_scalars(self, mesh: Mesh, design: Array) -> Mesh:
        values = zip(self.parameters, design, strict=True)
        return replace(mesh, global_data={p.name: np.array(float(value)) for p, value in values if p.is_given})


@dataclass(frozen=True)
class NotchedPlateAll(NotchedPlate):
    """`NotchedPlate` with every design, also those whose smallest cross-section yields: the hard case.

    Near collapse displacements and plastic strains, of several per cent, depend on the parameters almost singularly.
    """

    name: ClassVar[str] = "plate-all"

    def is_admissible(self, designs: Array) -> Array:
        """All."""
        return np.ones(len(designs), dtype=bool)


@dataclass(frozen=True)
class ElasticNotchedPlate(NotchedPlate):
    """`NotchedPlate` that never yields (R0 = ∞): fields are linear in P, displacements in P/E.

    Examples
    --------
    >>> ElasticNotchedPlate().fields
    ('u', 'v', 's11', 's22', 's12', 'vM')
    """

    name: ClassVar[str] = "plate-linear"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Notches r, yc (mm), a; traction P, Young's modulus E (MPa)."""
        return super().parameters[:5]

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Displacements, stresses; their peaks."""
        return tuple(spec for spec in super().outputs if spec.name not in ("p", "max_p"))

    @property
    def ratios(self) -> tuple[str, ...]:
        return ()

    @property
    def scales(self) -> dict[str, str]:
        """The equation is linear in the traction."""
        return stress_and_strain_units(self.fields + self.scalars, "P", "P/E")

    def is_admissible(self, designs: Array) -> Array:
        """All."""
        return np.ones(len(designs), dtype=bool)

    def solution(self, mesh: Mesh) -> PlateSolution:
        """The equilibrium of a mesh with the scalars P and E."""
        given = self.given_scalars(mesh)
        return pull(mesh, ElastoPlastic(given["E"], self.poisson), given["P"], LoadPath((1.0,)), self.recovery)
