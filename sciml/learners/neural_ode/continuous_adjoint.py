"""Gradients by solving the adjoint equation backwards: memory of the outputs only, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.errors import IntegrationInputError, SolverError, SolverStatus
from sciml.learners.neural_ode.field import Counter, Field
from sciml.learners.neural_ode.integrate import Integrator, Trajectory

__all__ = ["integrate_with_continuous_adjoint"]


def integrate_with_continuous_adjoint(integrator: Integrator, field: Field, x0: Tensor, times: Times) -> Trajectory:
    """Integrate as `Integrator.run` does; the outputs' gradient comes from the adjoint equation.

    With λ = dL/dz, backwards in time: dλ/dt = −λᵀ ∂f/∂z, dL/dθ = −∫ λᵀ ∂f/∂θ dt, λ jumping by dL/dz(t_m) at every
    output. The integral over the parameters does not control the step size (Kidger, Chen & Lyons 2021).

    Raises
    ------
    IntegrationInputError
        If `f` depends on tensors that require a gradient and are neither parameters nor arguments.
    """
    learned = _learned_tensors(field)
    _refuse_hidden_tensors(field, x0, times, learned)
    held: list[Trajectory] = []
    solve = _Solve(integrator, field, times, learned, held)
    outputs = _ContinuousAdjoint.apply(solve, x0, *learned)
    return held[0]._replace(outputs=outputs)


@dataclass(frozen=True)
class _Solve:
    integrator: Integrator
    field: Field
    times: Times
    learned: tuple[Tensor, ...]
    held: list[Trajectory]


class _ContinuousAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, solve: _Solve, x0: Tensor, *learned: Tensor) -> Tensor:
        trajectory = solve.integrator.run(solve.field, x0, solve.times)
        solve.held.append(trajectory)
        ctx.solve = solve
        ctx.save_for_backward(trajectory.outputs)
        return trajectory.outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (outputs,) = ctx.saved_tensors
        adjoint, learned = _backwards(ctx.solve, outputs, gradient)
        return None, adjoint, *learned


def _backwards(solve: _Solve, outputs: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Solve the adjoint equation from the last output to the first, restarting from the stored outputs."""
    adjoint = gradient[-1]
    learned = torch.cat([outputs.new_zeros(0), *(torch.zeros_like(p).flatten() for p in solve.learned)])
    backward = replace(solve.integrator, keep_states=False, initial=None)
    for m in range(len(outputs) - 1, 0, -1):
        begin, length = solve.times[:, m - 1], solve.times[:, m] - solve.times[:, m - 1]
        if (length != 0).any():
            on_device = torch.from_numpy(np.stack([begin, length])).to(outputs)
            rates = _AdjointRates(solve.field, solve.learned, on_device[0], on_device[1], outputs[m].shape)
            start = torch.cat([outputs[m].flatten(), adjoint.flatten(), learned])[None]
            end = _solved(backward, rates, start)
            _, adjoint, learned = rates.parts(end)
        adjoint = adjoint + gradient[m - 1]
    sizes = [p.numel() for p in solve.learned]
    return adjoint, [part.reshape(p.shape) for part, p in zip(learned.split(sizes), solve.learned, strict=True)]


def _solved(integrator: Integrator, rates: _AdjointRates, start: Tensor) -> Tensor:
    trajectory = integrator.run(rates, start, np.array([[1.0, 0.0]]))
    status = SolverStatus(int(trajectory.status[0]))
    if status != SolverStatus.SUCCESS:
        t = float(rates.begin[0] + trajectory.reached[0] * rates.length[0])
        raise SolverError(
            f"the adjoint equation could not be solved backwards beyond t = {t:.6g} ({status.name}); forward dynamics "
            'that contract strongly explode backwards: use adjoint="checkpoint".',
            status,
            t,
            0,
        )
    return trajectory.outputs[-1]


@dataclass(frozen=True)
class _AdjointRates:
    """Rates of state, adjoint and parameter gradient over one interval between outputs, scaled to [0, 1].

    The scaling gives samples with their own output times one common time.
    """

    field: Field
    learned: tuple[Tensor, ...]
    begin: Tensor
    length: Tensor
    shape: torch.Size

    def size(self, x: Tensor) -> int:
        """Entries of the row that control the step size: state and adjoint."""
        return 2 * self.shape.numel()

    def take(self, rows: Tensor) -> _AdjointRates:
        """Return itself: there is only one row."""
        return self

    def parts(self, row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = self.shape.numel()
        flat = row.flatten()
        return flat[:n].reshape(self.shape), flat[n : 2 * n].reshape(self.shape), flat[2 * n :]

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the rates of the row ``(1, n)``."""
        x, adjoint, _ = self.parts(x.detach())
        length = self.length[:, None]
        with torch.enable_grad():
            x = x.requires_grad_()
            slope = self.field(self.begin + self.length * t, x) * length
            inputs = (x, *self.learned)
            pulled = torch.autograd.grad(slope, inputs, adjoint, allow_unused=True) if slope.requires_grad else ()
        filled = [
            torch.zeros_like(tensor) if gradient is None else gradient
            for tensor, gradient in zip(inputs, pulled or [None] * len(inputs), strict=True)
        ]
        return torch.cat([slope.detach().flatten(), *(-gradient.flatten() for gradient in filled)])[None]


def _learned_tensors(field: Field) -> tuple[Tensor, ...]:
    parameters = getattr(field.f, "parameters", None)
    found = [*parameters()] if callable(parameters) else []
    found += [arg for arg in (*field.sample_args, *field.args) if isinstance(arg, Tensor)]
    for arg in field.args:
        found += list(arg.parameters()) if isinstance(arg, nn.Module) else []
    unique = {id(tensor): tensor for tensor in found if tensor.requires_grad}
    return tuple(unique.values())


def _refuse_hidden_tensors(field: Field, x0: Tensor, times: Times, learned: tuple[Tensor, ...]) -> None:
    with torch.enable_grad():
        slope = replace(field, counter=Counter())(torch.from_numpy(times[:, 0]).to(x0), x0.detach())
    known = {id(tensor) for tensor in learned}
    known |= {id(leaf) for tensor in learned for leaf in _leaves(tensor)}
    hidden = [leaf for leaf in _leaves(slope) if id(leaf) not in known]
    if hidden:
        raise IntegrationInputError(
            f"f depends on a tensor of shape {tuple(hidden[0].shape)} that requires a gradient and is neither a "
            'parameter of f nor in args: adjoint="continuous" would leave its gradient out. Make f an nn.Module that '
            'owns it, pass it in args, or use adjoint="discrete".'
        )


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the leaves that a tensor depends on."""
    if tensor.grad_fn is None:
        if tensor.requires_grad:
            yield tensor
        return
    seen: set[object] = set()
    stack: list[Any] = [tensor.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            yield variable
        stack.extend(following for following, _ in node.next_functions)
