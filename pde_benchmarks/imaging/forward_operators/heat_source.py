"""Where heat was released: the temperature some time after an unknown initial field."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.cosine import CosineMultiplier
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator
from solvers import DiffusionOperator, FastPoisson, finite_volume_operator, linear_solve
from solvers.linear_solve import SolveState

__all__ = ["HeatSource", "SteppedHeatSource"]


class HeatSource(CosineMultiplier):
    """u(T) of ∂u/∂t = κ Δu in the unit cube with insulated walls, from u(0); exact for sums of cosines, self-adjoint.

    The coefficients of cos(π k·x) are multiplied by exp(−κ T π² |k|²). The norm is 1.

    Parameters
    ----------
    input_shape
        (channels, *grid), cells of the unit cube, in any number of dimensions.
    duration
        κ T, positive: 1e-3 is mild, 1e-2 hard at 32 cells an axis.

    Raises
    ------
    OperatorError
        If the duration is not positive.

    Examples
    --------
    >>> heat = HeatSource((1, 32, 32), duration=1e-3)
    >>> later = heat.apply(torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    >>> later.shape, heat.norm()
    (torch.Size([1, 1, 32, 32]), 1.0)
    """

    def __init__(self, input_shape: Sequence[int], duration: float) -> None:
        _require_duration(self.name, duration)
        self.duration = duration
        squares = torch.zeros((), dtype=torch.float64)
        for n in tuple(input_shape)[1:]:
            squares = squares[..., None] + torch.arange(n, dtype=torch.float64) ** 2
        super().__init__(input_shape, torch.exp(-duration * math.pi**2 * squares))


class SteppedHeatSource(LinearForwardOperator):
    """`HeatSource` by finite volumes and implicit Euler steps, every one a linear solve; self-adjoint, of norm 1.

    Of order 1 in the time step and 2 in the mesh width: what a simulation code would give, and a check of the exact
    one.

    Parameters
    ----------
    input_shape, duration
        As in `HeatSource`; up to three dimensions.
    steps
        Number of equal time steps.

    Raises
    ------
    OperatorError
        If the duration is not positive, or there is no step.

    Examples
    --------
    >>> x = torch.rand(1, 1, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> exact, stepped = HeatSource((1, 64), 1e-2), SteppedHeatSource((1, 64), 1e-2, steps=256)
    >>> bool((exact.apply(x) - stepped.apply(x)).abs().max() < 1e-2)
    True
    """

    def __init__(self, input_shape: Sequence[int], duration: float, steps: int) -> None:
        _require_duration(self.name, duration)
        if steps < 1:
            raise OperatorError(f"{self.name}: {steps} steps: at least one is needed.")
        self._shape, self.duration, self.steps = tuple(input_shape), duration, steps
        self._set_up: dict[tuple[torch.dtype, torch.device], tuple[DiffusionOperator, SolveState | None]] = {}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._shape

    def norm(self) -> float:
        """One: the mean is kept, and everything else decays."""
        return 1.0

    def _apply(self, x: Tensor) -> Tensor:
        rate = self.steps / self.duration
        key = (x.dtype, x.device)
        A, state = self._set_up.get(key) or (self._operator(x, rate), None)
        u = x.flatten(0, 1).flatten(1)
        for _ in range(self.steps):
            solution = linear_solve(A, rate * u, FastPoisson(), state=state)
            u, state = solution.value, solution.state
        self._set_up[key] = (A, state)
        return u.reshape(x.shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)

    def _operator(self, x: Tensor, rate: float) -> DiffusionOperator:
        """−Δ + 1/(κ Δt)."""
        grid = self._shape[1:]
        conducting = torch.ones(grid, dtype=x.dtype, device=x.device)
        return finite_volume_operator(conducting, [1 / n for n in grid], "neumann", reaction=rate)


def _require_duration(name: str, duration: float) -> None:
    if not 0 < duration < math.inf:
        raise OperatorError(f"{name}: duration {duration}: a positive number κ T is expected, as 1e-3.")
