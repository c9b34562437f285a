"""Counted data: Poisson noise over a known background."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator
from sciml.errors import ConfigurationError, ObservationError
from sciml.plug_and_play.data_fidelity import DataFidelity, check_data
from solvers import FunctionOperator, LinearOperator, Status
from solvers.nonlinear import NewtonCG, Objective, minimize

__all__ = ["PoissonFidelity"]


@dataclass(frozen=True, eq=False)
class PoissonFidelity(DataFidelity):
    """h(x) = Σ t + g − b log(t + g) with t = A x: counts b with the means A x + g, up to a constant of the data.

    Where t < 0, which no expected count is, h goes on as the parabola that fits at t = 0: it stays convex with a
    second derivative of at most b/g², so that ‖A‖² max(b)/g² bounds the Lipschitz constant of its gradient everywhere.

    Parameters
    ----------
    operator
        A, linear, in counts.
    data
        b ≥ 0, ``(B, *output_shape)``.
    background
        g > 0, counts expected without any signal.
    """

    operator: LinearForwardOperator
    data: Tensor
    background: float

    def __post_init__(self) -> None:
        check_data(self.operator, self.data)
        if not isinstance(self.operator, LinearForwardOperator):
            raise ConfigurationError(f"{self.operator.name}: Poisson noise is known for linear operators only.")
        if not 0 < self.background < math.inf:
            raise ObservationError(
                f"background = {self.background}: give a positive number of counts; without any, the likelihood has no "
                "gradient where nothing is expected."
            )
        if bool((self.data < 0).any()):
            raise ObservationError(
                f"data: {int((self.data < 0).sum())} counts are negative (the least is {float(self.data.min()):g}); do "
                "not subtract the background, give it."
            )

    @property
    def lipschitz(self) -> float | None:
        largest = float(self.data.max()) if self.data.numel() else 0.0
        return float(self.operator.norm() ** 2 * largest / self.background**2)

    @property
    def convex(self) -> bool:
        return True

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = self.operator.apply(x)
        value, slope, _ = self._terms(t)
        return value.flatten(1).sum(-1), self.operator.adjoint(slope)

    def discrepancy(self, x: Tensor) -> Tensor:
        mean = (self.operator.apply(x) + self.background).clamp(min=self.background)
        return ((mean - self.data).square() / mean).flatten(1).mean(-1).sqrt()

    def minimum(self, curvature: LinearOperator, centre: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        size = math.prod(self.operator.input_shape)
        objective = _WithQuadratic(self, curvature, centre.reshape(-1, size))
        first = objective.gradient(start.reshape(-1, size)).norm(dim=-1)
        double = centre.dtype == torch.float64
        solver = NewtonCG(1e-10 if double else None, atol=(1e-12 if double else 1e-6) * float(first.max()))
        found = minimize(objective, start.reshape(-1, size), (), solver, throw=False)
        # Stagnation here is rounding: the values of h no longer tell one iterate from the next.
        rounding = (found.status == Status.STAGNATION) & (found.stats.residual_norm <= 1e-6 * first)
        return found.value.reshape(centre.shape), found.converged | rounding

    def _terms(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The terms of h, their first and second derivatives, shape of t."""
        b, g = self.data, self.background
        above = t.clamp(min=0) + g
        value, slope, curvature = above - b * above.log(), 1 - b / above, b / above.square()
        below = t.clamp(max=0)
        return value + (slope + curvature * below / 2) * below, slope + curvature * below, curvature


@dataclass(frozen=True)
class _WithQuadratic(Objective):
    """h(x) + ½⟨x − c, Q (x − c)⟩ of flat x, with the Hessian Aᵀ D A + Q."""

    fidelity: PoissonFidelity
    Q: LinearOperator
    centre: Tensor

    def value_and_gradient(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = self.fidelity.value_and_gradient(self._field(x))
        away = x - self.centre
        pulled = self.Q.mv(away)
        return value + (away * pulled).sum(-1) / 2, slope.reshape(x.shape) + pulled

    def gradient(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.value_and_gradient(x)[1]

    def hessian(self, x: Tensor, *parameters: Tensor) -> LinearOperator:
        operator = self.fidelity.operator
        curvature = self.fidelity._terms(operator.apply(self._field(x)))[2]

        def product(v: Tensor) -> Tensor:
            return operator.adjoint(curvature * operator.apply(self._field(v))).reshape(v.shape)

        n = x.shape[-1]
        normal = FunctionOperator(
            product, (n, n), (), product, ("symmetric",), batch_shape=x.shape[:-1], dtype=x.dtype, device=x.device
        )
        return cast(LinearOperator, normal + self.Q)

    def _field(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.fidelity.operator.input_shape)
