"""The pressure solve of a foreign flow solver: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.pressure import Sides, compatible, pressure_operator
from pde_benchmarks.pressure.cells import sides_of
from sciml.errors import LearnerError
from sciml.learner import load
from sciml.learners.conjugate_directions import default_scalars
from sciml.learners.conjugate_directions.pressure_learner import PressureLearner
from solvers import (
    CG,
    AggregationMultigrid,
    DiffusionOperator,
    Preconditioner,
    Solution,
    Status,
    linear_solve,
    preconditioned_spectrum,
)

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["PressureInfo", "as_linear_operator", "condition_number", "solve_pressure"]

PATIENCE = 60  # steps; a mask on which the cycle needs more is handed to algebraic multigrid

Array = TypeVar("Array", np.ndarray[Any, Any], Tensor)


@dataclass(frozen=True)
class PressureInfo:
    """How a pressure solve went; arrays of the kind of the right-hand side, one number a system ``(*batch)``.

    Attributes
    ----------
    iterations
        Steps of conjugate gradients.
    relative_residual
        True residual, ‖b − A p‖₂ / ‖b‖₂.
    removed
        Mean taken out of the right-hand side in every cell ``(*batch, *grid)``; zero but in fluid that floats.
    method
        What solved it; it ends in SmoothedAggregation where algebraic multigrid took over.
    """

    iterations: Any
    relative_residual: Any
    removed: Any
    method: str


def solve_pressure(
    rhs: Array,
    mask: Any,
    sides: Sides | None = None,
    tol: float = 1e-4,
    model: str | Path | Preconditioner = "default",
    *,
    start: Array | None = None,
    project: bool = False,
) -> tuple[Array, PressureInfo]:
    """The pressure p with A p = rhs: −h² Δp in the fluid, no flux through solids, p = 0 in open cells.

    By conjugate gradients with a multigrid cycle. Where the cycle is slow (thin walls that its coarse cells merge),
    algebraic multigrid takes over after 60 steps.

    Parameters
    ----------
    rhs
        NumPy array or tensor ``(*batch, *grid)``, float32 or float64, zero outside the fluid. With minus the sum of the
        velocities that leave a cell through its faces, a face's velocity is to lose the difference p_right − p_left.
    mask
        Integers 0 (solid), 1 (fluid), 2 (open), ``(*grid)``: two or three axes.
    sides
        What lies beyond the box, "solid" (None) or "open": one for all, or for every axis one or a (low, high) pair.
    tol
        Largest ‖b − A p‖₂ / ‖b‖₂, at least 50 times the rounding unit of rhs.
    model
        "default": the learned coefficients of this package. "textbook": the classical cycle. Else a learner ``dcdm``
        (or the directory that it was saved in), or any preconditioner that conjugate gradients take.
    start
        First guess, such as the last time step's pressure.
    project
        Take the mean out of a right-hand side that does not sum to zero in fluid that nothing open touches.

    Returns
    -------
    tuple
        p of the kind, dtype and device of rhs, zero outside the fluid, of mean zero where nothing open touches it;
        and `PressureInfo`.

    Raises
    ------
    ProblemError
        No fluid; shapes that do not fit; NaN; a right-hand side outside the fluid, or one without a solution.
    LearnerError
        The model is unknown, or made for another dimension.
    ToleranceError
        `tol` is out of reach.
    SolveError
        Not solved within 1000 steps.

    Examples
    --------
    >>> rhs, mask = np.zeros((16, 16)), np.ones((16, 16), dtype=int)
    >>> mask[6:9, 6:9], rhs[3, 3], rhs[12, 12] = 0, 1.0, -1.0
    >>> p, info = solve_pressure(rhs, mask, tol=1e-8)
    >>> p.shape, bool(info.relative_residual <= 1e-8)
    ((16, 16), True)
    """
    b, cells = _tensor(rhs, "rhs"), _cells(mask).to(_device(rhs))
    if b.dtype in (torch.float16, torch.bfloat16):
        raise LearnerError(f"rhs of {b.dtype}: float32 or float64 is expected; convert it.")
    A = _operator(cells, sides, b.dtype)
    batch = b.shape[: max(b.ndim - cells.ndim, 0)]
    parts = compatible(cells.expand(*batch, *cells.shape), _given(sides), b, project)
    guess = None if start is None else _guess(start, b, cells.ndim)
    solution = _solved(A, parts.rhs.flatten(-cells.ndim), tol, _recipe(model, cells.ndim), guess)
    p = solution.value.reshape(b.shape)
    stats = solution.stats
    return _like(rhs, p), PressureInfo(
        _like(rhs, stats.iterations), _like(rhs, stats.relative_residual), _like(rhs, parts.mean), stats.method
    )


def as_linear_operator(
    mask: Any,
    sides: Sides | None = None,
    model: str | Path | Preconditioner = "default",
    dtype: Any = np.float64,
) -> LinearOperator:
    """The preconditioner M ≈ A⁻¹ of `solve_pressure` for ``scipy.sparse.linalg.cg(A, b, M=…)``, set up once.

    Parameters
    ----------
    mask, sides, model
        As in `solve_pressure`.
    dtype
        float64, or float32.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Symmetric positive definite on the fluid, zero outside; vectors in the order of ``mask.ravel()``.

    Raises
    ------
    ProblemError, LearnerError
        As `solve_pressure`.

    Examples
    --------
    >>> M = as_linear_operator(np.ones((16, 16), dtype=int), "open")
    >>> M.shape, M.matvec(np.ones(256)).shape
    ((256, 256), (256,))
    """
    from scipy.sparse.linalg import LinearOperator

    cells = _cells(mask).cpu()
    real = {np.dtype("f4"): torch.float32, np.dtype("f8"): torch.float64}.get(np.dtype(dtype))
    if real is None:
        raise LearnerError(f"dtype {np.dtype(dtype)}: float64 or float32 is expected.")
    A = _operator(cells, sides, real)
    inverse = _recipe(model, cells.ndim).setup(A)

    def apply(r: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return inverse(torch.from_numpy(np.ascontiguousarray(r.reshape(-1), dtype))).numpy()

    return LinearOperator(A.shape, matvec=apply, rmatvec=apply, dtype=dtype)


def condition_number(
    mask: Any, sides: Sides | None = None, model: str | Path | Preconditioner = "default", seed: int = 0
) -> float:
    """κ(M A) for one mask: what the preconditioner promises, whatever the right-hand side.

    After k steps the A-norm of the error has fallen by 2 ((√κ − 1)/(√κ + 1))ᵏ or more. By sixty Lanczos steps in
    float64, from a start that the seed draws; the estimate is from below, and good to three digits for κ < 100.

    Parameters
    ----------
    mask, sides, model
        As in `solve_pressure`; a mask without batch.

    Raises
    ------
    ProblemError, LearnerError
        As `solve_pressure`.

    Examples
    --------
    >>> condition_number(np.ones((16, 16), dtype=int), "open") < 5
    True
    """
    cells = _cells(mask).cpu()
    A = _operator(cells, sides, torch.float64)
    generator = torch.Generator().manual_seed(seed)
    low, high = preconditioned_spectrum(A, _recipe(model, cells.ndim).setup(A), generator)
    return float(high / low)


def _solved(A: DiffusionOperator, b: Tensor, tol: float, recipe: Preconditioner, guess: Tensor | None) -> Solution:
    """Conjugate gradients with the recipe; where it is slow, with algebraic multigrid from there."""
    solution = linear_solve(A, b, CG(rtol=tol, max_iterations=PATIENCE), recipe, guess, throw=False)
    if not bool((solution.status == Status.MAX_ITERATIONS).any()):
        return solution.raise_if_failed()
    from solvers import SmoothedAggregation

    return linear_solve(A, b, CG(rtol=tol), SmoothedAggregation(), solution.value)


def _operator(cells: Tensor, sides: Sides | None, dtype: torch.dtype) -> DiffusionOperator:
    if cells.ndim not in (2, 3):
        raise LearnerError(f"mask {tuple(cells.shape)}: two or three axes are expected, one mask for all of rhs.")
    sides_of(_given(sides), cells.ndim)  # a shorter list would make grid axes a batch
    return pressure_operator(cells, _given(sides), dtype if dtype.is_floating_point else torch.float64)


def _recipe(model: str | Path | Preconditioner, dimension: int) -> Preconditioner:
    """What sets the preconditioner up."""
    match model:
        case "default":
            return AggregationMultigrid(coefficients=default_scalars(3 if dimension == 3 else 2).cycle())
        case "textbook":
            return AggregationMultigrid()
        case str() | Path():
            if not Path(model).is_dir():
                raise LearnerError(f"model {str(model)!r}: default, textbook or the directory of a run is expected.")
            learner = load(model)
            if not isinstance(learner, PressureLearner):
                raise LearnerError(f"model {str(model)!r} is a {learner.name}: one of dcdm, dcdm-fields is expected.")
            return learner
    return model


def _given(sides: Sides | None) -> Sides:
    return "solid" if sides is None else sides


def _guess(start: Any, b: Tensor, dimension: int) -> Tensor:
    guess = _tensor(start, "start").to(b)
    if guess.shape != b.shape:
        raise LearnerError(f"start {tuple(guess.shape)}: the shape of rhs, {tuple(b.shape)}, is expected.")
    if not bool(guess.isfinite().all()):
        raise LearnerError("start holds NaN or infinity: finite numbers are expected; leave it out to start from zero.")
    return guess.flatten(-dimension)


def _cells(mask: Any) -> Tensor:
    cells = _tensor(mask, "mask")
    if cells.dtype == torch.bool:
        raise LearnerError(
            "mask of bool: integers 0 (solid), 1 (fluid), 2 (open) are expected; mask.astype(int) if True means fluid."
        )
    return cells


def _tensor(array: Any, name: str) -> Tensor:
    """A tensor that shares the array's memory where it can."""
    if isinstance(array, Tensor):
        return array.detach()
    values = np.ascontiguousarray(array)
    try:
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))
    except TypeError:
        raise LearnerError(f"{name} of {values.dtype}: an array of plain numbers is expected.") from None


def _device(array: Any) -> torch.device:
    return array.device if isinstance(array, Tensor) else torch.device("cpu")


def _like(array: Array, values: Tensor) -> Array:
    return values if isinstance(array, Tensor) else values.numpy()
