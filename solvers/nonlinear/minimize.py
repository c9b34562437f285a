"""Minimise a convex F(x, θ) for a batch of systems, differentiably in θ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.krylov import CG
from solvers.nonlinear.arguments import check_arguments
from solvers.nonlinear.derivatives import differentiable_value
from solvers.nonlinear.equations import RootEquation
from solvers.nonlinear.jacobian import BatchedFunction
from solvers.nonlinear.newton_cg import NewtonCG
from solvers.nonlinear.objective import Objective, as_objective
from solvers.nonlinear.solution import NonlinearSolution
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Solver

__all__ = ["minimize"]


def minimize(
    f: BatchedFunction,
    x0: Tensor,
    parameters: tuple[Tensor, ...] = (),
    solver: NewtonCG | None = None,
    *,
    adjoint_solver: Solver | None = None,
    throw: bool = True,
) -> NonlinearSolution:
    """Minimise a convex F(x, θ) over x for every system of the batch.

    Parameters
    ----------
    f
        ``f(x, *parameters)`` with x ``(*batch, n)`` and the result ``(*batch)``, in torch; the result of a system
        depends on the x of that system alone. An `Objective` brings its gradient. For functions that are not convex a
        stationary point is found, which need not be a minimum.
    x0
        Where to start, ``(*batch, n)``, float32 or float64; not differentiated.
    parameters
        The tensors θ to which gradients flow, of any shapes.
    solver
        ``NewtonCG()`` by default.
    adjoint_solver
        For the linear systems of derivatives; conjugate gradients with Hessian products by default.
    throw
        Raise if any system failed. False: read ``.status``; gradients of failed systems are NaN.

    Returns
    -------
    NonlinearSolution
        ``value`` is differentiable any number of times in the parameters by the implicit function theorem for
        ∇F(x, θ) = 0; ``stats.residual_norm`` is ‖∇F‖₂, ``stats.products`` counts products with the Hessian.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TypeError, ValueError
        The arguments do not fit; or f depends on a tensor that requires a gradient and is not a parameter.
    SolveError
        A system failed and `throw` is set; the subclass says how.

    Examples
    --------
    >>> import torch
    >>> a = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    >>> x = minimize(lambda x, a: (x.exp() - a * x).sum(-1), torch.zeros(2, 1, dtype=torch.float64), (a,)).value
    >>> (x - a.log()).abs().max() < 1e-8  # eˣ = a
    tensor(True)
    >>> x.sum().backward()  # d log a / da = 1 / a
    >>> a.grad.squeeze()
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    objective = as_objective(f)
    _check_value(objective, x0, parameters)
    check_arguments(lambda x, *theta: objective(x, *theta).unsqueeze(-1), x0, parameters, "minimize", square=False)
    solver = solver or NewtonCG()
    found = solver.solve(objective, x0, parameters)
    if throw:
        found.raise_if_failed()
    adjoint_solver = adjoint_solver or CG(assume_spd=True)
    value = differentiable_value(
        found.value,
        found.status,
        _MinimumEquation(objective.gradient, objective),
        parameters,
        adjoint_solver,
        None,
        throw,
    )
    return replace(found, value=value)


@dataclass(frozen=True)
class _MinimumEquation(RootEquation):
    """∇F(x, θ) = 0; its Jacobian is the Hessian."""

    objective: Objective

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        return self.objective.hessian(x, *parameters)


def _check_value(objective: Objective, x0: Tensor, parameters: tuple[Tensor, ...]) -> None:
    """Raise unless F returns one number a system."""
    if not isinstance(x0, Tensor) or x0.ndim == 0 or not isinstance(parameters, tuple):
        return  # what `check_arguments` says better
    with torch.no_grad():
        value = objective(x0.detach(), *parameters)
    if isinstance(value, Tensor) and value.shape != x0.shape[:-1]:
        raise ShapeError(
            f"minimize: the function returned shape {tuple(value.shape)} for x0 {tuple(x0.shape)}, expected one number "
            f"a system, {tuple(x0.shape[:-1])}: sum over the last axis, and over no other"
        )
