"""What a stochastic solve returns, and the sentence that says why a sample failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sciml.learners.neural_ode.errors import SolverError, SolverStatus
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.solution import SolverStats
from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.integrate import StochasticTrajectory
from sciml.learners.neural_sde.schemes import Scheme

__all__ = ["SDESolution", "raise_on_failure", "statistics"]


@dataclass(frozen=True)
class SDESolution:
    """Paths of a batch of stochastic differential equations.

    Attributes
    ----------
    ys
        States at the requested times, ``(M, B, *shape)``; NaN after the time that a failed sample reached.
    ts
        Requested times, ``(M,)`` or ``(B, M)``, float64.
    stats
        Work and measurements; `nfe` counts evaluations of the drift, and there are as many of the diffusion.
    status
        `SolverStatus` of every sample, ``(B,)``.
    reached
        Time that every sample reached, ``(B,)``.
    brownian
        The Brownian paths that drove the samples.
    tableau
        The scheme.
    estimates
        What was measured, and the tolerances.
    drift_failed
        Whether it was the drift, not the diffusion, that was not finite; counts where the status says so, ``(B,)``.
    adjoint
        How gradients are computed: always through the steps taken.
    """

    ys: Tensor
    ts: Tensor
    stats: SolverStats
    status: Tensor
    reached: Tensor
    brownian: BrownianPath
    tableau: Scheme
    estimates: Estimates
    drift_failed: Tensor = field(repr=False)
    adjoint: str = "discrete"


def statistics(trajectory: StochasticTrajectory, scheme: Scheme, guesses: int, calls: int) -> SolverStats:
    """Return the statistics of a solve with so many evaluations for the first step, and so many calls in all."""
    history = trajectory.history
    if not history:  # no sample could begin
        history = {name: trajectory.reached.new_zeros(0, len(trajectory.status)) for name in ("t", "h")}
        history |= {name: history["t"].bool() for name in ("mask", "active")}
    mask, active = history["mask"], history["active"]
    accepted, attempts = mask.sum(dim=0), active.sum(dim=0)
    # Drift and diffusion at the begin of a step are evaluated once, however often it is attempted.
    starts = active[:1].sum(dim=0) + (active[1:] & mask[:-1]).sum(dim=0)
    return SolverStats(
        nfe=scheme.evaluations_per_step * (attempts + guesses) + starts,
        nfe_batched=calls,
        accepted=accepted,
        rejected=attempts - accepted,
        mask=mask,
        t=history["t"],
        h=history["h"],
        error=history.get("error"),
        raw_error=history.get("raw_error"),
    )


def raise_on_failure(solution: SDESolution, max_steps: int) -> None:
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
    which = "drift" if bool(solution.drift_failed[sample]) else "diffusion"
    cause, remedy = _EXPLANATIONS[status]
    raise SolverError(
        f"sample {sample} stopped at t = {t:.6g} of {end:.6g}: {cause.format(max_steps=max_steps, which=which)} "
        f"({len(failed)} of {len(solution.status)} samples failed). {remedy.format(which=which)} "
        'on_failure="status" returns what was reached.',
        status,
        t,
        sample,
        solution,
    )


_EXPLANATIONS = {
    SolverStatus.MAX_STEPS: (
        "{max_steps} steps were not enough",
        "Raise max_steps, loosen rtol and atol (the order is 1: steps are inversely proportional), or scale the time;",
    ),
    SolverStatus.STEP_UNDERFLOW: (
        "the step size fell to the resolution of the Brownian path",
        "The solution explodes, the drift or the diffusion jumps, or the tolerance is too tight; a finer path is "
        "brownian=BrownianPath(..., levels=45);",
    ),
    SolverStatus.NON_FINITE: (
        "the {which} returned NaN or infinity however small the step",
        "Check the {which} at this time and the initial state, or bound its output (noise visits states that a "
        "deterministic solution never does);",
    ),
}
