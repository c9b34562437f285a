"""Residuals of a second-order evolution equation on an interval, at random points of space and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.test_functions import TestedPoints, WendlandTestFunctions
from pde_benchmarks.weak_forms.diffusion import jittered_points
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["EVOLUTION_FORMS", "Evolution", "StrongEvolutionForm", "WeightedEvolutionForm"]

Supply = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Evolution:
    """∂u/∂t = D ∂²u/∂x² + s(u, ∂u/∂x, a) for 0 < x < 1, 0 < t ≤ T; points are (x, t).

    Parameters
    ----------
    diffusivity
        D.
    supply
        s of u, ∂u/∂x and the input field a, each ``(batch, n)``.
    typical_rate
        Size of ∂u/∂t.
    time
        T.
    """

    diffusivity: float
    supply: Supply
    typical_rate: float
    time: float

    def excess(self, u: Jet, coefficient: Tensor) -> Tensor:
        """∂u/∂t − s at the points, ``(batch, n)``: what diffusion has to balance."""
        slope, rate = u.gradient[:, :, 0].unbind(-1)
        return rate - self.supply(u.value[..., 0], slope, coefficient[..., 0])


@dataclass(frozen=True)
class _EvolutionForm(WeakForm):
    """A residual of the solution alone."""

    equation: Evolution

    @property
    def fields(self) -> Mapping[str, int]:
        """The solution."""
        return {"solution": 1}


@dataclass(frozen=True)
class WeightedEvolutionForm(_EvolutionForm):
    """Mean square of r_j = [∫ (u_t − s) v_j + D u_x v_j' dx at the time t_j] / ∫ v_j, in units of u_t.

    Parameters
    ----------
    equation
        Which evolution.
    functions
        How many v_j: their centres and times form a Latin hypercube.
    radius
        Of their supports, which lie within the interval.

    Raises
    ------
    ProblemError
        If there is no function, or the radius does not fit.

    Examples
    --------
    >>> heat = Evolution(0.1, lambda u, slope, a: torch.zeros_like(u), 1.0, 1.0)
    >>> WeightedEvolutionForm(heat, functions=10).draw(torch.Generator().manual_seed(0)).points.shape
    torch.Size([120, 2])
    """

    functions: int = 300
    radius: float = 0.05
    kind: ClassVar[str] = "weak"

    def __post_init__(self) -> None:
        if self.functions < 1:
            raise ProblemError(f"functions {self.functions}: at least one test function is needed.")
        self._family  # noqa: B018 - refuses a radius that is none

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> TestedPoints:
        """The quadrature points of all test functions, one function after the other, each at its own time."""
        m = self.functions
        line = self._family.sample(Box((0.0,), (1.0,)), m, generator, True, dtype, device)
        jitter = torch.rand(m, generator=generator, dtype=torch.float64, device=generator.device)
        slices = torch.arange(m, dtype=torch.float64, device=generator.device)
        times = (self.equation.time / m * (slices + jitter)).to(dtype=dtype, device=device)
        times = times.repeat_interleave(len(line.rule.values))
        return TestedPoints(torch.cat([line.points, times[:, None]], 1), line.weights, line.rule)

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """Mean square residual of every sample, ``(batch,)``."""
        return self.residuals(quadrature, coefficient, fields["solution"]).square().mean(1)

    def residuals(self, quadrature: Quadrature, coefficient: Tensor, u: Jet) -> Tensor:
        """All r_j / typical u_t, ``(batch, m)``."""
        assert isinstance(quadrature, TestedPoints)  # from `draw`
        diffused = self.equation.diffusivity * quadrature.against_gradients(u.gradient[:, :, 0, :1])
        tested = quadrature.against_values(self.equation.excess(u, coefficient)) + diffused
        return tested / self.equation.typical_rate

    @property
    def _family(self) -> WendlandTestFunctions:
        return WendlandTestFunctions(1, self.radius)


@dataclass(frozen=True)
class StrongEvolutionForm(_EvolutionForm):
    """Mean square of u_t − s − D u_xx, in units of u_t, at one random point in every cell of space-time.

    Parameters
    ----------
    equation
        Which evolution.
    cells
        Cells per axis.
    """

    cells: int = 56
    kind: ClassVar[str] = "strong"
    order: ClassVar[int] = 2

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Quadrature:
        """One jittered point per cell."""
        domain = Box((0.0, 0.0), (1.0, self.equation.time))
        return jittered_points(domain, self.cells, generator, dtype, device)

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """Mean square residual of every sample, ``(batch,)``."""
        u, equation = fields["solution"], self.equation
        assert u.hessian is not None  # `order` asks for it
        diffused = equation.diffusivity * u.hessian[:, :, 0, 0, 0]
        return ((equation.excess(u, coefficient) - diffused) / equation.typical_rate).square().mean(1)


EVOLUTION_FORMS: Mapping[str, type[WeightedEvolutionForm] | type[StrongEvolutionForm]] = {
    form.kind: form for form in (WeightedEvolutionForm, StrongEvolutionForm)
}
