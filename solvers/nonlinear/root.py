"""Solve f(x, θ) = 0 for a batch of systems, differentiably in θ."""

from __future__ import annotations

from time import perf_counter

import torch
from torch import Tensor

from solvers.direct import DirectSolver
from solvers.nonlinear.arguments import check_arguments
from solvers.nonlinear.derivatives import differentiable_value
from solvers.nonlinear.equations import RootEquation
from solvers.nonlinear.jacobian import BatchedFunction
from solvers.nonlinear.newton import Newton
from solvers.nonlinear.solution import NonlinearSolution, NonlinearStats
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
    began = perf_counter()
    with torch.no_grad():
        fixed = tuple(p.detach() for p in parameters)
        run = solver.start(lambda x: f(x, *fixed), x0.detach())
        run.to_the_end()
    stats = NonlinearStats(
        run.iterations.squeeze(-1),
        run.size.squeeze(-1),
        run.initial_size.squeeze(-1),
        run.correction.squeeze(-1),
        run.evaluations,
        run.jacobians,
        perf_counter() - began,
        type(solver).__name__,
    )
    status = run.status.squeeze(-1)
    if throw:
        NonlinearSolution(run.x, status, stats).raise_if_failed()
    if adjoint_solver is None and isinstance(solver.linear_solver, DirectSolver):
        adjoint_solver = solver.linear_solver
    value = differentiable_value(
        run.x, status, RootEquation(f), parameters, adjoint_solver, solver.preconditioner, throw
    )
    return NonlinearSolution(value, status, stats)
