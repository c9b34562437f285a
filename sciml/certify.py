"""How far a prediction can be trusted: its residual, its estimated error, and the answer polished to a tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.linear import LinearProblem
from pde_benchmarks.problem import Batch, Problem, RecordedProblem
from sciml.errors import ConfigurationError, LearnerError
from solvers import FlexibleCG, Preconditioner, linear_solve

__all__ = ["Certificate", "certify", "estimated_error", "require_certifiable"]

TIGHTEST = 50 * torch.finfo(torch.float64).eps  # relative residual that double precision reaches


@dataclass(frozen=True)
class Certificate:
    """What the problem's own discretisation says about predictions; one entry a sample.

    Attributes
    ----------
    residual
        ‖f − A u‖₂ / ‖f‖₂ of the prediction, float64; infinite where f = 0 and the residual is not.
    estimated_error
        ‖`Problem.correction`‖₂ / ‖u‖₂: an estimate of the relative L2 error, good to a factor of about two.
    polished
        The solution with relative residual at most ``rtol``, in the prediction's dtype.
    polished_residual
        Its relative residual as computed in float64 (before rounding to the prediction's dtype).
    iterations, iterations_from_zero
        Preconditioned Krylov steps (conjugate gradients, or GMRES for waves) from the prediction, and from zero, to the
        same tolerance.
    """

    residual: Tensor
    estimated_error: Tensor
    polished: Batch
    polished_residual: Tensor
    iterations: Tensor
    iterations_from_zero: Tensor


def certify(
    problem: Problem,
    inputs: Batch,
    prediction: Batch,
    rtol: float = 1e-8,
    batch_size: int = 32,
    preconditioner: Callable[[Batch], Preconditioner] | None = None,
) -> Certificate:
    """Measure predictions by the discrete equation, and polish them to a relative residual of ``rtol``.

    Parameters
    ----------
    inputs, prediction
        Fields of the same samples on the same grid, any resolution.
    preconditioner
        What to polish with, made for the inputs of every batch, e.g. ``partial(learned_preconditioner, learner)``; it
        need not be linear, and the iterations are then those of flexible conjugate gradients. None: the problem's
        own. The certificate's meaning does not depend on it.

    Raises
    ------
    LearnerError
        If the problem's operator is not known.
    ConfigurationError
        If `rtol` is not between what double precision reaches and 1.
    ProblemError
        If the equation has no meaning for the inputs.
    SolveError
        If the polishing does not converge.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> guess = problem.first_guess(a, "fmg")
    >>> bool((certify(problem, a, guess).polished_residual <= 1e-8).all())
    True
    """
    known = require_certifiable(problem, rtol)
    known.check(inputs)
    parts = []
    for start in range(0, max(inputs.count, 1), batch_size):
        rows = slice(start, start + batch_size)
        parts.append(_certify_batch(known, inputs.rows(rows), prediction.rows(rows), rtol, preconditioner))
    name = known.output.name
    return Certificate(
        residual=torch.cat([part.residual for part in parts]),
        estimated_error=torch.cat([part.estimated_error for part in parts]),
        polished=Batch({name: torch.cat([part.polished[name] for part in parts])}),
        polished_residual=torch.cat([part.polished_residual for part in parts]),
        iterations=torch.cat([part.iterations for part in parts]),
        iterations_from_zero=torch.cat([part.iterations_from_zero for part in parts]),
    )


def estimated_error(problem: Problem, inputs: Batch, prediction: Batch) -> Tensor:
    """‖correction‖₂ / ‖prediction‖₂ per sample: an estimate of the relative L2 error."""
    known = _known(problem)
    seen = prediction.to(dtype=torch.float64)
    correction = known.correction(inputs.to(dtype=torch.float64), seen)[known.output.name]
    return _ratio(correction.flatten(1).norm(dim=1), seen[known.output.name].flatten(1).norm(dim=1))


def require_certifiable(problem: Problem, rtol: float) -> LinearProblem:
    """The problem, whose equation is known and can be solved to ``rtol``; raises as `certify` does."""
    if not TIGHTEST <= rtol < 1:
        raise ConfigurationError(
            f"certify={rtol:g}: a relative residual between {TIGHTEST:.1e} and 1 is expected, e.g. 1e-8."
        )
    return _known(problem)


@torch.no_grad()
def _certify_batch(
    problem: LinearProblem,
    inputs: Batch,
    prediction: Batch,
    rtol: float,
    preconditioner: Callable[[Batch], Preconditioner] | None,
) -> Certificate:
    rows = inputs.to(dtype=torch.float64)
    guess = problem.unknowns(prediction.to(dtype=torch.float64))
    A, b = problem.operator(rows), problem.load(rows)
    recipe = problem.preconditioner(rows) if preconditioner is None else preconditioner(rows)
    solver = problem.krylov(rtol) if preconditioner is None else FlexibleCG(rtol=rtol)
    zero = linear_solve(A, b, solver, recipe)
    polished = linear_solve(A, b, solver, recipe, x0=guess, state=zero.state)
    return Certificate(
        residual=_ratio((b - A.mv(guess)).norm(dim=1), b.norm(dim=1)),
        estimated_error=estimated_error(problem, inputs, prediction),
        polished=problem.fields(polished.value, rows).to(dtype=prediction[problem.output.name].dtype),
        polished_residual=polished.stats.relative_residual,
        iterations=polished.stats.iterations,
        iterations_from_zero=zero.stats.iterations,
    )


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both vanish."""
    return torch.where(part == 0, 0.0, part / whole)


def _known(problem: Problem) -> LinearProblem:
    if not isinstance(problem, LinearProblem):
        raise LearnerError(
            f"{problem.name}: {_reason(problem)}; train on such a problem, e.g. with `sciml run darcy`, to get answers "
            "that can be certified."
        )
    return problem


def _reason(problem: Problem) -> str:
    if isinstance(problem, RecordedProblem):
        return "a certificate needs the equation, and this data came without one"
    return "a certificate needs a linear equation for the output that is known at the output's own resolution"
