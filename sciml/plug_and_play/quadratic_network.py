"""The proximal operator of a quadratic function as a network: everything about it is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.errors import LearnerError

__all__ = ["QuadraticNetwork"]


class QuadraticNetwork(nn.Module):
    """ψ(v) = ½⟨v, S v⟩, f(v) = S v: the proximal operator of R(x) = ½⟨x, (S⁻¹ − I) x⟩; of fields with n values.

    Parameters
    ----------
    matrix
        S, symmetric and positive definite, ``(n, n)``.
    """

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        values = torch.linalg.eigvalsh(matrix) if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] else None
        if values is None or not torch.allclose(matrix, matrix.mT) or not float(values.min()) > 0:
            raise LearnerError(
                f"matrix of shape {tuple(matrix.shape)}: the gradient of a convex quadratic function is a symmetric "
                "positive definite matrix."
            )
        self.register_buffer("matrix", matrix)
        self._extremes = (float(values.min()), float(values.max()))

    def forward(self, v: Tensor) -> Tensor:
        return (v.flatten(1) @ self.matrix).reshape(v.shape)

    def potential(self, v: Tensor) -> Tensor:
        """ψ(v), ``(B,)``."""
        return self.potential_and_gradient(v)[0]

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) ``(B,)`` and S v."""
        f = self(v)
        return (v * f).flatten(1).sum(-1) / 2, f

    @property
    def strong_convexity(self) -> float:
        """The smallest eigenvalue of S."""
        return self._extremes[0]

    @property
    def lipschitz(self) -> float:
        """The largest eigenvalue of S."""
        return self._extremes[1]
