"""How large the residual of a field is, in the norm in which constraints are solved."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["Norm", "relative_size", "residual_mean_square"]

Norm = Literal["error", "plain"]


def residual_mean_square(residual: TermwiseResidual, field: Tensor, norm: Norm) -> Tensor:
    """Mean squares ``(B,)`` of the residual of fields ``(B, *shape)``, differentiable.

    ``error``: of the residual carried through the approximate inverse of its derivative at the field, all rows alike.
    ``plain``: of the rows of the equation, plus that of initial and boundary conditions.
    """
    rows = residual.rows(field)
    if norm == "error":
        return residual.carrier(field.detach())(rows).square().flatten(1).mean(1)
    flat, conditions = rows.square().flatten(1), residual.global_rows.flatten()
    equation = flat[:, ~conditions].mean(1)
    return equation + flat[:, conditions].mean(1) if bool(conditions.any()) else equation


def relative_size(mean_square: Tensor, field: Tensor) -> Tensor:
    """√(mean square) over the root mean square of the field, which is not differentiated: ``(B,)``.

    Rows are in units of the field: in the error norm this is an estimate of its relative error.
    """
    size = field.detach().to(mean_square).square().flatten(1).mean(1)
    tiny = torch.finfo(mean_square.dtype).tiny
    return (mean_square.clamp_min(tiny) / torch.where(size > 0, size, 1)).sqrt()
