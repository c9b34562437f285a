"""Rows of a constraint's least-squares problem: one system for every sample and expert."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from solvers.nonlinear import ResidualFunction

__all__ = ["Rows"]


class Rows(ResidualFunction):
    """r(w, θ) of unknowns ``(B, K, N)``, ``(B, K, m)``."""

    @abstractmethod
    def count(self, parameters: tuple[Tensor, ...]) -> int:
        """m."""

    def halved_squares(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """½‖r‖² ``(B, K)``, differentiable in the parameters."""
        return self(x, *parameters).square().sum(-1) / 2
