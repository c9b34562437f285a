"""Solve a batch of initial value problems adaptively, with gradients and with what the solver measured on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from sciml.learners.neural_ode.continuous_adjoint import integrate_with_continuous_adjoint
from sciml.learners.neural_ode.controller import Controller, PIController
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Dynamics, Field, Integrand, refuse_random_layers
from sciml.learners.neural_ode.implicit_tableau import ImplicitTableau
from sciml.learners.neural_ode.integrate import Integrator
from sciml.learners.neural_ode.options import Options, check_state, check_tolerances, chosen_estimates
from sciml.learners.neural_ode.outcome import raise_on_failure, recognise_stiffness, solution_of
from sciml.learners.neural_ode.solution import ODESolution
from sciml.learners.neural_ode.stepping import checkpointed_stepper, stepper
from sciml.learners.neural_ode.tableaux import tableau_named
from sciml.learners.neural_ode.times import checked_times

__all__ = ["odesolve"]

_TORCHDIFFEQ = "torchdiffeq:"
# Unknowns of the largest dense factor.
_LARGEST_SYSTEM = 4096
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
        Explicit: "tsit5", "dopri5", "bs3", "heun_euler", or "torchdiffeq:dopri5" (shared step sizes by that package).
        Implicit, L-stable, for stiff equations: "kvaerno3", "kvaerno5"; their stages are found by Newton iterations
        with dense Jacobians by automatic differentiation (of a sample; of the whole batch with "shared"), and have
        first derivatives by the implicit function theorem.
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
    one fewer with a given first step. Implicit pairs: 2 + the Newton iterations of all stages; `SolverStats.jacobians`
    counts their Jacobians, one per attempt, whose own evaluations, and those that only carry a gradient, count in
    `nfe_batched` alone.

    Implicit steps end at the requested times; inside of steps `ODESolution.interp` takes the cubic through both states
    and slopes, which no error estimate controls. Sums that f conserves (cᵀf = 0) implicit pairs conserve up to
    rounding, whatever the tolerance. Stages are solved to a part √rtol (at most 0.03) of the tolerance.

    Examples
    --------
    >>> import torch
    >>> z0 = torch.ones(2, 1, dtype=torch.float64)
    >>> solution = odesolve(lambda t, z: -z, z0, torch.tensor([0.0, 1.0]), rtol=1e-9, atol=1e-9)
    >>> [round(value, 6) for value in solution.ys[-1].flatten().tolist()]
    [0.367879, 0.367879]
    >>> bool(solution.stats.nfe[0] == 2 + 6 * (solution.stats.accepted[0] + solution.stats.rejected[0]))
    True
    """
    times = checked_times(t_eval, z0)
    check_state(f, z0, sample_args)
    refuse_random_layers(f)
    check_tolerances(rtol, atol, z0)
    options = Options(mode, adjoint, on_failure, max_steps, first_step, compaction)
    options.check()
    if method.startswith(_TORCHDIFFEQ):
        return _by_torchdiffeq(f, z0, times, method, Estimates(rtol, atol), options, (*sample_args, *args), integrals)
    tableau = tableau_named(method)
    estimates, keep_states = chosen_estimates(tableau, record, rtol, atol)
    field, x0 = _field(f, z0, mode, tuple(args), tuple(sample_args), tuple(integrals))
    if isinstance(tableau, ImplicitTableau):
        _check_implicit(tableau, adjoint, x0)
    integrator = Integrator(
        tableau, controller, estimates, first_step, max_steps, compaction, keep_states,
        (checkpointed_stepper if adjoint == "checkpoint" else stepper)(tableau, estimates),
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


def _check_implicit(pair: ImplicitTableau, adjoint: str, x0: Tensor) -> None:
    if adjoint == "continuous":
        raise IntegrationInputError(
            f'method {pair.name!r} has no adjoint="continuous": stiff dynamics explode backwards, and the adjoint '
            'equation of all parameters is too large for a dense Jacobian; use adjoint="checkpoint".'
        )
    if x0.shape[1] > _LARGEST_SYSTEM:
        raise IntegrationInputError(
            f"method {pair.name!r} factors dense matrices of {x0.shape[1]} unknowns (at most {_LARGEST_SYSTEM}); "
            'mode="per_sample" has one small matrix per sample, mode="shared" one for the whole batch.'
        )


def _field(
    f: Dynamics, z0: Tensor, mode: str, args: tuple[object, ...], sample_args: tuple[Tensor, ...],
    integrals: tuple[Integrand, ...],
) -> tuple[Field, Tensor]:  # fmt: skip
    noises = tuple(integrand.noise(z0) for integrand in integrals)
    samples = len(z0) if mode == "shared" else None
    field = Field(f, tuple(z0.shape[1:]), samples, args, sample_args, integrals, noises)
    return field, field.joined(z0, z0.new_zeros(len(z0), len(integrals)))


def _by_torchdiffeq(
    f: Dynamics, z0: Tensor, times: Tensor, method: str, estimates: Estimates, options: Options,
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
