"""Solve a batch of initial value problems adaptively, with gradients and with what the solver measured on the way."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sciml.learners.neural_ode.continuous_adjoint import integrate_with_continuous_adjoint
from sciml.learners.neural_ode.controller import Controller, PIController
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Dynamics, Field, Integrand, refuse_random_layers
from sciml.learners.neural_ode.integrate import Integrator
from sciml.learners.neural_ode.outcome import raise_on_failure, recognise_stiffness, solution_of
from sciml.learners.neural_ode.solution import ODESolution
from sciml.learners.neural_ode.step import checkpointed_step, embedded_step
from sciml.learners.neural_ode.tableaux import Tableau, tableau_named
from sciml.learners.neural_ode.times import checked_times

__all__ = ["odesolve"]

_RECORDS = ("error", "raw_error", "stiffness", "h", "state")
_TORCHDIFFEQ = "torchdiffeq:"
Adjoint = Literal["discrete", "checkpoint", "continuous"]
Mode = Literal["per_sample", "shared"]


def odesolve(
    f: Dynamics,
    z0: Tensor,
    t_eval: Tensor,
    *,
    args: Sequence[object] = (),
    sample_args: Sequence[Tensor] = (),
    method: str = "tsit5",
    rtol: float = 1e-6,
    atol: float = 1e-6,
    mode: Mode = "per_sample",
    adjoint: Adjoint = "discrete",
    controller: Controller = PIController(),  # noqa: B008, frozen
    first_step: float | None = None,
    max_steps: int = 10_000,
    on_failure: Literal["raise", "status"] = "raise",
    record: Sequence[str] | None = None,
    integrals: Sequence[Integrand] = (),
    compaction: float = 0.5,
) -> ODESolution:
    r"""Solve dz/dt = f(t, z), z(t₀) = z₀ for every sample of a batch.

    Parameters
    ----------
    f
        ``f(t, z, *sample_args, *args)`` with ``t`` ``(B,)`` and ``z`` ``(B, *shape)``, both of the dtype of `z0`;
        returns the slopes. A network of a scalar time is wrapped in `ScalarTime`. With "per_sample", samples must not
        influence one another and B shrinks when samples finish.
    z0
        Initial states, ``(B, *shape)``, floating point.
    t_eval
        Times of the outputs, the first of them the initial one: ``(M,)`` strictly monotone, or ``(B, M)`` with
        repeated last times where a sample needs fewer. Kept in float64.
    args, sample_args
        Further arguments of f, shared by all samples; tensors with one row per sample.
    method
        "tsit5", "dopri5", "bs3", "heun_euler", or "torchdiffeq:dopri5" (shared step sizes by that package).
    rtol, atol
        Tolerances of the local error; the RMS over the features of a sample is kept below one tolerance.
    mode
        Every sample its own step sizes, or all the same (the RMS then runs over the batch as well).
    adjoint
        "discrete": exact gradient of what was computed, step sizes constant. "checkpoint": the same with the memory of
        the states only, at one more forward pass. "continuous": the adjoint equation is solved backwards, with the
        memory of the outputs; the measurements then carry no gradient.
    controller, first_step
        Step-size control; size of the first step (positive), by default found with one more evaluation.
    max_steps
        Attempts after which a sample gives up.
    on_failure
        "raise" `SolverError`, or return the partial result with its `status`.
    record
        Which of "error", "raw_error", "stiffness", "h", "state" to keep in the statistics, differentiable where the
        adjoint allows; by default error, h, and the stiffness if the method can measure it.
    integrals
        Quantities integrated along the solution with the same stages and without influence on the step sizes.
    compaction
        Finished samples leave the batch when fewer than this part of it still runs; 0 keeps shapes static.

    Returns
    -------
    ODESolution
        Outputs ``(M, B, *shape)``, statistics and the status of every sample.

    Raises
    ------
    IntegrationInputError
        For times, tolerances, states or options that cannot be used.
    SolverError
        If a sample did not reach its last time and `on_failure` is "raise".

    Notes
    -----
    Evaluations of one sample: 2 + (s − 1)(accepted + rejected) for a pair with s stages (s − 1 = 6 for tsit5), or
    one fewer with a given first step.

    Examples
    --------
    >>> z0 = torch.ones(2, 1, dtype=torch.float64)
    >>> solution = odesolve(lambda t, z: -z, z0, torch.tensor([0.0, 1.0]), rtol=1e-9, atol=1e-9)
    >>> [round(value, 6) for value in solution.ys[-1].flatten().tolist()]
    [0.367879, 0.367879]
    >>> bool(solution.stats.nfe[0] == 2 + 6 * (solution.stats.accepted[0] + solution.stats.rejected[0]))
    True
    """
    times = checked_times(t_eval, z0)
    _check_state(f, z0, sample_args)
    refuse_random_layers(f)
    _check_tolerances(rtol, atol, z0)
    options = _Options(mode, adjoint, on_failure, max_steps, first_step, compaction)
    options.check()
    if method.startswith(_TORCHDIFFEQ):
        return _by_torchdiffeq(f, z0, times, method, Estimates(rtol, atol), options, (*sample_args, *args), integrals)
    tableau = tableau_named(method)
    estimates, keep_states = _estimates(tableau, record, rtol, atol)
    field, x0 = _field(f, z0, mode, tuple(args), tuple(sample_args), tuple(integrals))
    integrator = Integrator(
        tableau, controller, estimates, first_step, max_steps, compaction, keep_states,
        checkpointed_step if adjoint == "checkpoint" else embedded_step,
    )  # fmt: skip
    rows = (times.expand(len(z0), -1) if mode == "per_sample" else _one_row(times)).cpu().numpy()
    if adjoint == "continuous":
        trajectory = integrate_with_continuous_adjoint(integrator, field, x0, rows)
    else:
        trajectory = integrator.run(field, x0, rows)
    first_calls = 1 if first_step is not None else 2
    trajectory = recognise_stiffness(trajectory, tableau)
    solution = solution_of(trajectory, field, tableau, estimates, adjoint, times, first_calls)
    if on_failure == "raise":
        raise_on_failure(solution, max_steps)
    return solution


@dataclass(frozen=True)
class _Options:
    mode: str
    adjoint: str
    on_failure: str
    max_steps: int
    first_step: float | None
    compaction: float

    def check(self) -> None:
        for name, value, known in (
            ("mode", self.mode, ("per_sample", "shared")),
            ("adjoint", self.adjoint, ("discrete", "checkpoint", "continuous")),
            ("on_failure", self.on_failure, ("raise", "status")),
        ):
            if value not in known:
                raise IntegrationInputError(f"{name}={value!r}: unknown; expected one of {', '.join(known)}.")
        if self.max_steps < 1:
            raise IntegrationInputError(f"max_steps={self.max_steps}: expected at least 1.")
        if self.first_step is not None and not self.first_step > 0:
            raise IntegrationInputError(
                f"first_step={self.first_step}: expected a positive size (also in reversed time), or None."
            )
        if not 0 <= self.compaction <= 1:
            raise IntegrationInputError(f"compaction={self.compaction}: expected a part between 0 (never) and 1.")


def _check_state(f: Dynamics, z0: Tensor, sample_args: Sequence[Tensor]) -> None:
    if not torch.is_floating_point(z0):
        raise IntegrationInputError(f"z0 has dtype {z0.dtype}; expected a floating-point state, e.g. z0.double().")
    if z0.ndim < 2 or z0.numel() == 0:
        raise IntegrationInputError(
            f"z0 has shape {tuple(z0.shape)}; expected (batch, features...) with at least one of each "
            "(z0[None] makes one sample a batch)."
        )
    for index, arg in enumerate(sample_args):
        if len(arg) != len(z0):
            raise IntegrationInputError(
                f"sample_args[{index}] has {len(arg)} rows for {len(z0)} samples; expected one row per sample "
                "(what all samples share belongs in args)."
            )
    if not callable(f):
        raise IntegrationInputError(f"f is a {type(f).__name__}; expected a callable f(t, z).")


def _check_tolerances(rtol: float, atol: float, z0: Tensor) -> None:
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise IntegrationInputError(f"rtol={rtol}, atol={atol}: expected both at least 0 and one of them positive.")
    # Ten epsilons to one digit: 1e-6 is the tightest tolerance of float32 that makes sense.
    limit = float(f"{10 * torch.finfo(z0.dtype).eps:.0e}")
    size = float(z0.detach().abs().amax()) or 1.0
    if rtol < limit and atol < limit * size:
        warnings.warn(
            f"rtol={rtol}, atol={atol} is below ten roundings of {z0.dtype} ({limit:.0e}): the error estimate is "
            "rounding noise and so is the number of steps. Use z0.double() or a looser tolerance.",
            UserWarning,
            stacklevel=3,
        )


def _estimates(tableau: Tableau, record: Sequence[str] | None, rtol: float, atol: float) -> tuple[Estimates, bool]:
    if record is None:
        record = ("error", "stiffness", "h") if tableau.measures_stiffness else ("error", "h")
    unknown = [name for name in record if name not in _RECORDS]
    if unknown:
        raise IntegrationInputError(f"record: {unknown[0]!r} is unknown; expected some of {', '.join(_RECORDS)}.")
    if "stiffness" in record and not tableau.measures_stiffness:
        raise IntegrationInputError(
            f"record: {tableau.name} has no two stages at the end of the step, so it cannot measure stiffness; "
            "use tsit5, dopri5 or heun_euler, or leave stiffness out of record."
        )
    estimates = Estimates(rtol, atol, "error" in record, "raw_error" in record, "stiffness" in record)
    return estimates, "state" in record


def _field(
    f: Dynamics, z0: Tensor, mode: str, args: tuple[object, ...], sample_args: tuple[Tensor, ...],
    integrals: tuple[Integrand, ...],
) -> tuple[Field, Tensor]:  # fmt: skip
    noises = tuple(integrand.noise(z0) for integrand in integrals)
    samples = len(z0) if mode == "shared" else None
    field = Field(f, tuple(z0.shape[1:]), samples, args, sample_args, integrals, noises)
    return field, field.joined(z0, z0.new_zeros(len(z0), len(integrals)))


def _by_torchdiffeq(
    f: Dynamics, z0: Tensor, times: Tensor, method: str, estimates: Estimates, options: _Options,
    args: tuple[object, ...], integrals: Sequence[Integrand],
) -> ODESolution:  # fmt: skip
    if method != "torchdiffeq:dopri5":
        raise IntegrationInputError(f"method {method!r}: of torchdiffeq only dopri5 reports its errors to this solver.")
    if options.mode != "shared" or options.adjoint != "discrete" or integrals:
        raise IntegrationInputError(
            f"method {method!r} has shared step sizes, the discrete adjoint and no integrals: "
            'pass mode="shared", adjoint="discrete".'
        )
    from sciml.learners.neural_ode.torchdiffeq_backend import solve_by_torchdiffeq

    field, _ = _field(f, z0, "shared", args, (), ())
    solution = solve_by_torchdiffeq(field, z0, _one_row(times)[0], estimates, options.first_step, options.max_steps)
    if options.on_failure == "raise":
        raise_on_failure(solution, options.max_steps)
    return solution


def _one_row(times: Tensor) -> Tensor:
    if times.ndim == 1:
        return times[None]
    if not bool((times == times[:1]).all()):
        raise IntegrationInputError(
            "t_eval differs between samples, but mode='shared' gives all samples the same steps; "
            "use mode='per_sample', or one row of times."
        )
    return times[:1]
