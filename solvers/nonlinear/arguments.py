"""Whether a function, a start and parameters fit each other."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError
from solvers.nonlinear.jacobian import BatchedFunction

__all__ = ["check_arguments"]


def check_arguments(f: BatchedFunction, x0: Tensor, parameters: tuple[Tensor, ...], name: str, square: bool) -> None:
    """Raise unless f maps x0 ``(*batch, n)`` to ``(*batch, n)`` (square) or ``(*batch, m)``, in x0's dtype.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TypeError
        With the argument's name, what was found and how to mend it.
    ValueError
        f depends on a tensor that requires a gradient and is not among the parameters: no gradient would reach it.
    """
    if not isinstance(x0, Tensor) or x0.ndim == 0:
        raise ShapeError(f"{name}: x0 must be a tensor (*batch, n), found {_described(x0)}; write x0.reshape(1)")
    if x0.dtype not in (torch.float32, torch.float64):
        raise DTypeError(
            f"{name}: x0 has dtype {x0.dtype}, expected float32 or float64; convert it, and write complex unknowns as "
            "their real and imaginary parts"
        )
    if not isinstance(parameters, tuple):
        raise TypeError(f"{name}: parameters must be a tuple of tensors, found {_described(parameters)}; write (p,)")
    for i, p in enumerate(parameters):
        if not isinstance(p, Tensor) or not p.is_floating_point():
            raise DTypeError(
                f"{name}: parameter {i} is {_described(p)}, expected a floating-point tensor; what needs no gradient "
                "belongs into the function itself (a lambda, functools.partial)"
            )
    with torch.enable_grad():
        value = f(x0.detach(), *(p.detach() for p in parameters))
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: the function returned {_described(value)}, expected a tensor (*batch, m)")
    batch = tuple(x0.shape[:-1])
    if value.ndim != x0.ndim or value.shape[:-1] != x0.shape[:-1] or (square and value.shape != x0.shape):
        expected = f"{tuple(x0.shape)}" if square else f"{(*batch, 'm')}".replace("'", "")
        mend = "use least_squares where equations and unknowns differ in number" if square else "put equations last"
        raise ShapeError(
            f"{name}: the function returned shape {tuple(value.shape)} for x0 {tuple(x0.shape)}, expected {expected}: "
            f"expand x0 to the batch of the parameters, or {mend}"
        )
    if value.dtype != x0.dtype:
        raise DTypeError(
            f"{name}: the function returned {value.dtype} for x0 of {x0.dtype}; convert x0 or the parameters with "
            ".to(dtype)"
        )
    if value.device != x0.device:
        raise DeviceError(f"{name}: the function returned a tensor on {value.device} for x0 on {x0.device}")
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"{name}: the function depends on a tensor that requires a gradient but is not among the parameters, so "
            "that no gradient would reach it: pass it in parameters=(...) (torch.func.functional_call for a module), "
            "detach it, or call under torch.no_grad()"
        )


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}"[:80]
