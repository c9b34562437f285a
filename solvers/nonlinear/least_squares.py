"""Minimise ½‖r(x, θ)‖² for a batch of systems, differentiably in θ."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from solvers.nonlinear.arguments import check_arguments
from solvers.nonlinear.derivatives import differentiable_value
from solvers.nonlinear.equations import GaussNewtonEquation, StationaryEquation
from solvers.nonlinear.gauss_newton import GaussNewton
from solvers.nonlinear.jacobian import BatchedFunction
from solvers.nonlinear.levenberg_marquardt import LevenbergMarquardt
from solvers.nonlinear.residual_equation import residual_equation
from solvers.nonlinear.residual_function import ResidualFunction
from solvers.nonlinear.solution import NonlinearSolution
from solvers.solver import Solver

__all__ = ["least_squares"]

_EQUATIONS = {"exact": StationaryEquation, "gauss_newton": GaussNewtonEquation}


def least_squares(
    r: BatchedFunction,
    x0: Tensor,
    parameters: tuple[Tensor, ...] = (),
    solver: LevenbergMarquardt | GaussNewton | None = None,
    *,
    adjoint: Literal["exact", "gauss_newton"] = "exact",
    adjoint_solver: Solver | None = None,
    throw: bool = True,
) -> NonlinearSolution:
    """Find a local minimum of ½‖r(x, θ)‖² for every system of the batch.

    Parameters
    ----------
    r
        ``r(x, *parameters)`` with x ``(*batch, n)`` and the result ``(*batch, m)``, in torch; the result of a system
        depends on the x of that system alone. A `ResidualFunction` brings its derivatives.
    x0
        Where to start, ``(*batch, n)``, float32 or float64; not differentiated.
    parameters
        The tensors θ to which gradients flow, of any shapes.
    solver
        ``LevenbergMarquardt()`` by default, or ``GaussNewton()``.
    adjoint
        The matrix of the derivative's linear system: "exact", the Hessian JᵀJ + Σᵢ rᵢ ∇²rᵢ; or "gauss_newton", JᵀJ,
        cheaper, positive definite, and right only where r = 0 at the solution (second derivatives: only where r stays 0
        when θ changes).
    adjoint_solver
        For that system. None: `DenseLU` up to 512 unknowns, above that `MINRES` with products by automatic
        differentiation.
    throw
        Raise if any system failed. False: read ``.status``; gradients of failed systems are NaN.

    Returns
    -------
    NonlinearSolution
        ``value`` is differentiable any number of times in the parameters (also in forward mode): the stationarity
        Jᵀr = 0 is differentiated by the implicit function theorem. Neither time nor memory of that depends on the
        iterations. With a `ResidualFunction` it is differentiable once, backward.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TypeError, ValueError
        The arguments do not fit; or r depends on a tensor that requires a gradient and is not a parameter.
    SolveError
        A system failed and `throw` is set; the subclass says how.

    Examples
    --------
    >>> import torch
    >>> t = torch.linspace(0, 1, 20, dtype=torch.float64)
    >>> data = (3 * torch.exp(-2 * t)).requires_grad_()
    >>> fit = least_squares(
    ...     lambda x, data: x[..., :1] * torch.exp(x[..., 1:] * t) - data, torch.zeros(2, dtype=torch.float64), (data,)
    ... )
    >>> fit.value.detach()
    tensor([ 3., -2.], dtype=torch.float64)
    >>> fit.value[0].backward()  # how the fitted amplitude follows the first datum
    >>> round(float(data.grad[0]), 3)
    0.378
    """
    if adjoint not in _EQUATIONS:
        raise ValueError(f"least_squares: adjoint = {adjoint!r}, expected one of {', '.join(map(repr, _EQUATIONS))}")
    check_arguments(r, x0, parameters, "least_squares", square=False)
    solver = solver or LevenbergMarquardt()
    found = solver.solve(r, x0, parameters)
    if throw:
        found.raise_if_failed()
    equation = residual_equation(r, adjoint) if isinstance(r, ResidualFunction) else _EQUATIONS[adjoint](r)
    value = differentiable_value(found.value, found.status, equation, parameters, adjoint_solver, None, throw)
    return replace(found, value=value)
