"""Flows of small, perhaps stiff systems by SciPy, with their derivative in the initial state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["Equations", "flow_map", "followed"]

Numbers = Sequence[float]
OfState = Callable[[np.ndarray], Any]

MOST_EVALUATIONS = 500_000


class Equations(NamedTuple):
    """y' = f(y) on plain numbers, and how closely it is to be followed.

    Attributes
    ----------
    name
        For messages.
    rates, jacobian
        f ``(d,)`` and ∂f/∂y ``(d, d)``, rows first, from the components of y.
    relative, absolute
        Tolerances of a step; ``absolute`` one a component.
    """

    name: str
    rates: Callable[..., Sequence[float]]
    jacobian: Callable[..., Sequence[Sequence[float]]]
    relative: float
    absolute: tuple[float, ...]


def followed(equations: Equations, start: np.ndarray, instants: Numbers, sample: int) -> np.ndarray:
    """The state at ``instants`` (increasing, after 0), float64, shape ``(times, d)``.

    LSODA changes by itself between Adams' methods and backward differences (Petzold 1983).

    Raises
    ------
    ProblemError
        If the integrator gives up; the message carries its reason and the number of the sample.
    """
    run = _Run(equations, sample, "LSODA", equations.absolute)
    return run.states(start, instants, lambda y: equations.rates(*y), lambda y: equations.jacobian(*y))


def flow_map(equations: Equations, states: Tensor, durations: Tensor) -> Tensor:
    """States ``(rows, d)`` after each row's own duration ``(rows,)``, in their dtype; differentiable once.

    By Radau's method of order 5, which starts well where LSODA, starting with Adams' methods, may creep: on a stiff
    system that has come to rest. The derivative Φ' solves the variational equation dΦ'/dt = f'(y) Φ' along the way.
    """
    after: Tensor = _FlowMap.apply(states, durations, equations)
    return after


class _FlowMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, durations: Tensor, equations: Equations) -> Tensor:
        rows = states.detach().to("cpu", torch.float64).numpy()
        times = durations.detach().to("cpu", torch.float64).tolist()
        after = np.empty_like(rows)
        if not ctx.needs_input_grad[0]:
            for row, (state, time) in enumerate(zip(rows, times, strict=True)):
                run = _Run(equations, row, "Radau", equations.absolute)
                after[row] = run.states(state, (time,), lambda y: equations.rates(*y), lambda y: equations.jacobian(*y))
            return torch.from_numpy(after).to(states)
        slopes = np.empty((*rows.shape, rows.shape[1]))
        for row, (state, time) in enumerate(zip(rows, times, strict=True)):
            after[row], slopes[row] = _with_derivative(equations, state, time, row)
        ctx.save_for_backward(torch.from_numpy(slopes).to(states))
        return torch.from_numpy(after).to(states)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return torch.einsum("rij,ri->rj", slopes, gradient), None, None


def _with_derivative(equations: Equations, start: np.ndarray, time: float, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Φ and Φ' of one state."""
    d = len(start)

    def rates(y: np.ndarray) -> np.ndarray:
        slope = np.asarray(equations.jacobian(*y[:d])) @ y[d:].reshape(d, d)
        return np.concatenate([equations.rates(*y[:d]), slope.ravel()])

    def jacobian(y: np.ndarray) -> np.ndarray:
        # Without ∂(f' Φ')/∂y, which is below the diagonal: Newton's corrections reach it one iteration later.
        own = np.asarray(equations.jacobian(*y[:d]))
        both = np.zeros((d + d * d, d + d * d))
        both[:d, :d], both[d:, d:] = own, np.kron(own, np.eye(d))
        return both

    # ∂y_i/∂y_j carries the unit of component i over that of component j.
    unit = np.asarray(equations.absolute)
    absolute = (*equations.absolute, *(unit[:, None] / unit * equations.relative).ravel())
    both = np.concatenate([start, np.eye(d).ravel()])
    after = _Run(equations, row, "Radau", absolute).states(both, (time,), rates, jacobian)[0]
    return after[:d], after[d:].reshape(d, d)


@dataclass
class _Run:
    """One integration, which ends: with states, or with an error that names the sample."""

    equations: Equations
    sample: int
    method: Literal["LSODA", "Radau"]
    absolute: tuple[float, ...]
    evaluations: int = 0

    def states(self, start: np.ndarray, instants: Numbers, rates: OfState, jacobian: OfState) -> np.ndarray:
        from scipy.integrate import solve_ivp

        if not np.isfinite(start).all():
            raise self._error("its state is not finite", instants)

        def counted(_: float, y: np.ndarray) -> np.ndarray:
            self.evaluations += 1
            if self.evaluations > MOST_EVALUATIONS:
                raise self._error(f"more than {MOST_EVALUATIONS} evaluations", instants)
            return np.asarray(rates(y))

        run = solve_ivp(
            counted,
            (0.0, instants[-1]),
            start,
            self.method,
            t_eval=instants,
            rtol=self.equations.relative,
            atol=self.absolute,
            jac=lambda _, y: np.asarray(jacobian(y)),
        )
        if run.status != 0 or not np.isfinite(run.y).all():
            reason = "it does not stay finite" if run.status == 0 else str(run.message).rstrip(".")
            raise self._error(reason, instants)
        states: np.ndarray = run.y.T
        return states

    def _error(self, reason: str, instants: Numbers) -> ProblemError:
        return ProblemError(
            f"{self.equations.name}: sample {self.sample} cannot be followed for {instants[-1]:.3g} units of time "
            f"({reason}): mend or remove it, or raise tolerance."
        )
