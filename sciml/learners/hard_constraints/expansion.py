"""A field u = u₀ + Σ_k w_k b_k, its terms, and what its residual's conditions say of the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.unknowns import ALL, Unknowns

__all__ = ["Expansion"]


@dataclass(frozen=True)
class Expansion:
    """Basis functions ``(B, N, *shape)`` added to an offset ``(B, *shape)``, differentiable.

    Derivatives are taken on the whole grid, before anything is cut into boxes.

    Attributes
    ----------
    terms, offset_terms
        D_j b_k ``(N, B, J, G)`` and D_j u₀ ``(B, J, G)``.
    unknowns
        The weights; those that are this process's own have their functions here.
    """

    residual: TermwiseResidual
    basis: Tensor
    offset: Tensor
    terms: Tensor
    offset_terms: Tensor
    unknowns: Unknowns = ALL

    @classmethod
    def of(cls, residual: TermwiseResidual, basis: Tensor, offset: Tensor, unknowns: Unknowns = ALL) -> Expansion:
        """With the terms of the residual."""
        terms = residual.terms(basis.movedim(1, 0)).flatten(3)
        return cls(residual, basis, offset, terms, residual.terms(offset).flatten(2), unknowns)

    @property
    def functions(self) -> int:
        """Of all processes."""
        return self.unknowns.count(self.basis.shape[1])

    def field(self, weights: Tensor, windows: Tensor) -> Tensor:
        """u₀ + Σ_e χ_e b·w_e with weights ``(B, K, N)`` and windows ``(K, G)``: ``(B, *shape)``."""
        if len(windows) == 1:
            alone = self.unknowns.summed((self.unknowns.own(weights) @ self.basis.flatten(2)).squeeze(1))
            return self.offset + (alone * windows.to(weights)).unflatten(-1, self.residual.shape)
        local = (weights.mT @ windows.to(weights)).unflatten(-1, self.residual.shape)
        return self.offset + (self.basis * local).sum(1)

    @torch.no_grad()
    def moved_terms(self, weights: Tensor, boxes: Boxes) -> Tensor:
        """D_j u₀ + (D_j b)·w_e in every point of the grid, e the point's owner: ``(B, J, G)``; no jumps are seen."""
        local = self.unknowns.own(weights).mT[..., boxes.owner]
        return self.offset_terms + self.unknowns.summed(torch.einsum("nbjg,bng->bjg", self.terms, local))

    @torch.no_grad()
    def moved_conditions(self, weights: Tensor, boxes: Boxes) -> Tensor:
        """The same where the residual has conditions, and D_j u₀ elsewhere: what `conditions` is asked about."""
        local = self.unknowns.own(weights).mT[..., boxes.owner[self.conditioned]]
        terms = self.terms.index_select(-1, self.conditioned)
        change = self.unknowns.summed(torch.einsum("nbjg,bng->bjg", terms, local))
        return self.offset_terms.index_add(-1, self.conditioned, change)

    @cached_property
    def conditioned(self) -> Tensor:
        """Flat indices of the initial and boundary rows."""
        return self.residual.global_rows.flatten().nonzero().squeeze(-1)

    @cached_property
    def broken(self) -> Tensor:
        """Where terms, or the rows of the offset, are not finite, ``(B, G)`` bool."""
        with torch.no_grad():
            rows = self.residual.combine(self.offset_terms.unflatten(-1, self.residual.shape), self.residual.parameters)
            finite = self.terms.isfinite().all(2).all(0) & self.offset_terms.isfinite().all(1)
            broken = ~(finite & rows.flatten(1).isfinite())
            return self.unknowns.summed(broken.to(torch.float64)) > 0

    def without(self, points: Tensor) -> Expansion:
        """Zero in some points ``(B, G)``, terms and gradients included."""
        on_grid = points.unflatten(-1, self.residual.shape)
        return replace(
            self,
            basis=torch.where(on_grid.unsqueeze(1), 0, self.basis),
            offset=torch.where(on_grid, 0, self.offset),
            terms=torch.where(points.unsqueeze(1), 0, self.terms),
            offset_terms=torch.where(points.unsqueeze(1), 0, self.offset_terms),
        )

    def linearised(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """A ``(N, B, G)`` (of own functions) and c ``(B, G)``: r ≈ A w + c near terms `about`, not differentiated."""
        slopes, constant = self._tangent(about)
        return (slopes * self.terms).sum(2), constant

    def conditions(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """The same for the initial and boundary rows, near terms ``(B, J, G)``: A ``(B, g, N)`` and c ``(B, g)``."""
        slopes, constant = self._tangent(about)
        chosen = self.conditioned
        box = Boxes(tuple(self.residual.shape), chosen.unsqueeze(0), chosen.new_zeros(slopes.shape[-1]))
        terms = box.gather(self.terms)
        A = (slopes[..., chosen] * terms.squeeze(-2)).sum(2)
        return A.permute(1, 2, 0), constant[..., chosen]

    def _tangent(self, about: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes ``(B, J, G)`` in every point at terms `about`, and the rows that they give the offset, ``(B, G)``."""
        shape, theta = self.residual.shape, self.residual.parameters
        at = about.detach().unflatten(-1, shape)
        differentiated = torch.is_grad_enabled() and any(t.requires_grad for t in theta)
        if differentiated:
            value = self.residual.combine(at.requires_grad_(), theta).sum()
            (slopes,) = torch.autograd.grad(value, at, create_graph=True)
        else:
            slopes = self.residual.slopes(at)
        slopes = slopes.flatten(2)
        constant = self.residual.combine(at.detach(), theta).flatten(1)
        return slopes, constant + (slopes * (self.offset_terms - about.detach())).sum(1)
