"""Ways to solve the pressure equation, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from solvers import (
    CG,
    HAND_TUNED,
    AggregationMultigrid,
    GeometricMultigrid,
    IncompleteCholesky,
    Jacobi,
    ModifiedIncompleteCholesky,
    Preconditioner,
    SmoothedAggregation,
    Solver,
    SuperLU,
)

__all__ = ["PRESSURE_METHODS", "PressureMethod"]


class PressureMethod(NamedTuple):
    """What `Projection` takes first."""

    solver: Solver
    preconditioner: Preconditioner | None = None


#: For methods whose number of steps grows with the grid.
_STEPS = 10_000

#: Name to a function of the relative tolerance and the dimension.
PRESSURE_METHODS: dict[str, Callable[[float, int], PressureMethod]] = {
    "cg": lambda rtol, _: PressureMethod(CG(rtol, _STEPS)),
    "jacobi-cg": lambda rtol, _: PressureMethod(CG(rtol, _STEPS), Jacobi()),
    "ic-cg": lambda rtol, _: PressureMethod(CG(rtol, _STEPS), IncompleteCholesky()),
    "mic-cg": lambda rtol, _: PressureMethod(CG(rtol, _STEPS), ModifiedIncompleteCholesky()),
    "mgcg": lambda rtol, _: PressureMethod(CG(rtol), AggregationMultigrid()),
    "mgcg-tuned": lambda rtol, _: PressureMethod(CG(rtol), AggregationMultigrid(HAND_TUNED)),
    "mgcg-weighted": lambda rtol, _: PressureMethod(CG(rtol), GeometricMultigrid()),
    "amg-cg": lambda rtol, _: PressureMethod(CG(rtol), SmoothedAggregation()),
    "direct": lambda rtol, _: PressureMethod(SuperLU(rtol)),
}
