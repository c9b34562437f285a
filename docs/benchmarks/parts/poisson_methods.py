"""The solvers that are compared on the pressure equation: classical ones, and the learned cycle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from parts.kept_memory import kept_bytes
from solvers import (
    CG,
    GALERKIN,
    AggregationMultigrid,
    BlockDeflation,
    DiffusionOperator,
    GeometricMultigrid,
    IncompleteCholesky,
    ModifiedIncompleteCholesky,
    Preconditioner,
    linear_solve,
)
from solvers.multigrid.aggregation_coefficients import CycleCoefficients

__all__ = [
    "HAND",
    "MULTILEVEL",
    "ONE_LEVEL",
    "RTOL",
    "TEXTBOOK_ROW",
    "TOLERANCES",
    "AlgebraicRow",
    "Prepared",
    "hand_tuned",
    "prepared",
    "reached",
]

RTOL = 1e-4
TOLERANCES = (1e-4, 1e-6, 1e-10)
SINGLE = torch.float32
TEXTBOOK_ROW, HAND = "multigrid-CG, textbook", "multigrid-CG, tuned by hand"
#: Their steps grow with the grid.
ONE_LEVEL: dict[str, Preconditioner | None] = {
    "CG": None,
    "incomplete Cholesky, CG": IncompleteCholesky(),
    "modified incomplete Cholesky, CG": ModifiedIncompleteCholesky(),
    "incomplete Cholesky, CG, deflated by 8³ blocks": BlockDeflation(8, IncompleteCholesky()),
}
MULTILEVEL: dict[str, Preconditioner | None] = {
    "multigrid-CG, Galerkin": AggregationMultigrid(GALERKIN, dtype=SINGLE),
    TEXTBOOK_ROW: AggregationMultigrid(dtype=SINGLE),
    "multigrid-CG, weighted interpolation": GeometricMultigrid(dtype=SINGLE),
}


def hand_tuned(coefficients: CycleCoefficients) -> dict[str, Preconditioner | None]:
    """The row of the cycle that a search over masks of its own has tuned."""
    return {HAND: AggregationMultigrid(coefficients, dtype=SINGLE)}


@dataclass(frozen=True)
class Prepared:
    """A solver set up for one matrix.

    Attributes
    ----------
    setup_seconds, setup_bytes
        What the set-up took, and what it keeps.
    state
        Of `linear_solve`.
    """

    matrix: DiffusionOperator
    setup_seconds: float
    setup_bytes: int
    state: Any

    def solve(self, b: Tensor, rtol: float = RTOL, record: bool = False) -> Any:
        """The solution of one system, from zero."""
        solver = CG(rtol=rtol, max_iterations=5000, record_history=record)
        return linear_solve(self.matrix, b, solver, state=self.state)

    def iterations(self, b: Tensor) -> int:
        """Steps to the first tolerance."""
        return int(self.solve(b).stats.iterations)

    def residuals(self, b: Tensor) -> list[float]:
        """Relative residuals of every step to the tightest tolerance, the start's first."""
        history: list[float] = self.solve(b, min(TOLERANCES), record=True).stats.history.tolist()
        return history


def prepared(A: DiffusionOperator, recipe: Preconditioner | None, weighed: bool = False) -> Prepared:
    """Conjugate gradients with this preconditioner, which is set up once; cycles in single precision."""
    zero = torch.zeros(A.shape[0], dtype=A.dtype)

    def set_up() -> Any:
        return linear_solve(A, zero, CG(), recipe).state

    began = time.perf_counter()
    state = set_up()
    seconds = time.perf_counter() - began
    return Prepared(A, seconds, kept_bytes(set_up) if weighed else 0, state)


def reached(residuals: list[float], tolerance: float) -> int:
    """The first step after which the residual is below the tolerance."""
    return next(step for step, value in enumerate(residuals) if value <= tolerance)


@dataclass(frozen=True)
class AlgebraicRow:
    """Smoothed aggregation by PyAMG with CG on the rows of the fluid, in float64."""

    hierarchy: Any
    rows: Any
    setup_seconds: float
    setup_bytes: int

    @classmethod
    def prepared(cls, A: DiffusionOperator) -> AlgebraicRow:
        """Set up for one matrix."""
        import numpy as np
        import pyamg

        rows = (A.diagonal() > 0).nonzero().flatten().numpy()
        matrix = A.to_csr().to_scipy().tocsr()[rows][:, rows].astype(np.float64)
        began = time.perf_counter()
        hierarchy = pyamg.smoothed_aggregation_solver(matrix)
        seconds = time.perf_counter() - began
        stored = [m for level in hierarchy.levels for m in (level.A, getattr(level, "P", None)) if m is not None]
        return cls(hierarchy, rows, seconds, sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in stored))

    def solve(self, b: Tensor, rtol: float = RTOL) -> list[float]:
        """Its residuals relative to ‖b‖."""
        import numpy as np

        side = b.numpy().astype(np.float64)[self.rows]
        residuals: list[float] = []
        self.hierarchy.solve(side, tol=rtol, accel="cg", residuals=residuals, maxiter=500)
        return [r / float(np.linalg.norm(side)) for r in residuals]
