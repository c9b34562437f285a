"""Elastoplastic plates with their whole load path: fields and peaks at every step of the load."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from meshes import Mesh
from pde_benchmarks.elasticity.load_path import LoadPath
from pde_benchmarks.elasticity.plasticity import ElastoPlastic
from pde_benchmarks.elasticity.plate import NotchedPlate
from pde_benchmarks.elasticity.pulled_plate import PlateSolution, pull
from pde_benchmarks.mesh_steps import in_steps
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars, Times

__all__ = ["NotchedPlateSteps"]


@dataclass(frozen=True)
class NotchedPlateSteps(NotchedPlate):
    """`NotchedPlate` while its load grows: displacements, plastic strains, stresses and their peaks at every step.

    The field u at half the load is the point field "u@0.5"; the steps of a field are one series to a learner. With the
    usual levels the last step is the solution of `NotchedPlate`.

    Parameters
    ----------
    levels
        Shares of the traction P at which fields are recorded, rising to 1; each is an increment of the solver.

    Raises
    ------
    ProblemError
        Levels that do not rise to 1, or another parameter out of range.

    Examples
    --------
    >>> problem = NotchedPlateSteps(size=0.1, levels=(0.5, 1.0))
    >>> problem.fields[:4]
    ('u@0.5', 'u@1', 'v@0.5', 'v@1')
    >>> solved = problem.solve(problem.part(problem.designs(1, seed=0)[0], seed=0))
    >>> bool(solved.global_data["max_v@0.5"] < solved.global_data["max_v@1"])
    True
    """

    name: ClassVar[str] = "plate-steps"

    levels: tuple[float, ...] = (0.5, 0.75, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        LoadPath(self.levels)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Those of the plate, at every step."""
        return tuple(one for spec in super().outputs for one in in_steps(self._over_levels(spec)))

    def _over_levels(self, spec: FieldSpec) -> FieldSpec:
        assert isinstance(spec.support, (Meshes, Scalars))
        return replace(spec, support=Times(self.levels, spec.support))

    def solution(self, mesh: Mesh) -> PlateSolution:
        """The equilibrium of a mesh with the scalars P, E, R0 and H, its increments ending at the levels."""
        given = self.given_scalars(mesh)
        material = ElastoPlastic(given["E"], self.poisson, given["R0"], given["H"])
        return pull(mesh, material, given["P"], LoadPath(self.levels), self.recovery)
