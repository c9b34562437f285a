"""The check of what is given to an operator."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError

__all__ = ["require_samples"]


def require_samples(x: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Refuse ``x`` unless it is a float32 or float64 tensor ``(batch, *shape)``; ``what`` names it.

    Raises
    ------
    OperatorError
        Says what was found and what is expected.
    """
    if not isinstance(x, Tensor):
        raise OperatorError(f"{what} is a {type(x).__name__}: a torch tensor is expected.")
    found = tuple(x.shape)
    if found[1:] != shape or not x.ndim:
        advice = "add the batch axis, as x[None]" if found == shape else "make it fit, or build the operator for it"
        expected = ", ".join(["batch", *map(str, shape)])
        raise OperatorError(f"{what} has shape {found}: ({expected}) is expected; {advice}.")
    if x.dtype not in (torch.float32, torch.float64):
        advice = "treat the real and imaginary parts as channels" if x.is_complex() else "convert it, as x.double()"
        raise OperatorError(f"{what} is {x.dtype}: torch.float32 or torch.float64 is expected; {advice}.")
