"""Stokes' equations as a first-order system in a stream function, a pressure and three stresses, at random points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.weak_forms.diffusion import jittered_points
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["CreepingFlow", "FlowPoints", "StokesForm", "velocity_of"]


@dataclass(frozen=True)
class CreepingFlow:
    """∇·σ = 0, σ = −p + μ (∇u + ∇uᵀ), ∇·u = 0 in a plane channel; at rest on the discs, v = 0 at the outlet x = high.

    Parameters
    ----------
    viscosity
        μ.
    domain
        The channel, and the discs cut out of it.
    typical_speed, typical_stress
        Sizes of u and σ.
    """

    viscosity: float
    domain: Box
    typical_speed: float
    typical_stress: float


@dataclass(frozen=True)
class FlowPoints(Quadrature):
    """Points of the domain, then points of the discs' edges, then points of the outlet.

    Parameters
    ----------
    inner, edge
        Numbers of the first and of the second.
    """

    inner: int
    edge: int


@dataclass(frozen=True)
class StokesForm(WeakForm):
    """Mean squares of σ + p − μ (∇u + ∇uᵀ), of ∇·σ, of u on the discs and of v at the outlet, each in its unit.

    u = ∂ψ/∂y, v = −∂ψ/∂x are free of divergence whatever ψ is. What `impose` builds in is not measured again: walls,
    inlet, and p = 0 at the outlet.

    Parameters
    ----------
    equation
        Which flow.
    cells
        Cells per axis of the domain, each with one random point.
    edge_points, outlet_points
        Random points on every disc's edge, and of the outlet.
    boundary_weight
        Of the last two terms.
    """

    equation: CreepingFlow
    cells: int = 56
    edge_points: int = 128
    outlet_points: int = 32
    boundary_weight: float = 10.0
    kind: ClassVar[str] = "strong"
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if min(self.edge_points, self.outlet_points) < 1:
            raise ProblemError(
                f"edge_points {self.edge_points}, outlet_points {self.outlet_points}: at least one each is needed."
            )

    @property
    def fields(self) -> Mapping[str, int]:
        """ψ, p, and σ as xx, xy, yy."""
        return {"stream": 1, "pressure": 1, "stress": 3}

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> FlowPoints:
        """Jittered points of the domain, of the discs' edges and of the outlet."""
        domain = self.equation.domain
        inner = jittered_points(domain, self.cells, generator, dtype, device)
        parts = [inner.points.double().cpu()]
        for disc in domain.discs:
            angle = 2 * math.pi * _jittered(self.edge_points, generator)
            centre = torch.tensor(disc.centre, dtype=torch.float64)
            parts.append(centre + disc.radius * torch.stack([angle.cos(), angle.sin()], 1))
        y = domain.low[1] + (domain.high[1] - domain.low[1]) * _jittered(self.outlet_points, generator)
        parts.append(torch.stack([torch.full_like(y, domain.high[0]), y], 1))
        points = torch.cat(parts).to(dtype=dtype, device=device)
        weights = torch.cat([inner.weights, torch.zeros_like(points[len(inner.points) :, 0])])
        return FlowPoints(points, weights, len(inner.points), self.edge_points * len(domain.discs))

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """All terms of every sample, ``(batch,)``."""
        assert isinstance(quadrature, FlowPoints)  # from `draw`
        equation, n = self.equation, quadrature.inner
        height = equation.domain.high[1] - equation.domain.low[1]
        velocity, stream = velocity_of(fields["stream"]), fields["stream"].hessian
        assert stream is not None  # `order` asks for it
        xx, xy, yy = stream[:, :n, 0, 0, 0], stream[:, :n, 0, 0, 1], stream[:, :n, 0, 1, 1]
        viscous = equation.viscosity * torch.stack([2 * xy, yy - xx, -2 * xy], -1)
        pressure = fields["pressure"].value[:, :n] * viscous.new_tensor([1.0, 0.0, 1.0])
        law = (fields["stress"].value[:, :n] + pressure - viscous) / equation.typical_stress
        change = fields["stress"].gradient[:, :n]
        along = change[:, :, 0, 0] + change[:, :, 1, 1]
        across = change[:, :, 1, 0] + change[:, :, 2, 1]
        force = torch.stack([along, across], -1) * height / equation.typical_stress
        slip = velocity[:, n : n + quadrature.edge] / equation.typical_speed
        oblique = velocity[:, n + quadrature.edge :, 1:] / equation.typical_speed
        inside = law.square().sum(-1).mean(1) + force.square().sum(-1).mean(1)
        return inside + self.boundary_weight * (slip.square().sum(-1).mean(1) + oblique.square().sum(-1).mean(1))


def velocity_of(stream: Jet) -> Tensor:
    """(∂ψ/∂y, −∂ψ/∂x), ``(batch, n, 2)``, from the jet of ψ."""
    slope = stream.gradient[:, :, 0]
    return torch.stack([slope[..., 1], -slope[..., 0]], -1)


def _jittered(count: int, generator: Generator) -> Tensor:
    """One random number in each of ``count`` slices of [0, 1]."""
    jitter = torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device)
    return (torch.arange(count, dtype=torch.float64) + jitter.cpu()) / count
