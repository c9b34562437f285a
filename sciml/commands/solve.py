"""``sciml solve``: solve a sparse linear system from files, and say how well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from sciml.commands.linear_systems import Report
    from solvers import CSROperator

__all__ = ["solve"]


def solve(
    system: Annotated[Path, typer.Argument(help="sparse matrix: .mtx (MatrixMarket), .npz (SciPy) or .h5")],
    rhs: Annotated[Path, typer.Option("--rhs", help="right-hand side: .npy, .npz, .mtx, .h5, .txt or .csv")],
    output: Annotated[Path, typer.Option("--output", "-o", help="solution to write; the endings of --rhs")],
    solver: Annotated[
        str, typer.Option(help="auto, bicgstab, cg, dense-lu, fgmres, gmres, minres, normal-cg or superlu")
    ] = "auto",
    preconditioner: Annotated[
        str,
        typer.Option(help="auto, none, chebyshev, ic, ilu, jacobi, ruge-stuben, smoothed-aggregation or ssor"),
    ] = "auto",
    rtol: Annotated[
        float | None, typer.Option(help="relative residual to reach; 1e-8 unless given, 1e-5 in float32")
    ] = None,
    max_iterations: Annotated[int, typer.Option(help="limit of iterative solvers")] = 1000,
    spd: Annotated[bool, typer.Option("--spd", help="the matrix is known to be positive definite")] = False,
    dtype: Annotated[
        Literal["float32", "float64"] | None, typer.Option(help="precision to solve in; that of the files unless given")
    ] = None,
) -> None:
    """Solve A x = b; print the residual, the iterations and the times, and draw the convergence.

    The solution is written only if every right-hand side was solved. --solver auto chooses by structure and size: a
    factorisation for small systems, conjugate gradients with algebraic multigrid for large symmetric positive definite
    ones, MINRES for other symmetric, BiCGStab and GMRES for unsymmetric matrices, least squares where A is not square.
    The figure OUTPUT.convergence.png is written beside the solution, also of a solve that failed.
    """
    from sciml.commands.console import show
    from sciml.commands.linear_systems import require_solved
    from sciml.commands.output_files import check_output
    from solvers.files import write_vector
    from solvers.files.opening import ending_of
    from solvers.files.vectors import VECTOR_ENDINGS

    ending_of(output, VECTOR_ENDINGS)
    check_output(output, system, rhs)
    A, b = _read(system, rhs, spd, dtype)
    report = _solved(A, b, solver, preconditioner, rtol, max_iterations)
    _show(report, A)
    if bool(report.solution.converged.all()):
        write_vector(output, report.value)  # before the figure, for which the disk may have no room
        show(f"solution in {output}.")
    _draw(output, report)
    require_solved(report.solution)


def _read(system: Path, rhs: Path, spd: bool, dtype: str | None) -> tuple[CSROperator, Tensor]:
    """The matrix with the tags that its entries show or the caller vouches for, and right-hand sides that fit it."""
    import torch

    from sciml.commands.console import show
    from sciml.commands.linear_systems import tagged
    from sciml.errors import ConfigurationError
    from solvers.files import read_system, read_vector

    if not rhs.exists():
        raise ConfigurationError(
            f"--rhs {rhs}: no such file. Ones, for a test: "
            f"python -c \"import numpy as n; n.save('b.npy', n.ones(ROWS))\"."
        )
    A, b = read_system(system), read_vector(rhs)
    if b.ndim > 2 or b.shape[0] != A.shape[0]:
        raise ConfigurationError(
            f"--rhs {rhs}: shape {tuple(b.shape)}, and the matrix {system} is {A.shape[0]} × {A.shape[1]}: expected "
            f"({A.shape[0]},), or ({A.shape[0]}, k) for k right-hand sides."
        )
    precision = torch.promote_types(A.dtype, b.dtype)
    if dtype is not None:
        wanted = getattr(torch, dtype)
        precision = wanted.to_complex() if precision.is_complex else wanted
    A, b = A.replace((A.values.to(precision),)), b.to(precision)
    A = tagged(A, spd)
    claims = ", ".join(sorted(A.tags)) or "no symmetry"
    show(f"matrix {system}: {A.shape[0]} × {A.shape[1]}, {A.values.numel()} entries, {claims}")
    show(f"right-hand side {rhs}: {tuple(b.shape)}; solved in {str(precision).removeprefix('torch.')}")
    return A, b


def _solved(
    A: CSROperator, b: Tensor, solver: str, preconditioner: str, rtol: float | None, max_iterations: int
) -> Report:
    """Solve with a sign of life on a terminal; warnings of the solvers become sentences."""
    import warnings

    from rich.console import Console

    from sciml.commands.console import Terminal
    from sciml.commands.linear_systems import attempts, solved

    with (
        warnings.catch_warnings(record=True) as remarks,
        Console(stderr=True).status(f"solving {A.shape[0]} equations"),
    ):
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        plans = attempts(A, solver, preconditioner, rtol, max_iterations)
        report = solved(b, plans)
    for remark in [*(str(remark.message) for remark in remarks), *report.remarks]:
        Terminal().say(remark)
    return report


def _show(report: Report, A: CSROperator) -> None:
    from sciml.commands.console import Terminal, table

    stats = report.solution.stats
    rows: list[list[str | float | None]] = [
        ["method", report.method],
        ["why", report.why],
        ["status", report.status],
        ["unknowns", A.shape[1]],
        ["iterations", int(stats.iterations.max()) if stats.iterations.numel() else 0],
        ["relative residual ‖b − A x‖ / ‖b‖", report.residual],
        ["set-up, s", stats.setup_seconds],
        ["solve, s", stats.solve_seconds],
    ]
    table("solve", ("quantity", "value"), rows)
    if report.is_rounded:
        Terminal().say(
            f"The residual is above {report.rtol:g}, and as small as rounding allows: the matrix is ill-conditioned."
        )


def _draw(output: Path, report: Report) -> None:
    """Draw the residual against the iterations, if the solver kept a history."""
    from sciml.commands.console import show
    from sciml.figures import solver_convergence
    from sciml.files import write_figure
    from solvers.files.opening import ending_of
    from solvers.files.vectors import VECTOR_ENDINGS

    stats = report.solution.stats
    if stats.history is None or len(stats.history) < 2:
        show(f"{report.method} took no iterations that could be drawn.")
        return
    ending = ending_of(output, VECTOR_ENDINGS)
    path = output.with_name(f"{output.name[: -len(ending)]}.convergence.png")
    history = stats.history.reshape(len(stats.history), -1).numpy()
    write_figure(path, solver_convergence(history, report.method, report.rtol, report.measure))
    show(f"convergence in {path}.")
