"""GMRES whose preconditioner may change from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.krylov.gmres import GMRES, GeneralizedMinimalResiduals, combination
from solvers.krylov.iteration import Iteration

__all__ = ["FGMRES"]


class FlexibleGeneralizedMinimalResiduals(GeneralizedMinimalResiduals):
    """Saad (1993): the preconditioned vectors Z are kept, and the correction is Z y instead of M V y."""

    Z: Tensor

    def direction(self, V: Tensor, j: int) -> Tensor:
        if j == 0:
            self.Z = torch.empty_like(V)
        self.Z[j] = self.precondition(V[j])
        return self.Z[j]

    def combine(self, V: Tensor, y: Tensor) -> Tensor:
        return combination(self.Z[: V.shape[0]].movedim(0, -2), y)


@dataclass(frozen=True)
class FGMRES(GMRES):
    """Flexible GMRES (Saad 1993): for any square matrix and any preconditioner, also a nonlinear or learned one.

    With a fixed linear M it takes the steps of `GMRES`, for twice its memory.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history, restart
        As in `GMRES`.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0], [-1.0, 3.0]], dtype=torch.float64))
    >>> linear_solve(A, torch.tensor([3.0, 2.0], dtype=torch.float64), FGMRES()).value.round(decimals=8)
    tensor([1., 1.], dtype=torch.float64)
    """

    iteration: ClassVar[type[Iteration]] = FlexibleGeneralizedMinimalResiduals
    is_flexible: ClassVar[bool] = True
