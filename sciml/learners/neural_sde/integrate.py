"""The adaptive loop over stochastic steps: every row with its own time, step size and Brownian path.

Times are ticks of the paths, whole numbers, so the law of every increment is exact. A rejected step asks the path for a
shorter increment; since a path is a function of the time, that is its bridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Controller, Times, first_step
from sciml.learners.neural_ode.errors import SolverStatus
from sciml.learners.neural_ode.estimates import Estimates, Evidence, scaled_size
from sciml.learners.neural_ode.field import RowField
from sciml.learners.neural_ode.history import History
from sciml.learners.neural_ode.saves import Flags
from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.front import RUNNING, Ending, Front
from sciml.learners.neural_sde.saves import PathSaves
from sciml.learners.neural_sde.schemes import Scheme, Start, StochasticStep

__all__ = ["StochasticIntegrator", "StochasticTrajectory"]

# A remaining time this little longer than the step is covered by the step.
_STRETCH = 1.01
# Steps end at times of few binary digits, which need few terms of the path; this moves an end by a 128th of the step.
_DIGITS = 6


class StochasticTrajectory(NamedTuple):
    """What an integration of G rows produced.

    Attributes
    ----------
    outputs
        Rows at the requested times, ``(M, G, n)``; NaN after the time reached.
    history
        ``t``, ``h``, ``mask`` (accepted), ``active`` and the estimates of every attempt, ``(N, G)``.
    status, reached
        How every row ended, and at what time, ``(G,)``.
    drift_failed
        Whether it was the drift that was not finite in the last attempt, ``(G,)``.
    """

    outputs: Tensor
    history: dict[str, Tensor]
    status: Tensor
    reached: Tensor
    drift_failed: Tensor


@dataclass(frozen=True)
class StochasticIntegrator:
    """A scheme with its step-size control.

    Parameters
    ----------
    scheme, controller, estimates
        The step, the choice of step sizes, and what every step measures.
    drift_weight
        Weight of the drift's error in the estimate.
    initial
        First step size (positive); None: from one more evaluation.
    max_steps
        Attempts after which a row gives up.
    compaction
        Rows that have finished are dropped from the batch once fewer than this part of it still runs; 0: never.
    """

    scheme: Scheme
    controller: Controller
    estimates: Estimates
    drift_weight: float = 1 / 6
    initial: float | None = None
    max_steps: int = 10_000
    compaction: float = 0.5

    def run(
        self, drift: RowField, diffusion: RowField, brownian: BrownianPath, x0: Tensor, times: Times
    ) -> StochasticTrajectory:
        """Integrate rows ``x0`` ``(G, n)`` through increasing times ``(G, M)`` in ticks of the paths."""
        saves, history = PathSaves(times, x0), History(len(x0), x0.device, self.estimates)
        now, end, rows = times[:, 0].copy(), times[:, -1], np.arange(len(x0))
        front = Front(
            rows, drift, diffusion, brownian, x0, brownian.at(now), now, end, np.zeros_like(now),
            saves.next_times(rows, now), np.ones_like(now), np.zeros(len(x0), np.bool_),
            np.where(end == now, int(SolverStatus.SUCCESS), RUNNING), np.zeros(len(x0), np.bool_),
        )  # fmt: skip
        ending = Ending(front.status.copy(), now.copy(), front.drift_failed.copy())
        history.open(rows)
        for attempt in range(self.max_steps):
            running = int(front.running.sum())
            if running and running < self.compaction * len(front.rows):
                front = self._without_finished(front, ending, history)
            if running and front.start is None:
                front = self._evaluated(front, ending, history)
            if not front.running.any():
                break
            if attempt == 0:
                front.h = self._first(front)
            self._advance(front, saves, history)
        front.status[front.running] = SolverStatus.MAX_STEPS
        front.note(ending)
        parts = (ending.status, brownian.times(ending.reached), ending.drift_failed)
        ends = [torch.from_numpy(part).to(x0.device) for part in parts]
        return StochasticTrajectory(saves.assembled(), history.assembled(), *ends)

    def _without_finished(self, front: Front, ending: Ending, history: History) -> Front:
        front.note(ending)
        front = front.taken(front.running.nonzero()[0])
        history.open(front.rows)
        return front

    def _evaluated(self, front: Front, ending: Ending, history: History) -> Front:
        """Evaluate drift and diffusion where the rows are; rows where they are not finite end here."""
        front.start = front.evaluated()
        drift_fine, noise_fine = _finite_rows(front.x + front.start.drift), _finite_rows(front.start.diffusion)
        if (drift_fine & noise_fine).all():
            return front
        failed = front.running & ~(drift_fine & noise_fine)
        front.status[failed], front.drift_failed[failed] = SolverStatus.NON_FINITE, ~drift_fine[failed]
        # Out of the graph as well: evaluated again without them.
        front = self._without_finished(front, ending, history)
        if len(front.rows):
            front.start = front.evaluated()
        return front

    @torch.no_grad()
    def _first(self, front: Front) -> Times:
        """Return the first step: that of the estimates' leading terms over a short trial step."""
        assert front.start is not None
        tick = front.brownian.resolution
        if self.initial is not None:
            return self.initial / tick
        start = Start(*(part.detach() for part in front.start))

        def size(vector: Tensor) -> Times:
            return _on_host(scaled_size(vector, start.x, start.x, self.estimates))

        span = (front.end - front.now) * tick
        trial = np.minimum(first_step(size(start.drift) + size(start.diffusion), size(start.x)), span)
        h = torch.from_numpy(trial).to(start.x.device, start.x.dtype)
        step = self.scheme.advance(front.drift, front.diffusion, start, h, torch.zeros_like(start.x))
        drift_error, noise_error = self.drift_weight * size(step.drift_error), trial * size(step.noise_slope) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = trial * np.minimum((0.5 / drift_error) ** 0.5, 0.5 / noise_error)
        guess = np.fmin(np.fmin(guess, 100 * trial), span)
        return np.where(np.isfinite(guess) & (guess > 0), guess, 1e-3 * span) / tick

    def _advance(self, front: Front, saves: PathSaves, history: History) -> None:
        """Attempt one step of all rows."""
        assert front.start is not None
        start = front.start
        last = front.h * _STRETCH >= front.end - front.now
        # A row that has finished waits with steps of length zero: no indexing, no copy of the batch.
        h = np.where(last, front.end - front.now, _rounded(front.now, front.h)) * front.running
        path = front.brownian.at(front.now + h)
        noise = (path - front.path).to(start.x.dtype)
        step, evidence, error = self._attempt(front, start, h, noise)
        accepted = front.running & (error <= 1)  # false for NaN
        some = bool(accepted.any())

        reached = np.where(accepted, front.now + h, front.now)
        record: dict[str, Any] = {"t": front.brownian.times(front.now), "h": h * front.brownian.resolution}
        record |= {"mask": accepted, "active": front.running}
        # An attempt that nobody accepted leaves no graph behind.
        history.add(record, evidence if some else evidence.detached())
        if some and (reached >= front.next_save).any():  # infinite where nothing is left to save
            saves.collect_from_path(
                front.brownian, front.rows, accepted, front.now, reached, start, step, front.path, noise
            )
            front.next_save = saves.next_times(front.rows, reached)
        if some:
            chosen = torch.from_numpy(accepted).to(path.device)[:, None]
            front.x, front.path = torch.where(chosen, step.end, front.x), torch.where(chosen, path, front.path)
            front.start = None
        self._choose_next(front, h, error, accepted)
        front.now = reached
        front.status[accepted & last] = SolverStatus.SUCCESS

    def _attempt(self, front: Front, start: Start, h: Times, noise: Tensor) -> tuple[StochasticStep, Evidence, Times]:
        """Take a step; where it is not finite, it comes back with length zero, but with its error."""
        step = self._step(front, start, h, noise)
        evidence = self._evidence(start, step)
        with torch.no_grad():
            error = _on_host(self.estimates.scaled_error(evidence))
        finite = np.isfinite(error)
        if not finite.all():
            front.drift_failed = np.where(finite, front.drift_failed, ~_finite_rows(step.drift_stages))
            if step.end.requires_grad:
                # Zero times infinity is NaN: what was not finite must not even be in the graph with weight zero.
                fine = torch.from_numpy(finite).to(noise.device)[:, None]
                step = self._step(front, start, np.where(finite, h, 0.0), torch.where(fine, noise, 0.0))
                evidence = self._evidence(start, step)
        return step, evidence, error

    def _step(self, front: Front, start: Start, h: Times, noise: Tensor) -> StochasticStep:
        width = torch.from_numpy(h * front.brownian.resolution).to(noise.device, noise.dtype)
        return self.scheme.advance(front.drift, front.diffusion, start, width, noise)

    def _evidence(self, start: Start, step: StochasticStep) -> Evidence:
        error = self.drift_weight * step.drift_error + step.noise_error
        return Evidence(error, start.x, step.end, step.end, step.end, step.end)

    def _choose_next(self, front: Front, h: Times, error: Times, accepted: Flags) -> None:
        finite = np.isfinite(error)
        factor = self.controller.factor(error, front.previous_error, self.scheme.order)
        factor = np.where(finite, factor, self.controller.smallest)
        factor = np.where(front.held | ~accepted, np.minimum(factor, 1.0), factor)
        front.held = ~accepted & front.running
        front.previous_error = np.where(accepted, error, front.previous_error)
        stuck = front.held & (h <= 1)
        front.h = np.maximum(h * factor, 1.0)
        if stuck.any():
            cause = np.where(finite, int(SolverStatus.STEP_UNDERFLOW), int(SolverStatus.NON_FINITE))
            front.status = np.where(stuck, cause, front.status)


def _rounded(now: Times, h: Times) -> Times:
    """Return sizes, whole ticks and at least one, such that steps from ``now`` end at times of few binary digits."""
    unit = 2.0 ** np.maximum(np.floor(np.log2(np.maximum(h, 1.0))) - _DIGITS, 0.0)
    return np.maximum(np.rint((now + h) / unit) * unit - now, 1.0)


def _finite_rows(x: Tensor) -> Flags:
    flags: Flags = x.detach().isfinite().all(dim=1).cpu().numpy()
    return flags


def _on_host(values: Tensor) -> Times:
    return values.detach().cpu().numpy().astype(np.float64)
