"""From the raw trajectory to the solution that users see, and to the sentence that says why a sample failed."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.learners.neural_ode.errors import SolverError, SolverStatus
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.integrate import Trajectory
from sciml.learners.neural_ode.solution import ODESolution, SolverStats
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["raise_on_failure", "recognise_stiffness", "solution_of"]

# Steps at this part of the limit of stability, on average over the last accepted ones, are held there by it.
_AT_THE_LIMIT, _LAST_STEPS = 0.7, 50


def recognise_stiffness(trajectory: Trajectory, tableau: Pair) -> Trajectory:
    """Call a row that ran out of steps stiff if stability, not accuracy, kept its last steps short."""
    stiffness = trajectory.history.get("stiffness")
    gave_up = trajectory.status == int(SolverStatus.MAX_STEPS)
    if stiffness is None or not bool(gave_up.any()):
        return trajectory
    mask = trajectory.history["mask"]
    recent = mask & (mask.sum(dim=0) - mask.cumsum(dim=0) < _LAST_STEPS)
    load = stiffness.detach() * trajectory.history["h"].abs() / tableau.stability_limit
    mean = torch.where(recent, load, 0.0).sum(dim=0) / recent.sum(dim=0).clamp(min=1)
    status = torch.where(gave_up & (mean > _AT_THE_LIMIT), int(SolverStatus.STIFF), trajectory.status)
    return trajectory._replace(status=status)


def solution_of(
    trajectory: Trajectory, field: Field, tableau: Pair, estimates: Estimates, adjoint: str, times: Tensor,
    first_calls: int,
) -> ODESolution:  # fmt: skip
    """Give every sample its column and every state its shape."""
    outputs = trajectory.outputs
    batch = field.samples or outputs.shape[1]
    ys = torch.stack([field.state(row) for row in outputs])
    integrals = torch.stack([field.integrals(row) for row in outputs]) if field.integrands else None
    return ODESolution(
        ys=ys,
        ts=times,
        stats=_statistics(trajectory, field, tableau, batch, first_calls),
        status=trajectory.status.expand(batch),
        reached=trajectory.reached.expand(batch),
        tableau=tableau,
        estimates=estimates,
        adjoint=adjoint,
        dynamics=field,
        integrals={} if integrals is None else {g.name: integrals[..., i] for i, g in enumerate(field.integrands)},
    )


def _statistics(trajectory: Trajectory, field: Field, tableau: Pair, batch: int, first_calls: int) -> SolverStats:
    history = trajectory.history
    if not history:  # no sample could begin
        history = {name: trajectory.reached.new_zeros(0, len(trajectory.status)) for name in ("t", "h")}
        history |= {name: history["t"].bool() for name in ("mask", "active")}
    columns = {name: value.expand(-1, batch) for name, value in history.items() if name not in ("state", "slope")}
    accepted = columns["mask"].sum(dim=0)
    attempts = columns["active"].sum(dim=0)
    # Explicit attempts all cost the same, implicit ones what Newton's method took.
    evaluations, jacobians = (_total(columns, name) for name in ("evaluations", "jacobians"))
    state, slope = (
        torch.stack([field.state(row) for row in history[name]]) if name in history else None
        for name in ("state", "slope")
    )
    return SolverStats(
        nfe=first_calls + (tableau.evaluations_per_step * attempts if evaluations is None else evaluations),
        nfe_batched=field.counter.calls,
        accepted=accepted,
        rejected=attempts - accepted,
        mask=columns["mask"],
        t=columns["t"],
        h=columns["h"],
        error=columns.get("error"),
        raw_error=columns.get("raw_error"),
        stiffness=columns.get("stiffness"),
        state=state,
        slope=slope,
        jacobians=jacobians,
    )


def _total(columns: dict[str, Tensor], name: str) -> Tensor | None:
    return (columns[name] * columns["active"]).sum(dim=0) if name in columns else None


def raise_on_failure(solution: ODESolution, max_steps: int) -> None:
    """Raise for the first sample that did not reach its last time.

    Raises
    ------
    SolverError
        Naming the sample, the time, the cause and a remedy.
    """
    if not bool(solution.status.any()):
        return
    failed = solution.status.nonzero()[:, 0]
    sample = int(failed[0])
    status, t = SolverStatus(int(solution.status[sample])), float(solution.reached[sample])
    end = float(solution.ts.expand(len(solution.status), -1)[sample, -1])
    cause, remedy = _EXPLANATIONS[status]
    raise SolverError(
        f"sample {sample} stopped at t = {t:.6g} of {end:.6g}: {cause.format(max_steps=max_steps)} "
        f"({len(failed)} of {len(solution.status)} samples failed). {remedy}",
        status,
        t,
        sample,
        solution,
    )


_PARTIAL = 'on_failure="status" returns what was reached.'
_EXPLANATIONS = {
    SolverStatus.MAX_STEPS: (
        "{max_steps} steps were not enough",
        f"Raise max_steps, loosen rtol and atol, or scale the time; {_PARTIAL}",
    ),
    SolverStatus.STEP_UNDERFLOW: (
        "the step size fell to the rounding of the time",
        "The right-hand side is discontinuous, its solution explodes, or the tolerance is below rounding (or, with an "
        f"implicit method, its stage equations have no solution that Newton's method finds); {_PARTIAL}",
    ),
    SolverStatus.NON_FINITE: (
        "the right-hand side returned NaN or infinity however small the step",
        f"Check f at this time and the initial state, or bound its output; {_PARTIAL}",
    ),
    SolverStatus.STIFF: (
        "stiffness; {max_steps} steps were not enough because stability keeps them short, not accuracy",
        'Use an implicit method, method="kvaerno5" or "kvaerno3", scale the time, or regularize the stiffness; '
        f"{_PARTIAL}",
    ),
}
