"""Solve f(x, θ) = 0 for a batch of systems, differentiably in θ."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from solvers.direct import DirectSolver
from solvers.nonlinear.arguments import check_arguments
from solvers.nonlinear.derivatives import differentiable_value
from solvers.nonlinear.equations import RootEquation
from solvers.nonlinear.jacobian import BatchedFunction
from solvers.nonlinear.newton import Newton
from solvers.nonlinear.solution import NonlinearSolution
from solvers.solver import Solver

__all__ = ["root"]


def root(
    f: BatchedFunction,
    x0: Tensor,
    parameters: tuple[Tensor, ...] = (),
    solver: Newton | None = None,
    *,
    adjoint_solver: Solver | None = None,
    throw: bool = True,
) -> NonlinearSolution:
    """Solve f(x, θ) = 0 for every system of the batch.

    Parameters
    ----------
    f
        ``f(x, *parameters)`` with x ``(*batch, n)`` and the result ``(*batch, n)``, in torch; the result of a system
        depends on the x of that system alone.
    x0
        Where to start, ``(*batch, n)``, float32 or float64; not differentiated.
    parameters
        The tensors θ to which gradients flow, of any shapes.
    solver
        ``Newton()`` by default.
    adjoint_solver
        For the linear systems of derivatives, with the method's preconditioner. None: the method's linear solver if
        that is direct; otherwise `DenseLU` up to 512 unknowns, above that or with a preconditioner `GMRES`.
    throw
        Raise if any system failed. False: read ``.status``; gradients of failed systems are NaN.

    Returns
    -------
    NonlinearSolution
        ``value`` is differentiable any number of times in the parameters (also in forward mode) by the implicit
        function theorem: dx = −(∂f/∂x)⁻¹ (∂f/∂θ) dθ. Neither time nor memory of that depends on the iterations.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TypeError, ValueError
        The arguments do not fit; or f depends on a tensor that requires a gradient and is not a parameter.
    SolveError
        A system failed and `throw` is set; the subclass says how.

    Examples
    --------
    >>> import torch
    >>> a = torch.tensor([[2.0], [9.0]], dtype=torch.float64, requires_grad=True)
    >>> x = root(lambda x, a: x**2 - a, torch.ones(2, 1, dtype=torch.float64), (a,)).value
    >>> x.detach().squeeze()
    tensor([1.4142, 3.0000], dtype=torch.float64)
    >>> x.sum().backward()  # d√a/da = 1 / (2 √a)
    >>> a.grad.squeeze()
    tensor([0.3536, 0.1667], dtype=torch.float64)
    """
    check_arguments(f, x0, parameters, "root", square=True)
    solver = solver or Newton()
    found = solver.solve(f, x0, parameters)
    if throw:
        found.raise_if_failed()
    if adjoint_solver is None and isinstance(solver.linear_solver, DirectSolver):
        adjoint_solver = solver.linear_solver
    value = differentiable_value(
        found.value, found.status, RootEquation(f), parameters, adjoint_solver, solver.preconditioner, throw
    )
    return replace(found, value=value)
