"""Plane potential flow around one body, by its stream function on quadratic triangles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes import Mesh, facet_normals
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    boundary_mass,
    diffusion,
    dofs_on,
    nodal_gradients,
    traction,
)
from pde_benchmarks.aerofoil.kutta import edge_functional
from pde_benchmarks.errors import ProblemError
from solvers import CSROperator, SuperLU, linear_solve

__all__ = ["PotentialFlow"]

Array = NDArray[Any]

_DIRECT = SuperLU(rtol=1e-10)
# How far the outer boundary may leave its circle, in radii.
_ROUND = 1e-3


@dataclass(frozen=True, eq=False)
class PotentialFlow:
    """Δψ = 0 around a body with ψ = 0 on its wall; the velocity is (∂ψ/∂y, −∂ψ/∂x).

    Every flow with unit speed far away is a sum of three: along x, along y, and a circulation. On the outer circle, of
    radius R, what the body adds to the uniform flow obeys ∂ψ/∂n + ψ/R = 0: the parts that decay like 1/r leave without
    reflection, a vortex is a constant there, and the rest is of the size (chord/R)⁴ (Bayliss, Gunzburger & Turkel 1982,
    "Boundary conditions for the numerical solution of elliptic equations in exterior regions").

    Stream functions are ``(*batch, nodes)`` in float64; the first nodes are the points of the mesh.

    Parameters
    ----------
    mesh
        Triangles between the body and a circle around it.
    wall, far
        Facet sets of the body and of the circle.

    Raises
    ------
    ProblemError
        When first used: the outer boundary is no circle.

    Examples
    --------
    >>> from pde_benchmarks.aerofoil import PotentialAerofoil
    >>> problem = PotentialAerofoil()
    >>> mesh = problem.part(np.array([0.02, 0.4, 0.12, 4.0]), seed=0)
    >>> flow = PotentialFlow(mesh)
    >>> psi = flow.with_circulation(flow.uniform(0.0), 0.5)
    >>> round(float(flow.circulation(psi)), 6)
    0.5
    """

    mesh: Mesh
    wall: str = "wall"
    far: str = "far"

    @cached_property
    def space(self) -> FunctionSpace:
        """Quadratic stream functions."""
        return FunctionSpace(self.mesh, degree=2)

    @cached_property
    def stiffness(self) -> CSROperator:
        """∫ ∇ψ·∇φ of all pairs of nodes."""
        return diffusion(self.space)(1.0)

    @cached_property
    def stream_functions(self) -> Tensor:
        """Those of unit velocity along x and along y, and of a circulation alone: ``(3, nodes)``.

        The first two have some circulation, too.
        """
        held = DirichletCondition.on(self.space, self.wall)
        A, b = held.eliminate((self.stiffness + self._robin).to_csr(), torch.stack(self._loads()), tags={"spd"})
        return held.extend(linear_solve(A, b, _DIRECT).value)

    def uniform(self, angle: float) -> Tensor:
        """ψ ``(nodes,)`` of unit speed far away at an angle to x, in radian, with whatever circulation it has."""
        along, across, _ = self.stream_functions
        return np.cos(angle) * along + np.sin(angle) * across

    def circulation(self, psi: Tensor) -> Tensor:
        """Γ = ∮ velocity · ds, clockwise around the wall, ``(*batch,)``: positive where it lifts.

        From the reactions that hold ψ on the wall, which are more accurate than the velocity there.
        """
        nodes = torch.from_numpy(dofs_on(self.space, self.wall))
        return -(self.stiffness @ psi)[..., nodes].sum(-1)

    def with_circulation(self, psi: Tensor, circulation: float) -> Tensor:
        """ψ plus what brings its circulation to the given value."""
        swirl = self.stream_functions[2]
        missing = circulation - self.circulation(psi)
        return psi + (missing / self.circulation(swirl))[..., None] * swirl

    def with_smooth_edge(self, psi: Tensor, node: int) -> Tensor:
        """ψ plus the circulation that makes the velocity finite at an edge of the wall: the Kutta condition.

        The speeds on both sides of the edge then agree. See `edge_functional`, also for the errors.
        """
        weights, swirl = edge_functional(self.space, self.wall, node), self.stream_functions[2]
        return psi - ((psi @ weights) / (swirl @ weights))[..., None] * swirl

    def velocity(self, psi: Tensor) -> Tensor:
        """The velocity at the points of the mesh ``(*batch, points, 2)``: means over the cells around, by area."""
        gradient = (self._gradients @ psi).unflatten(-1, (-1, 2))
        return torch.stack([gradient[..., 1], -gradient[..., 0]], dim=-1)

    def _loads(self) -> list[Tensor]:
        """∫ (∂ψ∞/∂n + ψ∞/R) φ over the circle, for ψ∞ = y, −x and 1."""
        normals = torch.from_numpy(facet_normals(self.mesh, self.mesh.facet_set(self.far))["line"])
        flux, (centre, _) = traction(self.space, self.far), self._circle
        x, y = torch.from_numpy((self.space.nodes - centre).T)
        return [
            flux @ normals[:, 1] + self._robin @ y,
            -(flux @ normals[:, 0]) - self._robin @ x,
            self._robin @ torch.ones_like(x),
        ]

    @cached_property
    def _robin(self) -> CSROperator:
        """∫ ψ φ / R over the circle."""
        return boundary_mass(self.space, self.far)(1 / self._circle[1])

    @cached_property
    def _circle(self) -> tuple[Array, float]:
        """Centre ``(2,)`` and radius of the outer circle, by least squares."""
        points = self.mesh.points[np.unique(self.mesh.facet_set(self.far)["line"])]
        # |x|² = 2 c·x + (R² − c²) for all points of a circle.
        (x, y, rest), *_ = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(axis=1))
        centre, radius = np.array([x, y]), float(np.sqrt(rest + x**2 + y**2))
        off = float(np.abs(np.linalg.norm(points - centre, axis=1) - radius).max())
        if off > _ROUND * radius:
            raise ProblemError(
                f"boundary {self.far!r} leaves the circle through it by {off / radius:.1e} of its radius: expected a "
                "circle around the body."
            )
        return centre, radius

    @cached_property
    def _gradients(self) -> CSROperator:
        rows = nodal_gradients(self.space).to_scipy()[: 2 * len(self.mesh.points)]
        return CSROperator.from_scipy(rows)
