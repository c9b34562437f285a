"""torchdiffeq's Dormand–Prince solver, made to report the error and the stiffness of every accepted step.

It is a second opinion on solutions and gradients. Its error estimate differs from the one of our "dopri5", so numbers
of steps are not comparable one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sciml.learners.neural_ode.errors import SolverStatus
from sciml.learners.neural_ode.estimates import Estimates, scaled_size, stiffness_estimate
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.solution import ODESolution, SolverStats
from sciml.learners.neural_ode.tableaux import DORMAND_PRINCE

try:
    from torchdiffeq import odeint
    from torchdiffeq._impl.dopri5 import Dopri5Solver
    from torchdiffeq._impl.odeint import SOLVERS

    _MISSING = [name for name in ("_before_integrate", "_interp_fit") if not hasattr(Dopri5Solver, name)]
except ImportError as error:
    raise ImportError(
        "method torchdiffeq:dopri5 needs torchdiffeq>=0.2.5,<0.3 and its private solver classes "
        f"({error}); pip install 'torchdiffeq>=0.2.5,<0.3'."
    ) from error
if _MISSING:
    raise ImportError(
        f"method torchdiffeq:dopri5: this torchdiffeq has no Dopri5Solver.{_MISSING[0]}; "
        "pip install 'torchdiffeq>=0.2.5,<0.3'."
    )

__all__ = ["register_torchdiffeq_backend", "solve_by_torchdiffeq"]

_NAME = "sciml_dopri5"


@dataclass
class _Recorder:
    """What the accepted steps measured, and how many attempts there were."""

    estimates: Estimates
    t: list[Tensor] = field(default_factory=list)
    h: list[Tensor] = field(default_factory=list)
    error: list[Tensor] = field(default_factory=list)
    stiffness: list[Tensor] = field(default_factory=list)


class _RecordingDopri5(Dopri5Solver):
    rk_state: Any

    def __init__(self, func: Any, y0: Tensor, recorder: _Recorder, **options: Any) -> None:
        super().__init__(func=func, y0=y0, **options)
        self.recorder = recorder

    def _before_integrate(self, t: Tensor) -> None:
        super()._before_integrate(t)
        # The library differentiates through its guess of the first step, and only through that one.
        self.rk_state = self.rk_state._replace(dt=self.rk_state.dt.detach())

    def _interp_fit(self, y0: Tensor, y1: Tensor, k: Tensor, dt: Tensor) -> Any:
        """Record a step; called for accepted ones only, with the stages ``(..., 7)``."""
        h = dt.to(y0.dtype)
        local = torch.sum(k * (h * self.tableau.c_error), dim=-1)
        before_last = y0 + torch.sum(k[..., :5] * (h * self.tableau.beta[4]), dim=-1)
        change = k[..., 6] - k[..., 5]
        rows = [part.reshape(1, -1) for part in (local, y0, y1, change, y1 - before_last)]
        self.recorder.h.append(dt.detach())
        self.recorder.error.append(scaled_size(rows[0], rows[1], rows[2], self.recorder.estimates))
        self.recorder.stiffness.append(stiffness_estimate(rows[3], rows[4], rows[2]))
        return super()._interp_fit(y0, y1, k, dt)


def register_torchdiffeq_backend() -> str:
    """Make the recording solver known to `torchdiffeq.odeint`; return its name there.

    Examples
    --------
    >>> register_torchdiffeq_backend()
    'sciml_dopri5'
    """
    SOLVERS[_NAME] = _RecordingDopri5
    return _NAME


def solve_by_torchdiffeq(
    field: Field, z0: Tensor, times: Tensor, estimates: Estimates, first_step: float | None, max_steps: int
) -> ODESolution:
    """Solve with shared step sizes by `torchdiffeq.odeint`.

    Parameters
    ----------
    field
        Right-hand side of one row, the batch.
    z0, times
        Initial states ``(B, *shape)`` and strictly monotone times ``(M,)``.
    estimates
        Tolerances.
    first_step, max_steps
        Size of the first step or None, and the limit of steps between two outputs.
    """
    recorder = _Recorder(estimates)
    sign = -1.0 if bool(times[-1] < times[0]) else 1.0

    def slopes(t: Tensor, z: Tensor) -> Tensor:
        return field(t.reshape(1), z.reshape(1, -1)).reshape(z.shape)

    options = {"recorder": recorder, "first_step": first_step, "max_num_steps": max_steps}
    status = SolverStatus.SUCCESS
    try:
        ys = odeint(
            slopes, z0, times, rtol=estimates.rtol, atol=estimates.atol,
            method=register_torchdiffeq_backend(), options=options,
        )  # fmt: skip
    except AssertionError as error:  # the library's way to say that it gave up
        status = _status_of(str(error))
        ys = torch.full((len(times), *z0.shape), torch.nan, dtype=z0.dtype, device=z0.device)
        ys[0] = z0.detach()
    return _solution(recorder, field, ys, times, sign, status, 1 if first_step is not None else 2)


def _status_of(message: str) -> SolverStatus:
    if "max_num_steps" in message:
        return SolverStatus.MAX_STEPS
    return SolverStatus.NON_FINITE if "non-finite" in message else SolverStatus.STEP_UNDERFLOW


def _solution(
    recorder: _Recorder, field: Field, ys: Tensor, times: Tensor, sign: float, status: SolverStatus, first_calls: int
) -> ODESolution:
    batch = ys.shape[1]
    h = sign * torch.stack([*recorder.h, times.new_zeros(())])[:-1].double()
    ends = times[0] + h.cumsum(0)
    accepted = torch.full((batch,), len(h), device=ys.device)
    attempts = (field.counter.calls - first_calls) // DORMAND_PRINCE.evaluations_per_step
    empty = ys.new_zeros(1)

    def columns(values: list[Tensor]) -> Tensor:
        return torch.stack([*values, empty])[:-1].expand(-1, batch)

    stats = SolverStats(
        nfe=torch.full_like(accepted, field.counter.calls),
        nfe_batched=field.counter.calls,
        accepted=accepted,
        rejected=attempts - accepted,
        mask=torch.ones(len(h), batch, dtype=torch.bool, device=ys.device),
        t=(ends - h)[:, None].expand(-1, batch),
        h=h[:, None].expand(-1, batch),
        error=columns(recorder.error),
        stiffness=columns(recorder.stiffness),
    )
    reached = times[-1] if status == SolverStatus.SUCCESS else torch.cat([times[:1], ends])[-1]
    return ODESolution(
        ys=ys,
        ts=times,
        stats=stats,
        status=torch.full((batch,), int(status), device=ys.device),
        reached=reached.expand(batch),
        tableau=DORMAND_PRINCE,
        estimates=recorder.estimates,
        adjoint="discrete",
        dynamics=field,
    )
