"""What a solve returns: outputs, how every sample ended, and what every step measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.step import Step, interpolate
from sciml.learners.neural_ode.stepping import stepper
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["ODESolution", "SolverStats"]


@dataclass(frozen=True)
class SolverStats:
    """Work and measurements of a solve with N attempts of B samples.

    With shared step sizes the samples' columns are equal.

    Attributes
    ----------
    nfe
        Evaluations of the right-hand side that each sample needed, rejected attempts and the first step's included,
        ``(B,)``.
    nfe_batched
        Calls of the right-hand side on the batch.
    accepted, rejected
        Attempts by outcome, ``(B,)``.
    mask
        Whether an attempt was accepted, ``(N, B)``; everything below counts only where it is True.
    t, h
        Begin and signed size of every attempt, ``(N, B)``, float64.
    error
        Local error in units of the tolerance (RMS), ``(N, B)``; differentiable if recorded.
    raw_error, stiffness, state
        Local error (RMS), modulus of the dominant eigenvalue, ``(N, B)``, state at the begin, ``(N, B, *shape)``;
        None unless recorded.
    slope
        Slope at the begin as the stages gave it, kept together with the state by implicit methods.
    jacobians
        Jacobians of the right-hand side that each sample needed, ``(B,)``; None for explicit methods.
    """

    nfe: Tensor
    nfe_batched: int
    accepted: Tensor
    rejected: Tensor
    mask: Tensor
    t: Tensor
    h: Tensor
    error: Tensor | None
    raw_error: Tensor | None = None
    stiffness: Tensor | None = None
    state: Tensor | None = None
    slope: Tensor | None = None
    jacobians: Tensor | None = None

    @property
    def stiffness_skipped(self) -> Tensor:
        """Accepted steps too short to tell the stiffness from rounding, ``(B,)``."""
        if self.stiffness is None:
            return torch.zeros_like(self.accepted)
        return (self.mask & (self.stiffness == 0)).sum(dim=0)


@dataclass(frozen=True)
class ODESolution:
    """Solution of a batch of initial value problems.

    Attributes
    ----------
    ys
        States at the requested times, ``(M, B, *shape)``; NaN after the time that a failed sample reached.
    ts
        Requested times, ``(M,)`` or ``(B, M)``, float64.
    stats
        Work and measurements.
    status
        `SolverStatus` of every sample, ``(B,)``.
    reached
        Time that every sample reached, ``(B,)``.
    integrals
        Integrals along the solution at the requested times, ``(M, B)`` each, by name.
    adjoint
        How gradients are computed.
    """

    ys: Tensor
    ts: Tensor
    stats: SolverStats
    status: Tensor
    reached: Tensor
    tableau: Pair
    estimates: Estimates
    adjoint: str
    dynamics: Field = field(repr=False)
    integrals: dict[str, Tensor] = field(default_factory=dict)

    def interp(self, t: float | Tensor) -> Tensor:
        """Return the state at one time, or at one time per sample: ``(B, *shape)``.

        The step that contains the time is computed again from its beginning, so nothing but the states at the
        beginnings of steps (``record`` with "state") is kept; differentiable wherever `ys` is.

        Raises
        ------
        IntegrationInputError
            If the states were not recorded, or a time is outside of what was integrated.
        """
        batch = len(self.status)
        times = torch.as_tensor(t, dtype=torch.float64, device=self.ys.device).expand(batch)
        field = self.dynamics.per_sample()
        step, start, at, h = self.restarted(field, self.step_containing(times))
        rows = torch.arange(batch, device=self.ys.device)
        values = interpolate(self.tableau, start, step, rows, (times.cpu().numpy() - at) / h)
        return values.reshape(batch, *self.ys.shape[2:])

    def step_containing(self, times: Tensor) -> Tensor:
        """Return for every sample the attempt, accepted, in which its time ``(B,)`` lies, ``(B,)``."""
        stats = self.stats
        fraction = torch.where(stats.mask, (times - stats.t) / stats.h, torch.nan)
        inside = (fraction >= 0) & (fraction <= 1)
        if not bool(inside.any(dim=0).all()):
            sample = int((~inside.any(dim=0)).nonzero()[0])
            raise IntegrationInputError(
                f"time {float(times[sample]):.6g} of sample {sample} is outside of what was integrated "
                f"(until {float(self.reached[sample]):.6g})."
            )
        return inside.to(torch.int8).argmax(dim=0)

    def restarted(
        self, field: Field, index: Tensor, *, from_constant: bool = False
    ) -> tuple[Step, Tensor, Times, Times]:
        """Take one recorded step again.

        Parameters
        ----------
        field
            `dynamics`, or the same with a row per sample.
        index
            Which attempt, one per row of `field`, ``(G,)``.
        from_constant
            Whether the state where it starts is a constant for the gradient.

        Returns
        -------
        tuple
            The step, its start ``(G, n)``, its times and signed sizes ``(G,)``.
        """
        if self.stats.state is None:
            raise IntegrationInputError(
                "the states at the beginnings of the steps were not kept; solve with "
                'record=("error", "stiffness", "h", "state").'
            )
        field = field.without_integrals()
        row = torch.arange(len(index), device=index.device)
        times = torch.stack([self.stats.t[index, row], self.stats.h[index, row]])

        def begin(recorded: Tensor) -> Tensor:
            values = recorded[index, row] if field.samples is None else recorded[index[0]]
            return field.joined(values, values[:, :0])

        start = begin(self.stats.state)
        if from_constant:
            start = start.detach()
        slope = field(times[0].to(start.dtype), start)
        if self.stats.slope is not None:  # its value, and the derivatives of f
            slope = slope + (begin(self.stats.slope) - slope).detach()
        at, h = times.cpu().numpy()
        take_step = stepper(self.tableau, self.estimates)
        return take_step(field, self.tableau, at, h, start, slope), start, at, h
