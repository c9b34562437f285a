"""The adaptive loop: one batched step for all running rows, each with its own time and step size.

States live where the caller put them; times, step sizes and decisions live on the host in float64. One step costs one
transfer each way: its times and sizes to the device, its errors back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Controller, Times, first_step, refined_first_step
from sciml.learners.neural_ode.errors import SolverStatus
from sciml.learners.neural_ode.estimates import Estimates, scaled_size
from sciml.learners.neural_ode.field import RowField
from sciml.learners.neural_ode.history import History
from sciml.learners.neural_ode.saves import Flags, Indices, Saves
from sciml.learners.neural_ode.step import Step, embedded_step
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["Integrator", "Trajectory"]

_RUNNING = -1
# An error that asks for the strongest reduction of the step: with it, Newton's method is more likely to converge.
_UNSOLVED = 1e10
# A remaining time this little longer than the step is covered by the step.
_STRETCH = 1.01
# Below this part of the time, times cannot be told apart.
_SMALLEST_STEP = 16 * float(np.finfo(np.float64).eps)


class Trajectory(NamedTuple):
    """What an integration of G rows produced.

    Attributes
    ----------
    outputs
        Rows at the requested times, ``(M, G, n)``; NaN after the time reached.
    history
        ``t``, ``h``, ``mask`` (accepted), ``active`` and the estimates of every attempt, ``(N, G)``; with
        ``keep_states`` also ``state``, ``(N, G, n)``. Implicit pairs add ``evaluations``, ``jacobians`` and ``slope``.
    status, reached
        How every row ended, and at what time, ``(G,)``.
    """

    outputs: Tensor
    history: dict[str, Tensor]
    status: Tensor
    reached: Tensor


@dataclass
class _Front:
    """The rows in work: where they are and what they try next; times run in the direction of integration."""

    rows: Indices
    field: RowField
    x: Tensor
    slope: Tensor
    direction: Times
    now: Times
    end: Times
    h: Times
    next_save: Times
    previous_error: Times
    held: Flags
    status: Indices

    @property
    def running(self) -> Flags:
        return self.status == _RUNNING

    def taken(self, keep: Indices) -> _Front:
        index = torch.from_numpy(keep).to(self.x.device)
        on_host = {name: value[keep] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return _Front(field=self.field.take(index), x=self.x[index], slope=self.slope[index], **on_host)


@dataclass(frozen=True)
class Integrator:
    """An embedded pair with its step-size control.

    Parameters
    ----------
    tableau, controller, estimates
        The pair, the choice of step sizes, and what every step measures.
    initial
        First step size (positive); None: the two-evaluation rule.
    max_steps
        Attempts after which a row gives up.
    compaction
        Rows that have finished are dropped from the batch once fewer than this part of it still runs; 0: never.
    keep_states
        Whether the history keeps the state at the begin of every attempt.
    take_step
        What `stepper` returns for the pair, or the same with checkpoints.
    """

    tableau: Pair
    controller: Controller
    estimates: Estimates
    initial: float | None = None
    max_steps: int = 10_000
    compaction: float = 0.5
    keep_states: bool = False
    take_step: Callable[..., Step] = embedded_step

    def run(self, field: RowField, x0: Tensor, times: Times) -> Trajectory:
        """Integrate rows ``x0`` ``(G, n)`` through their monotone times ``(G, M)``."""
        direction = np.where(times[:, -1] < times[:, 0], -1.0, 1.0)
        onward = direction[:, None] * times
        saves, history = Saves(onward, x0), History(len(x0), x0.device, self.estimates)
        front = self._begin(field, x0, onward, direction, saves)
        status, reached = front.status.copy(), times[:, 0].copy()

        history.open(front.rows)
        for _ in range(self.max_steps):
            running = int(front.running.sum())
            if running == 0:
                break
            if running < self.compaction * len(front.rows):
                status[front.rows], reached[front.rows] = front.status, front.direction * front.now
                front = front.taken(front.running.nonzero()[0])
                history.open(front.rows)
            self._advance(front, saves, history)
        front.status[front.running] = SolverStatus.MAX_STEPS
        status[front.rows], reached[front.rows] = front.status, front.direction * front.now
        ends = [torch.from_numpy(part).to(x0.device) for part in (status, reached)]
        return Trajectory(saves.assembled(), history.assembled(), *ends)

    def _begin(self, field: RowField, x0: Tensor, times: Times, direction: Times, saves: Saves) -> _Front:
        now, end, rows = times[:, 0], times[:, -1], np.arange(len(x0))
        slope = field(torch.from_numpy(direction * now).to(x0.device, x0.dtype), x0)
        if self.initial is None:
            h = self._guess(field, direction, now, end - now, x0.detach(), slope.detach())
        else:
            h = np.full_like(now, self.initial)
        usable = (x0.detach() + slope.detach()).isfinite().all(dim=1).cpu().numpy()
        status = np.where(end == now, int(SolverStatus.SUCCESS), _RUNNING)
        status = np.where(usable, status, int(SolverStatus.NON_FINITE))
        return _Front(
            rows=rows, field=field, x=x0, slope=slope, direction=direction, now=now, end=end, h=h,
            next_save=saves.next_times(rows, now), previous_error=np.ones_like(now),
            held=np.zeros(len(x0), dtype=np.bool_), status=status,
        )  # fmt: skip

    @torch.no_grad()
    def _guess(self, field: RowField, direction: Times, now: Times, span: Times, x0: Tensor, slope: Tensor) -> Times:
        kept = field.size(x0)
        start = x0[:, :kept]

        def size(vector: Tensor) -> Times:
            return _on_host(scaled_size(vector[:, :kept], start, start, self.estimates))

        state_size, slope_size = size(x0), size(slope)
        trial = np.minimum(first_step(slope_size, state_size), span)
        moved = torch.from_numpy(np.stack([direction * (now + trial), direction * trial])).to(x0.device, x0.dtype)
        slope_there = field(moved[0], x0 + moved[1][:, None] * slope)
        curvature_size = size(slope_there - slope) / np.where(trial > 0, trial, 1.0)
        guess = refined_first_step(trial, slope_size, curvature_size, self.tableau.order)
        return np.where(np.isfinite(guess) & (guess > 0), guess, 1e-6 * span)

    def _advance(self, front: _Front, saves: Saves, history: History) -> None:
        """Attempt one step of all rows."""
        running = front.running
        target = front.next_save if self.tableau.stops_at_outputs else front.end
        remaining = target - front.now
        last = front.h * _STRETCH >= remaining
        # A row that has finished waits with steps of length zero: no indexing, no copy of the batch.
        h = np.where(last, remaining, front.h) * running
        step = self._step(front, h)
        with torch.no_grad():
            error = _on_host(self.estimates.scaled_error(step.evidence))
        effort = step.effort
        if effort is not None:
            # The error of stages that were not found means nothing, but NaN stays NaN.
            error = np.where(effort.solved | ~np.isfinite(error), error, np.maximum(error, _UNSOLVED))
        accepted = running & (error <= 1)  # false for NaN
        every = bool(accepted.all())
        some = every or bool(accepted.any())
        finite = accepted if every else np.isfinite(error)
        if not every and some and step.end.requires_grad and not finite.all():
            # Zero times infinity is NaN: what was not finite must not even be in the graph with weight zero.
            step = self._step(front, np.where(finite, h, 0.0))

        reached = np.where(accepted, np.where(last, target, front.now + h), front.now)
        record: dict[str, Any] = {"t": front.direction * front.now, "h": front.direction * h}
        record |= {"mask": accepted, "active": running} | ({"state": front.x} if self.keep_states else {})
        if effort is not None:
            record |= {"evaluations": effort.evaluations, "jacobians": effort.jacobians}
            # f(t, z) is no substitute: it magnifies what Newton's method left in z by the stiffness.
            record |= {"slope": front.slope} if self.keep_states else {}
        # An attempt that nobody accepted leaves no graph behind.
        history.add(record, step.evidence if some else step.evidence.detached())
        if some and (reached >= front.next_save).any():  # infinite where nothing is left to save
            saves.collect(self.tableau, front.rows, accepted, front.now, reached, front.x, step)
            front.next_save = saves.next_times(front.rows, reached)
        if every:
            front.x, front.slope = step.end, step.end_slope
        elif some:
            chosen = torch.from_numpy(accepted).to(front.x.device)[:, None]
            front.x = torch.where(chosen, step.end, front.x)
            front.slope = torch.where(chosen, step.end_slope, front.slope)
        proposed = front.h
        self._choose_next(front, h, error, finite, accepted)
        if self.tableau.stops_at_outputs:  # a step that a requested time cut short says little about the next one
            front.h = np.where(accepted & (h < 0.5 * proposed), np.maximum(front.h, proposed), front.h)
        front.now = reached
        front.status[accepted & (reached == front.end)] = SolverStatus.SUCCESS

    def _step(self, front: _Front, h: Times) -> Step:
        t, signed = front.direction * front.now, front.direction * h
        return self.take_step(front.field, self.tableau, t, signed, front.x, front.slope)

    def _choose_next(self, front: _Front, h: Times, error: Times, finite: Flags, accepted: Flags) -> None:
        factor = self.controller.factor(error, front.previous_error, self.tableau.order)
        if accepted.all():  # the usual case, kept short: on small networks these lines count
            front.h = h * (np.where(front.held, np.minimum(factor, 1.0), factor) if front.held.any() else factor)
            front.held, front.previous_error = ~accepted, error
            return
        factor = np.where(finite, factor, self.controller.smallest)
        factor = np.where(front.held | ~accepted, np.minimum(factor, 1.0), factor)
        front.h = h * factor
        front.held = ~accepted
        front.previous_error = np.where(accepted, error, front.previous_error)
        stuck = front.held & front.running & (front.h <= _SMALLEST_STEP * np.maximum(abs(front.now), abs(front.end)))
        if stuck.any():
            cause = np.where(finite, int(SolverStatus.STEP_UNDERFLOW), int(SolverStatus.NON_FINITE))
            front.status = np.where(stuck, cause, front.status)


def _on_host(values: Tensor) -> Times:
    return values.detach().cpu().numpy().astype(np.float64)
