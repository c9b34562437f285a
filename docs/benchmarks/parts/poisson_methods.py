"""The solvers that are compared on the pressure equation: classical ones, and the learned cycle."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers import (
    CG,
    GALERKIN,
    HAND_TUNED,
    AggregationMultigrid,
    BlockDeflation,
    DiffusionOperator,
    GeometricMultigrid,
    IncompleteCholesky,
    ModifiedIncompleteCholesky,
    Preconditioner,
    linear_solve,
)

__all__ = ["CLASSICAL", "HAND", "RTOL", "TEXTBOOK_ROW", "Prepared", "prepared", "pyamg_solver"]

RTOL = 1e-4
SINGLE = torch.float32
TEXTBOOK_ROW, HAND = "multigrid-CG, textbook", "multigrid-CG, tuned by hand"
CLASSICAL: dict[str, Preconditioner | None] = {
    "CG": None,
    "incomplete Cholesky, CG": IncompleteCholesky(),
    "modified incomplete Cholesky, CG": ModifiedIncompleteCholesky(),
    "incomplete Cholesky, CG, deflated by 8³ blocks": BlockDeflation(8, IncompleteCholesky()),
    "multigrid-CG, Galerkin": AggregationMultigrid(GALERKIN, dtype=SINGLE),
    TEXTBOOK_ROW: AggregationMultigrid(dtype=SINGLE),
    HAND: AggregationMultigrid(HAND_TUNED, dtype=SINGLE),
    "multigrid-CG, weighted interpolation": GeometricMultigrid(dtype=SINGLE),
}


@dataclass(frozen=True)
class Prepared:
    """A solver set up for one matrix."""

    setup_seconds: float
    solve: Callable[[Tensor], Any]

    def iterations(self, b: Tensor) -> int:
        """Steps to the tolerance."""
        return int(self.solve(b).stats.iterations)


def prepared(A: DiffusionOperator, recipe: Preconditioner | None) -> Prepared:
    """Conjugate gradients with this preconditioner, which is set up once; cycles in single precision."""
    solver = CG(rtol=RTOL, max_iterations=5000)
    first = torch.zeros(A.shape[0], dtype=A.dtype)
    began = time.perf_counter()
    state = linear_solve(A, first, solver, recipe).state
    return Prepared(time.perf_counter() - began, lambda b: linear_solve(A, b, state=state))


def pyamg_solver(A: DiffusionOperator) -> tuple[float, Callable[[Tensor], list[float]]]:
    """Smoothed aggregation by PyAMG with CG on the rows of the fluid: set-up seconds, and b ↦ its residuals."""
    import numpy as np
    import pyamg

    rows = (A.diagonal() > 0).nonzero().flatten().numpy()
    matrix = A.to_csr().to_scipy().tocsr()[rows][:, rows]
    began = time.perf_counter()
    hierarchy = pyamg.smoothed_aggregation_solver(matrix.astype(np.float64))
    seconds = time.perf_counter() - began

    def solve(b: Tensor) -> list[float]:
        residuals: list[float] = []
        hierarchy.solve(b.numpy().astype(np.float64)[rows], tol=RTOL, accel="cg", residuals=residuals, maxiter=500)
        return residuals

    return seconds, solve
