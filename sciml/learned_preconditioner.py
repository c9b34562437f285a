"""A trained learner as the preconditioner of a solve that is certified whatever the learner answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pde_benchmarks.corrections import Corrections
from pde_benchmarks.problem import Batch, Grid
from sciml.errors import LearnerError
from sciml.learner import Learner
from solvers import DiffusionOperator, LearnedPreconditioner

__all__ = ["learned_preconditioner"]

DAMPING = 0.8  # of Jacobi's steps; any value below 1 contracts for the operators of elliptic problems


def learned_preconditioner(
    learner: Learner, inputs: Batch, smoothing: int = 4, batch_size: int = 32
) -> LearnedPreconditioner:
    """M r ≈ A⁻¹ r by a learner that was trained on `Corrections`, for solves with `FlexibleCG` or `FGMRES`.

    M is `smoothing` damped Jacobi steps, the learner's correction of what they leave, and as many steps again. The
    correction takes the step length at which it is best in the energy norm, so that no part of M increases the error:
    with at least one Jacobi step, ‖e − M A e‖_A ≤ ρ ‖e‖_A with a ρ < 1 that does not depend on the learner, and
    FlexibleCG, whose steps are at least as good, converges with any learner. Without, M is the learner alone.

    Parameters
    ----------
    learner
        What maps inputs and residuals to corrections.
    inputs
        Those of the systems that are solved, one row a system, on the learner's grid.
    smoothing
        Jacobi steps before and after the learner, for the high frequencies that it does poorly.
    batch_size
        Samples that the learner is given at a time.

    Returns
    -------
    LearnedPreconditioner
        Homogeneous, not linear. It runs in the learner's precision and on its device, without gradients.

    Raises
    ------
    LearnerError
        The learner was not trained on `Corrections`, an input is missing or on another grid, `smoothing` is negative;
        or, in the solve, the learner's answer is not finite.
    ProblemError
        The equation has no meaning for the inputs.

    Examples
    --------
    >>> from pde_benchmarks import Corrections, Darcy
    >>> from sciml.learners.mgno import DataMgNO
    >>> from solvers import FlexibleCG, linear_solve
    >>> problem = Darcy(resolution=16)
    >>> learner = DataMgNO.from_problem(Corrections(problem))  # untrained: slow, yet as exact as any other
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> A, b = problem.operator(a), problem.load(a)
    >>> bool(linear_solve(A, b, FlexibleCG(rtol=1e-8), learned_preconditioner(learner, a)).converged.all())
    True
    """
    problem = learner.problem
    if not isinstance(problem, Corrections):
        raise LearnerError(
            f"learned preconditioner: this {learner.name} learned {problem.name}; one that was trained on corrections "
            "is needed, e.g. from_problem(Corrections(problem))."
        )
    if smoothing < 0:
        raise LearnerError(f"learned preconditioner: smoothing = {smoothing}: a number of at least 0 is expected.")
    _check_grid(problem, inputs)
    problem.check(inputs)
    inputs = inputs.to(dtype=next(learner.module.parameters()).dtype)
    correction = _Correction(problem, learner, inputs, batch_size)
    if not smoothing:
        return LearnedPreconditioner(correction)
    return LearnedPreconditioner(_Smoothed(correction, problem.operator(inputs), smoothing))


class _Correction(nn.Module):
    """r ↦ z by the learner, homogeneous; flat vectors ``(count, n)``."""

    def __init__(self, problem: Corrections, learner: Learner, inputs: Batch, batch_size: int) -> None:
        super().__init__()
        # A submodule, so that the preconditioner sees its precision.
        self.module = learner.module
        self.problem, self.learner, self.known, self.batch_size = problem, learner, inputs, batch_size

    def forward(self, r: Tensor) -> Tensor:
        _check_count(r, self.known.count)
        residual, size = self.problem.scaled(r)
        answer = self.learner.predict(self.known.merged({"residual": residual}), self.batch_size).mean["correction"]
        return size * answer.flatten(1)


class _Smoothed(nn.Module):
    """Jacobi steps, the correction at its best length, Jacobi steps: none of them increases the energy of the error."""

    def __init__(self, correction: nn.Module, operator: DiffusionOperator, steps: int) -> None:
        super().__init__()
        self.correction, self.operator, self.steps = correction, operator, steps
        self.inverse = DAMPING / operator.diagonal()

    def forward(self, r: Tensor) -> Tensor:
        A = self.operator
        _check_count(r, A.batch_shape[0])
        z = self.inverse * r
        for _ in range(self.steps - 1):
            z = z + self.inverse * (r - A.mv(z))
        left = r - A.mv(z)
        c = self.correction(left)
        Ac = A.mv(c)
        energy = (c * Ac).sum(1, keepdim=True)
        length = torch.where(energy > 0, (c * left).sum(1, keepdim=True) / energy, 0)
        z, left = z + length * c, left - length * Ac
        for _ in range(self.steps):
            step = self.inverse * left
            z, left = z + step, left - A.mv(step)
        return z


def _check_count(r: Tensor, count: int) -> None:
    if r.shape[:-1] != (count,):
        raise LearnerError(f"learned preconditioner for {count} samples: residuals {tuple(r.shape)} are not theirs.")


def _check_grid(problem: Corrections, inputs: Batch) -> None:
    """Refuse inputs that lie on another grid than the learner's: residuals cannot be brought to it and back."""
    grid = problem.output.support
    assert isinstance(grid, Grid)
    for spec in problem.whole.inputs:
        field, wanted = inputs[spec.name], (spec.channels, *grid.shape)
        if tuple(field.shape[1:]) != wanted:
            raise LearnerError(
                f"learned preconditioner: field {spec.name!r} has the shape {tuple(field.shape)}, expected (samples, "
                f"{', '.join(map(str, wanted))}): the learner corrects residuals on the grid that it was trained on."
            )
