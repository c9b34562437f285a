"""The last directions of an iteration, to which the next one is made A-orthogonal."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator

__all__ = ["Directions"]


class Directions:
    """A window of directions P and their products A P, ``(*batch, window, n)``, the oldest overwritten first.

    Parameters
    ----------
    A
        Hermitian operator.
    like
        A vector of the systems, for batch, dtype and device.
    window
        Number of directions, at least 1.
    """

    def __init__(self, A: LinearOperator, like: Tensor, window: int) -> None:
        self.A = A
        self.P = like.new_zeros(*like.shape[:-1], window, like.shape[-1])
        self.AP = torch.zeros_like(self.P)
        # 1 / ⟨p, A p⟩ of each direction; 0 for those not there yet
        self.weight = like.real.new_zeros(*like.shape[:-1], window)
        self.next = 0

    def conjugate(self, z: Tensor) -> Tensor:
        """z − Σ p ⟨A p, z⟩ / ⟨p, A p⟩."""
        return z - ((self.weight * self.A.inner_basis(self.AP, z)).unsqueeze(-2) @ self.P).squeeze(-2)

    def conjugate_again(self, z: Tensor) -> Tensor:
        """The same twice: proposals of a rule may be almost parallel, and one pass would leave little but rounding."""
        return self.conjugate(self.conjugate(z))

    def keep(self, p: Tensor, Ap: Tensor, pAp: Tensor, where: Tensor) -> None:
        """Remember p; for systems that are not in `where` ``(*batch, 1)`` the place stays empty."""
        self.P[..., self.next, :], self.AP[..., self.next, :] = p, Ap
        self.weight[..., self.next] = torch.where(where, 1 / pAp, 0).squeeze(-1)
        self.next = (self.next + 1) % self.weight.shape[-1]

    def forget(self, where: Tensor) -> None:
        """Empty the window of the systems in `where`."""
        self.weight.masked_fill_(where, 0)
