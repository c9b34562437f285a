"""BFGS in a box for many small problems at once, each with its own curvature, step length and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from solvers.status import Status

__all__ = ["Minimum", "Objective", "advance", "begin"]

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Points ``(k, p)`` and the numbers of their problems ``(k,)`` to values ``(k,)`` and gradients ``(k, p)``."""

ARMIJO = 1e-4
LONGEST_STEP = 2.0  # in any component: a factor e² where these are logarithms
BACKTRACKS = 25
RELATIVE_GAIN = 1e-9  # a step that gains less ends the search; L-BFGS-B's usual limit is twice that


@dataclass(frozen=True)
class Minimum:
    """Where k searches stand.

    Parameters
    ----------
    problem
        Which problem each search is about, ``(k,)``.
    point, value, gradient
        ``(k, p)``, ``(k,)``, ``(k, p)``.
    curvature
        BFGS's approximate Hessian, positive definite, ``(k, p, p)``.
    status
        `solvers.Status` by number, ``(k,)``; ``MAX_ITERATIONS`` until a search has ended.
    iterations
        Steps taken, ``(k,)``.
    """

    problem: Tensor
    point: Tensor
    value: Tensor
    gradient: Tensor
    curvature: Tensor
    status: Tensor
    iterations: Tensor

    def rows(self, index: Tensor) -> Minimum:
        """The searches with these numbers."""
        return Minimum(*(getattr(self, f.name)[index] for f in fields(self)))

    def updated(self, index: Tensor, part: Minimum) -> Minimum:
        """Put ``part`` where the rows ``index`` stand."""
        return Minimum(*(getattr(self, f.name).index_copy(0, index, getattr(part, f.name)) for f in fields(self)))


def begin(objective: Objective, point: Tensor, problem: Tensor) -> Minimum:
    """Evaluate the starts ``(k, p)``; a start without a finite value ends as ``NONFINITE_ITERATE``."""
    value, gradient = objective(point, problem)
    finite = value.isfinite() & gradient.isfinite().all(-1)
    status = torch.where(finite, int(Status.MAX_ITERATIONS), int(Status.NONFINITE_ITERATE))
    # The first step then has length one at most.
    scale = gradient.nan_to_num().abs().amax(-1).clamp_min(1)
    curvature = torch.diag_embed(scale[:, None].expand_as(point))
    return Minimum(problem, point, value, gradient, curvature, status, torch.zeros_like(problem))


def advance(
    objective: Objective, state: Minimum, lower: Tensor, upper: Tensor, iterations: int, tolerance: float
) -> Minimum:
    """Take up to ``iterations`` steps of projected BFGS in ``lower ≤ x ≤ upper`` (Bertsekas 1982).

    A joint optimiser would mix the problems' curvatures and wait for the slowest. Here every problem keeps a dense
    Hessian (problems are small), backtracks on its own, and is not evaluated again once it has ended: ``CONVERGED``
    when no component of x − P(x − g) exceeds ``tolerance`` or a step gains less than 1e-9 of the value, ``STAGNATION``
    when no step along the direction descends.

    Examples
    --------
    >>> centre = torch.tensor([[0.5, 3.0], [-2.0, 0.0]])
    >>> def objective(x, problem):
    ...     return (x - centre[problem]).square().sum(-1), 2 * (x - centre[problem])
    >>> start = begin(objective, torch.zeros(2, 2), torch.arange(2))
    >>> advance(objective, start, -torch.ones(2), torch.ones(2), 50, 1e-6).point
    tensor([[ 0.5000,  1.0000],
            [-1.0000,  0.0000]])
    """
    state = _judged(state, lower, upper, tolerance)
    for _ in range(iterations):
        running = (state.status == Status.MAX_ITERATIONS).nonzero().flatten()
        if not len(running):
            break
        part = _step(objective, state.rows(running), lower, upper)
        state = state.updated(running, _judged(part, lower, upper, tolerance))
    return state


def _judged(state: Minimum, lower: Tensor, upper: Tensor, tolerance: float) -> Minimum:
    remaining = state.point - (state.point - state.gradient).clamp(lower, upper)
    done = (remaining.abs().amax(-1) <= tolerance) & (state.status == Status.MAX_ITERATIONS)
    return replace(state, status=state.status.masked_fill(done, int(Status.CONVERGED)))


def _step(objective: Objective, state: Minimum, lower: Tensor, upper: Tensor) -> Minimum:
    new = _search(objective, state, _direction(state, lower, upper), lower, upper)
    move, change = new.point - state.point, new.gradient - state.gradient
    gain = state.value - new.value
    small = (gain <= RELATIVE_GAIN * state.value.abs().clamp_min(1)) & (new.status == Status.MAX_ITERATIONS)
    return replace(
        new,
        curvature=_curvature(state, move, change),
        status=new.status.masked_fill(small, int(Status.CONVERGED)),
        iterations=state.iterations + 1,
    )


def _direction(state: Minimum, lower: Tensor, upper: Tensor) -> Tensor:
    """Newton's direction in the variables that no bound holds; a held one does not move."""
    gradient = state.gradient
    held = ((state.point <= lower) & (gradient > 0)) | ((state.point >= upper) & (gradient < 0))
    free = (~held).to(gradient.dtype)
    system = state.curvature * free[:, :, None] * free[:, None] + torch.diag_embed(held.to(gradient.dtype))
    direction = -torch.cholesky_solve((gradient * free)[..., None], torch.linalg.cholesky(system))[..., 0]
    longest = direction.abs().amax(-1, keepdim=True)
    return direction * (LONGEST_STEP / longest.clamp_min(LONGEST_STEP))


def _search(objective: Objective, state: Minimum, direction: Tensor, lower: Tensor, upper: Tensor) -> Minimum:
    """Shorten each step until it descends enough (Armijo's rule along the projected ray)."""
    length = torch.ones_like(state.value)
    found = state
    waiting = torch.arange(len(length), device=length.device)
    for _ in range(BACKTRACKS):
        start, step = state.rows(waiting), length[waiting]
        point = (start.point + step[:, None] * direction[waiting]).clamp(lower, upper)
        value, gradient = objective(point, start.problem)
        slope = ((point - start.point) * start.gradient).sum(-1)
        good = (value <= start.value + ARMIJO * slope) & (slope < 0) & gradient.isfinite().all(-1)
        accepted = replace(start, point=point, value=value, gradient=gradient).rows(good.nonzero().flatten())
        found = found.updated(waiting[good], accepted)
        length[waiting] = step * _shrinkage(start.value, value, slope)
        waiting = waiting[~good]
        if not len(waiting):
            return found
    return replace(found, status=found.status.index_fill(0, waiting, int(Status.STAGNATION)))


def _shrinkage(value: Tensor, trial: Tensor, slope: Tensor) -> Tensor:
    """By how much to shorten a step: the minimum of the parabola through what is known, within [0.1, 0.5]."""
    parabola = -slope / (2 * (trial - value - slope))
    return torch.where(trial.isfinite() & parabola.isfinite(), parabola, 0.1).clamp(0.1, 0.5)


def _curvature(state: Minimum, move: Tensor, change: Tensor) -> Tensor:
    """BFGS's update, damped so that the Hessian stays positive definite (Powell 1978)."""
    hessian = state.curvature
    product = (move * change).sum(-1)[:, None, None]
    # The first update starts from the curvature along the first step (Nocedal & Wright, eq. 6.20, of the Hessian).
    size = change.square().sum(-1)[:, None, None] / product
    first = (state.iterations[:, None, None] == 0) & (product > 0) & size.isfinite()
    hessian = torch.where(first, size * torch.eye(move.shape[-1], dtype=move.dtype, device=move.device), hessian)
    image = hessian @ move[..., None]
    quadratic = move[:, None] @ image
    share = torch.where(product < 0.2 * quadratic, 0.8 * quadratic / (quadratic - product), 1)
    damped = share * change[..., None] + (1 - share) * image
    updated = hessian - image @ image.mT / quadratic + damped @ damped.mT / (move[:, None] @ damped)
    return torch.where(quadratic > 0, updated, hessian)
