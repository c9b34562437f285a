"""Levenberg–Marquardt steps with a gain test, every operation left to autograd: what an implicit layer replaces."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["unrolled"]


def unrolled(residual: TermwiseResidual, basis: Tensor, offset: Tensor, start: Tensor, steps: int) -> Tensor:
    """The field after so many steps from the weights ``(B, N)``, on the rows of the layer's plain norm.

    The Jacobian is in closed form and no residual is evaluated twice, so that only the unrolling is compared.
    """
    terms = residual.terms(basis.movedim(1, 0)).flatten(3).permute(1, 2, 0, 3).contiguous()  # (B, J, N, G)
    at = residual.terms(offset).flatten(2) + _moved(terms, start)
    sizes = _sizes(residual.global_rows)
    value, slopes = _rows(residual, at, sizes)
    w, size = start, value.square().sum(-1)
    damping, growth = torch.full_like(size, 1e-8), torch.full_like(size, 2.0)
    for _ in range(steps):
        columns = slopes[:, 0, None] * terms[:, 0]
        for j in range(1, terms.shape[1]):
            columns = columns + slopes[:, j, None] * terms[:, j]
        gram, slope = columns @ columns.mT, columns @ value.unsqueeze(-1)
        squares = gram.diagonal(dim1=-2, dim2=-1)
        factor = torch.linalg.cholesky(gram + torch.diag_embed((damping[:, None] + 1e-14) * squares))
        step = -torch.cholesky_solve(slope, factor).squeeze(-1)
        trial = at + _moved(terms, step)
        trial_value, trial_slopes = _rows(residual, trial, sizes)
        with torch.no_grad():
            predicted = -(step * slope.squeeze(-1)).sum(-1) + (damping[:, None] * squares * step**2).sum(-1)
            gain = (size - trial_value.square().sum(-1)) / predicted
            better = gain > 1e-4
            damping = damping * torch.where(better, (1 - (2 * gain - 1) ** 3).clamp(min=1 / 3), growth)
            growth = torch.where(better, 2, 2 * growth)
            size = torch.where(better, trial_value.square().sum(-1), size)
        w = torch.where(better[:, None], w + step, w)
        at = torch.where(better[:, None, None], trial, at)
        slopes = torch.where(better[:, None, None], trial_slopes, slopes)
        value = torch.where(better[:, None], trial_value, value)
    return offset + (w.unsqueeze(1) @ basis.flatten(2)).squeeze(1).unflatten(-1, residual.shape)


def _moved(terms: Tensor, w: Tensor) -> Tensor:
    return (w[:, None, None] @ terms).squeeze(-2)


def _sizes(conditions: Tensor) -> Tensor:
    """The root of each block's weight: means over the points, and over the conditions."""
    count = torch.where(conditions, conditions.sum(), (~conditions).sum())
    return count.flatten().double().rsqrt()


def _rows(residual: TermwiseResidual, at: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """The rows ``(B, G)`` and their slopes ``(B, J, G)``, both differentiable."""
    if not at.requires_grad:
        at = at.requires_grad_()
    value = residual.combine(at.unflatten(-1, residual.shape), residual.parameters).flatten(1)
    (slopes,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    return sizes * value, sizes * slopes
