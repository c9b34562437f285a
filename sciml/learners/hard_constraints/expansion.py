"""A field u = u₀ + Σ_k w_k b_k, its terms, and what its residual's conditions say of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.learners.hard_constraints.boxes import Boxes

__all__ = ["Expansion"]


@dataclass(frozen=True)
class Expansion:
    """Basis functions ``(B, N, *shape)`` added to an offset ``(B, *shape)``, differentiable.

    Derivatives are taken on the whole grid, before anything is cut into boxes.

    Attributes
    ----------
    terms, offset_terms
        D_j b_k ``(N, B, J, G)`` and D_j u₀ ``(B, J, G)``.
    """

    residual: TermwiseResidual
    basis: Tensor
    offset: Tensor
    terms: Tensor
    offset_terms: Tensor

    @classmethod
    def of(cls, residual: TermwiseResidual, basis: Tensor, offset: Tensor) -> Expansion:
        """With the terms of the residual."""
        terms = residual.terms(basis.movedim(1, 0)).flatten(3)
        return cls(residual, basis, offset, terms, residual.terms(offset).flatten(2))

    def field(self, weights: Tensor, windows: Tensor) -> Tensor:
        """u₀ + Σ_e χ_e b·w_e with weights ``(B, K, N)`` and windows ``(K, G)``: ``(B, *shape)``."""
        if len(windows) == 1:
            alone = (weights @ self.basis.flatten(2)).squeeze(1) * windows.to(weights)
            return self.offset + alone.unflatten(-1, self.residual.shape)
        local = (weights.mT @ windows.to(weights)).unflatten(-1, self.residual.shape)
        return self.offset + (self.basis * local).sum(1)

    def moved_terms(self, weights: Tensor, boxes: Boxes) -> Tensor:
        """D_j u₀ + (D_j b)·w_e in every point of the grid, e the point's owner: ``(B, J, G)``; no jumps are seen."""
        local = weights.mT[..., boxes.owner]
        return self.offset_terms + torch.einsum("nbjg,bng->bjg", self.terms, local)

    def linearised(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """A ``(N, B, G)`` and c ``(B, G)`` with r ≈ A w + c near a field of terms `about`, not differentiated."""
        slopes, constant = self._tangent(about)
        return (slopes * self.terms).sum(2), constant

    def conditions(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """A ``(B, g, N)`` and c ``(B, g)`` of the initial and boundary rows, linearised about terms ``(B, J, G)``."""
        slopes, constant = self._tangent(about)
        chosen = self.residual.global_rows.flatten().nonzero().squeeze(-1)
        A = (slopes[..., chosen] * self.terms[..., chosen]).sum(2)
        return A.permute(1, 2, 0), constant[..., chosen]

    def _tangent(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes ``(B, J, G)`` in every point at terms `about`, and the rows that they give the offset, ``(B, G)``."""
        shape, theta = self.residual.shape, self.residual.parameters
        at = about.detach().unflatten(-1, shape)
        differentiated = torch.is_grad_enabled() and any(t.requires_grad for t in theta)
        with torch.enable_grad():
            value = self.residual.combine(at.requires_grad_(), theta).sum()
            (slopes,) = torch.autograd.grad(value, at, create_graph=differentiated)
        slopes = slopes.flatten(2)
        constant = self.residual.combine(at.detach(), theta).flatten(1)
        return slopes, constant + (slopes * (self.offset_terms - about.detach())).sum(1)
