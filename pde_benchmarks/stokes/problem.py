"""Creeping flow past a cylinder: from the profile of the inflow to velocity and pressure."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from meshes import Mesh
from pde_benchmarks.domains import Box, Disc
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Meshes, Problem
from pde_benchmarks.sine_series import integral_jet, sine_coefficients, sines
from pde_benchmarks.stokes.elements import TriangularFlow, channel_mesh, held_dofs
from pde_benchmarks.variational import VariationalProblem, product, scaled, sine_bubble, summed
from pde_benchmarks.weak_forms import CreepingFlow, StokesForm, WeakForm, velocity_of

__all__ = ["StokesCylinder"]

CHANNEL = Box((0.0, 0.0), (2.0, 1.0), (Disc((0.5, 0.6), 0.1),))
# Half a wave of the sine along it is the way from inlet to outlet: zero there, and one with zero slope here.
MIRRORED = Box((0.0, 0.0), (4.0, 1.0))
SPEED = 2.0
# Root mean square of the pressure over speed · viscosity, measured on the law.
STRESS = 30.0
SAMPLES_AT_ONCE = 256


@dataclass(frozen=True)
class StokesCylinder(Problem, VariationalProblem):
    """−μ Δu + ∇p = 0, ∇·u = 0 in [0, 2] × [0, 1] without the disc around (0.5, 0.6) of radius 0.1; the map a ↦ (u, p).

    u = (a(y), 0) at the inlet x = 0, at rest on walls and disc; at the outlet the flow leaves straight, v = 0, and
    free, which means p = 0 there. a = 2 sin πy (1 + sin b₁y + cos b₂y), b uniform in [0, 2π]² (Zang & Koutsourelakis
    2025; the law of b is ours).

    The reference uses quadratic velocities and linear pressures (Taylor–Hood) on triangles, order 3 and 2 where the
    boundary is straight; the disc is a polygon of edges 0.4 `size`. Outputs are given on the points of `mesh`.

    Parameters
    ----------
    viscosity
        μ.
    size
        Edge length of the triangles far from the disc.
    resolution
        Nodes y_i = i/(n − 1) of the inflow's profile.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = StokesCylinder(size=0.15)
    >>> inflow = problem.sample(2, torch.Generator().manual_seed(0))
    >>> flow = problem.solve(inflow)
    >>> flow["velocity"].shape == (2, len(problem.mesh.points), 2), flow["pressure"].shape[2]
    (True, 1)
    """

    viscosity: float = 0.01
    size: float = 0.04
    resolution: int = 65
    name: ClassVar[str] = "stokes-cylinder"
    usual_samples: ClassVar[tuple[int, int]] = (1000, 200)
    residual_kinds: ClassVar[tuple[str, ...]] = ("strong",)

    def __post_init__(self) -> None:
        if not 0 < self.viscosity < math.inf:
            raise ProblemError(f"{self.name} viscosity {self.viscosity}: a positive number is needed.")
        if not 0.01 <= self.size <= 0.2:
            raise ProblemError(f"{self.name} size {self.size}: an edge length from 0.01 to 0.2 is needed.")
        if self.resolution < 8:
            raise ProblemError(f"{self.name} resolution {self.resolution}: at least 8 nodes are needed.")

    @property
    def mesh(self) -> Mesh:
        """Triangles; the outputs live on its points."""
        return channel_mesh(CHANNEL, self.size)

    @property
    def mesh_points(self) -> Tensor:
        """Points of `mesh`, ``(n, 2)``."""
        return torch.tensor(self.mesh.points)

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The profile of the inflow."""
        return (FieldSpec("inflow", 1, self._profile),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Both velocities, and the pressure."""
        return (FieldSpec("velocity", 2, Meshes(2, "shared")), FieldSpec("pressure", 1, Meshes(2, "shared")))

    @property
    def equation(self) -> CreepingFlow:
        """The flow, with the sizes of its speeds and stresses."""
        return CreepingFlow(self.viscosity, CHANNEL, SPEED, STRESS * SPEED * self.viscosity)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same profiles, on other nodes of the inlet."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Profiles, float64, shape ``(count, 1, n)``."""
        b = 2 * math.pi * torch.rand((count, 2), generator=generator, dtype=torch.float64, device=generator.device)
        y = self._profile.points(0)
        first, second = b.cpu()[:, :, None].unbind(1)
        profile = 2 * torch.sin(math.pi * y) * (1 + torch.sin(first * y) + torch.cos(second * y))
        profile[:, [0, -1]] = 0  # sin π in floats is not
        return Batch({"inflow": profile[:, None]})

    def solve(self, inputs: Batch) -> Batch:
        """Velocities ``(count, points, 2)`` and pressures ``(count, points, 1)``, computed in float64 on the CPU."""
        inflow = inputs["inflow"]
        elements, points = self._elements, len(self.mesh.points)
        x, y = torch.from_numpy(elements.velocity.nodes).unbind(1)
        basis = sines(self.resolution - 2, y) * (x == x.min())[:, None]
        parts = []
        for rows in inflow.split(SAMPLES_AT_ONCE):
            given = torch.zeros(len(rows), len(y), 2, dtype=torch.float64)
            given[..., 0] = sine_coefficients(rows[:, 0].to("cpu", torch.float64)) @ basis.T
            velocity, pressure = elements.solve(given.flatten(1))
            parts.append((velocity.unflatten(1, (-1, 2))[:, :points], pressure[..., None]))
        velocity, pressure = (torch.cat(part).to(inflow) for part in zip(*parts, strict=True))
        return Batch({"velocity": velocity, "pressure": pressure})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Not possible without the velocities between the points: raises `ProblemError`."""
        raise ProblemError(
            f"{self.name}: the equations need the velocities in the middle of the edges, and the outputs are those on "
            "the points: there is no residual. The weak form measures fields at any points."
        )

    @torch.no_grad()
    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Relative L² errors averaged over samples: ``relative_l2`` of the velocity, and u, v, p one by one."""

        def error(name: str, part: slice) -> float:
            found, true = (fields[name][..., part].flatten(1)[:, None] for fields in (prediction, truth))
            return relative_l2(found, true).nanmean().item()

        return {
            "relative_l2": error("velocity", slice(None)),
            "relative_l2_u": error("velocity", slice(0, 1)),
            "relative_l2_v": error("velocity", slice(1, 2)),
            "relative_l2_p": error("pressure", slice(None)),
        }

    def weak_form(self, kind: str | None = None, **options: Any) -> WeakForm:
        """``strong``: the first-order system in stream function, pressure and stresses."""
        self.chosen_kind(kind)
        self.check_options(StokesForm, options)
        return StokesForm(self.equation, **options)

    def impose(self, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """``stream``: ψ = ∫₀^y a + (sin πx/4 sin πy)² raw; ``pressure``: (2 − x) raw; ``stress``: raw; in their units.

        Walls, inlet and p = 0 at the outlet are exact. No slip on the disc is a term of the form.

        Raises
        ------
        ProblemError
            If the problem has no such field.
        """
        equation = self.equation
        match name:
            case "stream":
                order = 1 if raw.hessian is None else 2
                bubble = sine_bubble(points, MIRRORED, order)
                inside = scaled(product(product(bubble, bubble), raw), equation.typical_speed / 2)
                return summed(integral_jet(sine_coefficients(inputs["inflow"][:, 0]), points, order), inside)
            case "pressure":
                gradient = torch.zeros_like(points)
                gradient[:, 0] = -1
                hessian = None if raw.hessian is None else points.new_zeros(1, len(points), 1, 2, 2)
                ahead = Jet((CHANNEL.high[0] - points[:, 0])[None, :, None], gradient[None, :, None], hessian)
                return scaled(product(ahead, raw), equation.typical_stress)
            case "stress":
                return scaled(raw, equation.typical_stress)
        raise ProblemError(f"{self.name}: no field {name!r}: known are stream, pressure and stress.")

    def decoded_field(self, output: str) -> str:
        """The velocity follows from the stream function."""
        return "stream" if output == "velocity" else output

    def output_of(self, output: str, field: Jet) -> Tensor:
        """(∂ψ/∂y, −∂ψ/∂x), or the pressure."""
        return velocity_of(field) if output == "velocity" else field.value

    def coefficient_at(self, inputs: Batch, points: Tensor) -> Tensor:
        """The inflow at the height y of points (y) or (x, y), linear between the nodes: ``(count, n, 1)``."""
        return PointValues.linear(self._profile, points[:, -1:]).of(inputs["inflow"])

    @property
    def _profile(self) -> Grid:
        return Grid((self.resolution,), "vertex")

    @cached_property
    def _elements(self) -> TriangularFlow:
        return TriangularFlow(self.mesh, held_dofs(self.mesh), self.viscosity)
