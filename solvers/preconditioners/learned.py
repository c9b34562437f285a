"""A neural network as a preconditioner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import require_square
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["LearnedInverse", "LearnedPreconditioner"]


@dataclass(frozen=True, eq=False)
class LearnedPreconditioner:
    """M r = s · module(r / s) with s the root mean square of r: a network r ↦ z that always sees vectors of size one.

    The scaling makes M homogeneous, so that the last residuals of a solve (1e-8 of the first) look to the network like
    those it was trained on; it changes nothing for a linear module. The solution and its derivatives do not depend on
    M, and no gradient flows through it.

    Parameters
    ----------
    module
        Maps residuals ``(*batch, n)`` to corrections of the same shape, in whatever mode (train, eval) it is in. It
        gets the dtype of its own parameters: a float32 network may serve a float64 solve.
    is_linear, is_spd
        What is known of the module. Neither is checked; CG takes it only if both hold, FlexibleCG and FGMRES always.

    Examples
    --------
    >>> import torch
    >>> from solvers import poisson_operator
    >>> M = LearnedPreconditioner(torch.nn.Tanh()).setup(poisson_operator((4,)))
    >>> M(torch.full((4,), 1e-6, dtype=torch.float64)) / 1e-6  # tanh 1
    tensor([0.7616, 0.7616, 0.7616, 0.7616], dtype=torch.float64)
    """

    module: torch.nn.Module
    is_linear: bool = False
    is_spd: bool = False

    def __post_init__(self) -> None:
        if self.is_spd and not self.is_linear:
            raise ValueError("is_spd without is_linear: only a linear map can be symmetric positive definite")

    def setup(self, A: LinearOperator) -> LearnedInverse:
        """The module beside the operator; nothing is computed."""
        require_square(A, "LearnedPreconditioner")
        return LearnedInverse(A, self.module, self.is_linear, self.is_spd)


class LearnedInverse(ProjectedInverse):
    """The network, scaled."""

    def __init__(self, A: LinearOperator, module: torch.nn.Module, is_linear: bool, is_spd: bool) -> None:
        super().__init__(A)
        self.module, self.is_linear, self.is_spd = module, is_linear, is_spd

    def apply(self, r: Tensor) -> Tensor:
        weight = next(self.module.parameters(), r)
        size = self.operator.norm(r) / max(1, self.operator.shape[0]) ** 0.5
        size = torch.where(size > 0, size, 1)
        z = self.module((r / size).to(weight.dtype))
        if z.shape != r.shape:
            raise ShapeError(f"the module maps {tuple(r.shape)} to {tuple(z.shape)}: expected the same shape")
        return size * z.to(r.dtype)
