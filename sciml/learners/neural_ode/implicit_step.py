"""One step of a diagonally implicit pair, differentiable by the implicit function theorem, step sizes constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Evidence
from sciml.learners.neural_ode.field import RowField
from sciml.learners.neural_ode.implicit_tableau import ImplicitTableau
from sciml.learners.neural_ode.stage_newton import Progress, StageNewton, factored, newton_matrix, regular
from sciml.learners.neural_ode.step import Effort, Step
from sciml.learners.neural_ode.tableau import coefficients
from solvers.direct import DenseLU, Factor
from solvers.errors import Singular
from solvers.implicit import Equation, attach
from solvers.operators.dense import DenseOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.status import Status

__all__ = ["CheckpointedImplicitStep", "ImplicitStep"]


@dataclass(frozen=True)
class ImplicitStep:
    """Takes steps of a pair whose stages after the first solve G = v + hγ f(t, G), v = x + h Σ a_il k_l.

    Slopes are k = (G − v) / (hγ), not f(t, G): an error δ that Newton's method leaves in G then counts as δ in the
    step, and not as hλδ. The Jacobian is that of the beginning of the step.

    Parameters
    ----------
    newton
        How the stages are solved.
    """

    newton: StageNewton

    def __call__(self, field: RowField, tableau: ImplicitTableau, t: Times, h: Times, x: Tensor, slope: Tensor) -> Step:
        """Take one step of signed sizes ``h`` ``(G,)`` from ``(t, x)`` where the slope ``(G, n)`` is already known."""
        table = coefficients(tableau, x.dtype, x.device)
        weights = table.weights.split(table.sizes, dim=1)
        implicit = len(tableau.a)
        clock = torch.from_numpy(np.concatenate([t + tableau.stage_times * h, h[None]])).to(x.device, x.dtype)
        width = clock[-1][:, None]
        diagonal, flat = width * tableau.gamma, x.reshape(1, -1)
        inverse = factored(field, clock[0], x, diagonal)
        progress = Progress(regular(inverse), torch.ones_like(diagonal[:, 0]), torch.zeros(len(x), dtype=torch.int64))
        progress = progress._replace(evaluations=progress.evaluations.to(x.device))

        # Slopes times the step size: these exist for waiting rows, whose step size is zero, too.
        moves, ends = [(width * slope).reshape(1, -1)], [x]
        for index in range(implicit):
            earlier = torch.cat(moves)
            known = torch.addmm(flat, weights[index], earlier).reshape(x.shape)
            guess = known.detach() + tableau.gamma * (weights[implicit + index] @ earlier.detach()).reshape(x.shape)
            time = clock[index + 1]
            value, progress = self.newton.solve(field, time, diagonal, inverse, known.detach(), guess, progress)
            ends.append(_depending(field, time, diagonal, known, value, progress.solved))
            moves.append(((ends[-1] - known) / tableau.gamma).reshape(1, -1))
        local_error = (weights[-1] @ torch.cat(moves)).reshape(x.shape)
        return _assembled(field, x, ends, moves, width, local_error, progress)


@dataclass(frozen=True)
class CheckpointedImplicitStep:
    """Takes the same steps, keeping for the gradient only their ends: the stages are solved again when needed."""

    step: ImplicitStep

    def __call__(self, field: RowField, tableau: ImplicitTableau, t: Times, h: Times, x: Tensor, slope: Tensor) -> Step:
        """Take one step."""
        step: Step = checkpoint(self.step, field, tableau, t, h, x, slope, use_reentrant=False)
        return step


def _assembled(
    field: RowField, x: Tensor, ends: Sequence[Tensor], moves: Sequence[Tensor], width: Tensor, local_error: Tensor,
    progress: Progress,
) -> Step:  # fmt: skip
    size = torch.where(width == 0, 1.0, width)
    slopes = [move.reshape(x.shape) / size for move in moves]
    kept = field.size(x)
    vectors = (local_error, x, ends[-1], slopes[-1], ends[-2], slopes[-2])
    evidence = Evidence(*(vector[:, :kept] for vector in vectors))
    evaluations = progress.evaluations.cpu().numpy()
    effort = Effort(progress.solved.cpu().numpy(), evaluations, np.ones_like(evaluations))
    stages = tuple(slopes) if len(x) == 1 else tuple(moves)
    return Step(ends[-1], slopes[-1], stages, width, evidence, effort)


def _depending(field: RowField, t: Tensor, width: Tensor, known: Tensor, value: Tensor, solved: Tensor) -> Tensor:
    """Return the solution G of G = v + hγ f(t, G) as a function of v = known and of all that f depends on.

    G − hγ f(t, G) = v + hγ (f(t, G; θ) − f(t, G; θ₀)) with G and θ₀ fixed has the same derivatives, and a right-hand
    side whose graph leads to every parameter of f, named or not.
    """
    if not torch.is_grad_enabled():
        return value
    slope = field(t, value)
    if not (slope.requires_grad or known.requires_grad):
        return value
    right = known + width * (slope - slope.detach())
    equation = _StageEquation(field, t, width)
    return attach(value, equation, (right,), _StageSolves(solved))


@dataclass
class _StageSolves:
    """Solves with I − hγJ at the stage, and with its transpose: one factorisation serves both."""

    solved: Tensor
    factors: list[Factor] = dataclass_field(default_factory=list)

    def __call__(self, A: LinearOperator, g: Tensor, flipped: bool) -> Tensor:
        if not self.factors:
            self.factors.append(DenseLU().factor(A.H if flipped else A))
        inverse = self.factors[0]
        # A stage that was not found, or has no derivative, belongs to a rejected attempt and gets the cotangent zero.
        lost = ~(self.solved & regular(inverse)) & (g != 0).any(dim=-1)
        if bool(lost.any()):
            row = int(lost.nonzero()[0])
            raise Singular(
                f"row {row} of {len(lost)}: I − hγJ is singular at a stage, so that the step has no gradient; change "
                "the tolerance or the first step.",
                (Status.SINGULAR,) * int(lost.sum()),
                lost.nonzero()[:, 0].tolist(),
            )
        return (inverse.H if flipped else inverse)(g)


@dataclass(frozen=True)
class _StageEquation(Equation):
    """G − hγ f(t, G) − v = 0 with the parameter v."""

    field: RowField
    t: Tensor
    width: Tensor

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        if torch.is_grad_enabled():
            raise IntegrationInputError(
                "implicit methods have first derivatives only, and create_graph=True asks for second ones; "
                'use an explicit method such as "tsit5".'
            )
        return DenseOperator(newton_matrix(self.field, self.t, x, self.width))

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        return (-left,)

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        (tangent,) = tangents
        return torch.zeros_like(x) if tangent is None else -tangent
