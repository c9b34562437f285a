"""How good a direction is: the residual that is left after the best step along it."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers import LinearOperator

__all__ = ["direction_loss"]


def direction_loss(A: LinearOperator, b: Tensor, q: Tensor) -> Tensor:
    """Mean over the batch of ‖b − a A q‖²/‖b‖² with a = ⟨q, b⟩/⟨q, A q⟩ (Kaneda et al. 2023, equation 10).

    No solution is needed. The step a is the best one for the energy of the error, not for the residual, so that the
    loss may exceed 1. It does not change when q is multiplied by any number but zero, and is zero for q parallel to
    A⁻¹ b only. A direction without curvature (q = 0) takes no step: 1.

    Parameters
    ----------
    A
        Symmetric positive (semi)definite; the same for all samples or one each.
    b, q
        ``(batch, n)``; b in the range of A.

    Examples
    --------
    >>> from solvers import poisson_operator
    >>> A, b = poisson_operator((8,), dtype=torch.float32), torch.ones(1, 8)
    >>> direction_loss(A, b, torch.linalg.solve(A.to_dense(), b[0])[None]) < 1e-9
    tensor(True)
    """
    largest = q.abs().amax(-1, keepdim=True)
    q = q / torch.where(largest > 0, largest, 1)  # squares of 1e-30 would vanish
    Aq = A.mv(q)
    curvature = (q * Aq).sum(-1, keepdim=True)
    step = torch.where(curvature > 0, (q * b).sum(-1, keepdim=True) / torch.where(curvature > 0, curvature, 1), 0)
    return ((b - step * Aq).square().sum(-1) / b.square().sum(-1)).mean()
