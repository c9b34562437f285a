"""The stage equations of an implicit step, G = v + hγ f(t, G), by simplified Newton iterations for all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sciml.learners.neural_ode.estimates import Estimates, scaled_size
from sciml.learners.neural_ode.field import RowField
from solvers.direct import DenseLU, Factor
from solvers.nonlinear.jacobian import JacobianOperator
from solvers.operators.dense import DenseOperator
from solvers.status import Status

__all__ = ["Progress", "StageNewton", "factored", "newton_matrix", "regular"]

# A rate of convergence measured at one stage is not trusted further than this at the next one.
_SMALLEST_REMAINDER = 1e-4


class Progress(NamedTuple):
    """How the equations of a step went so far, for G rows.

    Attributes
    ----------
    solved
        Whether all equations up to now were solved, ``(G,)``.
    remainder
        The error that an iteration leaves in units of its correction, θ / (1 − θ) at a rate θ of convergence, ``(G,)``.
    evaluations
        Iterations up to now, ``(G,)``.
    """

    solved: Tensor
    remainder: Tensor
    evaluations: Tensor


@dataclass(frozen=True)
class StageNewton:
    """Newton's method with one matrix I − hγJ for all iterations (Hairer & Wanner, Solving ODEs II, IV.8).

    A stage is solved when the estimate of its remaining error is below ``part`` of the tolerance of the local error,
    and given up when corrections grow, or would not be small enough after the last iteration.

    Parameters
    ----------
    tolerances
        Tolerances of the local error.
    max_iterations
        Iterations after which an equation is given up.
    """

    tolerances: Estimates
    max_iterations: int = 10

    def part(self, dtype: torch.dtype) -> float:
        """Return the part of the tolerance: √rtol, at most 0.03 and not below ten roundings."""
        rtol = self.tolerances.rtol or self.tolerances.atol
        return max(10 * torch.finfo(dtype).eps / rtol, min(0.03, rtol**0.5))

    @torch.no_grad()
    def solve(
        self, field: RowField, t: Tensor, width: Tensor, inverse: Factor, known: Tensor, guess: Tensor,
        progress: Progress,
    ) -> tuple[Tensor, Progress]:  # fmt: skip
        """Solve G = known + width f(t, G) for the rows that are solved up to now.

        Parameters
        ----------
        t
            Times of the stage, ``(G,)``.
        width
            h γ, ``(G, 1)``.
        inverse
            Solves with I − hγJ.
        known, guess
            v, and where to start, ``(G, n)``.

        Returns
        -------
        tuple
            Stages ``(G, n)``, and the progress with them.
        """
        kept, part = field.size(guess), self.part(guess.dtype)
        value, running, solved = guess, progress.solved, torch.zeros_like(progress.solved)
        remainder, last = progress.remainder**0.8, torch.full_like(progress.remainder, torch.nan)
        evaluations = progress.evaluations
        for left in reversed(range(self.max_iterations)):
            if not bool(running.any()):
                break
            correction = inverse(known + width * field(t, value) - value)
            size = scaled_size(correction[:, :kept], value[:, :kept], known[:, :kept], self.tolerances)
            evaluations = evaluations + running
            value = torch.where(running[:, None], value + correction, value)
            rate = size / last  # NaN in the first iteration
            remainder = torch.where(rate < 1, rate / (1 - rate), remainder)
            hopeless = (rate >= 1) | (rate**left * size * remainder > part) | ~size.isfinite()
            done = running & (remainder * size <= part)
            solved, running, last = solved | done, running & ~done & ~hopeless, size
        return value, Progress(solved, remainder.clamp(min=_SMALLEST_REMAINDER), evaluations)


def factored(field: RowField, t: Tensor, x: Tensor, width: Tensor) -> Factor:
    """Return a solver of I − hγJ with the Jacobian at ``(t, x)`` and hγ = ``width`` ``(G, 1)``, by dense factors."""
    with torch.no_grad():
        return DenseLU().factor(DenseOperator(newton_matrix(field, t, x, width)))


def newton_matrix(field: RowField, t: Tensor, x: Tensor, width: Tensor) -> Tensor:
    """Return I − hγJ, ``(G, n, n)``, without a graph."""
    jacobian = JacobianOperator(lambda state: field(t, state), x.detach()).to_dense()
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return identity - width[:, :, None] * jacobian


def regular(inverse: Factor) -> Tensor:
    """Return which rows have a regular matrix, ``(G,)``."""
    return inverse.status == Status.CONVERGED
