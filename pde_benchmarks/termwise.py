"""Residuals that act point by point on linear terms of a field: what a hard constraint solves with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pde_benchmarks.problem import Batch

__all__ = ["TermwiseProblem", "TermwiseResidual"]


class TermwiseResidual(ABC):
    """r(u) = G(D₁u, …, D_J u; θ) on the grid of u for one batch of inputs: every D_j linear, G point by point.

    The rows at the start and at the boundary are the initial and boundary conditions, u − g: one field holds all that
    is asked of u. Terms are dimensionless, rows of order one where u is wrong by order one.

    Attributes
    ----------
    shape
        Grid of u, time first where there is one.
    parameters
        θ: tensors ``(B, …)`` of the inputs; gradients flow to them through `terms` and `combine`, never through
        `carrier`.
    global_rows
        ``shape``, bool: the rows of initial and boundary conditions, which every part of the domain must see.
    """

    shape: tuple[int, ...]
    parameters: tuple[Tensor, ...]
    global_rows: Tensor

    @abstractmethod
    def terms(self, fields: Tensor) -> Tensor:
        """D_j u of fields ``(*leading, B, *shape)``: ``(*leading, B, J, *shape)``; linear."""

    @abstractmethod
    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """G of terms ``(B, J, *shape)``: rows ``(B, *shape)``; twice differentiable."""

    @abstractmethod
    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        """The linear map r ↦ Ã⁻¹r, rows ``(*leading, B, *shape)`` to fields of that shape: the error to first order.

        Ã approximates the residual's derivative at the field ``about`` ``(B, *shape)``, which is not differentiated.
        """

    @property
    def carrier_parameters(self) -> tuple[Tensor, ...]:
        """Tensors of the inputs on which `carrier` depends; all of θ, unless a class knows better.

        Whoever differentiates carried rows holds the carrier fixed: where one of these asks for a gradient, a
        constraint in the error norm warns that it is incomplete.
        """
        return self.parameters

    def rows(self, fields: Tensor) -> Tensor:
        """r of fields ``(B, *shape)``, the same shape; differentiable."""
        return self.combine(self.terms(fields), self.parameters)

    def correction(self, fields: Tensor) -> Tensor:
        """−Ã⁻¹r(u) with Ã at u: what is missing from u, to first order."""
        return -self.carrier(fields.detach())(self.rows(fields))

    def slopes(self, terms: Tensor) -> Tensor:
        """∂G/∂T_j in every row, ``(B, J, *shape)``, not differentiated further."""
        with torch.enable_grad():
            at = terms.detach().requires_grad_()
            value = self.combine(at, tuple(p.detach() for p in self.parameters)).sum()
            return torch.autograd.grad(value, at)[0]

    def second_slopes(self, terms: Tensor) -> Mapping[tuple[int, int], Tensor]:
        """∂²G/∂T_j∂T_k in every row, ``(B, *shape)`` by (j, k) with j ≤ k, not differentiated further.

        Pairs that are left out are zero.
        """
        with torch.enable_grad():
            at = terms.detach().requires_grad_()
            value = self.combine(at, tuple(p.detach() for p in self.parameters)).sum()
            (slopes,) = torch.autograd.grad(value, at, create_graph=True)
            if not slopes.requires_grad:
                return {}
            axis = -1 - len(self.shape)
            rows = [
                torch.autograd.grad(slope.sum(), at, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
                for slope in slopes.unbind(axis)
            ]
        return {(j, k): rows[j].select(axis, k) for j in range(len(rows)) for k in range(j, len(rows))}


class TermwiseProblem(ABC):
    """What a hard constraint needs of a problem with one output field of one channel."""

    @abstractmethod
    def termwise(self, inputs: Batch) -> TermwiseResidual:
        """The residual for these inputs, in their dtype and on their device."""

    @abstractmethod
    def offset(self, inputs: Batch) -> Tensor:
        """A field ``(B, *shape)`` to which the basis is added; it may have the right initial and boundary values."""

    @abstractmethod
    def envelope(self, inputs: Batch) -> Tensor:
        """A factor ``(B, *shape)`` of every basis function: zero where `offset` is right already, otherwise one."""

    @abstractmethod
    def closed_forms(self, inputs: Batch) -> Mapping[str, Tensor]:
        """Functions ``(B, *shape)`` worth adding to a basis: 1, x, t, similarity solutions."""

    @abstractmethod
    def coordinates(self, inputs: Batch) -> Tensor:
        """What a network is fed in every point, ``(B, channels, *shape)``: coordinates and inputs, of order one."""
