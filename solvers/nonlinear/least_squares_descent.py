"""What Gauss–Newton and Levenberg–Marquardt share: the linear model, and when an iterate is a minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from solvers.nonlinear.descent import Descent, NonlinearMethod
from solvers.nonlinear.factorisations import Factorisation, Orthogonal
from solvers.nonlinear.linear_model import LinearModel
from solvers.nonlinear.solution import NonlinearStats
from solvers.status import Status

__all__ = ["LeastSquaresDescent"]


class LeastSquaresDescent(Descent):
    """One run; D is the largest length that each column of J has had (Moré 1978)."""

    def __init__(
        self,
        method: NonlinearMethod,
        function: Callable[[Tensor], Tensor],
        x: Tensor,
        factorisation: Factorisation | None = None,
    ) -> None:
        super().__init__(method, function, x)
        self.factorisation = factorisation or Orthogonal()
        self.scale = torch.zeros_like(self.x)
        self.model = self.linearised()

    def linearised(self) -> LinearModel:
        """The model at the present iterates."""
        near = self.near = self.factorisation.linearisation(self.function, self.x, self.value)
        self.jacobians += 1
        finite = near.lengths.isfinite().all(-1, keepdim=True)
        self.end(~finite, Status.NONFINITE_ITERATE)
        healthy = finite & (self.status != Status.NONFINITE_INPUT)
        self.scale = torch.maximum(self.scale, torch.where(healthy, near.lengths, 0))
        scale = torch.where(self.scale > 0, self.scale, 1)
        return near.model(healthy, torch.where(healthy, self.size, 0), scale)

    def move(self, where: Tensor, x: Tensor, value: Tensor) -> None:
        super().move(where, x, value)
        if where.any():
            self.model = self.linearised()

    def statistics(self, seconds: float) -> NonlinearStats:
        cosine, condition = self.model.cosine.squeeze(-1), self.model.condition.squeeze(-1)
        return replace(super().statistics(seconds), cosine=cosine, condition=condition)

    @property
    def correction(self) -> Tensor:
        _, length, _ = self.model.undamped()
        return self.relative(length, self.model.scale)

    def assess(self) -> None:
        """A minimum: r is orthogonal to the columns of J, or the Gauss–Newton step no longer matters."""
        self.end(self.model.cosine <= self.tolerance, Status.CONVERGED)
        step, _, _ = self.model.undamped()
        self.settle(self.correction <= self.tolerance, step)
