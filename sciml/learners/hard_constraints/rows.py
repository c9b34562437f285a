"""Rows of a constraint's least-squares problem: one system for every sample and expert."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from solvers.nonlinear import ResidualFunction

__all__ = ["Rows"]


class Rows(ResidualFunction):
    """r(w, θ) of unknowns ``(B, K, N)``, ``(B, K, m)``."""

    @abstractmethod
    def count(self, parameters: tuple[Tensor, ...]) -> int:
        """m."""

    def column_lengths(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """‖J_j‖ of the columns, ``(B, K, N)``."""
        return torch.linalg.vector_norm(self.jacobian(x, *parameters), dim=-2)

    def halved_squares(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """½‖r‖² ``(B, K)``, differentiable in the parameters."""
        return self(x, *parameters).square().sum(-1) / 2
