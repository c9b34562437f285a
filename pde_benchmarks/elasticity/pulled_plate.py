"""A plate that stands on its bottom and is pulled at its top: supports, load, and what is read off the solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from meshes import Mesh
from meshes.finite_elements import DirichletCondition, dofs_on, traction
from pde_benchmarks.elasticity.load_path import Equilibrium, LoadPath
from pde_benchmarks.elasticity.newton import LoadedBody
from pde_benchmarks.elasticity.plane_strain import PlaneStrain
from pde_benchmarks.elasticity.plasticity import ElastoPlastic
from pde_benchmarks.elasticity.recovery import NAMES, RECOVERIES
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.mesh_steps import split_step
from solvers import Status

__all__ = ["PlateSolution", "Recovery", "check_plate", "pull", "stress_and_strain_units"]

Array = NDArray[Any]
#: Names of `RECOVERIES`.
Recovery = Literal["averages", "followed"]

#: Largest edge length at which a notch is still round.
_COARSEST = 0.1


@dataclass(frozen=True, eq=False)
class PlateSolution:
    """Equilibrium of a pulled plate.

    Attributes
    ----------
    loaded
        The plate with its supports and load.
    equilibrium
        What the solver found.
    recovery
        How stresses and plastic strains come to the vertices, one of `RECOVERIES`.
    """

    loaded: LoadedBody
    equilibrium: Equilibrium
    recovery: Recovery

    def fields(self) -> dict[str, Array]:
        """At the vertices ``(n,)``: u, v (mm), cumulated plastic strain p, stresses s11, s22, s12, vM (MPa)."""
        found = self.equilibrium
        u, v = found.displacement.reshape(-1, 2)[: len(self.loaded.body.mesh.points)].T
        recovered = RECOVERIES[self.recovery](self.loaded, found)
        return {"u": u, "v": v, **dict(zip(NAMES, recovered.T, strict=True))}

    def at(self, share: float) -> PlateSolution:
        """The solution at a smaller share of the load, at which an increment ended, else `ProblemError`."""
        return replace(self, equilibrium=self.equilibrium.at(share))

    def scalars(self) -> dict[str, float]:
        """Largest vM and p of all vertices, largest v and s22 of those at the top."""
        return self._peaks(self.fields())

    def on_mesh(self, fields: tuple[str, ...], scalars: tuple[str, ...]) -> Mesh:
        """The mesh with these fields and scalars; "u@0.5" is u at half the load."""
        mesh = self.loaded.body.mesh
        points, numbers = dict(mesh.point_data), dict(mesh.global_data)
        for share, names in _by_share(fields + scalars).items():
            solution = self if share is None else self.at(share)
            values = solution.fields()
            peaks = solution._peaks(values)
            points |= {full: values[name] for full, name in names.items() if full in fields}
            numbers |= {full: np.array(peaks[name]) for full, name in names.items() if full in scalars}
        return replace(mesh, point_data=points, global_data=numbers)

    def _peaks(self, fields: dict[str, Array]) -> dict[str, float]:
        top = self.loaded.body.mesh.node_set("top")
        return {
            "max_vM": float(fields["vM"].max()),
            "max_p": float(fields["p"].max()),
            "max_v": float(fields["v"][top].max()),
            "max_s22": float(fields["s22"][top].max()),
        }


def pull(mesh: Mesh, material: ElastoPlastic, load: float, path: LoadPath, recovery: Recovery) -> PlateSolution:
    """Pull a plate at its facet set "top" by a traction ``load`` (MPa) in y.

    v = 0 on "bottom", and u = 0 at the node "corner_bottom_left".

    Raises
    ------
    ProblemError
        The solver does not reach the full load.
    """
    body = PlaneStrain(mesh)
    space = body.space
    supports = dofs_on(space, "bottom", component=1), dofs_on(space, "corner_bottom_left", component=0)
    per_length = traction(space, "top")
    pulls = torch.tensor([0.0, load], dtype=torch.float64).repeat(per_length.shape[1] // 2)
    held = DirichletCondition(space, np.concatenate(supports))
    loaded = LoadedBody(body, material, held, (per_length @ pulls).numpy())
    found = path.follow(loaded)
    if found.status != Status.CONVERGED:
        raise ProblemError(
            f"the plate carries {found.share:.1%} of a traction of {load:g} MPa, then Newton's method ends with "
            f"{found.status.name} (relative residual {found.residuals[-1][-1]:.1e}): raise yield stress or hardening, "
            "or lower the load."
        )
    return PlateSolution(loaded, found, recovery)


def _by_share(names: Sequence[str]) -> dict[float | None, dict[str, str]]:
    """Share of the load, None for all of it, to names in full and without the share."""
    found: dict[float | None, dict[str, str]] = {}
    for full in names:
        name, share = split_step(full) or (full, None)
        found.setdefault(share, {})[full] = name
    return found


def check_plate(name: str, size: float, poisson: float, recovery: str) -> None:
    """Refuse constants of a plate that are out of range, as `ProblemError`."""
    if not 0 < size <= _COARSEST:
        raise ProblemError(f"{name} size {size}: expected an edge length in (0, {_COARSEST}] mm.")
    if not -1 < poisson < 0.5:
        raise ProblemError(f"{name} poisson {poisson}: expected −1 < ν < 1/2.")
    if recovery not in RECOVERIES:
        raise ProblemError(f"{name} recovery {recovery!r}: expected one of {', '.join(RECOVERIES)}.")


def stress_and_strain_units(names: Sequence[str], stress: str, strain: str) -> dict[str, str]:
    """The unit of each output of a plate of fixed size: displacements and plastic strains go with strains.

    Examples
    --------
    >>> stress_and_strain_units(("u", "s11", "max_p"), "R0", "R0/E")
    {'u': 'R0/E', 's11': 'R0', 'max_p': 'R0/E'}
    """
    plain = {name: (split_step(name) or (name,))[0].removeprefix("max_") for name in names}
    return {name: strain if what in ("u", "v", "p") else stress for name, what in plain.items()}
