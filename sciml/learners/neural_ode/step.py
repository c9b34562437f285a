"""One embedded Runge–Kutta step of a batch, differentiable with its step sizes as constants."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.estimates import Evidence
from sciml.learners.neural_ode.field import RowField
from sciml.learners.neural_ode.tableau import Tableau, coefficients
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["Effort", "Step", "checkpointed_step", "embedded_step", "interpolate"]


class Effort(NamedTuple):
    """What the stage equations of an implicit attempt took, for G rows.

    Attributes
    ----------
    solved
        Whether Newton's method converged in every stage, ``(G,)``; otherwise the attempt is rejected.
    evaluations
        Evaluations of the right-hand side, one for every iteration, ``(G,)``.
    jacobians
        Jacobians of the right-hand side, ``(G,)``.
    """

    solved: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    jacobians: NDArray[np.int64]


class Step(NamedTuple):
    """Outcome of one attempt for G rows.

    Attributes
    ----------
    end
        State at the end, ``(G, n)``.
    end_slope
        Slope there, ``(G, n)``: the first stage of the next step.
    stages
        Slopes of all stages times the step size, ``(1, G n)`` each; if G is 1 the slopes themselves.
    width
        Signed step sizes, ``(G, 1)``.
    evidence
        What the step is judged by; only the entries that control the step size.
    effort
        What solving for the stages took; None where nothing was to be solved.
    """

    end: Tensor
    end_slope: Tensor
    stages: tuple[Tensor, ...]
    width: Tensor
    evidence: Evidence
    effort: Effort | None = None


def embedded_step(field: RowField, tableau: Tableau, t: Times, h: Times, x: Tensor, slope: Tensor) -> Step:
    """Take one step of signed sizes ``h`` from ``(t, x)``, where the slope is already known.

    Parameters
    ----------
    t, h
        Times and signed step sizes, ``(G,)``, float64.
    x, slope
        States and their slopes, ``(G, n)``.
    """
    table = coefficients(tableau, x.dtype, x.device)
    # One transfer to the device: the stages' times, and below them the step sizes.
    clock = torch.from_numpy(np.concatenate([t + tableau.stage_times * h, h[None]])).to(x.device, x.dtype)
    width, flat, single = clock[-1][:, None], x.reshape(1, -1), len(x) == 1
    # The step size multiplies the few weights if all rows share it, and every slope otherwise.
    weights = (table.weights * width if single else table.weights).split(table.sizes, dim=1)

    def stage(slope: Tensor) -> Tensor:
        return slope if single else (width * slope).reshape(1, -1)

    stages, end, slopes = [stage(slope)], x, [slope]
    for index in range(1, len(table.sizes)):
        other_end = end
        known = stages[0] if index == 1 else torch.cat(stages)
        end = torch.addmm(flat, weights[index - 1], known).reshape(x.shape)
        slopes.append(field(clock[index], end))
        stages.append(stage(slopes[-1]))
    local_error = (weights[-1] @ torch.cat(stages)).reshape(x.shape)
    evidence = Evidence(local_error, x, end, slopes[-1], other_end, slopes[-2])
    kept = field.size(x)
    if kept < x.shape[1]:
        evidence = Evidence(*(vector[:, :kept] for vector in evidence))
    return Step(end, slopes[-1], tuple(stages), width, evidence)


def checkpointed_step(field: RowField, tableau: Tableau, t: Times, h: Times, x: Tensor, slope: Tensor) -> Step:
    """Take the same step, keeping for the gradient only its ends: the stages are computed again when needed."""
    return checkpoint(embedded_step, field, tableau, t, h, x, slope, use_reentrant=False)


def interpolate(tableau: Pair, x: Tensor, step: Step, rows: Tensor, fraction: Times) -> Tensor:
    """Return states inside a step that began at ``x`` ``(G, n)``, by the pair's own polynomial, ``(q, n)``.

    Parameters
    ----------
    rows, fraction
        Which row, and where in the step (0 start, 1 end), for every state asked for, ``(q,)``.
    """
    powers = fraction[:, None] ** np.arange(1, tableau.dense_matrix.shape[1] + 1)
    weights = torch.from_numpy(powers @ tableau.dense_matrix.T).to(x.device, x.dtype)
    stages = torch.cat(step.stages)
    if len(x) == 1:  # one row: no copies of its stages
        return torch.addmm(x, weights * step.width, stages)
    return x[rows] + torch.einsum("qs,sqn->qn", weights, stages.reshape(-1, *x.shape)[:, rows])
