"""What ``sciml solve`` tries on a matrix, and what came out of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import solvers
from sciml.errors import ConfigurationError
from solvers import (
    CG,
    GMRES,
    MINRES,
    Auto,
    CSROperator,
    Fallback,
    NormalCG,
    Preconditioner,
    Solution,
    Solver,
    Status,
    linear_solve,
)
from solvers.direct.direct_solver import DirectSolver
from solvers.errors import ScimlError, SolveError

__all__ = ["PRECONDITIONERS", "SOLVERS", "Attempt", "Report", "attempts", "require_solved", "solved", "tagged"]

# Names on the command line, and the classes of `solvers` behind them.
SOLVERS = {
    "bicgstab": "BiCGStab",
    "cg": "CG",
    "dense-lu": "DenseLU",
    "fgmres": "FGMRES",
    "gmres": "GMRES",
    "minres": "MINRES",
    "normal-cg": "NormalCG",
    "superlu": "SuperLU",
}
PRECONDITIONERS = {
    "chebyshev": "Chebyshev",
    "ic": "IncompleteCholesky",
    "ilu": "IncompleteLU",
    "jacobi": "Jacobi",
    "ruge-stuben": "RugeStuben",
    "smoothed-aggregation": "SmoothedAggregation",
    "ssor": "SSOR",
}
# What remedies written for Python are called here.
_WORDS = {
    "GeometricMultigrid": "--preconditioner smoothed-aggregation",
    "max_iterations": "--max-iterations",
    "rtol": "--rtol",
    **{word: f"--solver {name}" for name, word in SOLVERS.items()},
    **{word: f"--preconditioner {name}" for name, word in PRECONDITIONERS.items()},
}
_DIRECT, _SYMMETRIC = ("dense-lu", "superlu"), ("cg", "minres")
_REASONS = {
    "DenseCholesky": "positive definite, and small enough for a dense factor",
    "DenseLU": "small enough for a dense factor",
    "SuperLU": "small enough for a sparse factor",
    "MINRES": "symmetric",
    "Fallback": "not symmetric",
    "NormalCG": "not square: least squares",
}


@dataclass(frozen=True)
class Attempt:
    """The matrix with the tags that it is solved under, a solver, its preconditioner, and why they were chosen."""

    matrix: CSROperator
    solver: Solver
    preconditioner: Preconditioner | None
    why: str

    @property
    def method(self) -> str:
        """Names for people."""
        name = type(self.solver).__name__
        if isinstance(self.solver, Fallback):
            name = f"{type(self.solver.first).__name__} (else {type(self.solver.second).__name__})"
        return name + ("" if self.preconditioner is None else f" + {type(self.preconditioner).__name__}")


@dataclass(frozen=True)
class Report:
    """What `solved` returns.

    Attributes
    ----------
    value
        ``(n)`` or columns ``(n, k)``.
    residual
        The largest true ‖b − A x‖ / ‖b‖ of the columns; absolute where b = 0.
    rtol
        What was asked for.
    method, why
        The solver, and why it was chosen.
    measure
        What the solver's own tolerance and history are about.
    is_rounded
        Solved to rounding errors, which leave a larger residual than was asked for.
    remarks
        What became of the attempts before.
    """

    solution: Solution
    value: Tensor
    residual: float
    rtol: float
    measure: str
    is_rounded: bool
    method: str
    why: str
    remarks: tuple[str, ...]

    @property
    def status(self) -> str:
        """The statuses that occur, and how often."""
        codes, counts = self.solution.status.reshape(-1).unique(return_counts=True)
        names = [Status(code).name.lower().replace("_", " ") for code in codes.tolist()]
        if len(names) == 1:
            return names[0]
        return ", ".join(f"{count} {name}" for name, count in zip(names, counts.tolist(), strict=True))


def tagged(A: CSROperator, spd: bool) -> CSROperator:
    """The operator with what is seen of its entries, symmetry up to rounding, and what the caller vouches for."""
    if not A.is_hermitian():
        if spd:
            raise ConfigurationError("--spd: the matrix is not symmetric (A ≠ Aᴴ): leave the option out.")
        return A
    return CSROperator.from_pattern(A.pattern, A.values, A.tags | {"spd" if spd else "symmetric"})


def attempts(
    A: CSROperator, solver: str, preconditioner: str, rtol: float | None, max_iterations: int
) -> list[Attempt]:
    """What to try on this matrix, in this order, until every system is solved.

    Hardly a file says that its matrix is positive definite, and no cheap test proves it. With ``auto``, a large
    symmetric matrix with a positive diagonal is therefore tried as if it were: the residual tells if that was right.

    Raises
    ------
    ConfigurationError
        Unknown names, a tolerance out of reach, or a preconditioner for a direct solver.
    """
    _check(A, rtol, max_iterations)
    wanted = {"rtol": rtol, "max_iterations": max_iterations, "record_history": True}
    recipe = _preconditioner(A, preconditioner, solver)
    if solver != "auto":
        return [_asked_for(A, solver, recipe, wanted)]
    hopes = [(A, "symmetric positive definite")]
    if "symmetric" in A.tags and "spd" not in A.tags and bool((A.diagonal().real > 0).all()):
        hopes.insert(0, (_assumed_spd(A), "symmetric, positive diagonal: tried as positive definite"))
    tried = []
    for matrix, words in hopes:
        chosen, choice = Auto(rtol).choose(matrix, recipe)
        why = words if isinstance(chosen, CG) else _REASONS[type(chosen).__name__]
        if isinstance(chosen, CG) or matrix is A:
            tried.append(Attempt(matrix, _with(chosen, wanted), choice, why))
    if isinstance(tried[-1].solver, DirectSolver) and "spd" not in A.tags:
        # A singular matrix has no factor; if b is in its range, these find a solution.
        rest = MINRES() if "symmetric" in A.tags else GMRES()
        tried.append(Attempt(A, _with(rest, wanted), None, "no factor: the matrix is singular"))
    return tried


def solved(b: Tensor, plans: Sequence[Attempt]) -> Report:
    """The first attempt that solves every column of b ``(m)`` or ``(m, k)``, or else a direct one, or the last one.

    Raises
    ------
    SolveError
        A factor or a hierarchy does not fit into memory.
    """
    rows = b if b.ndim == 1 else b.mT.contiguous()
    remarks: list[str] = []
    factored: Report | None = None
    for plan in plans:
        last = plan is plans[-1]
        try:
            solution = linear_solve(plan.matrix, rows, plan.solver, plan.preconditioner, throw=False)
        except MemoryError as error:
            raise SolveError(
                f"{plan.method} needs more memory than there is for {plan.matrix!r}: use an iterative solver, such as "
                "--solver gmres --preconditioner ilu."
            ) from error
        except ScimlError as error:
            if last:
                raise
            remarks.append(f"{plan.method}: {error} Another solver is tried.")
            continue
        report = _report(rows, solution, plan, remarks)
        if bool(solution.converged.all()):
            return report
        if last:  # a factorisation knows better than an iteration what is wrong with the matrix
            return factored or report
        if isinstance(plan.solver, DirectSolver):
            factored = report
        remarks.append(f"{plan.method} ended with the status {report.status}: another solver is tried.")
    raise AssertionError("attempts() gives at least one plan")


def require_solved(solution: Solution) -> None:
    """Raise `SolveError` if a system failed; the remedy is in the words of the command line."""
    try:
        solution.raise_if_failed()
    except SolveError as error:
        spoken = re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), str(error))
        raise type(error)(spoken, error.status, error.batch_indices, error.residuals) from None


def _report(rows: Tensor, solution: Solution, plan: Attempt, remarks: Sequence[str]) -> Report:
    A, value = plan.matrix, solution.value
    # Not what the solver says: least squares measure another residual, and an independent witness costs one product.
    size = torch.linalg.vector_norm(rows, dim=-1)
    ratio = torch.linalg.vector_norm(rows - A.mv(value), dim=-1) / torch.where(size > 0, size, 1)
    largest = float(ratio.max()) if ratio.numel() else 0.0
    rtol: float = getattr(plan.solver, "first", plan.solver).tolerance(A.dtype)  # type: ignore[union-attr]
    normal = isinstance(plan.solver, NormalCG)
    return Report(
        solution,
        value if value.ndim == 1 else value.mT.contiguous(),
        largest,
        rtol,
        "‖Aᴴ (b − A x)‖₂ / ‖Aᴴ b‖₂" if normal else "‖b − A x‖₂ / ‖b‖₂",
        bool(solution.converged.all()) and largest > 1.01 * rtol and not normal,
        plan.method,
        plan.why,
        tuple(remarks),
    )


def _asked_for(A: CSROperator, name: str, recipe: Preconditioner | None, wanted: Mapping[str, Any]) -> Attempt:
    """The solver of that name; it takes the caller's word for the matrix, and its statuses tell if that was wrong."""
    if name not in SOLVERS:
        raise ConfigurationError(f"--solver {name}: unknown; known are auto, {', '.join(SOLVERS)}.")
    if name in _DIRECT and recipe is not None:
        raise ConfigurationError(f"--solver {name}: takes no --preconditioner, because it is direct; leave that out.")
    if name in _SYMMETRIC and "symmetric" not in A.tags:
        raise ConfigurationError(f"--solver {name}: the matrix is not symmetric (A ≠ Aᴴ): use gmres or bicgstab.")
    # MINRES asks of a preconditioner what most of them only are for a definite matrix.
    matrix = _assumed_spd(A) if name == "cg" or (name == "minres" and recipe is not None) else A
    return Attempt(matrix, _with(getattr(solvers, SOLVERS[name])(), wanted), recipe, "asked for")


def _assumed_spd(A: CSROperator) -> CSROperator:
    return CSROperator.from_pattern(A.pattern, A.values, {"spd"})


def _check(A: CSROperator, rtol: float | None, max_iterations: int) -> None:
    low = 50 * torch.finfo(A.dtype).eps
    if rtol is not None and not low <= rtol < 1:
        mend = "" if torch.finfo(A.dtype).bits == 64 else ", or --dtype float64"
        raise ConfigurationError(
            f"--rtol {rtol:g}: {str(A.dtype).removeprefix('torch.')} reaches relative residuals from {low:.1e} to 1: "
            f"choose one of these{mend}."
        )
    if max_iterations < 1:
        raise ConfigurationError(f"--max-iterations {max_iterations}: at least 1 is expected.")


def _preconditioner(A: CSROperator, name: str, solver: str) -> Preconditioner | None:
    """The recipe of that name; what ``auto`` means depends on the solver."""
    if name == "auto":
        square = A.shape[0] == A.shape[1]
        if solver == "cg":
            name = "smoothed-aggregation"
        elif solver in ("bicgstab", "fgmres", "gmres") and square and bool((A.diagonal() != 0).all()):
            name = "ilu"
        else:
            return None
    if name == "none":
        return None
    if name not in PRECONDITIONERS:
        raise ConfigurationError(
            f"--preconditioner {name}: unknown; known are auto, none, {', '.join(PRECONDITIONERS)}."
        )
    recipe: Preconditioner = getattr(solvers, PRECONDITIONERS[name])()
    return recipe


def _with(solver: Solver, wanted: Mapping[str, Any]) -> Solver:
    """The solver with those settings that it knows."""
    if isinstance(solver, Fallback):
        return Fallback(_with(solver.first, wanted), _with(solver.second, wanted))
    if not dataclasses.is_dataclass(solver):
        return solver
    known = {field.name for field in dataclasses.fields(solver)}
    return dataclasses.replace(solver, **{key: value for key, value in wanted.items() if key in known})
